package sbom

import (
	"io"
	"path"
	"regexp"
	"strings"

	"github.com/anchore/packageurl-go"
	"github.com/anchore/syft/syft/cpe"
	"github.com/anchore/syft/syft/file"
	"github.com/anchore/syft/syft/license"
	"github.com/anchore/syft/syft/pkg"

	"github.com/forge-build/forge/sbom/requirement"
)

// library is a native library whose release its own bytes state, or its file's name.
type library struct {
	stem    string // of the file's name
	name    string // of the project; empty: the file's stem
	says    *regexp.Regexp
	cpe     string // vendor:product
	licence string
	named   bool // the numbers at the end of its file's name are the release
}

// libraries are those that wheels often carry. What a file says is taken from its bytes.
var libraries = []library{
	{"libcrypto", "openssl", openssl, "openssl:openssl", "", false},
	{"libssl", "openssl", openssl, "openssl:openssl", "", false},
	{"_rust.abi3", "openssl", openssl, "openssl:openssl", "", false}, // in cryptography
	{"libz", "zlib", regexp.MustCompile(` (?:de|in)flate (\d+\.\d+(?:\.\d+){0,2}) Copyright`), "zlib:zlib", "Zlib", true},
	{"libgomp", "libgomp", gcc, "", runtime, false},
	{"libgfortran", "libgfortran", gcc, "", runtime, false},
	{"libquadmath", "libquadmath", gcc, "", "LGPL-2.1-or-later", false},
	{"libstdc++", "libstdc++", gcc, "", runtime, false},
	{"libgcc_s", "libgcc", gcc, "", runtime, false},
	{"libatomic", "libatomic", gcc, "", runtime, false},
	{"libscipy_openblas", "openblas", openblas, "openblas_project:openblas", "BSD-3-Clause", false},
	{"libscipy_openblas64_", "openblas", openblas, "openblas_project:openblas", "BSD-3-Clause", false},
	{"libopenblas", "openblas", openblas, "openblas_project:openblas", "BSD-3-Clause", false},
	{"libopenblas64_p", "openblas", openblas, "openblas_project:openblas", "BSD-3-Clause", false},
	{"libpng16", "libpng", regexp.MustCompile(`libpng version (\d+\.\d+\.\d+)`), "libpng:libpng", "libpng-2.0", false},
	{"libjpeg", "libjpeg-turbo", regexp.MustCompile(`libjpeg-turbo version (\d+\.\d+\.\d+)`), "libjpeg-turbo:libjpeg-turbo", "", false},
	{"libtiff", "libtiff", regexp.MustCompile(`LIBTIFF, Version (\d+\.\d+\.\d+)`), "libtiff:libtiff", "libtiff", false},
	{"libcurl", "curl", regexp.MustCompile(`libcurl/(\d+\.\d+\.\d+)`), "haxx:libcurl", "curl", false},
	{"libharfbuzz", "harfbuzz", alone, "harfbuzz_project:harfbuzz", "MIT-Modern-Variant", false},
	{"libzstd", "zstd", alone, "facebook:zstandard", "BSD-3-Clause OR GPL-2.0-only", true},
	{"liblzma", "xz", alone, "tukaani:xz", "", true},
	{"libopenjp2", "openjpeg", regexp.MustCompile(`openjpeg-(\d+\.\d+\.\d+)/`), "uclouvain:openjpeg", "BSD-2-Clause", true},
	{"libbrotlicommon", "brotli", nil, "google:brotli", "MIT", true},
	{"libbrotlidec", "brotli", nil, "google:brotli", "MIT", true},
	{"libbrotlienc", "brotli", nil, "google:brotli", "MIT", true},
	{"libfreetype", "freetype", nil, "freetype:freetype", "", false},
	{"libwebp", "libwebp", nil, "webmproject:libwebp", "BSD-3-Clause", false},
	{"libsqlite3", "sqlite", nil, "sqlite:sqlite", "", false},
}

const runtime = "GPL-3.0-or-later WITH GCC-exception-3.1"

var (
	openssl  = regexp.MustCompile(`OpenSSL (\d+\.\d+\.\d+[a-z]?) +\d`)
	gcc      = regexp.MustCompile(`GCC: \([^)\x00]{0,100}\) (\d+\.\d+\.\d+)`)
	openblas = regexp.MustCompile(`OpenBLAS (\d+\.\d+\.\d+)`)
	alone    = regexp.MustCompile(`\x00(\d+\.\d+\.\d+)\x00`) // of a library whose only such text is its release
	// debuglink names the file with debugging symbols, in which the distributions of manylinux's
	// images put version and release of the package that a library is of:
	// libXau.so.6.0.0-1.0.9-3.el8.x86_64.debug.
	debuglink = regexp.MustCompile(`\x00lib[A-Za-z0-9_+-]+\.so[.\d]*-(\d+(?:\.\d+)+)-\d[A-Za-z0-9._+~]{0,60}\.debug\x00`)
	numbered  = regexp.MustCompile(`\.so\.(\d+\.\d+\.\d+)$`)
	// grafted is a file that auditwheel, or PyTorch's own tool, brought into a wheel and
	// renamed: libz-a147dcb0.so.1, libz.cac6d5fc.so.1.
	grafted = regexp.MustCompile(`^(.+?)[-.][0-9a-f]{8}(?:[0-9a-f]{32}|[0-9a-f]{56})?((?:\.so)?[.\d]*(?:\.so)?[.\d]*)$`)
	shared  = regexp.MustCompile(`^(.+?)\.so(?:\.[\d.]+)?$`)
)

// stemOf is a shared library's name without what auditwheel, versions and suffixes add.
func stemOf(base string) string {
	for range 3 { // a library of a library: libgfortran-040039e1-0352e75f.so.5
		if m := grafted.FindStringSubmatch(base); m != nil {
			base = m[1] + m[2]
		}
	}
	if m := shared.FindStringSubmatch(base); m != nil {
		base = m[1]
	}
	return base
}

// isBundled says whether a program lies where wheels carry libraries of others: auditwheel's
// folder, NVIDIA's, or anywhere under a name that was grafted or is a known library's.
func isBundled(p string) bool {
	dir, base := path.Split(p)
	if !strings.Contains(base, ".so") {
		return false
	}
	stem := stemOf(base)
	return strings.HasSuffix(dir, ".libs/") || isNVIDIA(p) || grafted.MatchString(base) && strings.HasPrefix(base, "lib") || libraryOf(stem) != nil
}

func isNVIDIA(p string) bool {
	return strings.Contains(p, "/site-packages/nvidia/") && path.Base(path.Dir(p)) == "lib"
}

// Bounds of how much of a library is looked through for its release.
const (
	maxScan = 64 << 20
	maxHead = 16 << 20 // of NVIDIA's, which have hundreds of megabytes of GPU code behind
)

// bundled lists the native libraries that wheels carry. owner says whose file a path is.
func (t *tree) bundled(owner func(path string) (pkg.Package, bool)) ([]pkg.Package, error) {
	var out []pkg.Package
	for _, p := range t.paths {
		n := t.nodes[p]
		if !n.regular() || !isBundled(p) {
			continue
		}
		by, ok := owner(p)
		if !ok {
			continue
		}
		x := pkg.Package{Name: stemOf(path.Base(p)), Type: pkg.BinaryPkg, FoundBy: "forge-bundled-libraries",
			Locations: file.NewLocationSet(t.locate(p).WithAnnotation(pkg.EvidenceAnnotationKey, pkg.PrimaryEvidenceAnnotation))}
		err := t.identify(&x, n, by)
		if err != nil {
			return nil, err
		}
		if x.Version == "" && (x.Name == "openssl" || !isCarried(p)) {
			continue // it holds none, or is a library of the wheel's own
		}
		x.PURL = packageurl.NewPackageURL("generic", "", plain(x.Name), x.Version, nil, "").ToString()
		x.SetID()
		out = append(out, x)
	}
	return out, nil
}

// isCarried says of a file by its place and name alone that it is somebody else's.
func isCarried(p string) bool {
	return strings.HasSuffix(path.Dir(p), ".libs") || isNVIDIA(p) || grafted.MatchString(path.Base(p))
}

// identify finds out which release a library is. Its bytes come before names.
func (t *tree) identify(x *pkg.Package, n *node, by pkg.Package) (err error) {
	base := path.Base(n.path)
	if isNVIDIA(n.path) && strings.HasPrefix(requirement.Normal(by.Name), "nvidia-") {
		if x.Version, err = t.release(n, statesNVIDIA[x.Name], maxHead); err == nil && x.Version == "" && isOf(x.Name, by.Name) {
			x.Version = by.Version
		}
		x.CPEs = cpes("nvidia:"+strings.TrimPrefix(x.Name, "lib"), x.Version)
		return err
	}
	lib := libraryOf(x.Name)
	if lib == nil {
		x.Version, err = t.release(n, debuglink, maxScan)
		return err
	}
	x.Name = lib.name
	if x.Version, err = t.release(n, lib.says, maxScan); err != nil {
		return err
	}
	if m := numbered.FindStringSubmatch(base); x.Version == "" && lib.named && m != nil {
		x.Version = m[1]
	}
	if x.Version == "" {
		if x.Version, err = t.release(n, debuglink, maxScan); err != nil {
			return err
		}
	}
	x.CPEs = cpes(lib.cpe, x.Version)
	if lib.licence != "" {
		x.Licenses = pkg.NewLicenseSet(pkg.License{Value: lib.licence, SPDXExpression: lib.licence, Type: license.Concluded})
	}
	return nil
}

func libraryOf(stem string) *library {
	for i := range libraries {
		if libraries[i].stem == stem {
			return &libraries[i]
		}
	}
	return nil
}

func cpes(product, version string) []cpe.CPE {
	vendor, name, ok := strings.Cut(product, ":")
	if !ok || version == "" {
		return nil
	}
	return []cpe.CPE{{Attributes: cpe.Attributes{Part: "a", Vendor: vendor, Product: name, Version: version}, Source: cpe.DeclaredSource}}
}

// release looks for what a library says of its release.
func (t *tree) release(n *node, says *regexp.Regexp, limit int64) (string, error) {
	if says == nil {
		return "", nil
	}
	in, err := t.im.Layers[n.layer].Open(n.n)
	if err != nil {
		return "", err
	}
	const step, overlap = 1 << 20, 4 << 10
	in = io.LimitReader(in, limit)
	buf := make([]byte, 0, step+overlap)
	for {
		got, err := io.ReadFull(in, buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+got]
		if m := says.FindSubmatch(buf); m != nil {
			return string(m[1]), nil
		}
		if err == io.EOF || err == io.ErrUnexpectedEOF {
			return "", nil
		}
		if err != nil {
			return "", err
		}
		buf = append(buf[:0], buf[len(buf)-overlap:]...)
	}
}
