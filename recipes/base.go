package recipes

import (
	"path"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
)

// mirror is the address of a Debian archive, without a password.
var mirror = regexp.MustCompile(`^https?://[^\s@?#]+$`)

// base reads what lies below: Debian packages, which is the default, or an image.
func (d *decoder) base(w *words, im *Image) {
	b := w.one("base", 1)
	switch {
	case b == nil:
		im.Debian = &Debian{Suite: "trixie"}
	case b.Labels[0] == "debian":
		d.debian(b, im)
	case b.Labels[0] == "image":
		d.baseImage(b, im)
		return // lock compares its Python, which nobody knows before the image is read
	default:
		im.Debian = &Debian{Suite: "trixie"}
		d.mistake(b.LabelRanges[0], "Unknown base", "%+q: %s", cut(b.Labels[0]), nearest(b.Labels[0], []string{"debian", "image"}))
		return
	}
	d.pythonOf(im)
}

// debian reads base "debian".
func (d *decoder) debian(b *hclsyntax.Block, im *Image) {
	p := d.words(b, "base.")
	im.Debian = &Debian{}
	var at hcl.Range
	im.Debian.Suite, at = p.text("suite", "trixie")
	if Suites[im.Debian.Suite] == "" {
		d.mistake(at, "Unknown suite", "%+q: %s", cut(im.Debian.Suite), nearest(im.Debian.Suite, sortedKeys(Suites)))
	}
	var places []hcl.Range
	im.Debian.Packages, places = p.list("packages")
	d.packages(im.Debian.Packages, places)
	im.Debian.Deny, places = p.list("deny")
	d.packages(im.Debian.Deny, places)
	if im.Debian.Mirror, at = p.text("mirror", ""); im.Debian.Mirror != "" && !mirror.MatchString(im.Debian.Mirror) {
		d.mistake(at, "Invalid mirror", "%+q: an http or https address without a password is due.", cut(im.Debian.Mirror))
	}
	if im.Debian.Snapshot, at = p.text("snapshot", ""); im.Debian.Snapshot != "" {
		if _, err := time.Parse(time.RFC3339, im.Debian.Snapshot); err != nil {
			d.mistake(at, "Invalid snapshot", "%+q: a time of RFC 3339 is due, as 2026-11-01T00:00:00Z.", cut(im.Debian.Snapshot))
		}
	}
	d.archives(p, im)
	p.done()
}

// suiteName is also the form of an archive's name and of its components.
var suiteName = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{0,62}$`)

// archives reads further archives of packages.
func (d *decoder) archives(w *words, im *Image) {
	for _, b := range w.blocks("archive", 1) {
		p := d.words(b, "base.archive.")
		a := Archive{Name: b.Labels[0]}
		taken := a.Name == "debian" || a.Name == "debian-security" || slices.ContainsFunc(im.Debian.Archives, func(o Archive) bool { return o.Name == a.Name })
		if taken || !suiteName.MatchString(a.Name) {
			d.mistake(b.LabelRanges[0], "Invalid archive name", "%+q: small letters, digits, . _ and -; each archive has a name of its own, and debian and debian-security are Debian's.", cut(a.Name))
		}
		var at hcl.Range
		if a.URL, at = p.text("url", ""); !mirror.MatchString(a.URL) {
			d.mistake(at, "Invalid address", "%+q: an http or https address without a password is due.", cut(a.URL))
		}
		if a.Key, at = p.text("key", ""); a.Key == "" {
			d.mistake(at, "Archive without a key", `Write key = "acme.gpg": a file in the recipe's folder with the OpenPGP keys that sign the archive.`)
		} else if _, err := readBelow(d.dir, a.Key, maxFile); err != nil {
			d.mistake(at, "Key cannot be read", "%v.", err)
		}
		if a.Suite, at = p.text("suite", im.Debian.Suite); !suiteName.MatchString(a.Suite) {
			d.mistake(at, "Invalid suite", "%+q: small letters, digits, . _ and - are due.", cut(a.Suite))
		}
		var places []hcl.Range
		a.Components, places = p.list("components")
		for i, c := range a.Components {
			if !suiteName.MatchString(c) {
				d.mistake(places[i], "Invalid component", "%+q: small letters, digits, . _ and - are due, as main.", cut(c))
			}
		}
		if len(a.Components) == 0 {
			a.Components = []string{"main"}
		}
		p.done()
		im.Debian.Archives = append(im.Debian.Archives, a)
	}
}

func (d *decoder) packages(names []string, at []hcl.Range) {
	for i, n := range names {
		if !packageName.MatchString(n) {
			d.mistake(at[i], "Invalid package name", "%+q: a Debian package's name is due.", cut(n))
		}
	}
}

// pythonOf compares the wanted Python with Debian's own.
func (d *decoder) pythonOf(im *Image) {
	has := Suites[im.Debian.Suite]
	if want := im.Python.Version; want != "" && has != "" && want != has {
		d.mistake(d.places["python.version"], "Python is not in the base",
			`Debian %s has Python %s, not %q. Leave version out, or take an image that has it as the base: base "image" { from = "…@sha256:…" }.`, im.Debian.Suite, has, cut(want))
	}
}

// digestHowTo says how a tag becomes a digest.
const digestHowTo = `skopeo inspect --format "{{.Digest}}" docker://NAME:TAG, crane digest NAME:TAG or docker buildx imagetools inspect NAME:TAG print it`

var baseDigest = regexp.MustCompile(`^sha256:[0-9a-f]{64}$`)

// baseImage reads base "image".
func (d *decoder) baseImage(b *hclsyntax.Block, im *Image) {
	p := d.words(b, "base.")
	im.Base = &BaseImage{}
	var at hcl.Range
	im.Base.From, at = p.text("from", "")
	d.from(at, *im.Base)
	if im.Base.Interpreter, at = p.text("interpreter", ""); im.Base.Interpreter != "" {
		d.absolute(at, "interpreter", im.Base.Interpreter)
	}
	d.baseSigner(p, im.Base)
	p.done()
}

// baseSigner reads who must have signed the base.
func (d *decoder) baseSigner(w *words, base *BaseImage) {
	b := w.one("signed_by", 0)
	if b == nil {
		return
	}
	p := d.words(b, "base.signed_by.")
	s := &BaseSigner{}
	s.Identity, s.Issuer = d.identity(p)
	for _, f := range []struct {
		name string
		to   *string
	}{{"key", &s.Key}, {"trust_root", &s.TrustRoot}} {
		var at hcl.Range
		if *f.to, at = p.text(f.name, ""); *f.to != "" {
			d.below(at, f.name, *f.to)
		}
	}
	var at hcl.Range
	if s.Repository, at = p.text("repository", ""); s.Repository != "" && !repository.MatchString(s.Repository) {
		d.mistake(at, "Invalid repository", "%+q: host/name is due, without tag or digest.", cut(s.Repository))
	}
	p.done()
	if (s.Key != "") == (s.Identity != "" || s.Issuer != "") || (s.Identity == "") != (s.Issuer == "") {
		d.mistake(b.DefRange(), "Base signed by nobody", `Write identity and issuer, or key = "base.pub": who must have signed the base.`)
	}
	base.SignedBy = s
}

// from judges where a base comes from, and that it is pinned.
func (d *decoder) from(at hcl.Range, b BaseImage) {
	place, digest, pinned := strings.Cut(b.From, "@")
	dir, layout := b.Layout()
	switch {
	case b.From == "":
		d.mistake(at, "Base without an image", `Write from = "registry.example/python@sha256:…".`)
	case len(b.From) > 1024 || strings.ContainsAny(b.From, " \t\r\n\x00"):
		d.mistake(at, "Invalid base", "%+q: repository@sha256:… is due.", cut(b.From))
	case !pinned:
		d.mistake(at, "Base is not pinned", "%+q: a tag can be another image tomorrow. Write %s@sha256:…; %s.", cut(b.From), cut(place), digestHowTo)
	case !baseDigest.MatchString(digest):
		d.mistake(at, "Invalid digest", "%+q: sha256: and 64 small hexadecimal digits are due; %s.", cut(digest), digestHowTo)
	case layout && (dir == "." || path.IsAbs(dir) || dir != path.Clean(dir) || strings.HasPrefix(dir, "..") || strings.Contains(dir, "\\")):
		d.mistake(at, "Base from outside", "%+q: an OCI layout in a folder below the recipe's is due, as oci:bases/python@sha256:….", cut(b.From))
	case !layout:
		if _, err := name.NewDigest(b.From); err != nil || strings.Contains(b.From, "://") {
			d.mistake(at, "Invalid base", "%+q: repository@sha256:… is due, as registry.example/python@sha256:….", cut(b.From))
		}
	}
}

// Digest is what the base is pinned by, "sha256:…": an index's or a manifest's.
func (b BaseImage) Digest() string {
	_, digest, _ := strings.Cut(b.From, "@")
	return digest
}

// Layout is the folder of an OCI layout, a slash path below the recipe's folder, if the base
// is in one.
func (b BaseImage) Layout() (dir string, ok bool) {
	place, _, _ := strings.Cut(b.From, "@")
	return strings.CutPrefix(place, "oci:")
}

// Withheld says whether a variable decides what programs load, or is set by forge from facts:
// no recipe may set it, and none of a base is kept.
func Withheld(variable string) bool { return refused.MatchString(variable) }

// Secret says whether a variable holds what is no image's business: by its name, or because
// its value looks like a token or a private key.
func Secret(variable, value string) bool {
	return secretName.MatchString(variable) && value != "" || secret.MatchString(value)
}
