package resolve

import (
	"archive/zip"
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/forge-build/forge/builder/fetch"
	"github.com/forge-build/forge/builder/wheel"
	"github.com/forge-build/forge/recipes"
	"github.com/forge-build/forge/recipes/cuda"
)

// index is the one index that uv sees.
type index struct {
	im     *recipes.Image
	o      Options
	secret string // first part of every path: other users of this host have no business here

	mu    sync.Mutex
	pages map[string]page   // by normalised name
	err   error             // the first that was not "no such project"
	told  map[string][]byte // wheel → the METADATA by which uv chose: its index's word
}

// page is what the bound index says about a name, wheels only.
type page struct {
	index  string // its name in the lock; empty: the recipe's own wheels
	cheap  bool   // METADATA can be had without the wheel
	files  map[string]fetch.PageFile
	sdists int
	source map[string]bool               // versions that have a source distribution and no wheel; true: yanked
	own    map[string]recipes.LocalWheel // by file name
}

func newIndex(im *recipes.Image, o Options) *index {
	return &index{im: im, o: o, secret: rand.Text(), pages: map[string]page{}, told: map[string][]byte{}}
}

// serve starts the server on a loopback port; stop ends it.
func (x *index) serve() (url string, stop func(), err error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, fmt.Errorf("serving the index: %w", err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /"+x.secret+"/simple/{name}/", x.project)
	mux.HandleFunc("GET /"+x.secret+"/files/{name}/{file}", x.file)
	s := &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = s.Serve(l) }() // it ends with Close
	return "http://" + l.Addr().String() + "/" + x.secret + "/simple", func() { _ = s.Close() }, nil
}

// torchFamily are the names that PyTorch's own index has for each CUDA variant.
var torchFamily = map[string]bool{"torch": true, "torchvision": true, "torchaudio": true, "triton": true, "pytorch-triton": true}

// bound names the index that a name comes from: there is one, also for names that only
// other distributions ask for.
func (x *index) bound(name string) (string, error) {
	var by []string
	for _, ix := range x.im.Python.Indexes {
		if ix.Serves(name) {
			by = append(by, ix.Name)
		}
	}
	if v := x.variant(name); v != "" {
		by = append(by, v)
	}
	switch len(by) {
	case 0:
		return "default", nil
	case 1:
		return by[0], nil
	}
	return "", &InputError{fmt.Sprintf("%s would come from the indexes %s: a name has one place; narrow packages of an index block", name, strings.Join(by, " and "))}
}

// variant is PyTorch's own index for the recipe's CUDA, where the default index has another.
func (x *index) variant(name string) string {
	p := x.im.PyTorch
	if p == nil || p.CUDA == "" || !torchFamily[name] {
		return ""
	}
	if row, ok := cuda.Torch(p.Version, "", x.im.Platform); ok && row.CUDA == p.CUDA {
		return ""
	}
	if p.CUDA == "cpu" {
		return "pytorch-cpu"
	}
	return "pytorch-cu" + strings.ReplaceAll(p.CUDA, ".", "")
}

// ownPage lists the recipe's own wheels of a name.
func (x *index) ownPage(name string) (page, bool) {
	p := page{files: map[string]fetch.PageFile{}, own: map[string]recipes.LocalWheel{}}
	for _, w := range x.im.Python.Wheels {
		if w.Distribution() == name {
			p.files[w.File()] = fetch.PageFile{Name: w.File(), SHA256: w.SHA256, Size: -1}
			p.own[w.File()] = w
		}
	}
	return p, len(p.own) > 0
}

// page asks the bound index once for each name.
func (x *index) page(ctx context.Context, name string) (page, error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if p, ok := x.pages[name]; ok || x.err != nil {
		return p, x.err // after a failure nothing that is asked matters any more
	}
	if p, ok := x.ownPage(name); ok {
		x.pages[name] = p
		return p, nil
	}
	from, err := x.bound(name)
	if err != nil {
		return page{}, err
	}
	p := page{index: from, files: map[string]fetch.PageFile{}}
	url, err := x.o.Fetch.IndexURL(ctx, p.index, x.im)
	if err != nil {
		return p, err
	}
	found, err := x.o.Fetch.Project(ctx, url, name)
	if err != nil {
		return p, err
	}
	for _, f := range found.Files {
		switch {
		case !strings.HasSuffix(f.Name, ".whl"):
			p.sdists++
		case !x.o.AsOf.IsZero() && (f.Uploaded.IsZero() || f.Uploaded.After(x.o.AsOf)):
		default:
			p.files[f.Name] = f
		}
	}
	p.source = unbuilt(name, found.Files)
	p.cheap = x.cheap(ctx, p)
	x.pages[name] = p
	return p, nil
}

// cheap says whether the METADATA of a page's wheels can be had without the wheels: from
// beside them, or from servers that send parts of them. uv looks ahead at dozens of versions
// where that is so.
func (x *index) cheap(ctx context.Context, p page) bool {
	for _, f := range p.files {
		if !f.HasMetadata && !x.o.Fetch.Partial(ctx, f) {
			return false
		}
	}
	return true
}

// unbuilt lists the versions of source distributions, and whether they are yanked.
func unbuilt(name string, files []fetch.PageFile) map[string]bool {
	out := map[string]bool{}
	for _, f := range files {
		stem, ok := strings.CutSuffix(f.Name, ".tar.gz")
		if !ok {
			stem, ok = strings.CutSuffix(f.Name, ".zip")
		}
		if i := strings.LastIndexByte(stem, '-'); ok && i > 0 && wheel.NormalizeName(stem[:i]) == name {
			out[stem[i+1:]] = f.Yanked
		}
	}
	for _, f := range files {
		if w, err := wheel.ParseFileName(f.Name); err == nil {
			delete(out, w.Version)
		}
	}
	return out
}

// fail keeps the first failure. That an index lacks a project is none, nor is what uv itself
// broke off. uv is told that there is no such thing: anything else it would ask for again.
func (x *index) fail(w http.ResponseWriter, r *http.Request, err error) {
	var gone *fetch.GoneError
	if !errors.As(err, &gone) && r.Context().Err() == nil {
		x.mu.Lock()
		if x.err == nil {
			x.err = err
		}
		x.mu.Unlock()
	}
	http.NotFound(w, r)
}

// failure is the first failure of what uv has asked for.
func (x *index) failure() error {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.err
}

// project answers a project's page (PEP 691).
func (x *index) project(w http.ResponseWriter, r *http.Request) {
	name := wheel.NormalizeName(r.PathValue("name"))
	p, err := x.page(r.Context(), name)
	if err != nil {
		x.fail(w, r, err)
		return
	}
	files := []map[string]any{}
	for _, f := range p.files {
		m := map[string]any{"filename": f.Name, "url": "../../files/" + name + "/" + f.Name, "hashes": map[string]string{}, "yanked": f.Yanked}
		if f.RequiresPython != "" {
			m["requires-python"] = f.RequiresPython
		}
		if f.HasMetadata || p.cheap {
			m["core-metadata"] = true
		}
		if f.Size >= 0 {
			m["size"] = f.Size
		}
		files = append(files, m)
	}
	w.Header().Set("Content-Type", "application/vnd.pypi.simple.v1+json")
	_ = json.NewEncoder(w).Encode(map[string]any{"meta": map[string]string{"api-version": "1.1"}, "name": name, "files": files}) // uv sees a cut answer
}

// file answers a wheel's metadata (PEP 658), or a wheel that holds nothing else: uv reads no
// archive that a stranger has made, and chooses also between wheels that forge would refuse.
// The chosen ones are judged whole.
func (x *index) file(w http.ResponseWriter, r *http.Request) {
	name, file := r.PathValue("name"), r.PathValue("file")
	p, err := x.page(r.Context(), name)
	if err != nil {
		x.fail(w, r, err)
		return
	}
	file, beside := strings.CutSuffix(file, ".metadata")
	if _, ok := p.files[file]; !ok {
		http.NotFound(w, r)
		return
	}
	if r.Method == http.MethodHead {
		return // no length and no ranges: uv asks for the whole, once it wants it
	}
	b, err := x.metadata(r.Context(), p, file)
	if err != nil {
		x.fail(w, r, err)
		return
	}
	x.mu.Lock()
	x.told[file] = b
	x.mu.Unlock()
	if !beside {
		b = hollow(file, b)
	}
	_, _ = w.Write(b) // uv sees a cut answer
}

// metadata is the METADATA of a file of a page: from beside it, from within it where it lies,
// or from within it when it has been downloaded.
func (x *index) metadata(ctx context.Context, p page, file string) ([]byte, error) {
	f, own := p.files[file], p.own != nil
	var gone *fetch.GoneError
	if f.HasMetadata {
		if b, err := x.o.Fetch.Metadata(ctx, f); err == nil || !errors.As(err, &gone) {
			return b, err
		}
	}
	var b []byte
	look := func(r io.ReaderAt, size int64) (err error) {
		b, err = wheel.ReadMetadata(r, size, file)
		return err
	}
	if !own {
		if err := x.o.Fetch.Peek(ctx, f, look); !errors.Is(err, fetch.ErrWhole) {
			return b, x.unread(err, p, file)
		}
	}
	d, err := x.download(ctx, p, file)
	if err != nil {
		return nil, err
	}
	held, err := os.Open(d.Path)
	if err != nil {
		return nil, err
	}
	defer held.Close()
	return b, x.unread(look(held, d.Size), p, file)
}

// unread is a RefusedError where METADATA cannot be read.
func (x *index) unread(err error, p page, file string) error {
	var e *wheel.Error
	if !errors.As(err, &e) {
		return err
	}
	f, bad := wheel.ParseFileName(file)
	if bad != nil {
		return err
	}
	return &RefusedError{Name: wheel.NormalizeName(f.Name), Version: strings.ReplaceAll(f.Version, "_", "-"), File: file, Err: e}
}

// hollow is a wheel of nothing but METADATA.
func hollow(file string, metadata []byte) []byte {
	f, _ := wheel.ParseFileName(file) // uv asked for it by its name and version
	var out bytes.Buffer
	z := zip.NewWriter(&out)
	h := &zip.FileHeader{Name: f.Name + "-" + f.Version + ".dist-info/METADATA", Method: zip.Store, CRC32: crc32.ChecksumIEEE(metadata),
		CompressedSize64: uint64(len(metadata)), UncompressedSize64: uint64(len(metadata))}
	if w, err := z.CreateRaw(h); err == nil {
		_, _ = w.Write(metadata) // a buffer takes all
	}
	_ = z.Close() // into a buffer
	return out.Bytes()
}

// download brings a file of a page into the store.
func (x *index) download(ctx context.Context, p page, file string) (fetch.Downloaded, error) {
	own, ok := p.own[file]
	switch {
	case !ok:
		return x.o.Fetch.Download(ctx, p.files[file], x.im.Python.Accepts)
	case own.Remote():
		return x.o.Fetch.DownloadURL(ctx, own.Source, own.SHA256)
	}
	return x.o.Fetch.Local(x.o.Dir, own.Source, own.SHA256)
}
