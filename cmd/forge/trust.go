package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/forge-build/forge/signing"
)

// What forge keeps of trust lies beside the user's settings, not in the cache: whoever may
// write there decides whom forge believes.
const (
	rootFile   = "trusted-root.json"
	originFile = "origin.json" // where the root came from, for update
	tufFolder  = "tuf"
)

// trustDir is the folder of the root that forge keeps.
func trustDir() (string, error) {
	home, err := os.UserHomeDir()
	if err != nil && os.Getenv("XDG_CONFIG_HOME") == "" {
		return "", errors.New("there is no folder for a trust root: neither XDG_CONFIG_HOME nor HOME is set")
	}
	return filepath.Join(filepath.Dir(settingsFile(home)), "trust"), nil
}

// keptRoot is the file of the root that forge keeps.
func keptRoot() (string, error) {
	dir, err := trustDir()
	return filepath.Join(dir, rootFile), err
}

// origin says where the kept root came from.
type origin struct {
	File    string    `json:"file,omitempty"`   // it was a file's
	Mirror  string    `json:"mirror,omitempty"` // of a TUF repository; empty and no file: public Sigstore's
	Anchor  []byte    `json:"anchor,omitempty"` // of Mirror
	Fetched time.Time `json:"fetched"`
	SHA256  string    `json:"sha256"`
}

func newTrust(t *terminal) *cobra.Command {
	c := &cobra.Command{
		Use:   "trust",
		Short: "Keep, renew or show the trust root",
		Long: `A trust root names the certificate authorities, logs and time-stamp authorities
whose word counts. Forge keeps one beside its settings and changes it only when
one of these commands is run; verifying never fetches one. --trusted-root and a
trust policy may name another.`,
		Example: `  forge trust init                               # public Sigstore's, once, over the network
  forge trust init --file root.json              # a private one
  forge trust show`,
		Args: exactly(),
		RunE: func(*cobra.Command, []string) error { return usageError{errors.New("init, update or show is missing")} },
	}
	c.AddCommand(newTrustInit(t), newTrustUpdate(t), newTrustShow(t))
	return c
}

type trustInitOptions struct{ file, mirror, anchor string }

func newTrustInit(t *terminal) *cobra.Command {
	var o trustInitOptions
	c := &cobra.Command{
		Use: "init", Short: "Start to trust a root: public Sigstore's, a file's, or a TUF repository's", Args: exactly(),
		Long: `Init keeps a trust root. Without flags it is public Sigstore's, fetched through
TUF from the root of trust that forge carries; --file keeps a private one, and
--mirror with --root fetches from a TUF repository of your own. It says whom the
root names, and replaces a root that is kept only with --replace.`,
		Example: "  forge trust init\n  forge trust init --file root.json\n  forge trust init --mirror https://tuf.acme.example --root tuf-root.json",
		RunE: func(c *cobra.Command, _ []string) error {
			replace, err := c.Flags().GetBool("replace")
			if err != nil {
				return err
			}
			return runTrustInit(c.Context(), t, o, replace)
		},
	}
	c.Flags().StringVar(&o.file, "file", "", "`FILE` with a trusted root in Sigstore's format")
	c.Flags().StringVar(&o.mirror, "mirror", "", "`URL` of a TUF repository that holds trusted_root.json")
	c.Flags().StringVar(&o.anchor, "root", "", "`FILE`: the TUF repository's root.json, from which trust in it starts")
	c.Flags().Bool("replace", false, "replace a root that is kept already")
	return c
}

func runTrustInit(ctx context.Context, t *terminal, o trustInitOptions, replace bool) error {
	if o.file != "" && o.mirror+o.anchor != "" || (o.mirror == "") != (o.anchor == "") {
		return usageError{errors.New("give --file, or --mirror with --root, or none of them")}
	}
	dir, err := trustDir()
	if err != nil {
		return err
	}
	if _, err := os.Lstat(filepath.Join(dir, rootFile)); err == nil && !replace {
		return hinted{usageError{fmt.Errorf("a trust root is kept in %q already", dir)}, "forge trust update renews it, --replace takes another"}
	}
	from := origin{File: o.file, Mirror: o.mirror}
	var raw []byte
	if o.file != "" {
		if from.File, err = filepath.Abs(o.file); err == nil {
			raw, err = readRoot(o.file)
		}
	} else {
		if o.anchor != "" {
			if from.Anchor, err = readSmall(o.anchor); err != nil {
				return fmt.Errorf("reading %q: %w", o.anchor, err)
			}
		}
		t.progress("fetching a trust root")
		raw, err = signing.FetchRoot(ctx, signing.RootSource{Mirror: o.mirror, Anchor: from.Anchor, Cache: filepath.Join(dir, tufFolder)})
	}
	if err != nil {
		return err
	}
	if err := keep(dir, from, raw); err != nil {
		return err
	}
	return runTrustShow(t, "")
}

func newTrustUpdate(t *terminal) *cobra.Command {
	return &cobra.Command{
		Use: "update", Short: "Renew the trust root from where it came", Args: exactly(),
		Long: `Update fetches the kept root again from its TUF repository, which refuses
anything older than what was seen before, or reads its file again.`,
		Example: "  forge trust update",
		RunE:    func(c *cobra.Command, _ []string) error { return runTrustUpdate(c.Context(), t) },
	}
}

func runTrustUpdate(ctx context.Context, t *terminal) error {
	dir, err := trustDir()
	if err != nil {
		return err
	}
	text, err := os.ReadFile(filepath.Join(dir, originFile))
	if errors.Is(err, fs.ErrNotExist) {
		return hinted{usageError{errors.New("no trust root is kept yet")}, "forge trust init keeps one"}
	}
	var from origin
	if err == nil {
		err = json.Unmarshal(text, &from)
	}
	if err != nil {
		return fmt.Errorf("reading %q: %w", filepath.Join(dir, originFile), err)
	}
	was := from.SHA256
	var raw []byte
	if from.File != "" {
		raw, err = readRoot(from.File)
	} else {
		raw, err = signing.FetchRoot(ctx, signing.RootSource{Mirror: from.Mirror, Anchor: from.Anchor, Cache: filepath.Join(dir, tufFolder)})
	}
	if err != nil {
		return err
	}
	if err := keep(dir, from, raw); err != nil {
		return err
	}
	r, err := signing.ParseRoot(raw)
	if err != nil {
		return err
	}
	if r.String() == was {
		t.say("the trust root is as it was")
	} else {
		t.say("the trust root changed: it was %s", was)
	}
	return runTrustShow(t, "")
}

func newTrustShow(t *terminal) *cobra.Command {
	return &cobra.Command{
		Use: "show [FILE]", Short: "Show whom a trust root names, and until when",
		Long:    "Show reads the kept root, or a file, and lists its authorities and logs, each with\nthe time in which its word counts. It says so when the kept root is not what\nforge has kept, since somebody edited it.",
		Example: "  forge trust show\n  forge trust show --json root.json",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 1 {
				return usageError{fmt.Errorf("unexpected argument %q", args[1])}
			}
			return nil
		},
		RunE: func(_ *cobra.Command, args []string) error {
			if len(args) == 1 {
				return runTrustShow(t, args[0])
			}
			return runTrustShow(t, "")
		},
	}
}

func runTrustShow(t *terminal, path string) error {
	var from *origin
	if path == "" {
		dir, err := trustDir()
		if err != nil {
			return err
		}
		path = filepath.Join(dir, rootFile)
		if _, err := os.Lstat(path); errors.Is(err, fs.ErrNotExist) {
			return hinted{usageError{errors.New("no trust root is kept yet")}, "forge trust init keeps one"}
		}
		if text, err := os.ReadFile(filepath.Join(dir, originFile)); err == nil {
			from = &origin{}
			if err := json.Unmarshal(text, from); err != nil {
				return fmt.Errorf("reading %q: %w", filepath.Join(dir, originFile), err)
			}
		}
	}
	r, err := signing.LoadRoot(path)
	if err != nil {
		return err
	}
	parties := r.Parties(time.Now())
	edited := from != nil && from.SHA256 != r.String()
	if t.json {
		return t.document(struct {
			File    string          `json:"file"`
			SHA256  string          `json:"sha256"`
			Origin  *origin         `json:"origin,omitempty"`
			Edited  bool            `json:"edited,omitempty"` // it is not what was kept from its origin
			Parties []signing.Party `json:"parties"`
		}{path, r.String(), from, edited, parties})
	}
	t.result("%s %s", path, r)
	if edited {
		t.result("NOT AS IT WAS KEPT: forge kept %s, and somebody has written the file since; forge trust update takes it from its origin again", from.SHA256)
	}
	if from != nil {
		t.result("from %s, %s", from, from.Fetched.UTC().Format(time.RFC3339))
	}
	for _, p := range parties {
		t.result("%s", describe(p))
	}
	return nil
}

func (o *origin) String() string {
	switch {
	case o.File != "":
		return "file " + o.File
	case o.Mirror != "":
		return o.Mirror
	}
	return "public Sigstore"
}

// describe writes a party as a line.
func describe(p signing.Party) string {
	s := p.Kind
	for _, part := range []string{p.Name, p.URL} {
		if part != "" {
			s += " " + part
		}
	}
	if p.ID != "" {
		s += " " + p.ID[:min(len(p.ID), 16)]
	}
	if !p.From.IsZero() {
		s += ", from " + p.From.UTC().Format(time.DateOnly)
	}
	if !p.Until.IsZero() {
		s += ", until " + p.Until.UTC().Format(time.DateOnly)
	}
	if !p.Expires.IsZero() {
		s += ", its certificate ends " + p.Expires.UTC().Format(time.DateOnly)
	}
	if p.Closed {
		s += " (counts for the past alone)"
	}
	return s
}

// keep writes a root and its origin, each whole or not at all.
func keep(dir string, from origin, raw []byte) error {
	r, err := signing.ParseRoot(raw)
	if err != nil {
		return err
	}
	from.Fetched, from.SHA256 = time.Now().UTC().Truncate(time.Second), r.String()
	text, err := json.MarshalIndent(from, "", "  ")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("keeping the trust root: %w", err)
	}
	if info, err := os.Stat(dir); err != nil || info.Mode().Perm()&0o022 != 0 {
		return fmt.Errorf("keeping the trust root: %q can be written by others; chmod go-w makes it yours alone", dir)
	}
	for name, data := range map[string][]byte{rootFile: raw, originFile: append(text, '\n')} {
		if err := writeWhole(filepath.Join(dir, name), data); err != nil {
			return fmt.Errorf("keeping the trust root: %w", err)
		}
	}
	return nil
}

// readRoot reads a file's bytes after they were judged as a root.
func readRoot(path string) ([]byte, error) {
	if _, err := signing.LoadRoot(path); err != nil {
		return nil, err
	}
	return readSmall(path)
}
