package main

import (
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/forge-build/forge/builder"
	"github.com/forge-build/forge/builder/convert"
	"github.com/forge-build/forge/builder/fetch"
	"github.com/forge-build/forge/builder/layer"
	"github.com/forge-build/forge/builder/resolve"
	"github.com/forge-build/forge/builder/store"
	"github.com/forge-build/forge/recipes"
)

// workshop is what lock, fetch and build work with: the store, and the way to
// get bytes into it.
type workshop struct {
	t        *terminal
	file     *recipes.File
	store    *store.Store
	settings fetch.Settings
	fetcher  *fetch.Fetcher
	offline  bool
}

func newWorkshop(t *terminal, file *recipes.File, offline bool) (*workshop, error) {
	s, err := openStore()
	if err != nil {
		return nil, err
	}
	home, own, err := userSettings()
	if err != nil {
		return nil, err
	}
	settings, err := fetch.Host(os.Getenv, home)
	if err != nil {
		return nil, err
	}
	settings.Configure(fetch.Config{Where: settingsFile(home), Indexes: own.Indexes, Archives: own.Archives, CAFile: own.CAFile})
	w := &workshop{t: t, file: file, store: s, settings: settings, offline: offline}
	w.fetcher = w.fetcherFor(s)
	return w, nil
}

// fetcherFor brings bytes into a store, the way this host is set to.
func (w *workshop) fetcherFor(s *store.Store) *fetch.Fetcher {
	f := fetch.New(s, w.settings, w.fetched)
	f.Offline = w.offline
	f.AskDefaultIndex = resolve.DefaultIndex(s)
	return f
}

// userSettings finds the user's folder and reads what forge.hcl says.
func userSettings() (home string, own *recipes.Settings, err error) {
	if home, err = os.UserHomeDir(); err != nil {
		home = "/nonexistent" // then no file of a user's can be read, which is what there is
	}
	own, err = recipes.LoadSettings(settingsFile(home))
	return home, own, err
}

// settingsFile is where a user says where bytes come from.
func settingsFile(home string) string {
	dir := os.Getenv("XDG_CONFIG_HOME")
	if dir == "" {
		dir = filepath.Join(home, ".config")
	}
	return filepath.Join(dir, "forge", "forge.hcl")
}

func (w *workshop) fetched(e fetch.Event) {
	if e.Total > 0 {
		w.t.amount("fetching "+e.Name, e.Done, e.Total)
	}
}

func (w *workshop) converted(e convert.Event) {
	if e.Step == convert.Converting {
		w.t.amount("layer "+e.Layer, e.Bytes, e.Total)
	}
}

// builder makes images with what is in the workshop; mode says who executes steps.
func (w *workshop) builder(mode string) *builder.Builder {
	return &builder.Builder{Store: w.store, Fetch: w.fetcher, Dir: w.file.Dir, Mode: mode, Progress: w.converted, Messages: w.t}
}

func (w *workshop) convertOptions(im *recipes.Image, both bool) convert.Options {
	return convert.Options{
		Store: w.store, Fetch: w.fetcher, Codecs: []layer.Codec{layer.Codec(im.Slim.Codec)}, AlsoDigest: both,
		Slim: im.Slim, Progress: w.converted, Dir: w.file.Dir,
	}
}

func (w *workshop) resolveOptions(o lockOptions) (resolve.Options, error) {
	ro := resolve.Options{Store: w.store, Fetch: w.fetcher, Dir: w.file.Dir, Env: os.Getenv, UpgradeBase: o.upgradeBase, Progress: func(s string) { w.t.progress("%s", s) }}
	for _, name := range o.upgrade {
		if name == everything {
			ro.UpgradeAll = true
		} else {
			ro.Upgrade = append(ro.Upgrade, name)
		}
	}
	if o.asOf == "" {
		return ro, nil
	}
	for _, form := range []string{time.DateOnly, time.RFC3339} {
		if at, err := time.Parse(form, o.asOf); err == nil {
			if form == time.DateOnly {
				at = at.Add(24*time.Hour - time.Second) // the whole day
			}
			ro.AsOf = at.UTC()
			return ro, nil
		}
	}
	return ro, usageError{fmt.Errorf("--as-of %q: it must be a date (2026-11-01) or a time (2026-11-01T12:00:00Z)", o.asOf)}
}
