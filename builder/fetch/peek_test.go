package fetch

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"
	"time"
)

// lying is a file on a server that sends parts, as long as change lets it.
func lying(content string, change func(rw http.ResponseWriter, r *http.Request) bool) http.HandlerFunc {
	return func(rw http.ResponseWriter, r *http.Request) {
		if change != nil && change(rw, r) {
			return
		}
		rw.Header().Set("ETag", `"1"`)
		http.ServeContent(rw, r, "", time.Time{}, strings.NewReader(content))
	}
}

func (w *world) peek(root string, size int64, look func(io.ReaderAt, int64) error) error {
	page := mustParse(w.T, root+"/simple/torch/")
	return w.f.Peek(context.Background(), PageFile{Name: torch.name, URL: root + "/files/" + torch.name, Size: size, page: page}, look)
}

func random(n int) string {
	b := make([]byte, n)
	r := rand.NewChaCha8([32]byte{1})
	_, _ = r.Read(b) // never fails
	return string(b)
}

func TestPeekReadsPartsAndNothingElse(t *testing.T) {
	w := newWorld(t)
	content := random(3 << 20)
	var sent int64
	root := w.host("files.test", func(rw http.ResponseWriter, r *http.Request) {
		lying(content, nil)(&counted{rw, &sent}, r)
	})
	err := w.peek(root, int64(len(content)), func(r io.ReaderAt, size int64) error {
		if size != int64(len(content)) {
			t.Errorf("size %d", size)
		}
		for _, at := range []int64{size - 22, size - firstPart, size - firstPart - 10, 0, 1 << 20, size - 1} {
			b := make([]byte, min(40, size-at))
			if _, err := r.ReadAt(b, at); err != nil || string(b) != content[at:at+int64(len(b))] {
				t.Errorf("at %d: %v", at, err)
			}
		}
		n, err := r.ReadAt(make([]byte, 10), size-4)
		if n != 4 || err != io.EOF {
			t.Errorf("past the end: %d %v", n, err)
		}
		return nil
	})
	if err != nil || sent >= int64(len(content)) || len(w.requests()) > 8 {
		t.Errorf("%v: %d bytes in %d requests", err, sent, len(w.requests()))
	}
	all := func(r io.ReaderAt, size int64) error {
		b, err := io.ReadAll(io.NewSectionReader(r, 0, size))
		if string(b) != content {
			t.Error("other bytes")
		}
		return err
	}
	if err := w.peek(root, -1, all); err != nil {
		t.Error(err)
	}
	if !w.f.Partial(context.Background(), PageFile{Name: "x", URL: root + "/elsewhere"}) {
		t.Error("a server that sends parts is said not to")
	}
	w.nothingKept()
}

type counted struct {
	http.ResponseWriter
	n *int64
}

func (c *counted) Write(b []byte) (int, error) {
	*c.n += int64(len(b))
	return c.ResponseWriter.Write(b)
}

func TestPeekReadsWhatTheStoreHolds(t *testing.T) {
	w := newWorld(t)
	root := w.host("files.test", serve(torch.content))
	page := mustParse(t, root+"/simple/torch/")
	file := PageFile{Name: torch.name, URL: root + "/files/" + torch.name, SHA256: torch.sum(), Size: -1, page: page}
	if _, err := w.f.Download(context.Background(), file, nil); err != nil {
		t.Fatal(err)
	}
	before := len(w.requests())
	err := w.f.Peek(context.Background(), file, func(r io.ReaderAt, size int64) error {
		b, err := io.ReadAll(io.NewSectionReader(r, 0, size))
		if string(b) != torch.content {
			t.Error("other bytes")
		}
		return err
	})
	if err != nil || len(w.requests()) != before {
		t.Errorf("%v, %d requests", err, len(w.requests())-before)
	}
	w.f.Offline = true
	var offline *OfflineError
	if err := w.peek(root, -1, nil); !errors.As(err, &offline) {
		t.Error(err)
	}
}

// A server without parts is asked once; the whole is never read.
func TestPeekOfAServerWithoutParts(t *testing.T) {
	w := newWorld(t)
	root := w.host("files.test", func(rw http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(rw, bytes.NewReader(make([]byte, 64<<20))) // the client has had enough
	})
	for range 3 {
		if err := w.peek(root, -1, nil); !errors.Is(err, ErrWhole) {
			t.Error(err)
		}
	}
	if w.f.Partial(context.Background(), PageFile{Name: "x", URL: root + "/elsewhere"}) {
		t.Error("a server without parts is said to send them")
	}
	w.wantRequests("files.test GET /files/" + torch.name)
}

func TestPeekRefusesPartsThatDoNotFit(t *testing.T) {
	content := random(1 << 20)
	answer := func(rw http.ResponseWriter, contentRange, body string) bool {
		rw.Header().Set("Content-Range", contentRange)
		rw.WriteHeader(206)
		_, _ = io.WriteString(rw, body) // the client may have had enough
		return true
	}
	n := 0 // requests
	for _, row := range []struct {
		what, id string
		change   func(rw http.ResponseWriter, r *http.Request) bool
	}{
		{"as it should be", "", nil},
		{"compressed", "IDX-01", func(rw http.ResponseWriter, r *http.Request) bool {
			rw.Header().Set("Content-Encoding", "gzip")
			return false
		}},
		{"another place", "IDX-01", func(rw http.ResponseWriter, r *http.Request) bool {
			return answer(rw, "bytes 0-131071/1048576", content[:131072])
		}},
		{"too few bytes", "IDX-01", func(rw http.ResponseWriter, r *http.Request) bool {
			return answer(rw, "bytes 917504-1048575/1048576", "x")
		}},
		{"bytes without end", "IDX-01", func(rw http.ResponseWriter, r *http.Request) bool {
			return answer(rw, "bytes 917504-1048575/1048576", strings.Repeat("x", 16<<20))
		}},
		{"another file later", "IDX-01", func(rw http.ResponseWriter, r *http.Request) bool {
			if n++; n == 1 {
				return false
			}
			rw.Header().Set("ETag", `"2"`)
			http.ServeContent(rw, r, "", time.Time{}, strings.NewReader(random(1<<20)))
			return true
		}},
		{"another length later", "IDX-01", func(rw http.ResponseWriter, r *http.Request) bool {
			if n++; n == 1 {
				return false
			}
			rw.Header().Set("ETag", `"1"`)
			http.ServeContent(rw, r, "", time.Time{}, strings.NewReader(random(1<<21)))
			return true
		}},
		{"another place later", "IDX-01", func(rw http.ResponseWriter, r *http.Request) bool {
			if n++; n == 1 {
				return false
			}
			rw.Header().Set("ETag", `"1"`)
			return answer(rw, "bytes 1-131072/1048576", content[1:131073])
		}},
		{"too few bytes later", "IDX-01", func(rw http.ResponseWriter, r *http.Request) bool {
			if n++; n == 1 {
				return false
			}
			rw.Header().Set("ETag", `"1"`)
			return answer(rw, "bytes 0-131071/1048576", "0123456789")
		}},
		{"to plain http", "IDX-02", func(rw http.ResponseWriter, r *http.Request) bool {
			http.Redirect(rw, r, "http://files.test/x", http.StatusFound)
			return true
		}},
	} {
		t.Run(row.what, func(t *testing.T) {
			n = 0
			w := newWorld(t)
			root := w.host("files.test", lying(content, row.change))
			err := w.peek(root, -1, func(r io.ReaderAt, size int64) error {
				_, err := r.ReadAt(make([]byte, 10), 0)
				return fmt.Errorf("what a parser says: %w", err)
			})
			if row.id == "" {
				if err == nil || errors.As(err, new(*Error)) {
					t.Error(err)
				}
				return
			}
			wantID(t, err, row.id)
			w.nothingKept()
		})
	}
}

func TestPeekIsBounded(t *testing.T) {
	w := newWorld(t)
	const size = 2 * maxParts
	root := w.host("files.test", func(rw http.ResponseWriter, r *http.Request) {
		http.ServeContent(rw, r, "", time.Time{}, io.NewSectionReader(zeros{}, 0, size))
	})
	err := w.peek(root, size, func(r io.ReaderAt, size int64) error {
		_, err := io.Copy(io.Discard, io.NewSectionReader(r, 0, size))
		return err
	})
	wantID(t, err, "IDX-01", "more than")
}

// zeros is a file that is in no memory.
type zeros struct{}

func (zeros) ReadAt(b []byte, _ int64) (int, error) { clear(b); return len(b), nil }
