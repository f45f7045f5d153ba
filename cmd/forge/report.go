package main

import (
	"cmp"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/forge-build/forge/builder"
	"github.com/forge-build/forge/builder/convert"
	"github.com/forge-build/forge/builder/layer"
	"github.com/forge-build/forge/recipes"
	"github.com/forge-build/forge/recipes/cuda"
	"github.com/forge-build/forge/recipes/finding"
	"github.com/forge-build/forge/recipes/lock"
	"github.com/forge-build/forge/sbom"
	"github.com/forge-build/forge/sbom/licence"
	"github.com/forge-build/forge/sbom/report"
)

// siblings is where files about an image lie: next to its layout or archive.
type siblings string

func (s siblings) html() string    { return string(s) + ".report.html" }
func (s siblings) json() string    { return string(s) + ".report.json" }
func (s siblings) scan() string    { return string(s) + ".scan.json" }
func (s siblings) vex() string     { return string(s) + ".vex.json" }
func (s siblings) summary() string { return string(s) + ".summary.md" }

func (s siblings) sbom(f sbom.Format) string {
	return string(s) + map[sbom.Format]string{sbom.SPDX: ".spdx.json", sbom.CycloneDX: ".cdx.json", sbom.Syft: ".syft.json"}[f]
}

// besideLayout is where files about the image of a layout are: "oci:" before the folder and
// a digest behind it do not count.
func besideLayout(dir string) siblings {
	dir, _, _ = strings.Cut(strings.TrimPrefix(dir, "oci:"), "@")
	return siblings(filepath.Clean(dir))
}

// removeVerdict removes what a build before said, so that nobody takes it for this one's.
func (s siblings) removeVerdict() error { return remove(s.scan(), s.vex()) }

// removeReport removes page and document of an image before.
func (s siblings) removeReport() error { return remove(s.html(), s.json()) }

// removeLists removes what was said to be in an image before, in every format.
func (s siblings) removeLists() error {
	var paths []string
	for _, f := range sbom.Formats {
		paths = append(paths, s.sbom(f))
	}
	return remove(paths...)
}

// remove removes files that may not be there.
func remove(paths ...string) error {
	for _, path := range paths {
		if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("removing %q: %w", path, err)
		}
	}
	return nil
}

// writeReport writes page and document of a build, and says in them what changed since the
// document that lay there.
func (w *workshop) writeReport(b built, at siblings) (*report.Report, error) {
	rep, err := w.fillReport(b)
	if err != nil {
		return nil, err
	}
	rep.Scan = b.scan
	if b.inventory != nil {
		rep.Inventory.Files = []string{filepath.Base(at.sbom(sbom.SPDX)), filepath.Base(at.sbom(sbom.CycloneDX))}
	}
	old, err := report.ReadFile(at.json())
	switch {
	case err == nil:
		rep.Succeed(old)
	case !errors.Is(err, fs.ErrNotExist):
		w.t.say("%s: note: the report of the build before cannot be compared: %v", b.plan.Image.Name, err)
		rep.Previous = &report.Previous{Problem: withoutPath(err)}
	}
	return rep, saveReport(rep, at)
}

// withoutPath is what went wrong with a file, but not where on this machine it lies: a
// report is for others.
func withoutPath(err error) string {
	var in *fs.PathError
	if errors.As(err, &in) {
		return in.Err.Error()
	}
	if cause := errors.Unwrap(err); cause != nil {
		return cause.Error()
	}
	return err.Error()
}

func saveReport(rep *report.Report, at siblings) error {
	if err := builder.WriteFile(at.html(), rep.WriteHTML); err != nil {
		return err
	}
	return builder.WriteFile(at.json(), rep.Write)
}

// built is what a build leaves for a report.
type built struct {
	plan      *builder.Plan
	result    *builder.Result
	vars      []string // of the command line
	noTest    bool
	inventory *sbom.Inventory // nil: the image was not searched
	scan      *finding.Document
}

func (w *workshop) fillReport(b built) (*report.Report, error) {
	layout, err := builder.ReadLayout(b.result.Dir)
	if err != nil {
		return nil, err
	}
	rep := &report.Report{Format: report.Format, Forge: currentVersions().Forge, Image: imageFacts(b.plan, b.result), GPU: gpuFacts(b.plan.Lock.Derived, wantedGPUs(b.plan)), Runs: b.result.Runs,
		Signature: report.Signature{State: report.NotSigned}, Slim: slimFacts(b.result), Tests: testFacts(b.plan.Image, b.result, b.noTest)}
	for i, d := range b.result.Layers {
		p := b.plan.Layers[i]
		l := report.Layer{Name: p.Name, Kind: p.Kind, Digest: d.Digest.String(), DiffID: layout.Config.RootFS.DiffIDs[i].String(), MediaType: string(d.MediaType), Size: d.Size}
		if p.Lock != nil {
			l.Unpacked = p.Lock.Unpacked
		} else if ix, err := builder.LayerIndex(w.store, l.Digest); err != nil {
			return nil, err
		} else if ix != nil {
			l.Unpacked = ix.Unpacked
		}
		rep.Layers = append(rep.Layers, l)
		rep.Image.Compressed += l.Size
		rep.Image.Unpacked += l.Unpacked
	}
	rep.Packages, rep.Inventory = lockedPackages(b.plan.Lock), report.Inventory{Source: "lock"}
	if b.inventory != nil {
		rep.Packages, rep.Inventory = foundPackages(b.inventory, rep.Layers, rep.Packages), report.Inventory{Source: "image"}
	}
	rep.Origin, err = originFacts(w.file, b.vars, b.plan)
	return rep, err
}

func slimFacts(r *builder.Result) []report.Removed {
	out := []report.Removed{}
	rules := convert.Rules()
	for _, x := range r.Removed {
		y := report.Removed{Rule: x.Rule, Files: x.Files, Bytes: x.Bytes}
		if i := slices.IndexFunc(rules, func(r convert.Rule) bool { return r.Name == x.Rule }); i >= 0 {
			y.What, y.Why = rules[i].What, rules[i].Why
		}
		out = append(out, y)
	}
	return out
}

func imageFacts(plan *builder.Plan, r *builder.Result) report.Image {
	im, li, c := plan.Image, plan.Lock, plan.Config.Config
	x := report.Image{Name: im.Name, Digest: r.Digest, Platform: im.Platform, Created: li.Created, Python: cmp.Or(li.Python.Full, li.Python.Version),
		User: strconv.Itoa(im.User.UID) + " (" + im.User.Name + ")", Workdir: c.WorkingDir, Command: c.Cmd, Ports: im.Ports, Writable: im.Writable}
	if li.Debian != nil {
		x.Base = "Debian " + li.Debian.Suite
	}
	if li.Base != nil {
		x.Base = cmp.Or(li.Base.System, "the base image") + " (" + li.Base.Reference + ")"
	}
	for _, e := range im.Environments {
		x.Environments = append(x.Environments, e.Name)
	}
	return x
}

func testFacts(im *recipes.Image, r *builder.Result, noTest bool) report.Tests {
	switch {
	case len(im.Tests) == 0:
		return report.Tests{State: report.NoneAsked}
	case noTest:
		return report.Tests{State: report.NotRun}
	}
	t := report.Tests{State: report.Passed}
	for _, x := range r.Tests {
		t.Results = append(t.Results, report.Test{Name: x.Name})
	}
	return t
}

// lockedPackages are the packages that a lock puts into an image.
func lockedPackages(li *lock.Image) []report.Package {
	var out []report.Package
	if li.Debian != nil {
		for _, d := range li.Debian.Packages {
			out = append(out, report.Package{Name: d.Name, Version: d.Version, Kind: "deb", SHA256: d.SHA256, Layer: layerOf(li, d.SHA256, ""), Requested: d.Requested && asksFor(li, d.Name), RequiredBy: d.RequiredBy})
		}
	}
	for _, w := range li.Wheels {
		p := report.Package{Name: w.Name, Version: w.Version, Kind: "python", Environment: w.Environment, SHA256: w.SHA256, Requested: w.Requested, RequiredBy: w.RequiredBy}
		for _, l := range li.Layers {
			if l.Kind == "wheels" && l.Environment == w.Environment && slices.Contains(l.Members, w.SHA256) {
				p.Layer = l.Name
				if len(l.Members) == 1 {
					p.Size = l.Unpacked
				}
			}
		}
		out = append(out, p)
	}
	return out
}

// foundPackages are the packages that were found in an image, with what the lock says of
// them, and those of the lock that were not found.
func foundPackages(inv *sbom.Inventory, layers []report.Layer, locked []report.Package) []report.Package {
	in, names := map[string]string{}, map[string]string{}
	for _, l := range layers {
		in[l.DiffID] = l.Name
	}
	for _, p := range inv.Packages {
		names[p.ID] = p.Name
	}
	used := make([]bool, len(locked))
	var out []report.Package
	for _, p := range inv.Packages {
		x := report.Package{Name: p.Name, Version: p.Version, Kind: p.Type, PURL: p.PURL, Licences: licenceWords(inv, p), Size: p.Size, Files: p.Files, Parent: names[p.BundledIn]}
		place := ""
		if len(p.Locations) > 0 {
			x.Layer, place = in[p.Locations[0].Layer], p.Locations[0].Path
		}
		if rest, ok := strings.CutPrefix(place, "/opt/envs/"); ok {
			x.Environment, _, _ = strings.Cut(rest, "/")
		}
		i := slices.IndexFunc(locked, func(l report.Package) bool {
			return l.Kind == x.Kind && plainName(l.Name) == plainName(x.Name) && l.Environment == x.Environment
		})
		if i >= 0 && !used[i] && x.Parent == "" && (x.Kind != "python" || strings.Contains(place, "/site-packages/") && strings.Count(place[strings.Index(place, "/site-packages/"):], "/") == 3) {
			used[i] = true
			x.SHA256, x.Requested, x.RequiredBy, x.Layer = locked[i].SHA256, locked[i].Requested, locked[i].RequiredBy, locked[i].Layer
		}
		out = append(out, x)
	}
	for i, l := range locked {
		if !used[i] {
			out = append(out, l)
		}
	}
	return out
}

// licenceWords are a package's licences: expressions, and the package's words for a reference.
func licenceWords(inv *sbom.Inventory, p sbom.Package) []string {
	var out []string
	for _, l := range p.Licenses {
		parts := strings.Split(l, " ")
		for i, p := range parts { // a reference, in parentheses or not, as the package calls it
			id := strings.Trim(p, "()")
			words := cmp.Or(inv.Licences[id], id)
			if licence.Nameless(words) {
				words = "its own text"
			}
			parts[i] = strings.Replace(p, id, words, 1)
		}
		out = append(out, strings.Join(parts, " "))
	}
	return out
}

// plainName is a name as PEP 503 compares it; Debian's names are so already.
func plainName(s string) string {
	return strings.ToLower(strings.NewReplacer("_", "-", ".", "-").Replace(s))
}

// gpuFacts says of each generation of GPUs whether the image's code runs on it.
func gpuFacts(d lock.Derived, wanted []string) *report.GPU {
	if d.CUDA == "" {
		return nil
	}
	g := &report.GPU{CUDA: d.CUDA, Torch: d.Torch, Driver: d.Driver, Recommended: d.Recommended, SM: d.SM, PTX: d.PTX}
	sm, err := cuda.Capabilities(d.SM)
	ptx, err2 := cuda.Capabilities(d.PTX)
	if err != nil || err2 != nil || len(sm)+len(ptx) == 0 {
		return g // which GPUs it is for is not known
	}
	for _, gpu := range cuda.GPUs() {
		if gpu.Family == cuda.Jetson || len(sm) > 0 && gpu.Capability.Major < 5 {
			continue
		}
		c := gpu.Capability.String()
		i := slices.IndexFunc(g.Families, func(f report.Family) bool { return f.Capability == c })
		if i < 0 {
			f := report.Family{Name: gpu.Capability.Generation(), Capability: c, Code: string(cuda.Runs(sm, ptx, gpu.Capability)), Wanted: slices.Contains(wanted, c)}
			if branch, ended := cuda.LastDriver(gpu.Capability); ended {
				f.LastDriver = branch
			}
			g.Families = append(g.Families, f)
			i = len(g.Families) - 1
		}
		if len(g.Families[i].Products) < 6 {
			g.Families[i].Products = append(g.Families[i].Products, gpu.Name)
		}
	}
	return g
}

func wantedGPUs(plan *builder.Plan) []string {
	if plan.Image.PyTorch == nil {
		return nil
	}
	return plan.Image.PyTorch.GPUs
}

// originFacts are what the image was made from.
func originFacts(file *recipes.File, vars []string, plan *builder.Plan) (report.Origin, error) {
	o := report.Origin{Recipe: filepath.Base(file.Path), Lock: filepath.Base(lock.PathOf(file.Path)), Init: plan.Lock.Init.SHA256, LayerFormat: layer.Format, AsOf: plan.Lock.AsOf}
	var err error
	if o.RecipeSHA256, err = fileSum(file.Path); err != nil {
		return o, err
	}
	if o.LockSHA256, err = fileSum(lock.PathOf(file.Path)); err != nil {
		return o, err
	}
	for _, v := range vars {
		name, _, _ := strings.Cut(v, "=")
		o.Variables = append(o.Variables, name) // a value may be a secret
	}
	slices.Sort(o.Variables)
	for _, c := range plan.Image.Copies {
		o.Copies = append(o.Copies, c.From)
	}
	return o, nil
}

func fileSum(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", fmt.Errorf("reading %q: %w", path, err)
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", fmt.Errorf("reading %q: %w", path, err)
	}
	return fmt.Sprintf("%x", h.Sum(nil)), nil
}
