package fetch

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/forge-build/forge/builder/store"
)

// want says which bytes a download must bring.
type want struct {
	name  string // file name
	sum   string // sha256, or empty: any
	size  int64  // or -1: any up to limit
	limit int64
	by    string // who says so: "lock", "index", "recipe"
	plain bool   // http will do
}

// refused says of bytes that the store did not take where they came from, and who promised
// others. The store compares, and nobody else: what is kept is what was judged.
func (w want) refused(err error, from, note string) error {
	var m *store.MismatchError
	switch {
	case !errors.As(err, &m):
		return fmt.Errorf("keeping %s: %w", w.name, err)
	case m.Want == m.Got || m.Want == "":
		return &HashError{File: w.name, From: from, By: w.by, GotSize: m.GotSize, WantSize: m.WantSize, Note: note}
	}
	return &HashError{File: w.name, From: from, By: w.by, Got: m.Got, Want: m.Want, Note: note}
}

// download is one file on its way into the store.
type download struct {
	f        *Fetcher
	p        *store.Partial
	u, from  *url.URL
	w        want
	pieced   bool   // put together from several answers
	encoding string // that the server says it used
}

// errAgain says that an answer could not go on where the last one ended.
var errAgain = fmt.Errorf("the server's answers do not fit together: %w", io.ErrUnexpectedEOF)

// blob brings one file from one address into the store, going on where an earlier attempt
// ended. Nobody else fetches it meanwhile.
func (f *Fetcher) blob(ctx context.Context, u, from *url.URL, w want) (sum string, size int64, err error) {
	key := w.sum
	if key == "" {
		h := sha256.Sum256([]byte("url " + show(u)))
		key = hex.EncodeToString(h[:])
	}
	f.event(Event{Name: w.name, Total: w.size, State: "waiting"})
	unlock, err := f.st.Lock(ctx, "fetch "+key)
	if err != nil {
		return "", 0, err
	}
	defer unlock()
	if w.sum != "" {
		size, ok, err := f.st.Stat(w.sum)
		if err != nil || ok {
			f.event(Event{Name: w.name, Done: size, Total: size, State: "held"})
			return w.sum, size, err
		}
	}
	p, err := f.st.Partial(key)
	if err != nil {
		return "", 0, err
	}
	defer p.Close()
	d := &download{f: f, p: p, u: u, from: from, w: w, pieced: p.Size() > 0}
	if err := d.all(ctx); err != nil {
		return "", 0, err
	}
	if d.w.sum != "" && d.p.Sum() != d.w.sum && d.pieced {
		// The pieces may be of two files: once more, in one piece.
		if err := p.Restart(); err != nil {
			return "", 0, err
		}
		d.pieced = false
		if err := d.all(ctx); err != nil {
			return "", 0, err
		}
	}
	return d.commit()
}

// commit judges what has arrived.
func (d *download) commit() (string, int64, error) {
	w, size := d.w, d.p.Size()
	sum, err := d.p.Commit(w.sum, w.size)
	if err != nil {
		return "", 0, w.refused(err, show(d.u), d.packed())
	}
	d.f.event(Event{Name: w.name, Done: size, Total: size, State: "done"})
	return sum, size, nil
}

// all asks until everything has arrived.
func (d *download) all(ctx context.Context) error {
	high := d.p.Size()
	err := d.f.retry(ctx, d.w.name, func() (int64, error) {
		before := high
		err := d.receive(ctx)
		high = max(high, d.p.Size())
		return high - before, err
	})
	var he *HashError
	if errors.As(err, &he) {
		return errors.Join(err, d.p.Discard())
	}
	return err
}

// receive makes one request and keeps what it brings.
func (d *download) receive(ctx context.Context) error {
	have := d.p.Size()
	if have > 0 && have == d.w.size {
		return nil // an earlier process was stopped just before the end
	}
	validator := d.p.Validator()
	if have > 0 && ((validator == "" && d.w.sum == "") || (d.w.size >= 0 && have > d.w.size)) {
		if err := d.p.Restart(); err != nil {
			return err
		}
		have = 0
	}
	header := http.Header{"Accept-Encoding": {"identity"}}
	if have > 0 {
		header.Set("Range", fmt.Sprintf("bytes=%d-", have))
		if validator != "" {
			header.Set("If-Range", validator)
		}
	}
	a, err := d.f.send(ctx, d.u, d.from, header, d.w.plain)
	if err != nil {
		return err
	}
	defer a.Close()
	if err := d.begin(a, have, validator); err != nil {
		return err
	}
	return d.copy(a)
}

// begin looks at the head of an answer, before any byte of it is kept.
func (d *download) begin(a *answer, have int64, validator string) error {
	again := func() error { return errors.Join(errAgain, d.p.Restart()) }
	switch {
	case a.StatusCode == 416 && have > 0:
		return again()
	case a.StatusCode == 206 && have == 0:
		return refuse("IDX-01", show(a.url), "", "the server sends a part that nobody asked for")
	case a.StatusCode == 206:
		start, total := contentRange(a.Header.Get("Content-Range"))
		tag := a.Header.Get("ETag")
		// Without a hash to judge the whole, only the same tag will do.
		other := strings.HasPrefix(validator, `"`) && tag != validator && (tag != "" || d.w.sum == "")
		if other || start != have || (d.w.size >= 0 && total >= 0 && total != d.w.size) {
			return again()
		}
		d.pieced = true
	default:
		if err := a.status(); err != nil {
			return err
		}
		if have > 0 {
			if err := d.p.Restart(); err != nil {
				return err
			}
			have, d.pieced = 0, false
		}
		if err := d.p.SetValidator(d.validator(a.Header)); err != nil {
			return err
		}
	}
	if enc := a.Header.Get("Content-Encoding"); enc != "" && enc != "identity" {
		if d.encoding = enc; d.w.sum == "" {
			return refuse("IDX-01", show(a.url), "", "the server sends the bytes in the encoding %s although asked not to", q(enc))
		}
	}
	if a.ContentLength < 0 {
		return d.expect(d.w.size)
	}
	return d.expect(have + a.ContentLength)
}

// expect compares the announced size with the wanted one, and with the disk.
func (d *download) expect(total int64) error {
	switch {
	case total < 0:
		return nil
	case d.w.size >= 0 && total != d.w.size:
		return &HashError{File: d.w.name, From: show(d.u), By: d.w.by, GotSize: total, WantSize: d.w.size}
	case d.w.size < 0 && total > d.w.limit:
		return refuse("IDX-01", d.w.name, "", "is %d bytes; at most %d are taken", total, d.w.limit)
	}
	return d.p.Expect(total)
}

// validator is the word by which the server can be asked for the same version again.
func (d *download) validator(h http.Header) string {
	if tag := h.Get("ETag"); strings.HasPrefix(tag, `"`) {
		return tag
	}
	if d.w.sum != "" { // weak, but the hash decides
		return h.Get("Last-Modified")
	}
	return ""
}

// copy keeps the body of an answer, one byte more than wanted at most.
func (d *download) copy(a *answer) error {
	bound, total := d.w.limit, d.w.size
	if d.w.size >= 0 {
		bound = d.w.size
	} else if a.ContentLength >= 0 {
		total = d.p.Size() + a.ContentLength
	}
	body := io.LimitReader(a, bound-d.p.Size()+1)
	buf := make([]byte, 256<<10)
	var last time.Time
	for {
		n, err := body.Read(buf)
		if n > 0 {
			if _, err := d.p.Write(buf[:n]); err != nil {
				return fmt.Errorf("fetching %s: %w", d.w.name, err)
			}
		}
		if now := d.f.now(); now.Sub(last) > 100*time.Millisecond {
			last = now
			d.f.event(Event{Name: d.w.name, Done: d.p.Size(), Total: total, State: "fetching"})
		}
		if err == io.EOF {
			break
		}
		if errors.Is(err, io.ErrUnexpectedEOF) && total >= 0 {
			return d.cutOff(a, total)
		}
		if err != nil {
			return fmt.Errorf("fetching %s from %s: %w", d.w.name, show(a.url), err)
		}
	}
	switch size := d.p.Size(); {
	case size > bound && d.w.size >= 0:
		return &HashError{File: d.w.name, From: show(d.u), By: d.w.by, GotSize: size, WantSize: d.w.size, Note: "and the server sends more"}
	case size > bound:
		return errors.Join(refuse("IDX-01", d.w.name, "", "is larger than %d bytes", bound), d.p.Restart())
	case size < d.w.size && d.encoding != "":
		return &HashError{File: d.w.name, From: show(d.u), By: d.w.by, GotSize: size, WantSize: d.w.size, Note: d.packed()}
	case size < d.w.size:
		return d.cutOff(a, d.w.size)
	}
	return nil
}

// cutOff is an answer that ended too early. What has arrived stays.
func (d *download) cutOff(a *answer, total int64) error {
	return fmt.Errorf("fetching %s from %s: the server ends after %d of %d bytes: %w", d.w.name, show(a.url), d.p.Size(), total, io.ErrUnexpectedEOF)
}

// packed explains bytes that are not the right ones, when the server itself does.
func (d *download) packed() string {
	if d.encoding == "" {
		return ""
	}
	return "the server says that it sent the encoding " + q(d.encoding)
}

var rangeForm = regexp.MustCompile(`^bytes ([0-9]{1,18})-[0-9]{1,18}/([0-9]{1,18}|\*)$`)

// contentRange reads where a part begins and how long the whole is; -1 is unknown.
func contentRange(h string) (start, total int64) {
	m := rangeForm.FindStringSubmatch(h)
	if m == nil {
		return -1, -1
	}
	start, _ = strconv.ParseInt(m[1], 10, 64) // at most 18 digits
	if total = -1; m[2] != "*" {
		total, _ = strconv.ParseInt(m[2], 10, 64) // at most 18 digits
	}
	return start, total
}
