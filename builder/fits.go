package builder

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/containerd/platforms"
	"github.com/moby/buildkit/client"
	gateway "github.com/moby/buildkit/frontend/gateway/client"
	"github.com/moby/buildkit/solver/pb"
	"github.com/moby/buildkit/util/apicaps"
	"golang.org/x/mod/semver"
)

// oldest is the first release of BuildKit without CVE-2026-33747 (files written outside of
// a frontend's root) and CVE-2026-33748 (git's subfolders): in older ones somebody else's
// build can change what this one sees.
const oldest = "v0.28.1"

// needed are the daemon's abilities that forge's steps use.
var needed = []apicaps.CapID{pb.CapSourceOCILayout, pb.CapMergeOp, pb.CapExecMetaNetwork, pb.CapExecMetaBase}

// UnfitError is a daemon that answers and must not be used.
type UnfitError struct{ Reason string }

func (e *UnfitError) Error() string { return "it does not fit: " + e.Reason }

// fits asks a daemon who it is, and refuses it with a *UnfitError. ours is a daemon that
// forge started, which may have been compiled without a version.
func fits(ctx context.Context, c *client.Client, platform string, ours bool) error {
	info, err := c.Info(ctx)
	if err != nil {
		return err
	}
	if err := fitVersion(info.BuildkitVersion.Version, ours); err != nil {
		return err
	}
	workers, err := c.ListWorkers(ctx)
	if err != nil {
		return err
	}
	if err := fitPlatform(workers, platform); err != nil {
		return err
	}
	return fitAbilities(ctx, c)
}

func fitVersion(version string, ours bool) error {
	v := "v" + strings.TrimPrefix(version, "v")
	switch {
	case !semver.IsValid(v) || semver.Compare(semver.Canonical(v), "v0.0.0") == 0:
		if ours {
			return nil
		}
		return &UnfitError{fmt.Sprintf("it says %q where its version is due; %s or newer is needed", version, oldest)}
	case semver.Compare(v, oldest) < 0:
		return &UnfitError{fmt.Sprintf("it is BuildKit %s; %s or newer is needed (CVE-2026-33747, CVE-2026-33748)", version, oldest)}
	}
	return nil
}

func fitPlatform(workers []*client.WorkerInfo, platform string) error {
	want, err := platforms.Parse(platform)
	if err != nil {
		return fmt.Errorf("internal error: %w", err)
	}
	var has []string
	for _, w := range workers {
		for _, p := range w.Platforms {
			if platforms.OnlyStrict(p).Match(want) {
				return nil
			}
			if s := platforms.Format(p); !slices.Contains(has, s) {
				has = append(has, s)
			}
		}
	}
	return &UnfitError{fmt.Sprintf("it has no worker for %s, only for %q", platform, has)}
}

// fitAbilities asks through an empty build, which is where a daemon lists its abilities.
func fitAbilities(ctx context.Context, c *client.Client) error {
	var missing error
	status := make(chan *client.SolveStatus)
	go func() {
		for range status { // of an empty build
		}
	}()
	_, err := c.Build(ctx, client.SolveOpt{Internal: true}, "forge", func(_ context.Context, g gateway.Client) (*gateway.Result, error) {
		caps := g.BuildOpts().LLBCaps
		for _, id := range needed {
			if caps.Supports(id) != nil {
				missing = errors.Join(missing, fmt.Errorf("%s", id))
			}
		}
		return gateway.NewResult(), nil
	}, status)
	if missing != nil {
		return &UnfitError{"it lacks " + strings.ReplaceAll(missing.Error(), "\n", ", ")}
	}
	return err
}
