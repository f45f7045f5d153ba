package main

import (
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
	"github.com/forge-build/forge/recipes/lock"
	"github.com/forge-build/forge/sbom/report"
)

// siblings is where files about an image lie: next to its layout or archive.
type siblings string

func (s siblings) html() string    { return string(s) + ".report.html" }
func (s siblings) json() string    { return string(s) + ".report.json" }
func (s siblings) scan() string    { return string(s) + ".scan.json" }
func (s siblings) summary() string { return string(s) + ".summary.md" }

// besideLayout is where files about the image of a layout are: "oci:" before the folder and
// a digest behind it do not count.
func besideLayout(dir string) siblings {
	dir, _, _ = strings.Cut(strings.TrimPrefix(dir, "oci:"), "@")
	return siblings(filepath.Clean(dir))
}

// writeReport writes page and document of a build, and says in them what changed since the
// document that lay there.
func writeReport(t *terminal, file *recipes.File, vars []string, plan *builder.Plan, r *builder.Result, noTest bool, at siblings) (*report.Report, error) {
	rep, err := fillReport(file, vars, plan, r, noTest)
	if err != nil {
		return nil, err
	}
	old, err := report.ReadFile(at.json())
	switch {
	case err == nil:
		rep.Succeed(old)
	case !errors.Is(err, fs.ErrNotExist):
		t.say("%s: note: the report of the build before cannot be compared: %v", plan.Image.Name, err)
		rep.Previous = &report.Previous{Problem: err.Error()}
	}
	return rep, saveReport(rep, at)
}

func saveReport(rep *report.Report, at siblings) error {
	if err := builder.WriteFile(at.html(), rep.WriteHTML); err != nil {
		return err
	}
	return builder.WriteFile(at.json(), rep.Write)
}

func fillReport(file *recipes.File, vars []string, plan *builder.Plan, r *builder.Result, noTest bool) (*report.Report, error) {
	layout, err := builder.ReadLayout(r.Dir)
	if err != nil {
		return nil, err
	}
	rep := &report.Report{Format: report.Format, Forge: currentVersions().Forge, Image: imageFacts(plan, r), GPU: gpuFacts(plan), Runs: r.Runs,
		Packages: lockedPackages(plan.Lock), Inventory: report.Inventory{Source: "lock"}, Signature: report.Signature{State: report.NotSigned}}
	for i, d := range r.Layers {
		p := plan.Layers[i]
		l := report.Layer{Name: p.Name, Kind: p.Kind, Digest: d.Digest.String(), DiffID: layout.Config.RootFS.DiffIDs[i].String(), MediaType: string(d.MediaType), Size: d.Size}
		if p.Lock != nil {
			l.Unpacked = p.Lock.Unpacked
		}
		rep.Layers = append(rep.Layers, l)
		rep.Image.Compressed += l.Size
		rep.Image.Unpacked += l.Unpacked
	}
	rules := convert.Rules()
	for _, x := range r.Removed {
		y := report.Removed{Rule: x.Rule, Files: x.Files, Bytes: x.Bytes}
		if i := slices.IndexFunc(rules, func(r convert.Rule) bool { return r.Name == x.Rule }); i >= 0 {
			y.What, y.Why = rules[i].What, rules[i].Why
		}
		rep.Slim = append(rep.Slim, y)
	}
	rep.Tests = testFacts(plan.Image, r, noTest)
	rep.Origin, err = originFacts(file, vars, plan)
	return rep, err
}

func imageFacts(plan *builder.Plan, r *builder.Result) report.Image {
	im, li, c := plan.Image, plan.Lock, plan.Config.Config
	x := report.Image{Name: im.Name, Digest: r.Digest, Platform: im.Platform, Created: li.Created, Python: or(li.Python.Full, li.Python.Version),
		User: strconv.Itoa(im.User.UID) + " (" + im.User.Name + ")", Workdir: c.WorkingDir, Command: c.Cmd, Ports: im.Ports, Writable: im.Writable}
	if li.Debian != nil {
		x.Base = "Debian " + li.Debian.Suite
	}
	if li.Base != nil {
		x.Base = or(li.Base.System, "the base image") + " (" + li.Base.Reference + ")"
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
			out = append(out, report.Package{Name: d.Name, Version: d.Version, Kind: "deb", SHA256: d.SHA256, Layer: layerOf(li, d.SHA256), Requested: d.Requested, RequiredBy: d.RequiredBy})
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

// gpuFacts says of each generation of GPUs whether the image's code runs on it.
func gpuFacts(plan *builder.Plan) *report.GPU {
	d := plan.Lock.Derived
	if d.CUDA == "" {
		return nil
	}
	g := &report.GPU{CUDA: d.CUDA, Torch: d.Torch, Driver: d.Driver, Recommended: d.Recommended, SM: d.SM, PTX: d.PTX}
	sm, err := cuda.Capabilities(d.SM)
	ptx, err2 := cuda.Capabilities(d.PTX)
	if err != nil || err2 != nil || len(sm)+len(ptx) == 0 {
		return g // which GPUs it is for is not known
	}
	var wanted []string
	if plan.Image.PyTorch != nil {
		wanted = plan.Image.PyTorch.GPUs
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
