package resolve

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/forge-build/forge/builder/convert"
	"github.com/forge-build/forge/builder/store"
	"github.com/forge-build/forge/builder/wheel"
	"github.com/forge-build/forge/recipes/lock"
)

// RefusedError is a wheel that forge does not take, chosen or, where its METADATA cannot be
// read, only looked at; and what a recipe can do about it.
type RefusedError struct {
	Name, Version string
	File, SHA256  string
	CanAccept     bool // what is wrong is a contradiction that the recipe may accept
	Err           *wheel.Error
}

func (e *RefusedError) Error() string {
	return fmt.Sprintf("the requirements lead to %s %s, which forge refuses: %v", e.Name, e.Version, e.Err)
}

// Unwrap returns the *wheel.Error.
func (e *RefusedError) Unwrap() error { return e.Err }

// Hint names the ways on.
func (e *RefusedError) Hint() string {
	other := fmt.Sprintf("%q among the requirements has another version chosen", e.Name+" != "+e.Version)
	if !e.CanAccept {
		return other + fmt.Sprintf(`, wheel "dist/%s" {} takes a copy of yours in which that is mended`, e.File)
	}
	return other + fmt.Sprintf(`; if it is to be exactly this file, although it contradicts itself: accept %q { sha256 = %q, reason = "…" }`, e.File, e.SHA256)
}

// Refused is a RefusedError where a layer could not be made since a wheel of li breaks a rule
// that only a look at its content shows. Of a *convert.ConflictError it is said for whom the two
// are there; other errors stay as they are.
func Refused(err error, li *lock.Image, st *store.Store) error {
	var conflict *convert.ConflictError
	if errors.As(err, &conflict) {
		return fmt.Errorf("%w (%s, %s)", err, asked(li, conflict.A), asked(li, conflict.B))
	}
	var e *wheel.Error
	if !errors.As(err, &e) {
		return err
	}
	for _, w := range li.Wheels {
		if w.File == e.Path {
			return refused(e, w.Name, w.Version, w.SHA256, st.Path(w.SHA256))
		}
	}
	return err
}

// asked says for whom a distribution is there: "nvidia-nccl-cu12 for torch".
func asked(li *lock.Image, name string) string {
	var by []string
	for _, w := range li.Wheels {
		if w.Name != name {
			continue
		}
		if w.Requested {
			by = append(by, "the recipe")
		}
		by = append(by, w.RequiredBy...)
	}
	slices.Sort(by)
	return name + " for " + strings.Join(slices.Compact(by), " and ")
}

func refused(err error, name, version, sum, path string) error {
	var e *wheel.Error
	if !errors.As(err, &e) {
		return err
	}
	_, broken := openWheel(path, e.Path, wheel.OpenUnsafe)
	return &RefusedError{Name: name, Version: version, File: e.Path, SHA256: sum, CanAccept: broken == nil, Err: e}
}
