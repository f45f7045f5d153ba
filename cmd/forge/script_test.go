package main

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/spf13/cobra"

	"github.com/forge-build/forge/sbom/vuln/testdata/advisories"
)

func TestMain(m *testing.M) {
	testscript.Main(tidy{m}, map[string]func(){
		"forge": func() { os.Exit(Main()) },
		// forge, with a command that panics.
		"panicking-forge": func() {
			os.Exit(run(func(t *terminal) *cobra.Command {
				root := newRoot(t)
				root.AddCommand(&cobra.Command{Use: "panic", RunE: func(*cobra.Command, []string) error { panic("injected") }})
				return root
			}))
		},
	})
}

// tidy removes what all tests of a run share.
type tidy struct{ *testing.M }

func (t tidy) Run() int {
	defer func() { _ = os.RemoveAll(uvOnce.dir) }() // a temporary folder
	return t.M.Run()
}

// The scripts are what a user could have typed. "exits N command…" is testscript's
// exec with the exit code that is due; stdout and stderr look at its output.
func TestScripts(t *testing.T) {
	database := filepath.Join(t.TempDir(), "database")
	records, err := advisories.All()
	if err == nil {
		err = advisories.Build(records, database, time.Now().UTC())
	}
	if err == nil {
		err = advisories.Pack(database, database+".tar.zst")
	}
	if err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(env *testscript.Env) error {
			env.Setenv("FORGE_CACHE", filepath.Join(env.WorkDir, ".forge-cache"))
			examples, err := filepath.Abs("../../examples")
			if err != nil {
				return err
			}
			env.Setenv("EXAMPLES", examples)
			env.Setenv("DATABASE", database) // a few known vulnerabilities, as a folder; with .tar.zst, as an archive
			env.Setenv("HOME", filepath.Join(env.WorkDir, ".home"))
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"exits": exits},
	})
}

// exits runs a command and compares its exit code.
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE command…")
	}
	want, err := strconv.Atoi(args[0])
	if err != nil {
		ts.Fatalf("exits: %v", err)
	}
	got := 0
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		var exit *exec.ExitError
		if !errors.As(err, &exit) {
			ts.Fatalf("exits: %v", err)
		}
		got = exit.ExitCode()
	}
	if got != want {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
}

// forge is this test's own binary, which runs as forge under that name.
func forge(t *testing.T) string {
	t.Helper()
	path, err := exec.LookPath("forge")
	if err != nil {
		t.Fatal(err)
	}
	return path
}
