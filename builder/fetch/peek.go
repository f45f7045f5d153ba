package fetch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
)

// ErrWhole says that a server sends no parts of a file: it can be had whole, or not at all.
var ErrWhole = errors.New("the server sends no parts of a file")

// Bounds of what is read of a file where it lies, in bytes.
const (
	firstPart = 128 << 10 // the end: of a wheel its directory, and mostly its METADATA too
	maxPart   = 4 << 20   // of one request
	maxParts  = 64 << 20  // of all requests; the directory of the largest allowed wheel fits
)

// Peek lets look read a file of a page where it lies, in parts. What look sees is the server's
// word: no hash covers a part, and nothing of it is kept. A file that the store holds is read
// there. When the server sends no parts the error is ErrWhole, and it is not asked for any
// again.
func (f *Fetcher) Peek(ctx context.Context, file PageFile, look func(r io.ReaderAt, size int64) error) error {
	if held, size, err := f.st.Open(file.SHA256); file.SHA256 != "" && err == nil {
		defer held.Close()
		return look(held, size)
	} else if file.SHA256 != "" && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	p, err := f.parts(ctx, file)
	if err != nil {
		return err
	}
	if err := p.end(firstPart); err != nil {
		return gone(err, file.Name, "", file.Name)
	}
	if err = look(p, p.size); p.err != nil {
		err = p.err // what look makes of it is not what happened
	}
	return gone(err, file.Name, "", file.Name)
}

// Partial says whether parts of a file can be had: the store holds it, or its server sends
// parts, which is asked once.
func (f *Fetcher) Partial(ctx context.Context, file PageFile) bool {
	p, err := f.parts(ctx, file)
	if err != nil {
		return false
	}
	f.mu.Lock()
	yes := f.partial[origin(p.u)]
	f.mu.Unlock()
	if file.SHA256 != "" && !yes {
		if _, held, err := f.st.Stat(file.SHA256); err == nil && held {
			return true
		}
	}
	return yes || p.end(1) == nil
}

// parts is a file that is read where it lies.
type parts struct {
	ask  func(spec string) ([]byte, int64, int64, error)
	u    *url.URL
	size int64
	at   int64 // where buf lies
	buf  []byte
	next int64 // bytes of the next request
	left int64 // bytes that may still be asked for
	err  error // of ReadAt, when it was the server's fault
}

func (f *Fetcher) parts(ctx context.Context, file PageFile) (*parts, error) {
	if f.Offline {
		return nil, &OfflineError{Missing: []string{missing(file.Name, file.Size)}}
	}
	u, err := url.Parse(file.URL)
	if err != nil {
		return nil, refuse("IDX-02", file.Name, "", "its address cannot be parsed")
	}
	p := &parts{u: u, next: firstPart, left: maxParts}
	tag := ""
	p.ask = func(spec string) (body []byte, start, total int64, err error) {
		err = f.retry(ctx, file.Name, func() (int64, error) {
			body, start, total, tag, err = f.slice(ctx, u, file.page, spec, tag)
			return 0, err
		})
		f.learn(u, err)
		return body, start, total, err
	}
	f.mu.Lock()
	yes, known := f.partial[origin(u)]
	f.mu.Unlock()
	if known && !yes {
		return nil, ErrWhole
	}
	return p, nil
}

// learn notes whether a server sends parts.
func (f *Fetcher) learn(u *url.URL, err error) {
	if err == nil || errors.Is(err, ErrWhole) {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.partial[origin(u)] = err == nil
	}
}

// slice asks for one part. tag is what an earlier part of the same file came with.
func (f *Fetcher) slice(ctx context.Context, u, from *url.URL, spec, tag string) (body []byte, start, total int64, got string, err error) {
	header := http.Header{"Accept-Encoding": {"identity"}, "Range": {"bytes=" + spec}}
	a, err := f.send(ctx, u, from, header, false)
	if err != nil {
		return nil, 0, 0, tag, err
	}
	defer a.Close()
	if a.StatusCode == 200 || a.StatusCode == 416 || a.StatusCode == 501 {
		return nil, 0, 0, tag, ErrWhole
	}
	if err := a.status(); err != nil {
		return nil, 0, 0, tag, err
	}
	if enc := a.Header.Get("Content-Encoding"); enc != "" && enc != "identity" {
		return nil, 0, 0, tag, refuse("IDX-01", show(a.url), "", "the server sends the bytes in the encoding %s although asked not to", q(enc))
	}
	start, total = contentRange(a.Header.Get("Content-Range"))
	if start < 0 || total < 0 {
		return nil, 0, 0, tag, ErrWhole
	}
	if got = a.Header.Get("ETag"); tag != "" && got != tag {
		return nil, 0, 0, tag, refuse("IDX-01", show(a.url), "", "the file has changed while it was read")
	}
	body, err = io.ReadAll(io.LimitReader(a, maxPart+1))
	if err != nil {
		return nil, 0, 0, tag, fmt.Errorf("reading %s: %w", show(a.url), err)
	}
	return body, start, total, got, nil
}

// end reads the last n bytes, and learns how long the file is.
func (p *parts) end(n int64) error {
	body, start, total, err := p.ask(fmt.Sprintf("-%d", n))
	if err != nil {
		return err
	}
	if want := min(n, total); start != total-want || int64(len(body)) != want {
		return p.wrong(start, int64(len(body)), total-want, want)
	}
	p.size, p.at, p.buf, p.left = total, start, body, p.left-int64(len(body))
	return nil
}

func (p *parts) wrong(start, n, wantStart, want int64) error {
	return refuse("IDX-01", show(p.u), "", "asked for %d bytes from %d, the server sends %d from %d", want, wantStart, n, start)
}

// ReadAt reads from the part that is here, or asks for one that begins at off and is larger
// each time. It implements io.ReaderAt for one reader at a time.
func (p *parts) ReadAt(b []byte, off int64) (int, error) {
	done := 0
	for done < len(b) {
		at := off + int64(done)
		if at < 0 || at >= p.size {
			return done, io.EOF
		}
		if at < p.at || at >= p.at+int64(len(p.buf)) {
			if p.err = p.read(at, int64(len(b)-done)); p.err != nil {
				return done, p.err
			}
		}
		done += copy(b[done:], p.buf[at-p.at:])
	}
	return done, nil
}

// read asks for the part that begins at at, of which want bytes are wanted.
func (p *parts) read(at, want int64) error {
	n := min(max(p.next, want), maxPart, p.size-at)
	if p.left -= n; p.left < 0 {
		return refuse("IDX-01", show(p.u), "", "more than %d bytes would have to be read to find what is looked for", maxParts)
	}
	p.next = min(2*p.next, maxPart)
	body, start, total, err := p.ask(fmt.Sprintf("%d-%d", at, at+n-1))
	if err != nil {
		return err
	}
	if total != p.size {
		return refuse("IDX-01", show(p.u), "", "the file has %d bytes, and had %d before", total, p.size)
	}
	if start != at || int64(len(body)) != n {
		return p.wrong(start, int64(len(body)), at, n)
	}
	p.at, p.buf = at, body
	return nil
}
