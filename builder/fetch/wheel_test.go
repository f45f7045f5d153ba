package fetch

import (
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/forge-build/forge/builder/store"
	"github.com/forge-build/forge/recipes"
	"github.com/forge-build/forge/recipes/lock"
)

// ranged serves content the right way, with an ETag.
func ranged(content, tag string) http.HandlerFunc {
	return func(rw http.ResponseWriter, r *http.Request) {
		rw.Header().Set("ETag", tag)
		http.ServeContent(rw, r, "", time.Time{}, strings.NewReader(content))
	}
}

// leave puts the first n bytes of a file into the store, as an interrupted process would.
func (w *world) leave(key, content, validator string) {
	w.Helper()
	p, err := w.st.Partial(key)
	if err != nil {
		w.Fatal(err)
	}
	if _, err := p.Write([]byte(content)); err != nil {
		w.Fatal(err)
	}
	if err := p.SetValidator(validator); err != nil {
		w.Fatal(err)
	}
	if err := p.Close(); err != nil {
		w.Fatal(err)
	}
}

func TestWheelIsFetchedOnceAndThenNobodyIsAsked(t *testing.T) { // IDX-06
	w := newWorld(t)
	newer := file{"torch-3.0-py3-none-any.whl", "newer"}
	yanked := strings.TrimSuffix(torch.row(), "}") + `, "yanked": "broken"}`
	root := w.host("a.test", index(jsonPage(newer.row(), yanked), serve(torch.content)))
	if err := w.wheel(torch, recipe(root)); err != nil {
		t.Fatal(err)
	}
	w.wantRequests("a.test GET /simple/torch/", "a.test GET /files/"+torch.name)
	w.f.dial = func(context.Context, string, string) (net.Conn, error) {
		t.Error("a socket was opened for bytes that the store has")
		return nil, errors.New("not allowed")
	}
	w.f.client.CloseIdleConnections()
	if err := w.wheel(torch, recipe(root)); err != nil {
		t.Fatal(err)
	}
	w.wantRequests("a.test GET /simple/torch/", "a.test GET /files/"+torch.name)
	if last := w.seen[len(w.seen)-1]; last.State != "held" {
		t.Errorf("last event is %+v", last)
	}
}

func TestOnlyTheLockCounts(t *testing.T) { // IDX-01
	other := sumOf([]byte("other"))
	plainRow := func(hash string) string {
		return fmt.Sprintf(`<a href="/files/%s%s">%s</a>`, torch.name, hash, torch.name)
	}
	jsonRow := strings.Replace(torch.row(), torch.sum(), other, 1)
	for name, c := range map[string]struct {
		html, json string
	}{
		"no fragment":                  {html: plainRow("")},
		"fragment of another file":     {html: plainRow("#sha256=" + other)},
		"weak fragment":                {html: plainRow("#md5=" + other[:32])},
		"another hash in JSON":         {json: jsonRow},
		"another size in JSON":         {json: strings.Replace(torch.row(), `"size": `, `"size": 1`, 1)},
		"relative with query":          {html: fmt.Sprintf(`<a href="../../files/%s?token=x#sha256=%s">%s</a>`, torch.name, torch.sum(), torch.name)},
		"name only in the link's text": {html: fmt.Sprintf(`<a href="/files/get?id=7">%s</a>`, torch.name)},
	} {
		for what, content := range map[string]string{"the file": torch.content, "a changed file": "T" + torch.content[1:]} {
			t.Run(name+", "+what, func(t *testing.T) {
				w := newWorld(t)
				root := w.host("a.test", func(rw http.ResponseWriter, r *http.Request) {
					switch {
					case r.URL.Path != "/simple/torch/":
						serve(content)(rw, r)
					case c.html != "":
						rw.Header().Set("Content-Type", "text/html; charset=utf-8")
						serve(c.html)(rw, r)
					default:
						index(jsonPage(c.json), nil)(rw, r)
					}
				})
				err := w.wheel(torch, recipe(root))
				if content == torch.content {
					if err != nil {
						t.Error(err)
					}
					return
				}
				var h *HashError
				if !errors.As(err, &h) || h.By != "lock" || h.Want != torch.sum() || h.Got != sumOf([]byte(content)) {
					t.Errorf("error is %v", err)
				} else if want := "sha256 is " + h.Got + ", lock says " + h.Want; !strings.Contains(err.Error(), want) {
					t.Errorf("error %q lacks %q", err, want)
				}
				w.nothingKept()
			})
		}
	}
}

func TestDownloadsGoOn(t *testing.T) { // IDX-01
	half := len(torch.content) / 2
	old := strings.Repeat("torch 2.9.0 ", 300_000)
	for name, c := range map[string]struct {
		left, validator string // from an earlier process
		serve           func(*world) http.HandlerFunc
		ranges          string // of the requests for the file
	}{
		"where it ended": {
			torch.content[:half], `"v1"`, func(*world) http.HandlerFunc { return ranged(torch.content, `"v1"`) },
			fmt.Sprintf("bytes=%d-", half),
		},
		"without a validator": {
			torch.content[:half], "", func(*world) http.HandlerFunc { return ranged(torch.content, "") },
			fmt.Sprintf("bytes=%d-", half),
		},
		"all was there": {torch.content, `"v1"`, func(*world) http.HandlerFunc { return nil }, ""},
		"too much was there": {
			torch.content + "x", `"v1"`, func(*world) http.HandlerFunc { return ranged(torch.content, `"v1"`) }, " ",
		},
		"from the beginning, the file has changed": {
			old[:half], `"v0"`, func(*world) http.HandlerFunc { return ranged(torch.content, `"v1"`) },
			fmt.Sprintf("bytes=%d-", half),
		},
		"once more, the pieces are of two files": {
			old[:half], `"v0"`, func(*world) http.HandlerFunc {
				return func(rw http.ResponseWriter, r *http.Request) { // knows no If-Range and no ETag
					r.Header.Del("If-Range")
					ranged(torch.content, "")(rw, r)
				}
			},
			fmt.Sprintf("bytes=%d-|", half),
		},
		"once more, the part has another tag": {
			old[:half], `"v0"`, func(*world) http.HandlerFunc {
				return func(rw http.ResponseWriter, r *http.Request) {
					r.Header.Del("If-Range")
					ranged(torch.content, `"v1"`)(rw, r)
				}
			},
			fmt.Sprintf("bytes=%d-|", half),
		},
		"the server knows no ranges": {
			torch.content[:half], `"v1"`, func(*world) http.HandlerFunc { return serve(torch.content) },
			fmt.Sprintf("bytes=%d-", half),
		},
		"the server refuses the range": {
			torch.content[:half], `"v1"`, func(*world) http.HandlerFunc {
				return func(rw http.ResponseWriter, r *http.Request) {
					if r.Header.Get("Range") != "" {
						rw.WriteHeader(http.StatusRequestedRangeNotSatisfiable)
						return
					}
					serve(torch.content)(rw, r)
				}
			},
			fmt.Sprintf("bytes=%d-|", half),
		},
		"the server sends another range": {
			torch.content[:half], `"v1"`, func(*world) http.HandlerFunc {
				return func(rw http.ResponseWriter, r *http.Request) {
					if r.Header.Get("Range") != "" {
						rw.Header().Set("Content-Range", fmt.Sprintf("bytes 0-%d/%d", len(torch.content)-1, len(torch.content)))
						rw.WriteHeader(http.StatusPartialContent)
					}
					serve(torch.content)(rw, r)
				}
			},
			fmt.Sprintf("bytes=%d-|", half),
		},
		"after a broken answer": {
			"", "", func(*world) http.HandlerFunc {
				var n atomic.Int32
				return func(rw http.ResponseWriter, r *http.Request) {
					if n.Add(1) > 1 {
						ranged(torch.content, `"v1"`)(rw, r)
						return
					}
					rw.Header().Set("ETag", `"v1"`)
					rw.Header().Set("Content-Length", strconv.Itoa(len(torch.content)))
					_, _ = io.WriteString(rw, torch.content[:half])
					rw.(http.Flusher).Flush()
					panic(http.ErrAbortHandler)
				}
			},
			fmt.Sprintf("|bytes=%d-", half),
		},
		"after an answer that stalls": {
			"", "", func(w *world) http.HandlerFunc {
				w.f.stall = 100 * time.Millisecond
				var n atomic.Int32
				return func(rw http.ResponseWriter, r *http.Request) {
					if n.Add(1) > 1 {
						ranged(torch.content, `"v1"`)(rw, r)
						return
					}
					rw.Header().Set("ETag", `"v1"`)
					rw.Header().Set("Content-Length", strconv.Itoa(len(torch.content)))
					_, _ = io.WriteString(rw, torch.content[:half])
					rw.(http.Flusher).Flush()
					<-r.Context().Done()
				}
			},
			fmt.Sprintf("|bytes=%d-", half),
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			var ranges []string
			inner := c.serve(w)
			root := w.host("a.test", index(jsonPage(torch.row()), func(rw http.ResponseWriter, r *http.Request) {
				w.mu.Lock()
				ranges = append(ranges, r.Header.Get("Range"))
				w.mu.Unlock()
				inner(rw, r)
			}))
			if c.left != "" {
				w.leave(torch.sum(), c.left, c.validator)
			}
			if err := w.wheel(torch, recipe(root)); err != nil {
				t.Fatal(err)
			}
			w.mu.Lock()
			defer w.mu.Unlock()
			if got := strings.Join(ranges, "|"); got != strings.TrimSpace(c.ranges) {
				t.Errorf("ranges asked for: %q, want %q", got, c.ranges)
			}
		})
	}
}

func TestServersThatLie(t *testing.T) { // IDX-01
	for name, c := range map[string]struct {
		serve http.HandlerFunc
		want  string // in the error's text
	}{
		"smaller than it says": {func(rw http.ResponseWriter, r *http.Request) {
			rw.Header().Set("Content-Length", "12")
			serve(torch.content[:12])(rw, r)
		}, "IDX-01: size is 12 bytes, lock says 3600000"},
		"larger than it says": {serve(torch.content + "x"), "IDX-01: size is 3600001 bytes, lock says 3600000"},
		"ends early each time, unannounced": {func(rw http.ResponseWriter, r *http.Request) {
			rw.(http.Flusher).Flush() // so that no length is sent
			serve(torch.content[:1000])(rw, r)
		}, "the server ends after 1000 of 3600000 bytes"},
		"ends early each time, announced": {func(rw http.ResponseWriter, r *http.Request) {
			rw.Header().Set("Content-Length", "3600000")
			serve(torch.content[:1000])(rw, r)
		}, "from https://a.test/files/torch-2.9.1-py3-none-any.whl: the server ends after 1000 of 3600000 bytes"},
		"bytes of another file": {serve(strings.ToUpper(torch.content)), "torch-2.9.1-py3-none-any.whl from https://a.test/files/torch-2.9.1-py3-none-any.whl: IDX-01: sha256 is "},
		"never ends": {func(rw http.ResponseWriter, r *http.Request) {
			rw.(http.Flusher).Flush()
			for r.Context().Err() == nil {
				if _, err := io.WriteString(rw, torch.content); err != nil {
					return
				}
			}
		}, "IDX-01: size is 3600001 bytes, lock says 3600000 (and the server sends more)"},
		"a part that nobody asked for": {func(rw http.ResponseWriter, r *http.Request) {
			rw.Header().Set("Content-Range", "bytes 0-3599999/3600000")
			rw.WriteHeader(http.StatusPartialContent)
			serve(torch.content)(rw, r)
		}, "IDX-01: the server sends a part that nobody asked for"},
		"packed although asked not to": {func(rw http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Accept-Encoding") != "identity" {
				t.Errorf("Accept-Encoding is %q", r.Header.Get("Accept-Encoding"))
			}
			rw.Header().Set("Content-Encoding", "gzip")
			z := gzip.NewWriter(rw)
			_, _ = io.WriteString(z, torch.content)
			_ = z.Close()
		}, "IDX-01: size is "},
		"bytes of the right size": {func(rw http.ResponseWriter, r *http.Request) {
			rw.Header().Set("Content-Encoding", "x")
			serve(strings.ToUpper(torch.content))(rw, r)
		}, `(the server says that it sent the encoding "x")`},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			root := w.host("a.test", index(jsonPage(torch.row()), c.serve))
			err := w.wheel(torch, recipe(root))
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error is %v, want …%s…", err, c.want)
			}
			if _, ok, err := w.st.Stat(torch.sum()); ok || err != nil {
				t.Errorf("something was kept (%v)", err)
			}
			if !strings.Contains(name, "each time") { // that one may go on some day
				w.nothingKept()
			}
		})
	}
}

func TestTemporaryTroubleIsTriedAgain(t *testing.T) {
	trouble := map[string]http.HandlerFunc{
		"503": func(rw http.ResponseWriter, r *http.Request) { rw.WriteHeader(503) },
		"429": func(rw http.ResponseWriter, r *http.Request) {
			rw.Header().Set("Retry-After", "30")
			rw.WriteHeader(429)
		},
		"a reset": func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
	}
	for name, h := range trouble {
		for _, times := range []int32{2, 100} {
			t.Run(fmt.Sprintf("%s, %d times", name, times), func(t *testing.T) {
				w := newWorld(t)
				var pages, files atomic.Int32
				root := w.host("a.test", func(rw http.ResponseWriter, r *http.Request) {
					n := &files
					if r.URL.Path == "/simple/torch/" {
						n = &pages
					}
					if n.Add(1) <= times {
						h(rw, r)
						return
					}
					index(jsonPage(torch.row()), serve(torch.content))(rw, r)
				})
				err := w.wheel(torch, recipe(root))
				if times == 2 {
					if err != nil || pages.Load() != 3 || files.Load() != 3 {
						t.Errorf("%d and %d requests, %v", pages.Load(), files.Load(), err)
					}
					return
				}
				if err == nil || pages.Load() != 5 || files.Load() != 0 {
					t.Errorf("%d and %d requests, %v", pages.Load(), files.Load(), err)
				}
				w.nothingKept()
			})
		}
	}
	t.Run("progress for ever, never the end", func(t *testing.T) {
		w := newWorld(t)
		var n atomic.Int32
		root := w.host("a.test", index(jsonPage(torch.row()), func(rw http.ResponseWriter, r *http.Request) {
			n.Add(1) // knows no ranges and breaks off late
			rw.Header().Set("Content-Length", strconv.Itoa(len(torch.content)))
			_, _ = io.WriteString(rw, torch.content[:3_000_000])
			panic(http.ErrAbortHandler)
		}))
		if err := w.wheel(torch, recipe(root)); err == nil || n.Load() > 8 {
			t.Errorf("%d requests, %v", n.Load(), err)
		}
	})
	t.Run("a 404 is not", func(t *testing.T) {
		w := newWorld(t)
		root := w.host("a.test", index(jsonPage(torch.row()), http.NotFound))
		err := w.wheel(torch, recipe(root))
		var g *GoneError
		if !errors.As(err, &g) || !errors.Is(err, fs.ErrNotExist) || g.Package != "torch" || g.Version != "2.9.1" || len(g.Tried) != 1 {
			t.Errorf("error is %v", err)
		}
		w.wantRequests("a.test GET /simple/torch/", "a.test GET /files/"+torch.name)
		w.nothingKept()
	})
	t.Run("silence", func(t *testing.T) {
		w := newWorld(t)
		w.f.stall = 200 * time.Millisecond
		var n atomic.Int32
		root := w.host("a.test", func(rw http.ResponseWriter, r *http.Request) {
			if n.Add(1) == 1 {
				<-r.Context().Done()
				return
			}
			index(jsonPage(torch.row()), serve(torch.content))(rw, r)
		})
		start := time.Now()
		if err := w.wheel(torch, recipe(root)); err != nil || n.Load() != 3 || time.Since(start) > 3*time.Second {
			t.Errorf("%d requests in %s, %v", n.Load(), time.Since(start), err)
		}
	})
	t.Run("a cancelled context ends it at once", func(t *testing.T) {
		w := newWorld(t)
		w.f.backoff = time.Hour
		root := w.host("a.test", trouble["503"])
		ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
		defer cancel()
		if _, err := w.f.Wheel(ctx, torch.locked(), recipe(root), ""); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("error is %v", err)
		}
	})
}

func TestTamperedBlobIsFetchedAgain(t *testing.T) { // IDX-01, poisoned cache object
	w := newWorld(t)
	root := w.host("a.test", index(jsonPage(torch.row()), serve(torch.content)))
	if err := w.wheel(torch, recipe(root)); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(w.st.Path(torch.sum()), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(w.st.Path(torch.sum()), []byte(strings.ToUpper(torch.content)), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := w.wheel(torch, recipe(root)); err != nil {
		t.Fatal(err)
	}
	if n := len(w.requests()); n != 4 {
		t.Errorf("%d requests, want 4", n)
	}
}

func TestManyAskForOneFile(t *testing.T) {
	w := newWorld(t)
	root := w.host("a.test", index(jsonPage(torch.row()), serve(torch.content)))
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			if err := w.wheel(torch, recipe(root)); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	files := 0
	for _, r := range w.requests() {
		if strings.Contains(r, "/files/") {
			files++
		}
	}
	if files != 1 {
		t.Errorf("the file was fetched %d times", files)
	}
}

func TestLockThatContradictsItself(t *testing.T) {
	w := newWorld(t)
	root := w.host("a.test", index(jsonPage(torch.row()), serve(torch.content)))
	if err := w.wheel(torch, recipe(root)); err != nil {
		t.Fatal(err)
	}
	l := torch.locked()
	l.Size++
	var h *HashError
	if _, err := w.f.Wheel(context.Background(), l, nil, ""); !errors.As(err, &h) || h.WantSize != l.Size {
		t.Errorf("error is %v", err)
	}
}

func TestVanishedWheel(t *testing.T) {
	w := newWorld(t)
	root := w.host("a.test", index(jsonPage(), nil))
	err := w.wheel(torch, recipe(root))
	var g *GoneError
	if !errors.As(err, &g) || err.Error() != "torch 2.9.1 (torch-2.9.1-py3-none-any.whl): no source serves it: tried https://a.test/simple/torch/" {
		t.Errorf("error is %v", err)
	}
}

func TestLocalWheel(t *testing.T) {
	w := newWorld(t)
	dir := t.TempDir()
	l := torch.locked()
	l.Index, l.Path = "", "dist/"+torch.name
	fetch := func() error {
		_, err := w.f.Wheel(context.Background(), l, nil, dir)
		return err
	}
	if err := fetch(); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("an absent file: %v", err)
	}
	if err := os.MkdirAll(filepath.Join(dir, "dist"), 0o700); err != nil {
		t.Fatal(err)
	}
	write := func(content string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, "dist", torch.name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var h *HashError
	for _, content := range []string{"", torch.content + "x", strings.ToUpper(torch.content)} {
		if write(content); !errors.As(fetch(), &h) {
			t.Errorf("other bytes: %v", fetch())
		}
	}
	w.nothingKept()
	write(torch.content)
	if err := fetch(); err != nil {
		t.Error(err)
	}
	outside := filepath.Join(t.TempDir(), "x.whl")
	if err := os.WriteFile(outside, []byte("secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(outside, filepath.Join(dir, "link.whl")); err != nil {
		t.Fatal(err)
	}
	for _, p := range []string{"../x.whl", outside, "link.whl", "dist"} {
		l.Path, l.SHA256, l.Size = p, sumOf([]byte("secret")), 6
		if err := fetch(); err == nil {
			t.Errorf("%s was read", p)
		}
	}
	w.wantRequests()
}

func TestDownloadHashesForItself(t *testing.T) { // field facts 4.2
	other := sumOf([]byte("other"))
	page := mustParse(t, "https://a.test/simple/torch/")
	row := func(sum string, size int64) PageFile {
		return PageFile{Name: torch.name, URL: "https://a.test/files/" + torch.name, SHA256: sum, Size: size, page: page}
	}
	accept := func(file, sum string) []recipes.Accept {
		return []recipes.Accept{{File: file, SHA256: sum, Reason: "they published\nthe metadata's hash"}}
	}
	for name, c := range map[string]struct {
		row     PageFile
		accepts []recipes.Accept
		content string
		notes   string
		by      string // whose word is broken
	}{
		"the index is right":                     {row: row(torch.sum(), -1), content: torch.content},
		"the index says nothing":                 {row: row("", -1), content: torch.content, notes: "index publishes no hash"},
		"the index is wrong":                     {row: row(other, -1), content: torch.content, by: "index"},
		"the index is wrong about the size":      {row: row("", 5), content: torch.content, by: "index"},
		"another file is accepted":               {row: row(other, -1), accepts: accept("x.whl", torch.sum()), content: torch.content, by: "index"},
		"this file is accepted":                  {row: row(other, 5), accepts: accept(torch.name, torch.sum()), content: torch.content, notes: "index says sha256 " + other + "; accepted: they published the metadata's hash"},
		"this file is accepted with other bytes": {row: row(other, -1), accepts: accept(torch.name, sumOf(nil)), content: torch.content, by: "recipe"},
		"nothing to accept":                      {row: row(torch.sum(), -1), accepts: accept(torch.name, torch.sum()), content: torch.content},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.host("a.test", serve(c.content))
			d, err := w.f.Download(context.Background(), c.row, c.accepts)
			if c.by != "" {
				var h *HashError
				if !errors.As(err, &h) || h.By != c.by {
					t.Errorf("error is %v, want one by the %s", err, c.by)
				}
				if name == "the index is wrong" && !strings.Contains(err.Error(), `accept "`+torch.name+`" { sha256 = "`+torch.sum()+`"`) {
					t.Errorf("error %q does not say what to do", err)
				}
				w.nothingKept()
				return
			}
			if err != nil || d.SHA256 != torch.sum() || d.Size != int64(len(torch.content)) || d.Path != w.st.Path(torch.sum()) || strings.Join(d.Notes, "|") != c.notes {
				t.Errorf("got %+v, %v", d, err)
			}
		})
	}
	t.Run("a packed answer without a hash to judge it", func(t *testing.T) {
		w := newWorld(t)
		w.host("a.test", func(rw http.ResponseWriter, r *http.Request) {
			rw.Header().Set("Content-Encoding", "gzip")
			serve(torch.content)(rw, r)
		})
		_, err := w.f.Download(context.Background(), row("", -1), nil)
		wantID(t, err, "IDX-01", `encoding "gzip"`)
		w.nothingKept()
	})
	t.Run("pieces without a hash to judge them", func(t *testing.T) {
		w := newWorld(t)
		w.leave(sumOf([]byte("url https://a.test/files/"+torch.name)), "TORCH", "")
		w.host("a.test", ranged(torch.content, ""))
		if d, err := w.f.Download(context.Background(), row("", -1), nil); err != nil || d.SHA256 != torch.sum() {
			t.Errorf("got %+v, %v", d, err)
		}
	})
	for _, tag := range []string{`"v1"`, ""} {
		t.Run("pieces of two files without a hash to judge them, tag "+tag, func(t *testing.T) {
			w := newWorld(t)
			w.leave(sumOf([]byte("url https://a.test/files/"+torch.name)), "TORCH", `"v0"`)
			w.host("a.test", func(rw http.ResponseWriter, r *http.Request) {
				r.Header.Del("If-Range") // which this server does not know
				ranged(torch.content, tag)(rw, r)
			})
			if d, err := w.f.Download(context.Background(), row("", -1), nil); err != nil || d.SHA256 != torch.sum() {
				t.Errorf("got %+v, %v", d, err)
			}
		})
	}
	t.Run("yanked", func(t *testing.T) {
		w := newWorld(t)
		w.host("a.test", serve(torch.content))
		r := row(torch.sum(), -1)
		r.Yanked, r.YankedReason = true, "bad\x1b[2J \"bits\""
		if d, err := w.f.Download(context.Background(), r, nil); err != nil || strings.Join(d.Notes, "|") != `yanked: bad\x1b[2J \"bits\"` {
			t.Errorf("got %q, %v", d.Notes, err)
		}
	})
}

func TestDownloadURL(t *testing.T) {
	w := newWorld(t)
	root := w.host("a.test", serve(torch.content))
	w.plain("b.test", serve(torch.content))
	if d, err := w.f.DownloadURL(context.Background(), root+"/x/"+torch.name, ""); err != nil || d.SHA256 != torch.sum() {
		t.Errorf("got %+v, %v", d, err)
	}
	var h *HashError
	if _, err := w.f.DownloadURL(context.Background(), root+"/"+torch.name, sumOf(nil)); !errors.As(err, &h) || h.By != "recipe" {
		t.Errorf("other bytes: %v", err)
	}
	for _, bad := range []string{"http://b.test/x.whl", "https://me:secret@a.test/x.whl", "file:///etc/passwd", "x.whl", "https://"} {
		_, err := w.f.DownloadURL(context.Background(), bad, "")
		wantID(t, err, "IDX-02")
		if err != nil && strings.Contains(err.Error(), "secret") {
			t.Errorf("a password is in %q", err)
		}
	}
}

func TestMetadata(t *testing.T) { // IDX-03
	w := newWorld(t)
	w.host("a.test", func(rw http.ResponseWriter, r *http.Request) {
		if r.URL.RequestURI() != "/files/torch.whl.metadata?t=1" {
			http.NotFound(rw, r)
			return
		}
		serve("Name: torch\n")(rw, r)
	})
	f := PageFile{Name: "torch.whl", URL: "https://a.test/files/torch.whl?t=1", HasMetadata: true, page: mustParse(t, "https://a.test/")}
	for sum, ok := range map[string]bool{"": true, sumOf([]byte("Name: torch\n")): true, sumOf(nil): false} {
		f.MetadataSHA256 = sum
		b, err := w.f.Metadata(context.Background(), f)
		var h *HashError
		if (ok && (err != nil || string(b) != "Name: torch\n")) || (!ok && (!errors.As(err, &h) || h.By != "index")) {
			t.Errorf("%q: %q, %v", sum, b, err)
		}
	}
	f.URL = "https://a.test/files/other.whl"
	if _, err := w.f.Metadata(context.Background(), f); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("an absent one: %v", err)
	}
}

func TestOfflineOpensNoSocket(t *testing.T) {
	w := newWorld(t)
	root := w.host("a.test", index(jsonPage(torch.row()), serve(torch.content)))
	w.f.Offline = true
	w.f.dial = func(_ context.Context, _, addr string) (net.Conn, error) {
		t.Errorf("a socket to %s was opened", addr)
		return nil, errors.New("not allowed")
	}
	w.f.AskDefaultIndex = func(context.Context) (string, error) {
		t.Error("uv was asked")
		return "", errors.New("not allowed")
	}
	im, ctx := recipe(root), context.Background()
	deb := lock.Deb{Name: "libc6", Version: "2", Archive: "debian", Path: "pool/libc6_2.deb", Size: 12, SHA256: sumOf([]byte("deb"))}
	row := PageFile{Name: torch.name, URL: root + "/files/x", Size: -1, HasMetadata: true, page: mustParse(t, root)}
	url := torch.locked()
	url.Index = ""
	im.Python.Wheels = []recipes.LocalWheel{{Source: root + "/" + torch.name}}
	calls := map[string]func() error{
		"Wheel":        func() error { _, err := w.f.Wheel(ctx, torch.locked(), im, ""); return err },
		"Wheel by URL": func() error { _, err := w.f.Wheel(ctx, url, im, ""); return err },
		"Deb":          func() error { _, err := w.f.Deb(ctx, deb, nil, nil); return err },
		"Project":      func() error { _, err := w.f.Project(ctx, root+"/simple", "torch"); return err },
		"Metadata":     func() error { _, err := w.f.Metadata(ctx, row); return err },
		"Download":     func() error { _, err := w.f.Download(ctx, row, nil); return err },
		"Get":          func() error { _, err := w.f.Get(ctx, root+"/InRelease", 100); return err },
		"File":         func() error { _, err := w.f.File(ctx, []string{root}, "x", torch.sum(), 1); return err },
	}
	for name, call := range calls {
		var o *OfflineError
		if err := call(); !errors.As(err, &o) || len(o.Missing) != 1 {
			t.Errorf("%s: %v", name, err)
		}
	}
	var s *SettingsError
	if _, err := w.f.IndexURL(ctx, "default", nil); !errors.As(err, &s) {
		t.Errorf("default index: %v", err)
	}
	li := &lock.Image{
		Debian: &lock.Debian{Packages: []lock.Deb{deb, deb}},
		Wheels: []lock.Wheel{torch.locked(), {File: "local.whl", Path: "local.whl", SHA256: sumOf([]byte("l"))}},
	}
	err := w.f.Held(li)
	if err == nil || err.Error() != "offline, and missing 2 files: libc6_2.deb (12 bytes), torch-2.9.1-py3-none-any.whl (3.6 MB)" {
		t.Errorf("Held: %v", err)
	}
	p, err := w.st.Create()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Write([]byte(torch.content)); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Commit(""); err != nil {
		t.Fatal(err)
	}
	if err := w.wheel(torch, im); err != nil {
		t.Errorf("what the store has: %v", err)
	}
	if err := w.f.Held(&lock.Image{Wheels: li.Wheels}); err != nil {
		t.Errorf("Held: %v", err)
	}
	w.wantRequests()
}

func TestDiskWithoutRoom(t *testing.T) {
	w := newWorld(t)
	huge := torch.locked()
	huge.Size = 1 << 60
	root := w.host("a.test", index(jsonPage(torch.row()), func(rw http.ResponseWriter, r *http.Request) {
		rw.(http.Flusher).Flush()
		serve(torch.content)(rw, r)
	}))
	_, err := w.f.Wheel(context.Background(), huge, recipe(root), "")
	var full *store.FullError
	if !errors.As(err, &full) || full.Need != huge.Size {
		t.Errorf("error is %v", err)
	}
	w.nothingKept()
}

// A server that sends a byte now and then does not hold a lock or a build for ever.
func TestADripEnds(t *testing.T) {
	drip := func(rw http.ResponseWriter, r *http.Request) {
		rw.Header().Set("Content-Type", "application/vnd.pypi.simple.v1+json")
		for r.Context().Err() == nil {
			_, _ = rw.Write([]byte(" "))
			rw.(http.Flusher).Flush()
			time.Sleep(10 * time.Millisecond)
		}
	}
	for name, h := range map[string]http.HandlerFunc{"a page": drip, "a file": index(jsonPage(torch.row()), drip)} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.f.stall = 100 * time.Millisecond
			start := time.Now()
			if err := w.wheel(torch, recipe(w.host("a.test", h))); !errors.Is(err, errStall) || time.Since(start) > 5*time.Second {
				t.Errorf("after %s: %v", time.Since(start), err)
			}
		})
	}
}
