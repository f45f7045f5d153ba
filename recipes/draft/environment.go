package draft

import (
	"fmt"
	"io/fs"
	"path"
	"sort"
	"strings"

	"go.yaml.in/yaml/v3"
)

// EnvironmentFile reads a conda environment.yml: its pip part, its Python, torch and
// CUDA, its variables, and a note that names the other conda packages.
func (d *Draft) EnvironmentFile(files fs.FS, name string) error {
	raw, err := fs.ReadFile(files, name)
	if err != nil {
		return fmt.Errorf("reading the environment: %w", err)
	}
	var env struct {
		Name         string            `yaml:"name"`
		Dependencies []any             `yaml:"dependencies"`
		Variables    map[string]string `yaml:"variables"`
	}
	if err := yaml.Unmarshal(raw, &env); err != nil {
		return fmt.Errorf("reading the environment: %w", err)
	}
	if env.Name != "" {
		d.Name = imageName(env.Name)
	}
	var others []string
	for _, dep := range env.Dependencies {
		switch dep := dep.(type) {
		case string:
			if !d.conda(dep) {
				others = append(others, dep)
			}
		case map[string]any:
			lines, _ := dep["pip"].([]any)
			for _, line := range lines {
				d.lines(files, path.Dir(name), fmt.Sprint(line), map[string]bool{})
			}
		}
	}
	if len(others) > 0 {
		d.note("conda packages are not carried over (ask for their wheels under requirements, or for Debian's under packages): %s", strings.Join(others, ", "))
	}
	names := make([]string, 0, len(env.Variables))
	for k := range env.Variables {
		names = append(names, k)
	}
	sort.Strings(names)
	for _, k := range names {
		d.setEnv(k, env.Variables[k])
	}
	return nil
}

// conda takes one conda package, "channel::name=version=build", when it means the same
// to forge.
func (d *Draft) conda(item string) bool {
	if _, rest, ok := strings.Cut(item, "::"); ok {
		item = rest
	}
	i := strings.IndexAny(item, "=<>!~ ")
	name, version := item, ""
	if i >= 0 {
		name, version = item[:i], strings.TrimSpace(item[i:])
	}
	exact := strings.SplitN(strings.TrimLeft(version, "= "), "=", 2)[0]
	if strings.ContainsAny(exact, "<>!~,*|") {
		exact = ""
	}
	switch strings.ToLower(name) {
	case "pip", "setuptools", "wheel", "ca-certificates", "openssl":
	case "python":
		d.python(version)
	case "pytorch", "pytorch-gpu", "torch":
		d.WantsTorch = true
		if strings.Count(exact, ".") >= 1 {
			d.Torch = exact
		}
	case "torchvision", "torchaudio":
		d.WantsTorch = true
		if strings.Count(exact, ".") >= 2 {
			name += "==" + exact
		}
		d.require(name)
	case "pytorch-cuda", "cuda-version", "cudatoolkit", "cuda-toolkit":
		if parts := strings.Split(exact, "."); len(parts) >= 2 {
			d.baseCUDA = parts[0] + "." + parts[1]
		}
	case "cpuonly", "pytorch-cpu":
		d.CUDA = "cpu"
	default:
		return false
	}
	return true
}
