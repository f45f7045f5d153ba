package resolve

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"time"

	"github.com/forge-build/forge/builder/base"
	"github.com/forge-build/forge/builder/fetch"
	"github.com/forge-build/forge/builder/store"
	"github.com/forge-build/forge/recipes/lock"
)

// Options says what a choice may use.
type Options struct {
	Store       *store.Store
	Fetch       *fetch.Fetcher
	Dir         string    // the recipe's folder, for keys of archives and wheels
	AsOf        time.Time // nothing published later is considered; zero: no limit
	UpgradeAll  bool
	UpgradeBase bool     // every Debian package is chosen anew
	Upgrade     []string // normalised names that are chosen anew
	Env         func(string) string
	Target      *Target      // of a base image; nil: the Debian suite's
	Below       *base.Image  // that base image; nil: Debian packages
	Debian      *lock.Debian // the packages that were chosen, the interpreter among them; may be nil
	Progress    func(string)
}

// upgrades says whether a name is chosen anew.
func (o Options) upgrades(name string) bool { return o.UpgradeAll || slices.Contains(o.Upgrade, name) }

// InputError is a recipe's wish that cannot be met.
type InputError struct{ Reason string }

func (e *InputError) Error() string { return e.Reason }

func sum(b []byte) string { s := sha256.Sum256(b); return hex.EncodeToString(s[:]) }
