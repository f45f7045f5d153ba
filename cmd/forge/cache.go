package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/forge-build/forge/builder"
	"github.com/forge-build/forge/builder/store"
)

type pruneOptions struct {
	olderThan time.Duration
	maxSize   int64 // bytes; 0: no limit
	dryRun    bool
}

func newCache(t *terminal) *cobra.Command {
	c := &cobra.Command{
		Use:   "cache",
		Short: "Show, verify or prune the store",
		Long: `The store holds downloads and layers under their sha256. It lies in FORGE_CACHE,
else in the user's cache folder. Everything in it can be made again. Whoever can
write as the same user can change it: that attacker is out of scope. Beside the
blobs the embedded builder keeps what it has unpacked; that is shown and pruned too.`,
		Example: `  forge cache show
  forge cache verify                       # hash every byte again
  forge cache prune --older-than 30d`,
		Args: exactly(),
		RunE: func(*cobra.Command, []string) error { return runCacheShow(t) },
	}
	var o pruneOptions
	prune := &cobra.Command{
		Use: "prune", Short: "Remove what has not been used lately", Args: exactly(),
		Example: "  forge cache prune --older-than 2w\n  forge cache prune --older-than 0s --max-size 20GB --dry-run",
		Long:    "Prune removes blobs that were not used for a while, oldest first, and what the embedded\nbuilder keeps if that was not used either. Nothing in use is removed.",
		RunE:    func(c *cobra.Command, _ []string) error { return runCachePrune(c.Context(), t, o) },
	}
	prune.Flags().Var(newAge(&o.olderThan, 30*24*time.Hour), "older-than", "only what was not used for this `AGE` (3d, 2w, 12h); 0s: whatever its age")
	prune.Flags().Var(bytesFlag{&o.maxSize}, "max-size", "stop when the store has at most this `SIZE` (500MB, 20GB, 10GiB; MB without a unit)")
	prune.Flags().BoolVar(&o.dryRun, "dry-run", false, "only say what would go")
	c.AddCommand(
		&cobra.Command{Use: "show", Short: "Show what the store holds", Example: "  forge cache show --json", Long: "Show counts the store's blobs.", Args: exactly(), RunE: func(*cobra.Command, []string) error { return runCacheShow(t) }},
		&cobra.Command{Use: "verify", Short: "Hash every byte again", Example: "  forge cache verify", Long: "Verify hashes every blob and removes those that are not what their name says.", Args: exactly(), RunE: func(c *cobra.Command, _ []string) error { return runCacheVerify(c.Context(), t) }},
		prune,
	)
	return c
}

func runCacheShow(t *terminal) error {
	s, err := openStore()
	if err != nil {
		return err
	}
	blobs, err := s.List()
	if err != nil {
		return err
	}
	var total int64
	for _, b := range blobs {
		total += b.Size
	}
	daemon, err := builder.ReadDaemonCache(s)
	if err != nil {
		return err
	}
	if t.json {
		return t.document(struct {
			Dir     string              `json:"dir"`
			Count   int                 `json:"count"`
			Bytes   int64               `json:"bytes"`
			Builder builder.DaemonCache `json:"builder"`
			Blobs   []store.Blob        `json:"blobs"`
		}{s.Dir(), len(blobs), total, daemon, blobs})
	}
	t.result("%s: %s, %s", s.Dir(), count(len(blobs), "blob"), megabytes(total))
	if daemon.Bytes > 0 {
		t.result("%s: the embedded builder's unpacked roots, %s", daemon.Dir, megabytes(daemon.Bytes))
	}
	return nil
}

func runCacheVerify(ctx context.Context, t *terminal) error {
	s, err := openStore()
	if err != nil {
		return err
	}
	report, err := s.Verify(ctx, func(done, total int64) { t.amount("verifying", done, total) })
	if err != nil {
		return err
	}
	if t.json {
		if err := t.document(report); err != nil {
			return err
		}
	} else {
		t.result("%s: %s hashed, %s, %d wrong", s.Dir(), count(report.Blobs, "blob"), megabytes(report.Bytes), len(report.Wrong))
	}
	if len(report.Wrong) > 0 {
		return fmt.Errorf("removed, since it is not what its name says: %s", strings.Join(report.Wrong, ", "))
	}
	return nil
}

func runCachePrune(ctx context.Context, t *terminal, o pruneOptions) error {
	s, err := openStore()
	if err != nil {
		return err
	}
	pruned, err := s.Prune(ctx, store.Limits{MinAge: o.olderThan, MaxBytes: o.maxSize, DryRun: o.dryRun})
	if err != nil {
		return err
	}
	unpacked, busy, err := builder.RemoveDaemonCache(ctx, s, o.olderThan, o.dryRun)
	if err != nil {
		return err
	}
	pruned.Freed += unpacked
	if busy {
		t.say("note: the embedded builder is at work: what it keeps stays")
	}
	if t.json {
		return t.document(pruned)
	}
	verb := "removed"
	if o.dryRun {
		verb = "would remove"
	}
	t.result("%s: %s %s, %s; %s stay", s.Dir(), verb, count(len(pruned.Blobs), "blob"), megabytes(pruned.Freed), megabytes(pruned.Left))
	if unpacked > 0 {
		t.result("%s of that were the embedded builder's unpacked roots", megabytes(unpacked))
	}
	return nil
}
