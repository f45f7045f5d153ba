package builder

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"path"
	"strconv"
	"strings"

	"github.com/moby/buildkit/client/llb"

	"github.com/forge-build/forge/builder/convert"
	"github.com/forge-build/forge/builder/layer"
	"github.com/forge-build/forge/recipes"
	"github.com/forge-build/forge/recipes/lock"
)

// maxRun bounds what one run may make, in bytes.
const maxRun = 16 << 30

// RunError is a run of the recipe that has failed.
type RunError struct {
	Image, Name string
	Err         error
}

func (e *RunError) Error() string {
	return fmt.Sprintf("run %q of image %q: %v", e.Name, e.Image, e.Err)
}

func (e *RunError) Unwrap() error { return e.Err }

// run executes a run of the recipe on a throw-away root made of layers, as the image's user
// and without network, and makes a layer of what it left in its output folders: owned by
// root, 0644 or 0755, without times. What the same root and command gave before is taken.
func (b *Builder) run(ctx context.Context, p *Plan, r *recipes.Run, layers []lock.Layer) (lock.Layer, error) {
	root, err := b.root(p, layers)
	if err != nil {
		return lock.Layer{}, err
	}
	key := sumOf([]byte(fmt.Sprintf("%s %q %q %q %s", digests(root), p.Config.Config.User, p.Config.Config.Env, p.Config.Config.WorkingDir, runKey(r))))
	made, err := b.ran(key)
	if err != nil {
		return lock.Layer{}, err
	}
	if made != nil {
		return made.Layer, noteIndex(b.Store, made.Layer, made.Index)
	}
	h, err := b.harvest(ctx, step{name: "run", platform: p.Image.Platform, words: []string{fmt.Sprintf("run %q", r.Name)},
		images: root, result: runLLB(p, digests(root), r), limit: maxRun})
	if err != nil {
		return lock.Layer{}, &RunError{p.Image.Name, r.Name, err}
	}
	defer h.Close()
	made = &convert.Made{Layer: lock.Layer{Kind: "run", Name: "run " + r.Name}}
	if err := b.keep(made, []layer.Codec{b.codec(p)}, func(w *layer.Writer) error { return writeOutput(w, h, r) }); err != nil {
		return lock.Layer{}, &RunError{p.Image.Name, r.Name, err}
	}
	text, err := json.Marshal(made)
	if err != nil {
		return lock.Layer{}, fmt.Errorf("internal error: %w", err)
	}
	if err := b.Store.PutFact("run", key, text); err != nil {
		return lock.Layer{}, err
	}
	if err := noteIndex(b.Store, made.Layer, made.Index); err != nil {
		return lock.Layer{}, err
	}
	return made.Layer, b.Store.PutFact("run-once", runKey(r), nil)
}

// runKey names what a run says.
func runKey(r *recipes.Run) string {
	return sumOf([]byte(fmt.Sprintf("%q %q %q", r.Command, r.Output, list(r.Env))))
}

// ran returns what a run has made before; nil when the store does not have it.
func (b *Builder) ran(key string) (*convert.Made, error) {
	text, ok, err := b.Store.Fact("run", key)
	if err != nil || !ok {
		return nil, err
	}
	made := &convert.Made{}
	if json.Unmarshal(text, made) != nil {
		return nil, nil // not written by this version
	}
	if ok, err := b.held(made); !ok || err != nil {
		return nil, err
	}
	return made, nil
}

// runLLB is the whole step: layers by digest, one command in them, and a folder of the
// user's for each output.
func runLLB(p *Plan, root []string, r *recipes.Run) llb.State {
	uid := p.Image.User.UID
	opts := append(inImage(p, r.Env), llb.Args(r.Command), llb.WithCustomName("run "+r.Name))
	run := p.merged(root).Run(opts...)
	var outs []llb.State
	for _, o := range r.Output {
		empty := llb.Scratch().File(llb.Mkdir("/out", 0o755, llb.WithUIDGID(uid, uid)))
		outs = append(outs, run.AddMount(o, empty, llb.SourcePath("/out")))
	}
	return results(outs...)
}

// writeOutput writes the files of the output folders.
func writeOutput(w *layer.Writer, h *harvest, r *recipes.Run) error {
	filled := make([]bool, len(r.Output))
	for _, e := range h.entries {
		number, rest, _ := strings.Cut(e.path, "/")
		n, err := strconv.Atoi(number)
		if err != nil || n < 0 || n >= len(r.Output) {
			continue // the root of the tar
		}
		filled[n] = filled[n] || rest != ""
		header := layer.Header{Path: strings.TrimPrefix(path.Join(r.Output[n], rest), "/"), Type: e.typ, Mode: 0o644, Size: e.size, Link: e.link, Owner: "recipe"}
		var content io.Reader
		switch {
		case e.typ == layer.Regular:
			content = io.NewSectionReader(h.file, e.offset, e.size)
			header.Link = ""
			if e.exec {
				header.Mode = 0o755
			}
		case e.typ == layer.Dir:
			header.Mode, header.Link = 0o755, ""
		default:
			header.Mode = 0o777
		}
		if err := w.Add(header, content, nil); err != nil {
			return err
		}
	}
	for i, full := range filled {
		if !full {
			return fmt.Errorf("its output %q is empty: the command left nothing there", r.Output[i])
		}
	}
	return nil
}
