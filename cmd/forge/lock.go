package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/forge-build/forge/builder"
	"github.com/forge-build/forge/builder/base"
	"github.com/forge-build/forge/builder/convert"
	"github.com/forge-build/forge/builder/layer"
	"github.com/forge-build/forge/builder/resolve"
	"github.com/forge-build/forge/recipes"
	"github.com/forge-build/forge/recipes/lock"
	"github.com/forge-build/forge/recipes/requirements"
)

type lockOptions struct {
	selection
	check       bool
	asOf        string
	upgrade     []string
	upgradeBase bool
	builder     string
	export      string
}

// everything is what --upgrade without a name means.
const everything = "*"

func newLock(t *terminal) *cobra.Command {
	var o lockOptions
	c := &cobra.Command{
		Use:   "lock RECIPE",
		Short: "Resolve a recipe to exact files and write its lock",
		Long: `Lock is the only command that chooses. It resolves the recipe's requirements and
packages, downloads and inspects each artifact, makes each layer once, and writes
RECIPE's lock beside it. What is locked already stays unless the recipe or
--upgrade says otherwise; a second run changes no byte.

--export writes the chosen wheels for other tools too, as a lock of PEP 751 with
their addresses; the wheels of a further environment NAME go to pylock.NAME.toml
beside it. Such a file names the hosts that this machine takes wheels from.`,
		Example: `  forge lock recipe.hcl
  forge lock --upgrade=numpy recipe.hcl
  forge lock --upgrade recipe.hcl              # everything
  forge lock --as-of 2026-11-01 recipe.hcl     # nothing newer
  forge lock --check recipe.hcl                # exit 2 and the difference when anything would change
  forge lock --export pylock.toml recipe.hcl   # for uv pip sync pylock.toml`,
		Args: exactly("RECIPE"),
		RunE: func(c *cobra.Command, args []string) error { return runLock(c.Context(), t, o, args[0]) },
	}
	f := c.Flags()
	o.selection.flags(c)
	f.BoolVar(&o.check, "check", false, "derive everything again, write nothing, exit 2 on a difference")
	f.StringVar(&o.asOf, "as-of", "", "consider nothing that was published after this `DATE` (2026-11-01, or RFC 3339); --check takes the lock's own")
	f.StringArrayVar(&o.upgrade, "upgrade", nil, "choose the distribution or package `NAME` anew (repeatable); without a name, everything")
	f.Lookup("upgrade").NoOptDefVal = everything
	f.BoolVar(&o.upgradeBase, "upgrade-base", false, "choose every Debian package anew and keep the wheels")
	f.StringVar(&o.export, "export", "", "write the wheels to this `FILE` too (pylock.toml or pylock.NAME.toml, PEP 751)")
	f.StringVar(&o.builder, "builder", "auto", "the `BUILDER` that compiles byte-code, where the recipe wants it; see forge build")
	return c
}

func runLock(ctx context.Context, t *terminal, o lockOptions, path string) error {
	if err := builder.CheckAddress(o.builder); err != nil {
		return usageError{err}
	}
	after, err := writeLock(ctx, t, o, path)
	if err != nil || o.check {
		return err
	}
	return t.locked(after)
}

// writeLock makes the lock and writes it; with --check it compares and writes nothing.
func writeLock(ctx context.Context, t *terminal, o lockOptions, path string) (*lock.Lock, error) {
	file, images, err := o.load(path)
	if err != nil {
		return nil, err
	}
	if o.check && o.export != "" {
		return nil, usageError{errors.New("--check writes nothing, and --export does: give one of them")}
	}
	if o.export != "" {
		if err := checkExport(o.export, images); err != nil {
			return nil, err
		}
	}
	before, err := previous(lock.PathOf(path))
	if err != nil {
		return nil, err
	}
	if o.upgrade, err = upgradable(o.upgrade, images, before); err != nil {
		return nil, err
	}
	after, served, err := relock(ctx, t, o, file, images, before)
	if err != nil {
		return nil, err
	}
	if o.check {
		return after, checkLock(t, path, before, after)
	}
	if err := lock.Write(lock.PathOf(path), after); err != nil || o.export == "" {
		return after, err
	}
	return after, export(t, o.export, file.Dir, images[0], after.Images[images[0].Name], served)
}

// upgradable are the names of --upgrade as the lock has them: distributions may be written in
// any form of PEP 503. What is not locked cannot be chosen anew.
func upgradable(names []string, images []*recipes.Image, before *lock.Lock) ([]string, error) {
	locked := map[string]string{}
	var known []string
	for _, im := range images {
		li := before.Images[im.Name]
		if li == nil {
			return names, nil // all of it is chosen now
		}
		for _, w := range li.Wheels {
			locked[w.Name] = w.Name
			known = append(known, w.Name)
		}
		if li.Debian != nil {
			for _, d := range li.Debian.Packages {
				locked[d.Name] = d.Name
				known = append(known, d.Name)
			}
		}
	}
	var out []string
	for _, n := range names {
		as := cmp.Or(locked[n], locked[requirements.Normalize(n)])
		if as == "" && n != everything {
			return nil, usageError{fmt.Errorf("--upgrade=%s: nothing that is locked is called that%s", n, nearest(n, known))}
		}
		out = append(out, cmp.Or(as, n))
	}
	return out, nil
}

// previous is the lock that is there: an empty one when there is none, its
// choices alone when another version of the layers made it.
func previous(path string) (*lock.Lock, error) {
	l, err := lock.Read(path, layer.Format)
	var format *lock.FormatError
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return &lock.Lock{Images: map[string]*lock.Image{}}, nil
	case errors.As(err, &format) && l != nil:
		for _, im := range l.Images {
			im.Layers = nil // what they state is of other bytes
		}
		return l, nil
	case errors.As(err, &format):
		return nil, unreadable(err, path)
	}
	return l, err
}

// relock locks the images and keeps what before says of others that the recipe
// still has. served says where wheels are had now, by sha256.
func relock(ctx context.Context, t *terminal, o lockOptions, file *recipes.File, images []*recipes.Image, before *lock.Lock) (after *lock.Lock, served map[string]string, err error) {
	w, err := newWorkshop(t, file, false)
	if err != nil {
		return nil, nil, err
	}
	if err := w.settings.CheckLock(); err != nil {
		return nil, nil, err
	}
	served = map[string]string{}
	after = &lock.Lock{Format: lock.Format, Layers: layer.Format, Images: map[string]*lock.Image{}}
	for _, im := range file.Images {
		if old := before.Images[im.Name]; old != nil {
			after.Images[im.Name] = old
		}
	}
	for _, im := range images {
		li, at, err := w.lock(ctx, o, im, before.Images[im.Name])
		if err != nil {
			return nil, nil, fmt.Errorf("locking image %q: %w", im.Name, err)
		}
		after.Images[im.Name] = li
		maps.Copy(served, at)
	}
	return after, served, nil
}

// lock is the story of one image: base, interpreter, wheels, layers, and what
// follows from them; and where the wheels are had now, by sha256.
func (w *workshop) lock(ctx context.Context, o lockOptions, im *recipes.Image, before *lock.Image) (*lock.Image, map[string]string, error) {
	ro, err := w.resolveOptions(o)
	if err != nil {
		return nil, nil, err
	}
	if o.check && o.asOf == "" && before != nil && before.AsOf != "" { // what the lock was made as of is part of it
		if ro.AsOf, err = time.Parse(time.RFC3339, before.AsOf); err != nil {
			return nil, nil, staleError{fmt.Errorf("the lock's asOf %q is no RFC 3339 time", before.AsOf), "forge lock writes it anew"}
		}
	}
	w.t.notes(im)
	li := &lock.Image{Inputs: im.Inputs(), Platform: im.Platform, Layers: []lock.Layer{}}
	if !ro.AsOf.IsZero() {
		li.AsOf = ro.AsOf.UTC().Format(time.RFC3339)
	}
	if li.Init, err = builder.LockInit(im.Platform); err != nil {
		return nil, nil, err
	}
	var below *base.Image
	if im.Base != nil {
		if below, err = w.base(ctx, im, li, &ro); err != nil {
			return nil, nil, err
		}
	} else {
		w.t.say("%s: choosing Debian packages", im.Name)
	}
	if li.Debian, err = resolve.Debian(ctx, im, before, ro); err != nil {
		return nil, nil, err
	}
	ro.Debian = li.Debian
	w.t.say("%s: choosing wheels", im.Name)
	chosen, err := resolve.Python(ctx, im, before, ro)
	if err != nil {
		return nil, nil, err
	}
	li.Wheels, li.Python = chosen.Wheels, chosen.Python
	for _, n := range chosen.Notes {
		w.t.say("%s: note: %s", im.Name, n)
	}
	co := w.convertOptions(im, true)
	co.Again = o.check
	if before != nil {
		co.Before = before.Layers
	}
	made, err := convert.Make(ctx, im, li, convert.Group(li), co)
	if err != nil {
		return nil, nil, resolve.Refused(err, li, w.store)
	}
	for _, m := range made {
		li.Layers = append(li.Layers, m.Layer)
	}
	if im.Python.Bytecode {
		compiled, err := w.builder(o.builder).Bytecode(ctx, im, li, made, o.check)
		if err != nil {
			return nil, nil, err
		}
		for _, m := range compiled {
			li.Layers = append(li.Layers, m.Layer)
		}
		made = append(made, compiled...)
	}
	if below != nil {
		if err := resolve.Fits(below, li.Wheels, made, w.store); err != nil {
			return nil, nil, err
		}
	}
	if li.Derived, err = resolve.Derive(im, li, made); err != nil {
		return nil, nil, err
	}
	notes, err := resolve.GPUNotes(im, below, li, made, w.store)
	if err != nil {
		return nil, nil, err
	}
	for _, n := range notes {
		w.t.say("%s: note: %s", im.Name, n)
	}
	li.Created = created(before, li, time.Now())
	return li, chosen.Served, nil
}

// base reads the image that lies below, and makes it what wheels are chosen for.
func (w *workshop) base(ctx context.Context, im *recipes.Image, li *lock.Image, ro *resolve.Options) (*base.Image, error) {
	w.t.say("%s: reading the base %s", im.Name, im.Base.From)
	b, err := base.Read(ctx, im, base.Options{Store: w.store, Fetch: w.fetcher, Dir: w.file.Dir, Progress: ro.Progress})
	if err != nil {
		return nil, err
	}
	w.t.say("%s: the base is %s: Python %s (%s), %s, manifest %s", im.Name, cmp.Or(b.Lock.System, "a system without a name"), b.Python.Full, b.Python.Interpreter, b.Lock.Libc, b.Lock.Manifest)
	if len(b.Lock.Removed) > 0 {
		w.t.say("%s: the base's variables %s are removed", im.Name, strings.Join(b.Lock.Removed, ", "))
	}
	li.Base = &b.Lock
	if _, err := verifyBase(ctx, w.t, w.file.Dir, im, li); err != nil {
		return nil, err
	}
	if has := b.CUDA(); has.Bytes > 0 && has.Version == "" {
		w.t.say("%s: note: the base has %s of CUDA's libraries (%s), and nothing states their version: which driver they need is unknown and will not be checked", im.Name, megabytes(has.Bytes), strings.Join(has.Places, ", "))
	} else if has.Bytes > 0 {
		w.t.say("%s: the base has CUDA %s, %s in %s: the image needs a driver for it", im.Name, has.Version, megabytes(has.Bytes), strings.Join(has.Places, ", "))
	}
	ro.Target, ro.Below = &resolve.Target{Python: b.Python, GLIBC: b.GLIBC()}, b
	return b, nil
}

// created keeps the time of a lock that says the same, so that locking again
// changes no byte.
func created(before, now *lock.Image, clock time.Time) string {
	if before != nil {
		now.Created = before.Created
		if len(lock.Diff(before, now)) == 0 {
			return before.Created
		}
	}
	return clock.UTC().Truncate(time.Second).Format(time.RFC3339)
}

func checkLock(t *terminal, path string, before, after *lock.Lock) error {
	var lines []string
	for _, name := range imageNames(after) {
		old := before.Images[name]
		if old == nil {
			lines = append(lines, fmt.Sprintf("  image %q is not locked", name))
			continue
		}
		now := *after.Images[name]
		now.Created = old.Created
		changes := lock.Diff(old, &now)
		if len(changes) == 0 {
			var err error
			if changes, err = lock.Rest(old, &now); err != nil {
				return fmt.Errorf("comparing locks: %w", err)
			}
		}
		for _, c := range changes {
			lines = append(lines, fmt.Sprintf("  %s: %s", name, c))
		}
	}
	if len(lines) > 0 {
		return differenceError{fmt.Errorf("the lock of %s is not what is derived now:\n%s", path, strings.Join(lines, "\n"))}
	}
	t.say("the lock of %s is what is derived now, byte for byte", path)
	return nil
}

// lockedImage is one image in the document of lock --json.
type lockedImage struct {
	Image    string       `json:"image"`
	Wheels   int          `json:"wheels"`
	Packages int          `json:"packages"` // of Debian
	Layers   int          `json:"layers"`
	Created  string       `json:"created"`
	Derived  lock.Derived `json:"derived"`
}

func (t *terminal) locked(after *lock.Lock) error {
	if t.json {
		docs := []lockedImage{}
		for _, name := range imageNames(after) {
			li := after.Images[name]
			doc := lockedImage{Image: name, Wheels: len(li.Wheels), Layers: len(li.Layers), Created: li.Created, Derived: li.Derived}
			if li.Debian != nil {
				doc.Packages = len(li.Debian.Packages)
			}
			docs = append(docs, doc)
		}
		return t.document(docs)
	}
	for _, name := range imageNames(after) {
		li := after.Images[name]
		t.result("%s: %s, %s, %s", name, count(len(li.Wheels), "wheel"), count(len(li.Layers), "layer"), megabytes(li.Derived.Unpacked))
	}
	return nil
}
