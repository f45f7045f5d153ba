package vuln

import (
	"errors"
	"fmt"
	"strings"
)

// DatabaseError is a database that cannot be used. ID is one of the constants below.
type DatabaseError struct {
	ID     string
	Where  string // what the user named, or the address; without credentials
	Reason string
	hint   string
	cause  error
}

// Why a database cannot be used.
const (
	Missing     = "database-missing"     // there is none, and none may be fetched
	Unreachable = "database-unreachable" // it could not be fetched
	Refused     = "database-refused"     // its address is not https, or its archive breaks a bound
	Damaged     = "database-damaged"     // it is not what its checksum says, or cannot be read
	Schema      = "database-schema"      // another version of Grype's schema
	Stale       = "database-stale"       // older than the limit
	Early       = "database-early"       // built in the future: a clock is wrong
	Empty       = "database-empty"       // it holds no vulnerability
	NoData      = "database-no-data"     // it knows nothing of the image's distribution, or of Python
)

func (e *DatabaseError) Error() string {
	return fmt.Sprintf("opening the vulnerability database %q: %s", e.Where, e.Reason)
}

// Unwrap is what caused it, or nil.
func (e *DatabaseError) Unwrap() error { return e.cause }

// Hint is what to try.
func (e *DatabaseError) Hint() string {
	switch {
	case e.hint != "":
		return e.hint
	case e.ID == Missing || e.ID == Unreachable:
		return "run forge scan with a network once, or name an archive or folder: --db, FORGE_VULNERABILITY_DB, or vulnerability_database in forge.hcl"
	case e.ID == Stale:
		return "fetch a newer one, or say that an older one will do: --max-db-age 240h, or max_db_age in the recipe"
	case e.ID == Damaged && strings.Contains(e.Where, "://"):
		return "who runs that server has to look: what it serves is not what it says"
	case e.ID == Damaged:
		return "remove it, and fetch it again"
	}
	return ""
}

// refuse is a *DatabaseError; the format may wrap its cause.
func refuse(id, where, format string, args ...any) *DatabaseError {
	err := fmt.Errorf(format, args...)
	return &DatabaseError{ID: id, Where: where, Reason: err.Error(), cause: errors.Unwrap(err)}
}
