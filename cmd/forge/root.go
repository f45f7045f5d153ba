package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/forge-build/forge/builder/store"
)

// exitCodes closes every help text.
const exitCodes = `
Exit codes:
  0    done
  1    failure: network, disk, daemon, registry, malformed downloaded input
  2    recipe, lock or usage; stale lock; a --check difference
  3    policy or vulnerability gate
  4    not verified, absence included
  130  interrupted`

func newRoot(t *terminal) *cobra.Command {
	root := &cobra.Command{
		Use:   "forge",
		Short: "Reproducible, slim, non-root PyTorch/CUDA images from a recipe",
		Long: `forge turns a declarative recipe (a PyTorch/CUDA stack pinned to a minimum
driver) into a slim, non-root, bit-reproducible OCI image. Every wheel and
Debian package is locked by hash and turned into layers without being run.`,
		Example: `  forge init --pytorch 2.9.1 --cuda 12.8 > recipe.hcl
  forge lock recipe.hcl
  forge build recipe.hcl`,
		Args:          noCommand,
		RunE:          func(c *cobra.Command, _ []string) error { return c.Help() },
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	root.PersistentFlags().BoolVar(&t.json, "json", false, "one JSON document on stdout; a failure is one JSON object, the last line of stderr")
	root.PersistentFlags().BoolVarP(&t.quiet, "quiet", "q", false, "no progress")
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		return hinted{usageError{err}, c.CommandPath() + " --help lists the flags"}
	})
	root.SetOut(t.out)
	root.SetErr(t.err)
	for _, g := range []struct {
		title    string
		commands []*cobra.Command
	}{
		{"From a recipe to an image:", []*cobra.Command{newInit(t), newFmt(t), newPlan(t), newLock(t), newExplain(t), newFetch(t), newBuild(t)}},
		{"What is in an image:", []*cobra.Command{newSBOM(t), newScan(t), newReport(t), newDiff(t)}},
		{"Publish and verify:", []*cobra.Command{newPublish(t), newCopy(t), newPull(t), newVerify(t), newTrust(t), newAttestation(t), newVerifyBundle(t), newPolicy(t)}},
		{"This host:", []*cobra.Command{newCache(t), newDoctor(t), newVersion(t)}},
	} {
		root.AddGroup(&cobra.Group{ID: g.title, Title: g.title})
		for _, c := range g.commands {
			c.GroupID = g.title
			root.AddCommand(c)
		}
	}
	root.SetHelpCommandGroupID("This host:")
	root.SetCompletionCommandGroupID("This host:")
	root.InitDefaultCompletionCmd()
	for _, c := range root.Commands() {
		if c.Name() == "completion" { // cobra's own shows its help and succeeds, whatever the shell is called
			c.Args, c.RunE = exactly("SHELL"), noCommand
		}
	}
	completeArguments(root)
	closeHelp(root)
	return root
}

// closeHelp ends the help text of every command below c with the exit codes.
func closeHelp(c *cobra.Command) {
	for _, sub := range c.Commands() {
		sub.Long += "\n" + exitCodes
		closeHelp(sub)
	}
}

// noCommand refuses a word that is no command's name.
func noCommand(root *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	var names []string
	for _, c := range root.Commands() {
		names = append(names, c.Name())
	}
	return hinted{usageError{fmt.Errorf("there is no command %q%s", args[0], nearest(args[0], names))}, root.CommandPath() + " --help lists the commands"}
}

// exactly is cobra.ExactArgs with a message that says what is missing.
func exactly(what ...string) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		if len(args) < len(what) {
			return hinted{usageError{fmt.Errorf("%s is missing", what[len(args)])}, c.UseLine()}
		}
		if len(args) > len(what) {
			return usageError{fmt.Errorf("unexpected argument %q", args[len(what)])}
		}
		return nil
	}
}

// openStore opens the store in FORGE_CACHE, else in the user's cache folder.
func openStore() (*store.Store, error) {
	dir, err := cacheDir()
	if err != nil {
		return nil, err
	}
	return store.Open(dir)
}

func cacheDir() (string, error) {
	if dir := os.Getenv("FORGE_CACHE"); dir != "" {
		return filepath.Abs(dir)
	}
	dir, err := os.UserCacheDir()
	if err != nil {
		return "", errors.New("there is no cache folder: neither FORGE_CACHE, XDG_CACHE_HOME nor HOME is set")
	}
	return filepath.Join(dir, "forge"), nil
}
