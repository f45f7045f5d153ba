package main

import (
	"errors"
	"io"
	"testing"
	"time"

	"github.com/forge-build/forge/recipes"
	"github.com/forge-build/forge/sbom/vuln"
)

// The database of these tests is an hour old.
func TestTheStrictestRecipeSaysHowOldADatabaseMayBeUnlessTheFlagDoes(t *testing.T) {
	t.Setenv("FORGE_CACHE", t.TempDir())
	t.Setenv("HOME", t.TempDir())
	db := vulnerabilityDB(t)
	limits := func(ages ...time.Duration) (out []*recipes.Image) {
		for _, age := range ages {
			out = append(out, &recipes.Image{Vulnerabilities: &recipes.Vulnerabilities{MaxDBAge: age}})
		}
		return out
	}
	for name, row := range map[string]struct {
		flag   time.Duration
		images []*recipes.Image
		stale  bool
	}{
		"nobody says anything":      {0, []*recipes.Image{{}}, false},
		"the default":               {0, limits(0), false},
		"a recipe":                  {0, limits(time.Minute), true},
		"the stricter of two":       {0, limits(240*time.Hour, time.Minute), true},
		"in the other order":        {0, limits(time.Minute, 240*time.Hour), true},
		"the flag is more generous": {240 * time.Hour, limits(time.Minute), false},
		"the flag is stricter":      {time.Minute, limits(240 * time.Hour), true},
	} {
		o := buildOptions{database: databaseOptions{from: db, maxAge: row.flag}}
		g, err := newGatekeeper(t.Context(), &terminal{out: io.Discard, err: io.Discard}, o, nil, row.images)
		var unusable *vuln.DatabaseError
		if stale := errors.As(err, &unusable) && unusable.ID == vuln.Stale; stale != row.stale {
			t.Errorf("%s: %v", name, err)
		}
		if err == nil {
			g.close()
		}
	}
}
