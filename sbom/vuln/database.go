package vuln

import (
	"context"
	"errors"
	"strings"
	"time"

	v6 "github.com/anchore/grype/grype/db/v6"
	"github.com/anchore/grype/grype/distro"
	"github.com/anchore/grype/grype/vulnerability"

	"github.com/forge-build/forge/recipes/finding"
)

// Database is an open database that was checked.
type Database struct {
	where    string
	facts    finding.Database
	reader   v6.Reader
	provider vulnerability.Provider
	now      time.Time
}

// Open finds, checks and opens a database. Whatever is wrong with it is a *DatabaseError.
func Open(ctx context.Context, s Source) (*Database, error) {
	if s.MaxAge == 0 {
		s.MaxAge = DefaultMaxAge
	}
	f, err := s.locate(ctx)
	if err != nil {
		return nil, interrupted(ctx, err)
	}
	sum, err := s.check(ctx, f)
	if err != nil {
		return nil, interrupted(ctx, err)
	}
	if f.digest == "" {
		f.digest = "sha256:" + sum
	}
	if err := schemaOf(f.path, f.where); err != nil {
		return nil, err
	}
	reader, err := v6.NewReader(v6.Config{DBDirPath: strings.TrimSuffix(f.path, "/"+v6.VulnerabilityDBFileName)})
	if err != nil {
		return nil, refuse(Damaged, f.where, "%w", err)
	}
	db := &Database{where: f.where, reader: reader, now: s.Now, facts: finding.Database{Digest: f.digest, From: f.from}}
	if err := db.judge(s.MaxAge); err != nil {
		_ = reader.Close() // the error that counts is known
		return nil, err
	}
	db.provider = v6.NewVulnerabilityProvider(reader)
	return db, nil
}

// interrupted is the context's error where that is why something could not be read.
func interrupted(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}

// Facts are what a verdict says of the database.
func (db *Database) Facts() finding.Database { return db.facts }

// Close closes the file.
func (db *Database) Close() error { return db.provider.Close() }

// schemaOf refuses a file that is no database of Grype's schema 6, and says what it is.
func schemaOf(path, where string) error {
	if strings.ContainsAny(path, "?#%") {
		return refuse(Refused, where, "SQLite cannot open a path with one of the characters ? # %%")
	}
	low, err := v6.NewLowLevelDB(path, false, false, false)
	if err != nil {
		return refuse(Damaged, where, "it is no SQLite database: %w", err)
	}
	if conn, err := low.DB(); err == nil {
		defer conn.Close()
	}
	var rows []struct{ Model, Revision, Addition int }
	if err := low.Raw("SELECT model, revision, addition FROM db_metadata LIMIT 2").Scan(&rows).Error; err != nil {
		return refuse(Damaged, where, "it is no database of Grype's: %w", err)
	}
	switch {
	case len(rows) == 0:
		return refuse(Empty, where, "it does not say which schema it has")
	case len(rows) > 1 || rows[0].Model != v6.ModelVersion:
		return refuse(Schema, where, "it has schema %d.%d.%d, this forge reads schema %d", rows[0].Model, rows[0].Revision, rows[0].Addition, v6.ModelVersion)
	}
	return nil
}

// judge reads what the database says of itself, and its age.
func (db *Database) judge(maxAge time.Duration) error {
	meta, err := db.reader.GetDBMetadata()
	if err != nil {
		return refuse(Damaged, db.where, "reading what it says of itself: %w", err)
	}
	if meta == nil || meta.BuildTimestamp == nil {
		return refuse(Damaged, db.where, "it does not say when it was built")
	}
	db.facts.Built = meta.BuildTimestamp.UTC()
	db.facts.Schema = v6.DescriptionFromMetadata(meta).SchemaVersion.String()
	age := db.now.Sub(db.facts.Built)
	switch {
	case age > maxAge:
		return refuse(Stale, db.where, "it was built %s, %s ago; the limit is %s", db.facts.Built.Format(time.DateOnly), days(age), days(maxAge))
	case age < -24*time.Hour:
		return refuse(Early, db.where, "it was built %s, which is %s from now: a clock is wrong", db.facts.Built.Format(time.DateOnly), days(-age))
	}
	some, err := db.reader.GetVulnerabilities(nil, &v6.GetVulnerabilityOptions{Limit: 1})
	switch {
	case err != nil && !errors.Is(err, v6.ErrLimitReached):
		return refuse(Damaged, db.where, "%w", err)
	case err == nil && len(some) == 0:
		return refuse(Empty, db.where, "it holds no vulnerability")
	}
	return nil
}

// days writes a duration as people compare ages.
func days(d time.Duration) string {
	if d < 48*time.Hour {
		return d.Round(time.Second).String()
	}
	return strings.TrimSuffix(d.Truncate(24*time.Hour).String(), "h0m0s") + "h"
}

// knows tells whether the database has any record of a distribution.
func (db *Database) knows(d *distro.Distro) (bool, error) {
	return db.has(nil, v6.OSSpecifiers{{Name: d.Name(), MajorVersion: d.MajorVersion(), MinorVersion: d.MinorVersion(),
		RemainingVersion: d.RemainingVersion(), LabelVersion: d.LabelVersion()}})
}

// has tells whether there is a record of an affected package.
func (db *Database) has(p *v6.PackageSpecifier, oses v6.OSSpecifiers) (bool, error) {
	found, err := db.reader.GetAffectedPackages(p, &v6.GetPackageOptions{OSs: oses, Limit: 1})
	switch {
	case errors.Is(err, v6.ErrLimitReached): // reported without what was found
		return true, nil
	case errors.Is(err, v6.ErrOSNotPresent):
		return false, nil
	case err != nil:
		return false, refuse(Damaged, db.where, "%w", err)
	}
	return len(found) > 0, nil
}
