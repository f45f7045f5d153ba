package recipes

import (
	"path"
	"regexp"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
)

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
	if im.Debian.Mirror, at = p.text("mirror", ""); im.Debian.Mirror != "" && !regexp.MustCompile(`^https?://[^\s@]+$`).MatchString(im.Debian.Mirror) {
		d.mistake(at, "Invalid mirror", "%+q: an http or https address without a password is due.", cut(im.Debian.Mirror))
	}
	p.done()
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
	p.done()
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
