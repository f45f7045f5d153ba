package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/forge-build/forge/builder"
	"github.com/forge-build/forge/builder/start"
	"github.com/forge-build/forge/recipes"
)

type doctorOptions struct{ need string }

func newDoctor(t *terminal) *cobra.Command {
	var o doctorOptions
	c := &cobra.Command{
		Use:   "doctor",
		Short: "Check what this host can do, and say how to fix what it cannot",
		Long: `Doctor looks at the builder, the NVIDIA driver, the disk, and whether the package
index answers. Each finding that limits forge comes with a fix.`,
		Example: `  forge doctor
  forge doctor --need sandbox     # exit 1 when nothing can be executed in a build here`,
		Args: exactly(),
		RunE: func(c *cobra.Command, _ []string) error { return runDoctor(c.Context(), t, o) },
	}
	c.Flags().StringVar(&o.need, "need", "", "fail unless this `PART` is fine: sandbox, driver, disk, index")
	return c
}

// checkup is one line of the doctor.
type checkup struct {
	Name  string `json:"name"`
	OK    bool   `json:"ok"`
	Found string `json:"found"`
	Fix   string `json:"fix,omitempty"`
}

func runDoctor(ctx context.Context, t *terminal, o doctorOptions) error {
	checks := map[string]func(context.Context) checkup{"sandbox": sandbox, "driver": driver, "disk": disk, "index": func(ctx context.Context) checkup { return index(ctx, t) }}
	names := []string{"sandbox", "driver", "disk", "index"}
	if o.need != "" {
		if checks[o.need] == nil {
			return usageError{fmt.Errorf("--need %q: it must be one of %s", o.need, strings.Join(names, ", "))}
		}
		names = []string{o.need}
	}
	var checkups []checkup
	for _, name := range names {
		f := checks[name](ctx)
		f.Name = name
		checkups = append(checkups, f)
	}
	if t.json {
		if err := t.document(checkups); err != nil {
			return err
		}
	} else {
		for _, f := range checkups {
			mark := "ok"
			if !f.OK {
				mark = "--"
			}
			t.result("%s %-8s %s", mark, f.Name, clean(f.Found))
			if f.Fix != "" {
				t.result("   %-8s fix: %s", "", f.Fix)
			}
		}
	}
	if o.need != "" && !checkups[0].OK {
		return fmt.Errorf("%s: %s", o.need, checkups[0].Found)
	}
	return nil
}

// sandbox says which builder --builder auto takes for a recipe with steps.
func sandbox(ctx context.Context) checkup {
	name, err := builder.Sandbox(ctx)
	if err == nil && name == "embedded" {
		return checkup{OK: true, Found: "embedded: root, and buildkitd and runc are here"}
	}
	if err == nil {
		return checkup{OK: true, Found: "the daemon at " + name + " answers and fits"}
	}
	return checkup{Found: err.Error() + "; images without run, test and bytecode need none", Fix: hint(err)}
}

// driver reads this host as a container of forge's would.
func driver(context.Context) checkup {
	facts := start.Look("/", os.Geteuid(), os.Getenv("LD_LIBRARY_PATH"))
	if facts.Kernel.Version.IsZero() {
		return checkup{Found: "no NVIDIA driver: CUDA images can be built here, and run elsewhere", Fix: "to run them here, install NVIDIA's driver and container toolkit"}
	}
	return checkup{OK: true, Found: fmt.Sprintf("driver %s (%s), %d GPUs", facts.Kernel.Version, facts.Kernel.Source, len(facts.GPUs))}
}

// enough is the room that a PyTorch image needs: downloads, layers, and a step's root.
const enough = 25e9

func disk(context.Context) checkup {
	dir, err := cacheDir()
	if err != nil {
		return checkup{Found: err.Error(), Fix: "set FORGE_CACHE"}
	}
	at := dir
	for {
		var st unix.Statfs_t
		err := unix.Statfs(at, &st)
		if errors.Is(err, fs.ErrNotExist) && at != filepath.Dir(at) {
			at = filepath.Dir(at)
			continue
		}
		if err != nil {
			return checkup{Found: fmt.Sprintf("%s: %v", dir, err), Fix: "set FORGE_CACHE to a folder on a disk with room"}
		}
		free := int64(st.Bavail) * int64(st.Bsize)
		f := checkup{OK: free >= enough, Found: fmt.Sprintf("%s free for %s", megabytes(free), dir)}
		if !f.OK {
			f.Fix = "a PyTorch image with its tests needs about " + megabytes(enough) + ": forge cache prune, or FORGE_CACHE on another disk"
		}
		return f
	}
}

// index asks the default index for one small page.
func index(ctx context.Context, t *terminal) checkup {
	const fix = "set FORGE_INDEX_URL, PIP_INDEX_URL or pip.conf to an index that this host reaches, and SSL_CERT_FILE for a private CA"
	w, err := newWorkshop(t, &recipes.File{}, false)
	if err != nil {
		return checkup{Found: err.Error(), Fix: "set FORGE_CACHE to a folder of yours"}
	}
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	url, err := w.fetcher.IndexURL(ctx, "default", nil)
	if err != nil {
		return checkup{Found: err.Error(), Fix: fix}
	}
	page, err := w.fetcher.Project(ctx, url, "pip")
	if err != nil {
		return checkup{Found: err.Error(), Fix: fix}
	}
	if err := w.settings.CheckLock(); err != nil {
		return checkup{Found: err.Error(), Fix: "forge lock takes one index for each name; build and fetch are not concerned"}
	}
	return checkup{OK: true, Found: fmt.Sprintf("the default index answers (%d files of pip)", len(page.Files))}
}
