package builder

import (
	"cmp"
	"fmt"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/forge-build/forge/builder/layer"
)

// Document is a plan for programs.
type Document struct {
	Image    string          `json:"image"`
	Platform string          `json:"platform"`
	Created  string          `json:"created"`
	Layers   []DocumentLayer `json:"layers"`
	Config   v1.Config       `json:"config"`
	Tests    []string        `json:"tests,omitempty"`
	Slim     []RemovedByRule `json:"slim,omitempty"`  // what its rules leave out, where that is known
	Steps    string          `json:"steps,omitempty"` // digest of the LLB of runs and tests, the layers' digests left open
}

// DocumentLayer is one layer of a Document; what depends on the recipe's files has no digest
// before the build.
type DocumentLayer struct {
	Kind     string `json:"kind"`
	Name     string `json:"name"`
	Digest   string `json:"digest,omitempty"` // in the codec of the recipe
	Size     int64  `json:"size,omitempty"`
	DiffID   string `json:"diffID,omitempty"`
	Unpacked int64  `json:"unpacked,omitempty"`
	Contents string `json:"contents,omitempty"`
}

// Document returns the plan for programs.
func (p *Plan) Document() Document {
	d := Document{Image: p.Image.Name, Platform: p.Image.Platform, Created: p.Lock.Created, Config: p.Config.Config, Steps: p.Steps}
	for _, l := range p.Layers {
		x := DocumentLayer{Kind: l.Kind, Name: l.Name, Contents: p.comment(l)}
		if l.Lock != nil {
			b := l.Lock.Blobs[string(codecOf(*l.Lock, layer.Codec(p.Image.Slim.Codec)))]
			x.Digest, x.Size, x.DiffID, x.Unpacked = b.Digest, b.Size, l.Lock.DiffID, l.Lock.Unpacked
		}
		d.Layers = append(d.Layers, x)
	}
	for _, t := range p.Image.Tests {
		d.Tests = append(d.Tests, t.Name)
	}
	return d
}

// Text returns the plan for people.
func (p *Plan) Text() string {
	var b strings.Builder
	d := p.Document()
	fmt.Fprintf(&b, "image %s (%s), created %s\n", d.Image, d.Platform, d.Created)
	if f := p.Lock.Derived; f.CUDA != "" {
		fmt.Fprintf(&b, "  CUDA %s, driver %s or newer (recommended %s), SM %s\n", f.CUDA, f.Driver, f.Recommended, cmp.Or(strings.Join(f.SM, " "), "unknown"))
	}
	if base := p.Lock.Base; base != nil {
		fmt.Fprintf(&b, "  base %s: %s, Python %s, %s\n", base.Reference, base.System, p.Lock.Python.Full, base.Libc)
		if len(base.Removed) > 0 {
			fmt.Fprintf(&b, "  removed of the base: %s\n", strings.Join(base.Removed, ", "))
		}
	}
	for i, l := range d.Layers {
		size := "made by the build"
		if l.Digest != "" {
			size = fmt.Sprintf("%7.1f MB  %s", float64(l.Size)/1e6, l.Digest[:19])
		}
		fmt.Fprintf(&b, "  %2d  %-9s %-36s %s\n", i+1, l.Kind, l.Name, size)
	}
	fmt.Fprintf(&b, "  user %s, entrypoint %s, command %s\n", d.Config.User, strings.Join(d.Config.Entrypoint, " "), strings.Join(d.Config.Cmd, " "))
	for _, t := range p.Image.Tests {
		fmt.Fprintf(&b, "  test %q: %s\n", t.Name, strings.Join(t.Command, " "))
	}
	if p.Steps != "" {
		fmt.Fprintf(&b, "  steps' LLB, with the layers' digests left open: %s\n", p.Steps)
	}
	return strings.TrimSuffix(b.String(), "\n")
}
