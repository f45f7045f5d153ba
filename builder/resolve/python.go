package resolve

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"sort"
	"strings"

	"github.com/forge-build/forge/builder/fetch"
	"github.com/forge-build/forge/builder/wheel"
	"github.com/forge-build/forge/recipes"
	"github.com/forge-build/forge/recipes/lock"
	"github.com/forge-build/forge/recipes/requirements"
)

// Resolution is what was chosen for a recipe's Python part.
type Resolution struct {
	Wheels []lock.Wheel // sorted by name
	Python lock.Python
	Notes  []string          // whole sentences, for the person who locks
	Served map[string]string // by sha256: the address where a wheel is had now; the recipe's own files have none
}

// glibcs are the versions of the suites' libc6, which decide which wheels run.
var glibcs = map[string]string{"trixie": "2.41"}

// Python chooses the wheels of an image. before may be nil; what it holds stays unless the
// recipe or o says otherwise.
func Python(ctx context.Context, im *recipes.Image, before *lock.Image, o Options) (*Resolution, error) {
	on := target(im, o)
	version := on.Python.Version
	res := &Resolution{Python: on.Python, Served: map[string]string{}}
	gs := groups(im)
	if len(gs) == 0 {
		return res, nil
	}
	for _, g := range gs {
		if err := g.admits(on.exact(o.Debian)); err != nil {
			return nil, err
		}
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
	var picks []pick
	for _, g := range gs {
		chosen, err := choose(ctx, tool, url, im, g, before, o)
		if failed := x.failure(); failed != nil {
			return nil, failed
		}
		if err != nil {
			return nil, x.explain(err, version, on.GLIBC)
		}
		res.Notes = append(res.Notes, alike(chosen)...)
		for _, c := range chosen {
			note, err := x.passedOver(g, c, version, on.GLIBC)
			if err != nil {
				return nil, err
			}
			if note != "" {
				res.Notes = append(res.Notes, note)
			}
			p, err := x.pick(ctx, g, c, version, on.GLIBC)
			if err != nil {
				return nil, err
			}
			picks = append(picks, p)
		}
	}
	if o.Below != nil { // before gigabytes are downloaded
		if err := o.Below.Twice(promised(picks)); err != nil {
			return nil, err
		}
	}
	for _, p := range picks {
		w, err := x.take(ctx, p)
		if err != nil {
			return nil, err
		}
		for _, n := range w.Notes {
			res.Notes = append(res.Notes, w.File+": "+n)
		}
		res.Wheels = append(res.Wheels, w)
		if at := x.address(w); at != "" {
			res.Served[w.SHA256] = at
		}
	}
	return res, nil
}

// group is what one virtual environment asks for; it is resolved on its own.
type group struct {
	name  string // of the environment; empty: /opt/venv
	lines []string
	files []recipes.RequirementsFile
}

// groups are the recipe's environments: the image's own first, with torch and the recipe's
// own wheels, then the others by name.
func groups(im *recipes.Image) (list []group) {
	own := group{lines: slices.Clone(im.Python.Requirements), files: im.Python.Files}
	for _, w := range im.Python.Wheels {
		if l := w.Distribution() + "==" + w.Version(); !slices.Contains(own.lines, l) {
			own.lines = append(own.lines, l)
		}
	}
	if p := im.PyTorch; p != nil {
		torch := "torch"
		if strings.Count(p.Version, ".") == 1 {
			torch += "==" + p.Version + ".*"
		} else if p.Version != "" {
			torch += "==" + p.Version
		}
		own.lines = append(own.lines, torch)
	}
	if len(own.lines)+len(own.files) > 0 {
		list = append(list, own)
	}
	for _, e := range im.Environments {
		list = append(list, group{e.Name, e.Requirements, e.Files})
	}
	return list
}

// admits compares the files' requires-python with the interpreter.
func (g group) admits(python string) error {
	for _, f := range g.files {
		ok, err := requirements.Allows(f.Set.Python, python)
		if err != nil {
			return &InputError{fmt.Sprintf("%s: %v", f.Path, err)}
		}
		if !ok {
			return &InputError{fmt.Sprintf("%s asks for Python %s, and the base has %s", f.Path, f.Set.Python, python)}
		}
	}
	return nil
}

// version is one chosen distribution, and who asked for it.
type version struct {
	name, version string
	requested     bool     // by the recipe or one of its files
	by            []string // names of distributions, sorted
}

// choose has uv choose one version for each name of a group. Locked versions are its
// preferences: it keeps them as long as they fit.
func choose(ctx context.Context, tool *uv, url string, im *recipes.Image, g group, before *lock.Image, o Options) ([]version, error) {
	dir, err := os.MkdirTemp("", "forge-lock-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	var preferences []string
	if before != nil && !o.UpgradeAll {
		for _, w := range before.Wheels {
			if w.Environment == g.name && !o.upgrades(w.Name) {
				preferences = append(preferences, w.Name+"=="+w.Version)
			}
		}
	}
	lines, constraints := slices.Clone(g.lines), []string{}
	for _, f := range g.files {
		lines, constraints = append(lines, f.Set.Lines...), append(constraints, f.Set.Constraints...)
	}
	write := func(name string, lines []string) string {
		file := filepath.Join(dir, name)
		text := strings.Join(append(lines, ""), "\n")
		err = errors.Join(err, os.WriteFile(file, []byte(text), 0o600))
		return file
	}
	wants, limits, output := write("wants.txt", lines), write("constraints.txt", constraints), write("preferences.txt", preferences)
	if err != nil {
		return nil, err
	}
	arch := map[string]string{"linux/amd64": "x86_64", "linux/arm64": "aarch64"}[im.Platform]
	on := target(im, o)
	out, err := tool.run(ctx, "", "pip", "compile", "--no-header", "--annotation-style", "split", "--only-binary", ":all:",
		"--python-platform", arch+"-"+manylinux(on.GLIBC), "--python-version", on.exact(o.Debian), "--default-index", url,
		"--constraint", limits, "--output-file", output, wants)
	if err != nil {
		return nil, err
	}
	return readChosen(out)
}

// readChosen reads what uv pip compile prints: "name==version", and below it in comments who
// asked. Conditions and extras of requirements are uv's business (PEP 508).
func readChosen(out string) (list []version, err error) {
	for _, line := range strings.Split(out, "\n") {
		comment := strings.HasPrefix(strings.TrimSpace(line), "#")
		switch line = strings.TrimSpace(strings.TrimPrefix(strings.TrimSpace(line), "#")); {
		case line == "", comment && len(list) == 0:
		case comment:
			by := strings.TrimSpace(strings.TrimPrefix(line, "via"))
			v := &list[len(list)-1]
			switch {
			case by == "" || strings.HasPrefix(by, "-c "):
			case strings.HasPrefix(by, "-r "):
				v.requested = true
			default:
				v.by = append(v.by, wheel.NormalizeName(leading.FindString(by)))
			}
		default:
			name, number, ok := strings.Cut(line, "==")
			number, _, _ = strings.Cut(number, " ")
			if !ok {
				return nil, &InputError{fmt.Sprintf("uv answers with a line that is no name and version: %+q", line)}
			}
			list = append(list, version{name: wheel.NormalizeName(leading.FindString(name)), version: number})
		}
	}
	for i := range list {
		sort.Strings(list[i].by)
		list[i].by = slices.Compact(list[i].by)
	}
	sort.Slice(list, func(i, j int) bool { return list[i].name < list[j].name })
	return list, nil
}

var leading = regexp.MustCompile(`^[A-Za-z0-9._-]+`)

// pick is the wheel of a chosen version that fits best.
type pick struct {
	group   group
	version version
	page    page
	file    string
}

func (x *index) pick(ctx context.Context, g group, v version, python, glibc string) (pick, error) {
	p, err := x.page(ctx, v.name)
	if err != nil {
		return pick{}, err
	}
	var best string
	var rank []int
	for _, file := range sortedKeys(p.files) {
		f, err := wheel.ParseFileName(file)
		if err != nil || !sameVersion(f.Version, v.version) || !wheel.Supported(f.Tags, python, x.im.Platform, glibc) || !g.allows(v.name, p.files[file].SHA256) {
			continue
		}
		if r := rankOf(f, python); best == "" || slices.Compare(r, rank) > 0 {
			best, rank = file, r
		}
	}
	if best == "" {
		return pick{}, &InputError{fmt.Sprintf("%s %s has no wheel for Python %s on %s%s", v.name, v.version, python, x.im.Platform, g.pins(v.name))}
	}
	return pick{g, v, p, best}, nil
}

// promised are the wheels as their index states them, before they are downloaded: without
// sums, and with a size of -1 where none is stated.
func promised(picks []pick) []lock.Wheel {
	var list []lock.Wheel
	for _, p := range picks {
		list = append(list, lock.Wheel{Environment: p.group.name, Name: p.version.name, Version: p.version.version, File: p.file, Size: p.page.files[p.file].Size})
	}
	return list
}

// take downloads a wheel, and compares it with what was said of it: by the files of the
// group, and by the index's own metadata.
func (x *index) take(ctx context.Context, p pick) (lock.Wheel, error) {
	g, v := p.group, p.version
	if x.o.Progress != nil {
		x.o.Progress("downloading " + p.file)
	}
	d, err := x.download(ctx, p.page, p.file)
	if err != nil {
		return lock.Wheel{}, err
	}
	if !g.allows(v.name, d.SHA256) {
		return lock.Wheel{}, &InputError{fmt.Sprintf("%s has sha256 %s, which is not among those%s", p.file, d.SHA256, g.pins(v.name))}
	}
	d, err = x.compare(d, p)
	if err != nil {
		return lock.Wheel{}, err
	}
	w := lock.Wheel{Environment: g.name, Name: v.name, Version: v.version, File: p.file, Index: p.page.index, Size: d.Size, SHA256: d.SHA256,
		Requested: v.requested, RequiredBy: v.by, Notes: d.Notes}
	if own, ok := p.page.own[p.file]; ok && !own.Remote() {
		w.Path = own.Source
	}
	return w, nil
}

// address is where the index, or the recipe itself, says that a wheel is.
func (x *index) address(w lock.Wheel) string {
	x.mu.Lock()
	defer x.mu.Unlock()
	p := x.pages[w.Name]
	if own, ok := p.own[w.File]; ok {
		if own.Remote() {
			return own.Source
		}
		return ""
	}
	return p.files[w.File].URL
}

// allows says whether the files of the group admit a sha256; an unknown one is not judged.
func (g group) allows(name, sum string) bool {
	for _, f := range g.files {
		if list := f.Set.Hashes[name]; sum != "" && len(list) > 0 && !slices.Contains(list, sum) {
			return false
		}
	}
	return true
}

// pins is the end of a sentence: which files pin a name by hash.
func (g group) pins(name string) string {
	var files []string
	for _, f := range g.files {
		if len(f.Set.Hashes[name]) > 0 {
			files = append(files, f.Path)
		}
	}
	if len(files) == 0 {
		return ""
	}
	return " that " + strings.Join(files, " and ") + " allows"
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

// compare judges a chosen wheel, and compares the metadata by which uv chose it with the
// wheel's own (PEP 658).
func (x *index) compare(d fetch.Downloaded, p pick) (fetch.Downloaded, error) {
	accept, accepted := x.im.Python.Accepted(p.file, d.SHA256)
	read := wheel.Open
	if accepted {
		read = wheel.OpenUnsafe
	}
	w, err := openWheel(d.Path, p.file, read)
	if err != nil {
		return d, refused(err, p.version.name, p.version.version, d.SHA256, d.Path)
	}
	var said []string
	for _, f := range w.Findings {
		if reason, ok := strings.CutPrefix(f.Reason, "accepted: "); ok {
			said = append(said, f.ID+": "+reason)
		}
	}
	if n := len(said); n > 0 {
		if n > 3 {
			said = append(said[:3], fmt.Sprintf("and %d more", n-3))
		}
		d.Notes = append(d.Notes, fmt.Sprintf("the wheel contradicts itself (%s); accepted: %s", strings.Join(said, "; "), accept.Reason))
	}
	return d, x.compareMetadata(w, p.file)
}

func (x *index) compareMetadata(w *wheel.Wheel, file string) error {
	x.mu.Lock()
	told, ok := x.told[file]
	x.mu.Unlock()
	if !ok {
		return nil
	}
	m, err := wheel.ParseMetadata(told)
	if err != nil {
		return fmt.Errorf("reading the index's metadata of %s: %w", file, err)
	}
	for _, row := range []struct {
		field      string
		index, own []string
	}{
		{"Name", []string{wheel.NormalizeName(m.Name)}, []string{wheel.NormalizeName(w.Metadata.Name)}},
		{"Version", []string{m.Version}, []string{w.Metadata.Version}},
		{"Requires-Python", []string{m.RequiresPython}, []string{w.Metadata.RequiresPython}},
		{"Requires-Dist", m.RequiresDist, w.Metadata.RequiresDist},
		{"Provides-Extra", m.Extras, w.Metadata.Extras},
	} {
		slices.Sort(row.index)
		slices.Sort(row.own)
		if !slices.Equal(row.index, row.own) {
			return &MetadataError{File: file, Field: row.field, Index: strings.Join(row.index, ", "), Own: strings.Join(row.own, ", ")}
		}
	}
	return nil
}

// openWheel judges a wheel of the store; of the result only what was read is of use.
func openWheel(path, file string, read func(io.ReaderAt, int64, string) (*wheel.Wheel, error)) (*wheel.Wheel, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	return read(f, info.Size(), file)
}

// MetadataError is an index whose metadata of a wheel contradicts the wheel's own (IDX-03).
type MetadataError struct{ File, Field, Index, Own string }

func (e *MetadataError) Error() string {
	return fmt.Sprintf("%s: IDX-03: the index says %s %+q, the wheel's own METADATA says %+q", e.File, e.Field, cut(e.Index), cut(e.Own))
}

// explain adds to uv's words what there is of the names that have no wheel here: other
// versions, wheels for other interpreters, and who asked.
func (x *index) explain(err error, python, glibc string) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	words := strings.FieldsFunc(err.Error(), func(r rune) bool {
		return !strings.ContainsRune("abcdefghijklmnopqrstuvwxyz0123456789-._ABCDEFGHIJKLMNOPQRSTUVWXYZ", r)
	})
	for _, name := range sortedKeys(x.pages) {
		p := x.pages[name]
		if !slices.Contains(words, name) || p.own != nil {
			continue
		}
		fits, others := map[string]bool{}, map[string]bool{}
		for file := range p.files {
			f, err := wheel.ParseFileName(file)
			if err != nil {
				continue
			}
			if wheel.Supported(f.Tags, python, x.im.Platform, glibc) {
				fits[f.Version] = true
			} else {
				others[f.Tags[0].String()] = true
			}
		}
		if p.sdists == 0 && len(others) == 0 || len(fits) > 0 && !x.unbuilt(p, fits, err.Error(), name) {
			continue
		}
		what := "only source distributions"
		if len(fits)+len(others) > 0 {
			what = "no wheel for Python " + python + " on " + x.im.Platform + " of what is asked for"
		}
		var have string
		if len(fits) > 0 {
			have += "; versions with a wheel: " + strings.Join(newest(fits), ", ")
		}
		if len(others) > 0 {
			have += "; wheels for others: " + strings.Join(newest(others), ", ")
		}
		return &InputError{fmt.Sprintf("%s has %s, and forge runs no setup code%s%s. Choose a version or a Python that has a wheel, or build one and name it in the recipe: wheel %q {} (%s)",
			name, what, have, x.askers(name), "dist/"+strings.ReplaceAll(name, "-", "_")+"-….whl", err)}
	}
	return err
}

// unbuilt says whether uv misses a version of which there is a source distribution alone, or wheels
// for others alone: fits are the versions that have one here.
func (x *index) unbuilt(p page, fits map[string]bool, said, name string) bool {
	for _, m := range regexp.MustCompile(regexp.QuoteMeta(name)+`==([A-Za-z0-9.+!_]*[A-Za-z0-9])`).FindAllStringSubmatch(said, -1) {
		for v := range p.source {
			if sameVersion(v, m[1]) {
				return true
			}
		}
		for file := range p.files {
			if f, err := wheel.ParseFileName(file); err == nil && sameVersion(f.Version, m[1]) && !fits[f.Version] {
				return true
			}
		}
	}
	return false
}

// newest are at most eight of a set of versions, in the order of text.
func newest(set map[string]bool) []string {
	list := sortedKeys(set)
	return list[max(0, len(list)-8):]
}

// askers says which distributions that were looked at require a name.
func (x *index) askers(name string) string {
	var by []string
	for _, file := range sortedKeys(x.told) {
		m, err := wheel.ParseMetadata(x.told[file])
		if err != nil {
			continue
		}
		for _, r := range m.RequiresDist {
			if wheel.NormalizeName(leading.FindString(r)) == name {
				by = append(by, m.Name+" "+m.Version+" ("+r+")")
			}
		}
	}
	if len(by) == 0 {
		return ""
	}
	return "; asked for by " + strings.Join(by[:min(len(by), 5)], ", ")
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	return keys
}
