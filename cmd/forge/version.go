package main

import (
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"

	"github.com/forge-build/forge/builder/layer"
	"github.com/forge-build/forge/recipes/lock"
)

// version and commit are set by make build; a plain go build leaves them to the
// build information.
var version, commit string

func newVersion(t *terminal) *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print forge's version, commit and the formats it writes",
		Long: `Version prints which forge this is, the BuildKit and Go it is made with, and the
formats of lock and layers. Locks of another layer format are made anew by forge lock.`,
		Example: "  forge version --json",
		Args:    exactly(),
		RunE:    func(*cobra.Command, []string) error { return runVersion(t) },
	}
}

type versions struct {
	Forge    string `json:"forge"`
	Commit   string `json:"commit"`
	Go       string `json:"go"`
	BuildKit string `json:"buildkit"`
	Lock     int    `json:"lockFormat"`
	Layers   int    `json:"layerFormat"`
}

func runVersion(t *terminal) error {
	v := currentVersions()
	if t.json {
		return t.document(v)
	}
	t.result("forge %s (commit %s)", v.Forge, v.Commit)
	t.result("buildkit %s, %s, lock format %d, layer format %d", v.BuildKit, v.Go, v.Lock, v.Layers)
	return nil
}

func currentVersions() versions {
	v := versions{Forge: version, Commit: commit, Go: runtime.Version(), Lock: lock.Format, Layers: layer.Format}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return v
	}
	for _, m := range info.Deps {
		if m.Path == "github.com/moby/buildkit" {
			v.BuildKit = m.Version
		}
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" && v.Commit == "" {
			v.Commit = s.Value
		}
	}
	if v.Forge == "" {
		v.Forge = info.Main.Version
	}
	if v.Commit == "" {
		v.Commit = "unknown"
	}
	return v
}
