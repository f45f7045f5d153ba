package resolve

import (
	"fmt"
	"path"
	"regexp"
	"slices"
	"sort"
	"strconv"
	"strings"

	"github.com/forge-build/forge/builder/base"
	"github.com/forge-build/forge/builder/convert"
	"github.com/forge-build/forge/builder/store"
	"github.com/forge-build/forge/recipes"
	"github.com/forge-build/forge/recipes/lock"
)

// Target is what wheels are chosen for.
type Target struct {
	Python lock.Python
	GLIBC  string // "2.41": no wheel for a newer one is taken
}

// target is a base image's, or that of the Debian suite.
func target(im *recipes.Image, o Options) Target {
	if o.Target != nil {
		return *o.Target
	}
	version := recipes.Suites[im.Debian.Suite]
	return Target{lock.Python{Version: version, Interpreter: "/usr/bin/python" + version}, glibcs[im.Debian.Suite]}
}

var patch = regexp.MustCompile(`^[0-9]+\.[0-9]+\.[0-9]+`)

// exact is the interpreter's version with its patch, "3.13.5", by which a requires-python is
// judged: the base image's, or that of the chosen Debian package. Where neither is known it
// is "3.13", which means its first patch.
func (t Target) exact(d *lock.Debian) string {
	if full := patch.FindString(t.Python.Full); full != "" {
		return full
	}
	if d != nil {
		for _, p := range d.Packages {
			if full := patch.FindString(p.Version); p.Name == "python"+t.Python.Version && strings.HasPrefix(full, t.Python.Version+".") {
				return full
			}
		}
	}
	return t.Python.Version
}

// manylinux is the newest platform that uv knows and that runs on a glibc.
// Source: uv pip compile --python-platform: manylinux_2_17, 2_28, 2_31 to 2_40.
func manylinux(glibc string) string {
	minor := 0
	if _, err := fmt.Sscanf(glibc, "2.%d", &minor); err != nil {
		return "manylinux_2_17"
	}
	switch {
	case minor < 28:
		minor = 17
	case minor < 31:
		minor = 28
	}
	return fmt.Sprintf("manylinux_2_%d", min(minor, 40))
}

// Fits compares what the made wheels need of the system with what a base image has, and what
// they bring of CUDA.
func Fits(b *base.Image, wheels []lock.Wheel, made []convert.Made, s *store.Store) error {
	var n base.Needs
	needed := map[string]bool{}
	libraries := map[string]int64{} // bytes of CUDA's, by environment and owner
	own := map[string]bool{}        // libraries that wheels bring
	for _, m := range made {
		if m.Layer.Kind != "wheels" {
			continue
		}
		if newer(m.GLIBC, n.GLIBC) {
			n.GLIBC = m.GLIBC
		}
		ix, err := m.LoadIndex(s)
		if err != nil {
			return err
		}
		for _, e := range ix.Entries {
			if base.OfCUDA(e.Path) {
				libraries[m.Layer.Environment+" "+e.Owner] += e.Size
				if newer(m.CUDA, n.Version) {
					n.Version = m.CUDA
				}
			}
			if e.ELF == nil {
				continue
			}
			for _, lib := range e.ELF.Needed {
				needed[lib] = needed[lib] || lib == "libstdc++.so.6" || lib == "libz.so.1"
			}
			own[path.Base(e.Path)] = true
			if newer(e.ELF.GLIBCXX, n.GLIBCXX) {
				n.GLIBCXX = e.ELF.GLIBCXX
			}
		}
	}
	for lib, ours := range needed {
		if ours {
			n.Libraries = append(n.Libraries, lib)
		}
	}
	sort.Strings(n.Libraries)
	for _, w := range wheels {
		if size := libraries[w.Environment+" wheel:"+w.Name]; size > 0 {
			w.Size = size
			n.CUDA = append(n.CUDA, w)
		}
	}
	if own["libstdc++.so.6"] {
		n.GLIBCXX = "" // which of the two is loaded, nobody can tell from here
	}
	return b.Fits(n)
}

// newer compares dotted versions, of glibc or libstdc++; empty is oldest.
func newer(a, b string) bool {
	return slices.Compare(dotted(a), dotted(b)) > 0
}

func dotted(v string) (out []int) {
	if v == "" {
		return nil
	}
	for _, part := range strings.Split(v, ".") {
		n, _ := strconv.Atoi(part) // what is no number counts as 0
		out = append(out, n)
	}
	return out
}
