package resolve

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"sort"
	"strings"
	"sync"

	"github.com/BurntSushi/toml"

	"github.com/forge-build/forge/builder/convert"
	"github.com/forge-build/forge/builder/fetch"
	"github.com/forge-build/forge/builder/wheel"
	"github.com/forge-build/forge/recipes"
	"github.com/forge-build/forge/recipes/cuda"
	"github.com/forge-build/forge/recipes/lock"
)

type UVError struct{ Reason string }

func (e *UVError) Error() string { return e.Reason }

type InputError struct{ Reason string }

func (e *InputError) Error() string { return e.Reason }

type Resolution struct {
	Wheels []lock.Wheel
	Python lock.Python
	Notes  []string
}

func uvPath(ctx context.Context, o Options) (string, error) {
	p := filepath.Join(o.Store.Dir(), "uv-0.13.9")
	if _, err := os.Stat(p); err == nil {
		return p, nil
	}
	dir, err := os.MkdirTemp("", "uv")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(dir)
	c := exec.CommandContext(ctx, "python3", "-m", "pip", "download", "-q", "--no-deps", "--only-binary", ":all:", "-d", dir, "uv==0.13.9")
	if b, err := c.CombinedOutput(); err != nil {
		return "", &UVError{fmt.Sprintf("finding uv: %s", b)}
	}
	m, _ := filepath.Glob(filepath.Join(dir, "*.whl"))
	z, err := zip.OpenReader(m[0])
	if err != nil {
		return "", err
	}
	defer z.Close()
	for _, f := range z.File {
		if strings.HasSuffix(f.Name, "/scripts/uv") {
			r, err := f.Open()
			if err != nil {
				return "", err
			}
			b := new(bytes.Buffer)
			if _, err := b.ReadFrom(r); err != nil {
				return "", err
			}
			return p, os.WriteFile(p, b.Bytes(), 0o755)
		}
	}
	return "", &UVError{"no uv in the wheel"}
}

func Python(ctx context.Context, im *recipes.Image, li, prev *lock.Image, o Options) (*Resolution, error) {
	uv, err := uvPath(ctx, o)
	if err != nil {
		return nil, err
	}
	o.Fetch.AskDefaultIndex = func(ctx context.Context) (string, error) {
		c := exec.CommandContext(ctx, uv, "pip", "compile", "--no-config", "--no-header", "--emit-index-url", "-")
		c.Stdin = strings.NewReader("")
		b, err := c.Output()
		if err != nil {
			return "", err
		}
		for _, l := range strings.Split(string(b), "\n") {
			if u, ok := strings.CutPrefix(l, "--index-url "); ok {
				return u, nil
			}
		}
		return "", fmt.Errorf("uv said %q", b)
	}
	root, err := o.Fetch.IndexURL(ctx, "default", im)
	if err != nil {
		return nil, err
	}
	p := &proxy{fetch: o.Fetch, root: root, pages: map[string]fetch.Page{}}
	url, stop, err := p.serve()
	if err != nil {
		return nil, err
	}
	defer stop()
	reqs := append([]string{}, im.Python.Requirements...)
	if im.PyTorch != nil {
		r := "torch"
		if im.PyTorch.Version != "" {
			r += "==" + im.PyTorch.Version
		}
		reqs = append(reqs, r)
	}
	plat := "x86_64-manylinux_2_40"
	if im.Platform == "linux/arm64" {
		plat = "aarch64-manylinux_2_40"
	}
	c := exec.CommandContext(ctx, uv, "pip", "compile", "--no-config", "--no-header", "--only-binary", ":all:", "--python-platform", plat, "--python-version", "3.13", "--format", "pylock.toml", "--default-index", url, "-")
	c.Stdin = strings.NewReader(strings.Join(reqs, "\n"))
	var stderr bytes.Buffer
	c.Stderr = &stderr
	b, err := c.Output()
	if err != nil {
		return nil, fmt.Errorf("uv: %s", stderr.String())
	}
	var py struct {
		Packages []struct {
			Name, Version string
			Wheels        []struct{ URL string }
		}
	}
	if err := toml.Unmarshal(b, &py); err != nil {
		return nil, err
	}
	res := &Resolution{Python: lock.Python{Version: "3.13", Interpreter: "/usr/bin/python3.13"}}
	for _, q := range py.Packages {
		var names []string
		for _, w := range q.Wheels {
			names = append(names, w.URL[strings.LastIndex(w.URL, "/")+1:])
		}
		sort.Strings(names)
		for _, f := range p.pages[q.Name].Files {
			if f.Name != names[len(names)-1] {
				continue
			}
			o.Progress("downloading " + f.Name)
			d, err := o.Fetch.Download(ctx, f, im.Python.Accepts)
			if err != nil {
				return nil, err
			}
			req := false
			for _, r := range reqs {
				if strings.HasPrefix(r, q.Name) {
					req = true
				}
			}
			res.Wheels = append(res.Wheels, lock.Wheel{Name: q.Name, Version: q.Version, File: f.Name, Index: "default", Size: d.Size, SHA256: d.SHA256, Requested: req, Notes: d.Notes})
		}
	}
	return res, nil
}

type proxy struct {
	fetch *fetch.Fetcher
	root  string
	mu    sync.Mutex
	pages map[string]fetch.Page
}

func (p *proxy) serve() (string, func(), error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, err
	}
	srv := &http.Server{Handler: p}
	go srv.Serve(l)
	return "http://" + l.Addr().String() + "/simple", func() { srv.Close() }, nil
}

func (p *proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	name := strings.Trim(strings.TrimPrefix(r.URL.Path, "/simple/"), "/")
	pg, err := p.fetch.Project(r.Context(), p.root, name)
	if err != nil {
		http.Error(w, err.Error(), 404)
		return
	}
	p.mu.Lock()
	p.pages[wheel.NormalizeName(name)] = pg
	p.mu.Unlock()
	files := []map[string]any{}
	for _, f := range pg.Files {
		if !strings.HasSuffix(f.Name, ".whl") {
			continue
		}
		m := map[string]any{"filename": f.Name, "url": f.URL, "hashes": map[string]string{"sha256": f.SHA256}, "yanked": f.Yanked}
		if f.RequiresPython != "" {
			m["requires-python"] = f.RequiresPython
		}
		if f.HasMetadata {
			m["core-metadata"] = map[string]string{"sha256": f.MetadataSHA256}
		}
		if f.Size > 0 {
			m["size"] = f.Size
		}
		files = append(files, m)
	}
	w.Header().Set("Content-Type", "application/vnd.pypi.simple.v1+json")
	json.NewEncoder(w).Encode(map[string]any{"meta": map[string]string{"api-version": "1.1"}, "name": name, "files": files})
}

func Base(ctx context.Context, im *recipes.Image, o Options) (*lock.Base, error) {
	return nil, fmt.Errorf("base images are not read")
}

func Derive(im *recipes.Image, li *lock.Image, made []convert.Made) (lock.Derived, error) {
	var d lock.Derived
	for _, m := range made {
		if m.CUDA != "" {
			d.CUDA, _ = cuda.Highest(append([]string{m.CUDA}, strings.Fields(d.CUDA)...)...)
		}
		if m.Torch != "" {
			d.Torch = m.Torch
		}
		d.Unpacked += m.Layer.Unpacked
	}
	for _, w := range li.Wheels {
		d.Compressed += w.Size
	}
	if d.CUDA == "" || im.PyTorch == nil {
		return d, nil
	}
	v, _ := cuda.MinimumDriver(d.CUDA)
	r, _ := cuda.Recommended(d.CUDA)
	d.Driver, d.Recommended = v.String(), r.String()
	if row, ok := cuda.Torch(im.PyTorch.Version, "", "amd64"); ok {
		for _, s := range row.SM {
			d.SM = append(d.SM, s.String())
		}
	}
	return d, nil
}
