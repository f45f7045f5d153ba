package push

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strconv"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
)

func sum(raw []byte) v1.Hash {
	s := sha256.Sum256(raw)
	return v1.Hash{Algorithm: "sha256", Hex: hex.EncodeToString(s[:])}
}

func blobPath(repo name.Repository, h v1.Hash) string {
	return "/v2/" + repo.RepositoryStr() + "/blobs/" + h.String()
}

// has asks whether a repository holds a blob.
func (c *Client) has(ctx context.Context, e entry, repo name.Repository, d v1.Descriptor) (bool, error) {
	found := false
	err := c.retry(ctx, e, d.Digest.String(), func() (int64, error) {
		a, err := c.do(ctx, e, http.MethodHead, blobPath(repo, d.Digest), nil, nil)
		if err != nil {
			return 0, err
		}
		defer a.Close()
		found = a.StatusCode == 200
		if found && a.ContentLength >= 0 && a.ContentLength != d.Size {
			return 0, refuse("OCI-01", "%s: the registry holds %d bytes under %s, its manifest says %d", repo.Name(), a.ContentLength, d.Digest, d.Size)
		}
		return 0, a.want(200, 404)
	})
	return found, err
}

// upload is one blob on its way.
type upload struct {
	c      *Client
	e      entry
	d      v1.Descriptor
	src    Source
	where  string // of the registry's session
	offset int64  // that the registry has
	high   int64  // that was sent at most
	sent   int64  // in all, repetitions included
}

// blob brings a blob into a repository that may lack it, and says how many bytes were sent.
func (c *Client) blob(ctx context.Context, e entry, src Source, d v1.Descriptor) (int64, error) {
	held, err := c.has(ctx, e, e.repo, d)
	if err != nil {
		return 0, err
	}
	if held {
		c.event(Event{d.Digest.String(), d.Size, d.Size, "held"})
		return 0, nil
	}
	u := &upload{c: c, e: e, d: d, src: src}
	mounted, err := u.mount(ctx)
	if err != nil {
		return 0, err
	}
	if mounted {
		c.event(Event{d.Digest.String(), d.Size, d.Size, "mounted"})
		return 0, nil
	}
	err = c.retry(ctx, e, d.Digest.String(), func() (int64, error) {
		before := u.high
		err := u.try(ctx)
		return u.high - before, err
	})
	if err != nil {
		u.cancel(ctx)
		return u.sent, fmt.Errorf("sending %s: %w", d.Digest, err)
	}
	c.event(Event{d.Digest.String(), d.Size, d.Size, "sent"})
	return u.sent, nil
}

// mount takes the blob from another repository of the registry that has it.
func (u *upload) mount(ctx context.Context) (bool, error) {
	for _, from := range u.e.further {
		held, err := u.c.has(ctx, u.e, from, u.d)
		if err != nil || !held {
			continue // it is only a shortcut: what is wrong there is not what is asked for
		}
		done, err := u.begin(ctx, url.Values{"mount": {u.d.Digest.String()}, "from": {from.RepositoryStr()}})
		if err != nil || done {
			return done, err
		}
	}
	return false, nil
}

// begin opens a session; done says that a mount made it needless.
func (u *upload) begin(ctx context.Context, query url.Values) (done bool, err error) {
	where := "/v2/" + u.e.repo.RepositoryStr() + "/blobs/uploads/"
	if len(query) > 0 {
		where += "?" + query.Encode()
	}
	err = u.c.retry(ctx, u.e, u.d.Digest.String(), func() (int64, error) {
		a, err := u.c.do(ctx, u.e, http.MethodPost, where, nil, &body{})
		if err != nil {
			return 0, err
		}
		defer a.Close()
		if err := a.want(201, 202); err != nil {
			return 0, err
		}
		done = a.StatusCode == 201 && query.Has("mount")
		if done {
			return 0, nil
		}
		u.offset = 0
		return 0, u.move(a)
	})
	return done, err
}

// move takes the session's address from an answer.
func (u *upload) move(a *answer) error {
	next, err := a.url.Parse(a.Header.Get("Location"))
	if err != nil || a.Header.Get("Location") == "" {
		return refuse("OCI-03", "%s names no place for an upload", u.e.repo.RegistryStr())
	}
	u.where = next.String()
	return nil
}

// try sends what the registry lacks, and completes the blob.
func (u *upload) try(ctx context.Context) error {
	if u.where != "" && u.high > 0 {
		u.resume(ctx)
	}
	if u.where == "" {
		if _, err := u.begin(ctx, nil); err != nil {
			return err
		}
	}
	r, err := u.src.Blob(ctx, u.d)
	if err != nil {
		return err
	}
	defer r.Close()
	h := &counted{r: io.LimitReader(r, u.d.Size), h: sha256.New(), u: u}
	if _, err := io.CopyN(h.h, h.r, u.offset); err != nil {
		return fmt.Errorf("reading %s again: %w", u.d.Digest, err)
	}
	header := http.Header{"Content-Type": {"application/octet-stream"}}
	if u.offset > 0 {
		header.Set("Content-Range", fmt.Sprintf("%d-%d", u.offset, u.d.Size-1))
	}
	start := u.offset
	if start < u.d.Size || u.d.Size == 0 {
		h.at = start
		a, err := u.c.do(ctx, u.e, http.MethodPatch, u.where, header, &body{h, u.d.Size - start})
		if h.err != nil {
			return errors.Join(h.err, closeAnswer(a))
		}
		if err != nil {
			return err
		}
		defer a.Close()
		if a.StatusCode == 404 || a.StatusCode == 416 {
			u.where, u.high = "", 0 // the session is gone: a new one
			return fmt.Errorf("%w: the registry has forgotten the upload", io.ErrUnexpectedEOF)
		}
		if err := a.want(202, 201, 204); err != nil {
			return err
		}
		if err := u.move(a); err != nil {
			return err
		}
	}
	if got := (v1.Hash{Algorithm: "sha256", Hex: hex.EncodeToString(h.h.Sum(nil))}); got != u.d.Digest {
		return &MismatchError{Want: u.d.Digest, Got: got} // never completed
	}
	return u.complete(ctx)
}

func closeAnswer(a *answer) error {
	if a == nil {
		return nil
	}
	return a.Close()
}

func (u *upload) complete(ctx context.Context) error {
	at, err := url.Parse(u.where)
	if err != nil {
		return refuse("OCI-03", "%s names no place for an upload", u.e.repo.RegistryStr())
	}
	q := at.Query()
	q.Set("digest", u.d.Digest.String())
	at.RawQuery = q.Encode()
	a, err := u.c.do(ctx, u.e, http.MethodPut, at.String(), http.Header{"Content-Type": {"application/octet-stream"}}, &body{})
	if err != nil {
		return err
	}
	defer a.Close()
	if err := a.want(201, 204); err != nil {
		u.where, u.high = "", 0
		return err
	}
	return nil
}

var rangeForm = regexp.MustCompile(`^(?:bytes=)?0-([0-9]{1,18})$`)

// resume asks how far the session got; what cannot be gone on with is begun anew.
func (u *upload) resume(ctx context.Context) {
	where := u.where
	u.where, u.offset = "", 0
	a, err := u.c.do(ctx, u.e, http.MethodGet, where, nil, nil)
	if err != nil {
		return
	}
	defer a.Close()
	m := rangeForm.FindStringSubmatch(a.Header.Get("Range"))
	if a.StatusCode != 204 || m == nil {
		return
	}
	end, _ := strconv.ParseInt(m[1], 10, 64) // at most 18 digits
	if end == 0 || end >= u.high {           // "0-0" is said of nothing and of one byte alike
		return
	}
	if u.move(a) != nil {
		u.where = where
	}
	u.offset = end + 1
}

// cancel tells the registry that the session is not needed; that it hears is not.
func (u *upload) cancel(ctx context.Context) {
	if u.where == "" || ctx.Err() != nil {
		return
	}
	if a, err := u.c.do(ctx, u.e, http.MethodDelete, u.where, nil, nil); err == nil {
		_ = a.Close() // nothing of it is used
	}
}

// counted hashes and counts what is sent.
type counted struct {
	r   io.Reader
	h   hash.Hash
	u   *upload
	at  int64
	err error // of the source, which is not the registry's fault
}

func (s *counted) Read(p []byte) (int, error) {
	n, err := s.r.Read(p)
	_, _ = s.h.Write(p[:n]) // never fails
	s.at += int64(n)
	s.u.sent += int64(n)
	if s.u.high = max(s.u.high, s.at); n > 0 {
		s.u.c.event(Event{s.u.d.Digest.String(), s.at, s.u.d.Size, "sending"})
	}
	if err == io.EOF && s.at < s.u.d.Size {
		err = refuse("OCI-01", "%s ends after %d of %d bytes", s.u.d.Digest, s.at, s.u.d.Size)
	}
	if err != nil && err != io.EOF {
		s.err = err
	}
	return n, err
}
