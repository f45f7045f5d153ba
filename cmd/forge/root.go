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
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	root.PersistentFlags().BoolVar(&t.json, "json", false, "one JSON document on stdout; a failure is one JSON object, the last line of stderr")
	root.PersistentFlags().BoolVarP(&t.quiet, "quiet", "q", false, "no progress")
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError{err} })
	root.SetOut(t.out)
	root.SetErr(t.err)
	root.AddCommand(
		newInit(t), newFmt(t), newPlan(t), newLock(t), newFetch(t), newBuild(t),
		newPublish(t), newCopy(t), newPull(t), newVerify(t), newTrust(t), newAttestation(t), newVerifyBundle(t), newPolicy(t),
		newSBOM(t), newScan(t), newReport(t),
		newExplain(t), newDiff(t), newCache(t), newDoctor(t), newVersion(t),
	)
	completeArguments(root)
	for _, c := range root.Commands() {
		c.Long += "\n" + exitCodes
	}
	return root
}

// exactly is cobra.ExactArgs with a message that says what is missing.
func exactly(what ...string) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		if len(args) < len(what) {
			return usageError{fmt.Errorf("%s is missing", what[len(args)])}
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
