package resolve

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/clearsign"
	pgp "github.com/ProtonMail/go-crypto/openpgp/errors"
	"github.com/ProtonMail/go-crypto/openpgp/packet"
	"github.com/ulikunitz/xz"

	"github.com/forge-build/forge/builder/debian"
	"github.com/forge-build/forge/builder/fetch"
	"github.com/forge-build/forge/recipes"
	"github.com/forge-build/forge/recipes/lock"
)

// keyring holds the keys of Debian's archive: debian-archive-keyring 2025.1, as it is in
// the package (sha256 9ea7778e443144ca490668737a8ab22dd3e748bb99e805e22ec055abeb3c7fac).
//
//go:embed debian-archive-keyring.gpg
var keyring []byte

// Bounds of what is read of an archive, in bytes.
const (
	maxInRelease = 8 << 20
	maxPackages  = 512 << 20
	maxKey       = 1 << 20
)

// source is one suite of an archive.
type source struct {
	name, suite string
	components  []string
	keys        openpgp.EntityList
	pinned      time.Time // of a snapshot; zero: the archive as it is
	limit       time.Time // nothing later is allowed; zero: none
}

// sources lists the suites that a recipe takes packages from.
func sources(im *recipes.Image, o Options, pinned time.Time) ([]source, error) {
	keys, err := readKeys(keyring)
	if err != nil {
		return nil, fmt.Errorf("internal error: reading the archive's keys: %w", err)
	}
	suite, main := im.Debian.Suite, []string{"main"}
	all := []source{
		{"debian", suite, main, keys, pinned, pinned},
		{"debian", suite + "-updates", main, keys, pinned, pinned},
		{"debian-security", suite + "-security", main, keys, pinned, pinned},
	}
	for _, a := range im.Debian.Archives {
		if a.Name == "debian" || a.Name == "debian-security" {
			return nil, &InputError{fmt.Sprintf("archive %q has the name of one of Debian's own", a.Name)}
		}
		raw, err := readInside(o.Dir, a.Key)
		if err != nil {
			return nil, &InputError{fmt.Sprintf("archive %q: reading key %q: %v", a.Name, a.Key, err)}
		}
		keys, err := readKeys(raw)
		if err != nil {
			return nil, &InputError{fmt.Sprintf("archive %q: key %q: %v", a.Name, a.Key, err)}
		}
		components := a.Components
		if len(components) == 0 {
			components = main
		}
		s := source{name: a.Name, suite: a.Suite, components: components, keys: keys, limit: o.AsOf}
		if s.suite == "" {
			s.suite = suite
		}
		all = append(all, s)
	}
	return all, nil
}

// readInside reads a file of the recipe's folder, which it cannot leave.
func readInside(dir, name string) ([]byte, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	fi, err := root.Stat(name)
	if err != nil {
		return nil, err
	}
	if !fi.Mode().IsRegular() || fi.Size() > maxKey {
		return nil, fmt.Errorf("it is no file of at most %d bytes", maxKey)
	}
	f, err := root.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, maxKey))
}

// readKeys reads public keys, armoured or not. Each key of the file must be understood: a
// library that skips some would verify until the day when those alone sign.
func readKeys(raw []byte) (openpgp.EntityList, error) {
	keys, err := openpgp.ReadKeyRing(bytes.NewReader(raw))
	if bytes.HasPrefix(bytes.TrimSpace(raw), []byte("-----BEGIN")) {
		keys, err = openpgp.ReadArmoredKeyRing(bytes.NewReader(raw))
	} else if n := countKeys(raw); err == nil && n != len(keys) {
		return nil, fmt.Errorf("%d of %d keys are of a kind that forge knows", len(keys), n)
	}
	if err != nil {
		return nil, err
	}
	for _, k := range keys {
		if k.PrivateKey != nil {
			return nil, errors.New("it holds a private key: export the public one")
		}
	}
	if len(keys) == 0 {
		return nil, errors.New("it holds no key")
	}
	return keys, nil
}

// countKeys counts the primary keys of a key ring.
func countKeys(raw []byte) (n int) {
	const publicKey = 6 // RFC 9580, 5
	r := packet.NewOpaqueReader(bytes.NewReader(raw))
	for {
		p, err := r.Next()
		if err != nil {
			return n
		}
		if p.Tag == publicKey {
			n++
		}
	}
}

// staleError says that an archive's state is too old, or of the future: another mirror may
// have a better one.
type staleError struct{ reason string }

func (e *staleError) Error() string { return e.reason }

// read takes a suite's state from the first of the places that has a good one.
func (c *choice) read(ctx context.Context, s source, bases []string) error {
	var errs []error
	for _, base := range bases {
		err := c.readFrom(ctx, s, base, bases)
		var raced *racedError
		if errors.As(err, &raced) { // between InRelease and Packages the archive was renewed
			err = c.readFrom(ctx, s, base, bases)
		}
		var forged *forgedError
		if err == nil || ctx.Err() != nil || errors.As(err, &forged) {
			return err
		}
		errs = append(errs, err)
	}
	if len(bases) == 0 {
		return fmt.Errorf("reading suite %q of archive %q: no address is known", s.suite, s.name)
	}
	return fmt.Errorf("reading suite %q of archive %q: %w", s.suite, s.name, errors.Join(errs...))
}

// forgedError says that what a place serves is not the archive's.
type forgedError struct{ error }

// racedError says that InRelease names a file that the place does not serve.
type racedError struct{ error }

func (c *choice) readFrom(ctx context.Context, s source, base string, bases []string) error {
	address := base + "/dists/" + s.suite + "/InRelease"
	raw, err := c.o.Fetch.Get(ctx, address, maxInRelease)
	if err != nil {
		return err
	}
	text, err := signedText(raw, s.keys, func(made time.Time) time.Time {
		switch {
		case s.pinned.IsZero():
			return c.now
		case made.After(s.pinned):
			return made // what is too new for a snapshot, its date says
		}
		return s.pinned
	})
	if err != nil {
		return &forgedError{fmt.Errorf("%s: %w", address, err)}
	}
	release, err := debian.ParseRelease(text)
	if err == nil {
		err = s.is(release, c.arch)
	}
	if err != nil {
		return &forgedError{fmt.Errorf("%s: %w", address, err)}
	}
	if err := c.fresh(s, release); err != nil {
		return fmt.Errorf("%s: %w", address, err)
	}
	state := lock.Archive{Name: s.name, Suite: s.suite, Date: release.Date.Format(time.RFC3339), InRelease: sum(raw), Packages: map[string]string{}}
	var all []debian.Package
	for _, component := range s.components {
		packages, file, err := c.index(ctx, s, release, component, base, bases)
		if err != nil {
			return err
		}
		state.Packages[component] = file.SHA256
		all = append(all, packages...)
	}
	c.out.Archives = append(c.out.Archives, state)
	c.packages = append(c.packages, all...)
	return nil
}

// signedText returns the text that a clear-signed file signs, if one of its signatures is
// by one of the keys, which must be valid at the time that at gives for a signature's own.
// Nothing may stand around the text.
func signedText(raw []byte, keys openpgp.EntityList, at func(made time.Time) time.Time) ([]byte, error) {
	if !bytes.HasPrefix(raw, []byte("-----BEGIN PGP SIGNED MESSAGE-----\n")) {
		return nil, errors.New("it does not begin with a signed text")
	}
	block, rest := clearsign.Decode(raw)
	if block == nil {
		return nil, errors.New("it is no clear-signed text")
	}
	if len(bytes.TrimSpace(rest)) > 0 {
		return nil, errors.New("there is text outside the signed block")
	}
	packets := packet.NewReader(io.LimitReader(block.ArmoredSignature.Body, maxKey))
	var errs []error
	for len(errs) < 20 {
		p, err := packets.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			errs = append(errs, err)
			break
		}
		signature, ok := p.(*packet.Signature)
		if !ok {
			errs = append(errs, errors.New("a packet is no signature"))
			continue
		}
		var one bytes.Buffer
		if err := signature.Serialize(&one); err != nil {
			errs = append(errs, err)
			continue
		}
		config := &packet.Config{Time: func() time.Time { return at(signature.CreationTime) }}
		if _, err = openpgp.CheckDetachedSignature(keys, bytes.NewReader(block.Bytes), &one, config); err == nil {
			return block.Plaintext, nil
		}
		if errors.Is(err, pgp.ErrKeyExpired) || errors.Is(err, pgp.ErrSignatureExpired) {
			err = fmt.Errorf("%w at %s, as the clock says", err, at(signature.CreationTime).UTC().Format(time.RFC3339))
		}
		errs = append(errs, err)
	}
	if len(errs) == 0 {
		return nil, errors.New("it has no signature")
	}
	return nil, fmt.Errorf("no signature is by a key of the archive: %w", errors.Join(errs...))
}

// is checks that a Release file is of the suite that was asked for.
func (s source) is(r debian.Release, arch string) error {
	if r.Suite != s.suite && r.Codename != s.suite {
		return fmt.Errorf("it is of suite %+q, codename %+q, not of %q", cut(r.Suite), cut(r.Codename), s.suite)
	}
	if !slices.Contains(r.Architectures, arch) {
		return fmt.Errorf("it has no packages for %s", arch)
	}
	return nil
}

// cut shortens text of the input.
func cut(s string) string { return s[:min(len(s), 120)] }

// fresh refuses a state that is too old or too new. Debian's stable InRelease has no
// Valid-Until, so that the lock's own date is what shows a frozen mirror.
func (c *choice) fresh(s source, r debian.Release) error {
	date := r.Date.Format(time.RFC3339)
	if !s.limit.IsZero() && r.Date.After(s.limit) {
		return &staleError{fmt.Sprintf("it is of %s, and nothing after %s was asked for", date, s.limit.UTC().Format(time.RFC3339))}
	}
	if !s.pinned.IsZero() {
		return nil // a snapshot is always expired, and older than the lock if the recipe says so
	}
	if r.Date.After(c.now.Add(24 * time.Hour)) {
		return &staleError{fmt.Sprintf("it is of %s, the clock says %s", date, c.now.UTC().Format(time.RFC3339))}
	}
	if !r.ValidUntil.IsZero() && c.now.After(r.ValidUntil) {
		return &staleError{fmt.Sprintf("it was valid until %s, the clock says %s", r.ValidUntil.Format(time.RFC3339), c.now.UTC().Format(time.RFC3339))}
	}
	if c.locked == nil {
		return nil
	}
	for _, old := range c.locked.Archives {
		if old.Name != s.name || old.Suite != s.suite {
			continue
		}
		if t, err := time.Parse(time.RFC3339, old.Date); err == nil && t.After(r.Date) {
			return &staleError{fmt.Sprintf("it is of %s, older than the locked state of %s: the mirror is stale or frozen", date, old.Date)}
		}
	}
	return nil
}

// endings are the forms of Packages, the best first.
var endings = []string{".xz", ".gz", ""}

// index reads the packages of a component. They are found by their sum where the archive
// has that, at any of the places.
func (c *choice) index(ctx context.Context, s source, r debian.Release, component, base string, bases []string) ([]debian.Package, debian.ReleaseFile, error) {
	dir := component + "/binary-" + c.arch + "/"
	for _, ending := range endings {
		file, ok := r.Files[dir+"Packages"+ending]
		if !ok {
			continue
		}
		if file.Size > maxPackages {
			return nil, file, fmt.Errorf("%s of suite %q has %d bytes, the limit is %d", dir+"Packages"+ending, s.suite, file.Size, maxPackages)
		}
		var urls []string
		if r.ByHash {
			for _, b := range append([]string{base}, bases...) {
				if u := b + "/dists/" + s.suite + "/" + dir + "by-hash/SHA256/" + file.SHA256; !slices.Contains(urls, u) {
					urls = append(urls, u)
				}
			}
		}
		urls = append(urls, base+"/dists/"+s.suite+"/"+dir+"Packages"+ending)
		path, err := c.o.Fetch.File(ctx, urls, s.suite+"/"+dir+"Packages"+ending, file.SHA256, file.Size)
		if err != nil {
			return nil, file, raced(err)
		}
		packages, err := readPackages(path, ending, s.name)
		if err != nil {
			return nil, file, fmt.Errorf("reading %s of suite %q: %w", dir+"Packages"+ending, s.suite, err)
		}
		return packages, file, nil
	}
	return nil, debian.ReleaseFile{}, &InputError{fmt.Sprintf("suite %q of archive %q has no component %q for %s", s.suite, s.name, component, c.arch)}
}

// raced marks the errors that a renewal of the archive explains.
func raced(err error) error {
	var gone *fetch.GoneError
	var other *fetch.HashError
	if errors.As(err, &gone) || errors.As(err, &other) {
		return &racedError{err}
	}
	return err
}

func (e *racedError) Unwrap() error  { return e.error }
func (e *forgedError) Unwrap() error { return e.error }

// readPackages reads an index whose sum was verified.
func readPackages(path, ending, archive string) ([]debian.Package, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	in := io.Reader(bufio.NewReaderSize(f, 256<<10))
	switch ending {
	case ".xz":
		in, err = xz.ReaderConfig{SingleStream: true}.NewReader(in)
	case ".gz":
		in, err = gzip.NewReader(in)
	}
	if err != nil {
		return nil, err
	}
	packages, err := debian.ParsePackages(in)
	for i := range packages {
		packages[i].Archive = archive
	}
	return packages, err
}
