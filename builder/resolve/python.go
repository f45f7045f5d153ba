package resolve

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"sort"
	"strings"

	"github.com/forge-build/forge/builder/wheel"
	"github.com/forge-build/forge/recipes"
	"github.com/forge-build/forge/recipes/lock"
)

// Resolution is what was chosen for a recipe's Python part.
type Resolution struct {
	Wheels []lock.Wheel // sorted by name
	Python lock.Python
	Notes  []string // whole sentences, for the person who locks
}

// glibcs are the versions of the suites' libc6, which decide which wheels run.
var glibcs = map[string]string{"trixie": "2.41"}

// Python chooses the wheels of an image. before may be nil; what it holds stays unless the
// recipe or o says otherwise.
func Python(ctx context.Context, im *recipes.Image, before *lock.Image, o Options) (*Resolution, error) {
	on := target(im, o)
	version := on.Python.Version
	res := &Resolution{Python: on.Python}
	wants := requirements(im)
	if len(wants) == 0 {
		return res, nil
	}
	tool, err := findUV(ctx, o)
	if err != nil {
		return nil, err
	}
	x := newIndex(im, o)
	url, stop, err := x.serve()
	if err != nil {
		return nil, err
	}
	defer stop()
	versions, err := choose(ctx, tool, url, im, wants, before, o)
	if x.err != nil {
		return nil, x.err
	}
	if err != nil {
		return nil, x.explain(err, version)
	}
	requires := map[string][]string{}
	for _, name := range sortedKeys(versions) {
		w, needs, err := x.take(ctx, name, versions[name], version, on.GLIBC)
		if err != nil {
			return nil, err
		}
		w.Requested = requested(wants, name)
		requires[name] = needs
		for _, n := range w.Notes {
			res.Notes = append(res.Notes, w.File+": "+n)
		}
		res.Wheels = append(res.Wheels, w)
	}
	for i := range res.Wheels {
		for _, by := range sortedKeys(requires) {
			if slices.Contains(requires[by], res.Wheels[i].Name) {
				res.Wheels[i].RequiredBy = append(res.Wheels[i].RequiredBy, by)
			}
		}
	}
	return res, nil
}

// requirements are the recipe's, and torch.
func requirements(im *recipes.Image) []string {
	wants := slices.Clone(im.Python.Requirements)
	if p := im.PyTorch; p != nil {
		torch := "torch"
		if strings.Count(p.Version, ".") == 1 {
			torch += "==" + p.Version + ".*"
		} else if p.Version != "" {
			torch += "==" + p.Version
		}
		wants = append(wants, torch)
	}
	return wants
}

var leading = regexp.MustCompile(`^[A-Za-z0-9._-]+`)

func requested(wants []string, name string) bool {
	for _, w := range wants {
		if wheel.NormalizeName(leading.FindString(strings.TrimSpace(w))) == name {
			return true
		}
	}
	return false
}

// choose has uv choose one version for each name. Locked versions are its preferences: it
// keeps them as long as they fit.
func choose(ctx context.Context, tool *uv, url string, im *recipes.Image, wants []string, before *lock.Image, o Options) (map[string]string, error) {
	dir, err := os.MkdirTemp("", "forge-lock-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	preferences := filepath.Join(dir, "preferences.txt")
	var lines strings.Builder
	if before != nil && !o.UpgradeAll {
		for _, w := range before.Wheels {
			if !o.upgrades(w.Name) {
				fmt.Fprintf(&lines, "%s==%s\n", w.Name, w.Version)
			}
		}
	}
	if err := os.WriteFile(preferences, []byte(lines.String()), 0o600); err != nil {
		return nil, err
	}
	arch := map[string]string{"linux/amd64": "x86_64", "linux/arm64": "aarch64"}[im.Platform]
	on := target(im, o)
	out, err := tool.run(ctx, strings.Join(wants, "\n")+"\n", "pip", "compile", "--no-header", "--no-annotate", "--only-binary", ":all:",
		"--python-platform", arch+"-"+manylinux(on.GLIBC), "--python-version", on.Python.Version, "--default-index", url,
		"--output-file", preferences, "-")
	if err != nil {
		return nil, err
	}
	versions := map[string]string{}
	for _, line := range strings.Split(out, "\n") {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		name, version, ok := strings.Cut(line, "==")
		version, _, _ = strings.Cut(version, " ")
		if !ok {
			return nil, &InputError{fmt.Sprintf("uv answers with a line that is no name and version: %+q", line)}
		}
		versions[wheel.NormalizeName(name)] = version
	}
	return versions, nil
}

// take downloads the wheel of a version that fits best, and reads what it requires.
func (x *index) take(ctx context.Context, name, version, python, glibc string) (lock.Wheel, []string, error) {
	p, err := x.page(ctx, name)
	if err != nil {
		return lock.Wheel{}, nil, err
	}
	var best string
	var rank []int
	for _, file := range sortedKeys(p.files) {
		f, err := wheel.ParseFileName(file)
		if err != nil || !sameVersion(f.Version, version) || !wheel.Supported(f.Tags, python, x.im.Platform, glibc) {
			continue
		}
		if r := rankOf(f, python); best == "" || slices.Compare(r, rank) > 0 {
			best, rank = file, r
		}
	}
	if best == "" {
		return lock.Wheel{}, nil, &InputError{fmt.Sprintf("%s %s has no wheel for Python %s on %s", name, version, python, x.im.Platform)}
	}
	if x.o.Progress != nil {
		x.o.Progress("downloading " + best)
	}
	d, err := x.o.Fetch.Download(ctx, p.files[best], x.im.Python.Accepts)
	if err != nil {
		return lock.Wheel{}, nil, err
	}
	needs, err := requiresOf(d.Path, best)
	if err != nil {
		return lock.Wheel{}, nil, err
	}
	return lock.Wheel{Name: name, Version: version, File: best, Index: p.index, Size: d.Size, SHA256: d.SHA256, Notes: d.Notes}, needs, nil
}

// sameVersion compares a file name's version with uv's, which is normalised (PEP 440).
func sameVersion(file, version string) bool {
	a, errA := wheel.NormalizeVersion(strings.ReplaceAll(file, "_", "-"))
	b, errB := wheel.NormalizeVersion(version)
	return errA == nil && errB == nil && a == b
}

// rankOf orders the wheels of one version: the interpreter's own before the stable ABI
// before pure ones, then newer platforms, then the build tag (PEP 427).
func rankOf(f wheel.FileName, python string) []int {
	cp := "cp" + strings.ReplaceAll(python, ".", "")
	rank := []int{0, 0, 0}
	for _, t := range f.Tags {
		kind := 0
		switch {
		case t.Python == cp && t.ABI == cp:
			kind = 3
		case t.ABI == "abi3":
			kind = 2
		case t.Platform != "any":
			kind = 1
		}
		minor := 0
		fmt.Sscanf(t.Platform, "manylinux_2_%d_", &minor)
		rank[0], rank[1] = max(rank[0], kind), max(rank[1], minor)
	}
	fmt.Sscanf(f.Build, "%d", &rank[2])
	return rank
}

// requiresOf reads the names that a wheel requires without an extra. Whether a name is
// locked says whether its marker held.
func requiresOf(path, file string) ([]string, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	w, err := wheel.Open(f, info.Size(), file)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, r := range w.Metadata.RequiresDist {
		if _, marker, _ := strings.Cut(r, ";"); strings.Contains(marker, "extra") {
			continue
		}
		names = append(names, wheel.NormalizeName(leading.FindString(r)))
	}
	return names, nil
}

// explain adds to uv's words which names have no wheel at all.
func (x *index) explain(err error, python string) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, name := range sortedKeys(x.pages) {
		if p := x.pages[name]; len(p.files) == 0 && p.sdists > 0 {
			return &InputError{fmt.Sprintf("%s has only source distributions, and forge runs no setup code: build a wheel of it for Python %s, or choose a version or Python that has one (%s)", name, python, err)}
		}
	}
	return err
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	return keys
}
