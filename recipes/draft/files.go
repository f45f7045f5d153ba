package draft

import (
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"github.com/forge-build/forge/recipes/requirements"
)

// Index is a further index, and the names that come from it.
type Index struct {
	Name, URL string
	Packages  []string
}

// LockFile takes a file that forge itself reads (uv.lock, pylock.toml, pyproject.toml, a
// requirements.txt with hashes): the recipe names it, and what it pins stays there.
func (d *Draft) LockFile(files fs.FS, name string) error {
	raw, err := fs.ReadFile(files, name)
	if err != nil {
		return fmt.Errorf("reading requirements: %w", err)
	}
	set, err := requirements.Read(name, raw)
	if err != nil {
		return err
	}
	d.take(name, set)
	return nil
}

func (d *Draft) take(name string, set *requirements.Set) {
	if !slices.Contains(d.Files, name) {
		d.Files = append(d.Files, name)
	}
	for _, line := range slices.Concat(set.Lines, set.Constraints) {
		m := requirement.FindStringSubmatch(line)
		if m == nil {
			continue
		}
		switch requirements.Normalize(m[1]) {
		case "torch":
			d.torch(strings.TrimSpace(m[3]))
		case "torchvision", "torchaudio":
			d.WantsTorch = true
		}
	}
	for _, ix := range set.Indexes {
		if torchIndex.MatchString(ix.URL) {
			d.label(torchIndex.FindStringSubmatch(ix.URL)[1])
			continue // the pytorch block says the same
		}
		at := imageName(ix.Name)
		if at == "default" || strings.HasPrefix(at, "pytorch") {
			at = "index-" + at // those names are forge's own
		}
		d.Indexes = append(d.Indexes, Index{at, withoutPassword(ix.URL), ix.Packages})
	}
}

// torch takes what a file says of torch's version; the file itself holds it too.
func (d *Draft) torch(versions string) {
	d.WantsTorch = true
	pin, local, _ := strings.Cut(versions, "+")
	d.label(local)
	if m := exactTorch.FindStringSubmatch(pin); m != nil {
		d.Torch = m[1]
	}
}
