package builder

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"sort"
	"strconv"
	"strings"

	"github.com/containerd/containerd/v2/core/content"
	"github.com/moby/buildkit/client"
	"github.com/moby/buildkit/client/llb"
	ocispecs "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/forge-build/forge/builder/convert"
	"github.com/forge-build/forge/builder/layer"
	"github.com/forge-build/forge/recipes/lock"
)

// step is something that BuildKit executes and whose files come back.
type step struct {
	name     string
	platform string
	words    []string // of the recipe that need it
	images   []*image // in the store, that result refers to
	result   llb.State
	limit    int64 // bytes that may come back
}

// results gathers folders "/out" of states into one: /0, /1 and so on.
func results(outs ...llb.State) llb.State {
	all := llb.Scratch()
	for i, out := range outs {
		all = all.File(llb.Copy(out, "/out", "/"+strconv.Itoa(i), &llb.CopyInfo{CopyDirContentsOnly: true, CreateDestPath: true}), llb.WithCustomName("take the results"))
	}
	return all
}

// harvest is what a step has made: files of a stranger, until they are judged.
type harvest struct {
	file    *os.File // the tar; it has no name, so that it vanishes with its process
	entries []harvested
}

type harvested struct {
	path   string // "0/a/b": the number of the result, then the path in it
	typ    layer.Type
	exec   bool
	size   int64
	offset int64 // of the content in the tar
	link   string
}

// Close lets go of the files.
func (h *harvest) Close() { _ = h.file.Close() } // only read

// harvest executes a step and returns its files, sorted by path.
func (b *Builder) harvest(ctx context.Context, s step) (_ *harvest, err error) {
	w, err := b.workerFor(ctx, s.platform, s.words)
	if err != nil {
		return nil, err
	}
	for _, im := range s.images {
		if err := b.lend(w, im.layers); err != nil {
			return nil, err
		}
	}
	images, err := b.images()
	if err != nil {
		return nil, err
	}
	def, err := s.result.Marshal(ctx, llb.Platform(ocispecs.Platform{OS: "linux", Architecture: strings.TrimPrefix(s.platform, "linux/")}))
	if err != nil {
		return nil, fmt.Errorf("planning %s: %w", s.name, err)
	}
	f, err := os.CreateTemp(b.Store.Dir(), ".results-")
	if err != nil {
		return nil, fmt.Errorf("taking results: %w", err)
	}
	h := &harvest{file: f}
	defer func() {
		if err != nil {
			h.Close()
		}
	}()
	if err := os.Remove(f.Name()); err != nil {
		return nil, fmt.Errorf("taking results: %w", err)
	}
	export := client.ExportEntry{Type: client.ExporterTar, Output: func(map[string]string) (io.WriteCloser, error) { return &bounded{f, s.limit}, nil }}
	if err := b.solve(ctx, w, def, client.SolveOpt{OCIStores: map[string]content.Store{"forge": images}, Exports: []client.ExportEntry{export}}); err != nil {
		return nil, err
	}
	return h, h.read()
}

// bounded refuses to write more than was agreed. Its file stays open.
type bounded struct {
	f    *os.File
	left int64
}

func (b *bounded) Write(p []byte) (int, error) {
	if b.left -= int64(len(p)); b.left < 0 {
		return 0, errors.New("taking results: they are larger than forge takes")
	}
	return b.f.Write(p)
}

func (b *bounded) Close() error { return nil }

// maxResults bounds the number of files.
const maxResults = 1_000_000

// read finds the entries of the tar.
func (h *harvest) read() error {
	if _, err := h.file.Seek(0, io.SeekStart); err != nil {
		return fmt.Errorf("reading results: %w", err)
	}
	in := &position{r: h.file}
	t := tar.NewReader(in)
	for {
		head, err := t.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return fmt.Errorf("reading results: %w", err)
		}
		e, err := newHarvested(head, in.n)
		if err != nil {
			return err
		}
		if h.entries = append(h.entries, e); len(h.entries) > maxResults {
			return fmt.Errorf("reading results: more than %d files", maxResults)
		}
	}
	sort.Slice(h.entries, func(i, j int) bool { return h.entries[i].path < h.entries[j].path })
	return h.follow()
}

func newHarvested(head *tar.Header, offset int64) (harvested, error) {
	e := harvested{path: path.Clean(strings.TrimPrefix(head.Name, "/")), size: head.Size, offset: offset, exec: head.Mode&0o111 != 0, link: head.Linkname}
	switch head.Typeflag {
	case tar.TypeReg:
		e.typ = layer.Regular
	case tar.TypeDir:
		e.typ, e.size = layer.Dir, 0
	case tar.TypeSymlink:
		e.typ, e.size = layer.Symlink, 0
	case tar.TypeLink:
		e.typ, e.link = layer.Hardlink, path.Clean(strings.TrimPrefix(head.Linkname, "/"))
	default:
		return e, fmt.Errorf("the step made %+q, which is neither file, folder nor link", head.Name)
	}
	return e, nil
}

// follow makes hard links files of their own, so that order says nothing.
func (h *harvest) follow() error {
	byPath := map[string]harvested{}
	for _, e := range h.entries {
		byPath[e.path] = e
	}
	for i, e := range h.entries {
		if e.typ != layer.Hardlink {
			continue
		}
		to, ok := byPath[e.link]
		if !ok || to.typ != layer.Regular {
			return fmt.Errorf("the step made a hard link %+q to %+q, which is no file of its", e.path, e.link)
		}
		to.path = e.path
		h.entries[i] = to
	}
	return nil
}

// position counts what was read.
type position struct {
	r io.Reader
	n int64
}

func (p *position) Read(b []byte) (int, error) {
	n, err := p.r.Read(b)
	p.n += int64(n)
	return n, err
}

// keep writes a layer in some codecs into the store, with its index.
func (b *Builder) keep(made *convert.Made, codecs []layer.Codec, write func(w *layer.Writer) error) error {
	outs := map[layer.Codec]io.Writer{}
	pending := map[layer.Codec]interface{ Commit(string) (string, error) }{}
	for _, c := range codecs {
		p, err := b.Store.Create()
		if err != nil {
			return err
		}
		defer p.Abort() // nothing after Commit
		outs[c], pending[c] = p, p
	}
	w, err := layer.NewWriter(outs)
	if err != nil {
		return err
	}
	if err := write(w); err != nil {
		return err
	}
	res, err := w.Close()
	if err != nil {
		return err
	}
	made.Layer.DiffID, made.Layer.Unpacked, made.Layer.Blobs = res.DiffID, res.Unpacked, map[string]lock.Blob{}
	for _, c := range codecs {
		blob := res.Blobs[c]
		if _, err := pending[c].Commit(strings.TrimPrefix(blob.Digest, "sha256:")); err != nil {
			return err
		}
		made.Layer.Blobs[string(c)] = lock.Blob{Digest: blob.Digest, Size: blob.Size}
	}
	made.Index, err = putIndex(b.Store, res.Index)
	return err
}

// held says whether the store still has what keep has written.
func (b *Builder) held(made *convert.Made) (bool, error) {
	for _, blob := range made.Layer.Blobs {
		if size, ok, err := b.Store.Stat(strings.TrimPrefix(blob.Digest, "sha256:")); err != nil || !ok || size != blob.Size {
			return false, err
		}
	}
	_, ok, err := b.Store.Stat(made.Index)
	return ok, err
}
