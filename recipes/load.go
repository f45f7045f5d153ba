package recipes

import (
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strconv"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/gohcl"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/hashicorp/hcl/v2/hclwrite"
	"github.com/zclconf/go-cty/cty"
	"io"

	"github.com/forge-build/forge/recipes/cuda"
)

type Options struct {
	Vars map[string]string
	Env  func(string) (string, bool)
}
type File struct {
	Path, Dir string
	Images    []*Image
}
type Diagnostics struct {
	diags hcl.Diagnostics
	files map[string]*hcl.File
}

func (d *Diagnostics) Error() string { return d.diags.Error() }
func (d *Diagnostics) JSON() any {
	var out []map[string]any
	for _, x := range d.diags {
		out = append(out, map[string]any{"summary": x.Summary, "detail": x.Detail})
	}
	return out
}
func (d *Diagnostics) Text(w io.Writer, width int, color bool) error {
	return hcl.NewDiagnosticTextWriter(w, d.files, uint(width), color).WriteDiagnostics(d.diags)
}

type hclFile struct {
	Images []*hclImage `hcl:"image,block"`
	Locals []struct {
		Body hcl.Body `hcl:",remain"`
	} `hcl:"locals,block"`
	Remain hcl.Body `hcl:",remain"`
}
type hclImage struct {
	Name       string            `hcl:"name,label"`
	Platform   string            `hcl:"platform,optional"`
	Workdir    string            `hcl:"workdir,optional"`
	Entrypoint []string          `hcl:"entrypoint,optional"`
	Command    []string          `hcl:"command,optional"`
	Env        map[string]string `hcl:"env,optional"`
	Writable   []string          `hcl:"writable,optional"`
	PyTorch    *struct {
		Version string   `hcl:"version,optional"`
		CUDA    string   `hcl:"cuda,optional"`
		GPUs    []string `hcl:"gpus,optional"`
		Driver  string   `hcl:"driver,optional"`
	} `hcl:"pytorch,block"`
	Python *struct {
		Version      string   `hcl:"version,optional"`
		Requirements []string `hcl:"requirements,optional"`
		Bytecode     bool     `hcl:"bytecode,optional"`
	} `hcl:"python,block"`
	Slim *struct {
		Drop  []string `hcl:"drop,optional"`
		Keep  []string `hcl:"keep,optional"`
		Codec string   `hcl:"codec,optional"`
	} `hcl:"slim,block"`
	Copies []struct {
		From string `hcl:"from,label"`
		To   string `hcl:"to"`
	} `hcl:"copy,block"`
	Tests []struct {
		Name    string   `hcl:"name,label"`
		Command []string `hcl:"command"`
	} `hcl:"test,block"`
}

func Load(path string, o Options) (*File, error) {
	src, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	f, diags := hclsyntax.ParseConfig(src, path, hcl.InitialPos)
	fail := func() error { return &Diagnostics{diags, map[string]*hcl.File{path: f}} }
	if diags.HasErrors() {
		return nil, fail()
	}
	locals := map[string]cty.Value{}
	for _, b := range f.Body.(*hclsyntax.Body).Blocks {
		if b.Type == "locals" {
			for n, a := range b.Body.Attributes {
				v, d := a.Expr.Value(nil)
				diags = append(diags, d...)
				locals[n] = v
			}
		}
	}
	ctx := &hcl.EvalContext{Variables: map[string]cty.Value{"local": cty.ObjectVal(locals)}}
	var h hclFile
	diags = append(diags, gohcl.DecodeBody(f.Body, ctx, &h)...)
	if diags.HasErrors() {
		return nil, fail()
	}
	out := &File{Path: path, Dir: filepath.Dir(path)}
	for _, x := range h.Images {
		im := &Image{Name: x.Name, Platform: x.Platform, Workdir: x.Workdir, Entrypoint: x.Entrypoint, Command: x.Command, Env: x.Env, Writable: x.Writable}
		if im.Platform == "" {
			im.Platform = "linux/amd64"
		}
		if im.Writable == nil {
			im.Writable = []string{"/cache"}
		}
		if x.PyTorch != nil {
			p := &PyTorch{Version: x.PyTorch.Version, CUDA: x.PyTorch.CUDA, Driver: strings.TrimSpace(strings.TrimPrefix(x.PyTorch.Driver, ">="))}
			for _, g := range x.PyTorch.GPUs {
				c, err := cuda.ParseGPU(g)
				if err != nil {
					return nil, err
				}
				p.GPUs = append(p.GPUs, c.String())
			}
			sort.Strings(p.GPUs)
			im.PyTorch = p
		}
		if x.Python != nil {
			im.Python = Python{Version: x.Python.Version, Requirements: x.Python.Requirements, Bytecode: x.Python.Bytecode}
		}
		im.Debian = &Debian{Suite: "trixie"}
		im.User = User{Name: "forge", UID: 1001, Groups: []string{"render", "video"}}
		im.Start = Start{"stop", "stop", "stop", "stop", "stop"}
		im.Slim = Slim{Codec: "zstd"}
		if x.Slim != nil {
			im.Slim.Drop, im.Slim.Keep = x.Slim.Drop, x.Slim.Keep
			if x.Slim.Codec != "" {
				im.Slim.Codec = x.Slim.Codec
			}
		}
		for _, c := range x.Copies {
			im.Copies = append(im.Copies, Copy{c.From, c.To})
		}
		for _, t := range x.Tests {
			im.Tests = append(im.Tests, Test{Name: t.Name, Command: t.Command})
		}
		out.Images = append(out.Images, im)
	}
	return out, nil
}

func (im *Image) Inputs() map[string]string {
	m := map[string]string{"platform": im.Platform, "python.version": im.Python.Version, "python.requirements": strings.Join(im.Python.Requirements, "\n"),
		"python.bytecode": strconv.FormatBool(im.Python.Bytecode), "slim": fmt.Sprint(im.Slim), "base": fmt.Sprint(*im.Debian)}
	if im.PyTorch != nil {
		m["pytorch"] = fmt.Sprint(*im.PyTorch)
	}
	return m
}

func Format(name string, src []byte) ([]byte, error) { return hclwrite.Format(src), nil }
