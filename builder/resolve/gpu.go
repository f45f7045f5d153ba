package resolve

import (
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/forge-build/forge/builder/base"
	"github.com/forge-build/forge/builder/convert"
	"github.com/forge-build/forge/builder/layer"
	"github.com/forge-build/forge/builder/store"
	"github.com/forge-build/forge/builder/wheel"
	"github.com/forge-build/forge/recipes"
	"github.com/forge-build/forge/recipes/lock"
)

// GPUNotes says what a person should know of wheels that are made for CUDA: the driver that they
// ask for where no CUDA is carried, and which of CUDA's libraries nothing in the image brings.
// below is the base image, or nil.
func GPUNotes(im *recipes.Image, below *base.Image, li *lock.Image, made []convert.Made, s *store.Store) ([]string, error) {
	var notes []string
	d := li.Derived
	if len(d.GPUWheels) > 0 && d.CUDA != "" {
		var list []string
		for _, w := range li.Wheels {
			is := w.Name + " " + w.Version
			if !slices.Contains(d.GPUWheels, is) {
				continue
			}
			if !w.Requested && len(w.RequiredBy) > 0 {
				is += " (for " + strings.Join(w.RequiredBy, ", ") + ")"
			}
			list = append(list, is)
		}
		note := fmt.Sprintf("%s: made for CUDA %s, so the image asks for driver %s or newer", strings.Join(slices.Compact(list), ", "), d.CUDA, d.Driver)
		if im.Start.NoGPU == "stop" {
			note += `; without a GPU it does not start, unless the recipe says start { no_gpu = "warn" }`
		}
		notes = append(notes, note)
	}
	g := gpuNotes{li: li, store: s, linked: map[string]map[string]bool{}, brought: map[string]map[string]bool{}}
	if slices.ContainsFunc(made, func(m convert.Made) bool { return len(m.GPUs) > 0 }) {
		if err := g.read(made); err != nil {
			return nil, err
		}
	}
	for _, m := range made {
		for _, gpu := range m.GPUs {
			i := slices.IndexFunc(li.Wheels, func(w lock.Wheel) bool {
				return w.Environment == m.Layer.Environment && gpu.Wheel == w.Name+" "+w.Version
			})
			if i < 0 {
				continue
			}
			switch w := li.Wheels[i]; {
			case d.CUDA == "":
				notes = append(notes, g.unstated(w, gpu))
			case len(gpu.Linked) <= 1:
				if note := g.missing(w, gpu, below); note != "" {
					notes = append(notes, note)
				}
			}
		}
	}
	return notes, nil
}

// gpuNotes knows by environment, "" being /opt/venv, what files of wheels are linked with and
// which libraries are there.
type gpuNotes struct {
	li      *lock.Image
	store   *store.Store
	linked  map[string]map[string]bool // by environment and wheel, "a wheel:torch"; sonames
	brought map[string]map[string]bool // by environment; sonames. "debian": what packages bring to all
}

// read looks into the layers' indexes.
func (g gpuNotes) read(made []convert.Made) error {
	put := func(sets map[string]map[string]bool, key, name string) {
		if sets[key] == nil {
			sets[key] = map[string]bool{}
		}
		sets[key][name] = true
	}
	for _, m := range made {
		env := m.Layer.Environment
		switch m.Layer.Kind {
		case "wheels":
		case "debian":
			env = "debian"
		default:
			continue
		}
		ix, err := m.LoadIndex(g.store)
		if err != nil {
			return err
		}
		for _, e := range ix.Entries {
			if e.ELF != nil || e.Type != layer.Regular {
				put(g.brought, env, path.Base(e.Path)) // a link is named as the library, too
			}
			if e.ELF == nil {
				continue
			}
			put(g.brought, env, e.ELF.Soname)
			for _, lib := range e.ELF.Needed {
				put(g.linked, env+" "+e.Owner, lib)
			}
		}
	}
	return nil
}

// Libraries of CUDA and cuDNN by soname, and what stands for each in the names of the
// distributions that bring them and in the extras of cuda-toolkit.
var (
	userSpace = regexp.MustCompile(`^lib(cudart|nvrtc|cublas|cublasLt|nvJitLink|cufft|curand|cusolver|cusparse|cudnn)(?:-[0-9a-f]{8})?\.so\.[0-9.]+$`)
	broughtBy = map[string]string{"cudart": "cuda-runtime", "nvrtc": "cuda-nvrtc", "cublasLt": "cublas", "nvJitLink": "nvjitlink"}
	ofExtra   = regexp.MustCompile(`extra\s*==\s*["']([A-Za-z0-9._-]+)["']`)
)

// missing names the libraries of CUDA that a wheel is linked with and nothing brings, and what
// would bring them.
func (g gpuNotes) missing(w lock.Wheel, gpu convert.GPU, below *base.Image) string {
	var libs []string
	for lib := range g.linked[w.Environment+" wheel:"+w.Name] {
		if userSpace.MatchString(lib) && !g.brought[w.Environment][lib] && !g.brought["debian"][lib] && (below == nil || !below.Holds(lib)) {
			libs = append(libs, lib)
		}
	}
	if len(libs) == 0 {
		return ""
	}
	slices.Sort(libs)
	return fmt.Sprintf("%s is linked with %s, which nothing in the image brings: require %s, or take a base image that has them",
		gpu.Wheel, strings.Join(libs, ", "), strings.Join(g.remedy(w, gpu, libs), " and "))
}

// remedy is what to require for libraries: the wheel with its own extras, as far as they bring
// them, and NVIDIA's wheels.
func (g gpuNotes) remedy(w lock.Wheel, gpu convert.GPU, libs []string) []string {
	var extras, rest []string
	all := g.extras(w)
	for _, lib := range libs {
		name := userSpace.FindStringSubmatch(lib)[1]
		stem := name
		if by, ok := broughtBy[name]; ok {
			stem = by
		}
		found := false
		for _, x := range all {
			if strings.Contains(x.requires, strings.TrimPrefix(stem, "cuda-")) || strings.Contains(x.requires, strings.ToLower(name)) {
				found = true
				if !slices.Contains(extras, x.name) {
					extras = append(extras, x.name)
				}
				break
			}
		}
		if wheel := nvidiaWheel(stem, gpu); !found && !slices.Contains(rest, wheel) {
			rest = append(rest, wheel)
		}
	}
	if len(extras) > 0 {
		return append([]string{w.Name + "[" + strings.Join(extras, ",") + "]"}, rest...)
	}
	return rest
}

// nvidiaWheel is the distribution that brings a library for the CUDA that a wheel is made for. From
// CUDA 13 on only cuDNN's name states it.
func nvidiaWheel(stem string, gpu convert.GPU) string {
	major, _, _ := strings.Cut(gpu.Release, ".")
	if len(gpu.Linked) == 1 {
		major = gpu.Linked[0]
	}
	if major == "" || stem != "cudnn" && len(major) == 2 && major >= "13" {
		return "nvidia-" + stem
	}
	return "nvidia-" + stem + "-cu" + major
}

// extra is one requirement that an extra of a wheel brings.
type extra struct{ name, requires string }

// extras are those of a wheel that bring libraries of CUDA; none, if its METADATA cannot be read.
func (g gpuNotes) extras(w lock.Wheel) (out []extra) {
	f, size, err := g.store.Open(w.SHA256)
	if err != nil {
		return nil
	}
	defer f.Close()
	opened, err := wheel.Open(f, size, w.File)
	if err != nil {
		return nil // one that the recipe accepts
	}
	for _, line := range opened.Metadata.RequiresDist {
		requires, marker, _ := strings.Cut(line, ";")
		if m := ofExtra.FindStringSubmatch(marker); m != nil && (strings.HasPrefix(requires, "nvidia-") || strings.HasPrefix(requires, "cuda-toolkit")) {
			out = append(out, extra{m[1], strings.ToLower(requires)})
		}
	}
	return out
}

// unstated says what it means that a wheel has to do with GPUs in an image without CUDA.
func (g gpuNotes) unstated(w lock.Wheel, gpu convert.GPU) string {
	note := gpu.Wheel + " has code for GPUs, and nothing in the image states a CUDA release"
	if len(gpu.Linked) > 1 {
		note = gpu.Wheel + " has code for CUDA " + strings.Join(gpu.Linked, ", ") + ", and none of them is in the image"
	}
	note += ": it is taken to run without a GPU, and no driver is checked at a start"
	if all := g.extras(w); len(all) > 0 {
		note += "; " + w.Name + "[" + all[0].name + "] brings CUDA's libraries"
	}
	return note
}
