package sbom

import (
	"io"
	"path"
	"regexp"
	"strings"

	"github.com/anchore/packageurl-go"
	"github.com/anchore/syft/syft/cpe"
	"github.com/anchore/syft/syft/file"
	"github.com/anchore/syft/syft/pkg"
)

// library is a native library whose release its own bytes state.
type library struct {
	stem    string // of the file's name
	name    string // of the project; empty: the file's stem
	says    *regexp.Regexp
	cpe     string // vendor:product
	licence string
}

// libraries are those that wheels often carry. What a file says is taken from its bytes.
var libraries = []library{
	{"libcrypto", "openssl", regexp.MustCompile(`OpenSSL (\d+\.\d+\.\d+[a-z]?) +\d`), "openssl:openssl", ""},
	{"libssl", "openssl", regexp.MustCompile(`OpenSSL (\d+\.\d+\.\d+[a-z]?) +\d`), "openssl:openssl", ""},
	{"_rust.abi3", "openssl", regexp.MustCompile(`OpenSSL (\d+\.\d+\.\d+[a-z]?) +\d`), "openssl:openssl", ""}, // in cryptography
	{"libz", "zlib", regexp.MustCompile(` (?:de|in)flate (\d+\.\d+(?:\.\d+){0,2}) Copyright`), "zlib:zlib", "Zlib"},
	{"libgomp", "libgomp", gcc, "", "GPL-3.0-or-later WITH GCC-exception-3.1"},
	{"libgfortran", "libgfortran", gcc, "", "GPL-3.0-or-later WITH GCC-exception-3.1"},
	{"libquadmath", "libquadmath", gcc, "", "LGPL-2.1-or-later"},
	{"libstdc++", "libstdc++", gcc, "", "GPL-3.0-or-later WITH GCC-exception-3.1"},
	{"libgcc_s", "libgcc", gcc, "", "GPL-3.0-or-later WITH GCC-exception-3.1"},
	{"libscipy_openblas", "openblas", openblas, "openblas_project:openblas", "BSD-3-Clause"},
	{"libscipy_openblas64_", "openblas", openblas, "openblas_project:openblas", "BSD-3-Clause"},
	{"libopenblas", "openblas", openblas, "openblas_project:openblas", "BSD-3-Clause"},
	{"libopenblas64_p", "openblas", openblas, "openblas_project:openblas", "BSD-3-Clause"},
	{"libpng16", "libpng", regexp.MustCompile(`libpng version (\d+\.\d+\.\d+)`), "libpng:libpng", ""},
	{"libjpeg", "libjpeg-turbo", regexp.MustCompile(`libjpeg-turbo version (\d+\.\d+\.\d+)`), "libjpeg-turbo:libjpeg-turbo", ""},
	{"libtiff", "libtiff", regexp.MustCompile(`LIBTIFF, Version (\d+\.\d+\.\d+)`), "libtiff:libtiff", ""},
	{"libcurl", "curl", regexp.MustCompile(`libcurl/(\d+\.\d+\.\d+)`), "haxx:libcurl", ""},
	{"libharfbuzz", "harfbuzz", nil, "harfbuzz_project:harfbuzz", ""},
	{"libfreetype", "freetype", nil, "freetype:freetype", ""},
	{"libwebp", "libwebp", nil, "webmproject:libwebp", ""},
	{"libsqlite3", "sqlite", nil, "sqlite:sqlite", ""},
	{"liblzma", "xz", nil, "tukaani:xz", ""},
}

var (
	gcc      = regexp.MustCompile(`GCC: \([^)\x00]{0,100}\) (\d+\.\d+\.\d+)`)
	openblas = regexp.MustCompile(`OpenBLAS (\d+\.\d+\.\d+)`)
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
// folder, or NVIDIA's.
func isBundled(p string) bool {
	dir := path.Dir(p)
	return strings.HasSuffix(dir, ".libs") || strings.Contains(p, "/site-packages/nvidia/") && path.Base(dir) == "lib" || stemOf(path.Base(p)) == "_rust.abi3"
}

// maxScan bounds how much of a library is looked through for its release.
const maxScan = 256 << 20

// bundled lists the native libraries that wheels carry. owner says whose file a path is.
func (t *tree) bundled(owner func(path string) (pkg.Package, bool)) ([]pkg.Package, error) {
	var out []pkg.Package
	seen := map[string]bool{}
	for _, p := range t.paths {
		n := t.nodes[p]
		if n.dir() || n.link() || !isBundled(p) || !strings.Contains(path.Base(p), ".so") {
			continue
		}
		by, ok := owner(p)
		if !ok {
			continue
		}
		stem := stemOf(path.Base(p))
		x := pkg.Package{Name: stem, Version: "UNKNOWN", Type: pkg.BinaryPkg, FoundBy: "forge-bundled-libraries",
			Locations: file.NewLocationSet(file.NewLocationFromCoordinates(file.NewCoordinates(p, t.im.Layers[n.layer].DiffID)).WithAnnotation(pkg.EvidenceAnnotationKey, pkg.PrimaryEvidenceAnnotation))}
		if strings.HasPrefix(normal(by.Name), "nvidia-") && strings.Contains(p, "/site-packages/nvidia/") {
			// NVIDIA numbers a wheel as the library in it.
			x.Version = by.Version
			x.CPEs = cpes("nvidia:"+strings.TrimPrefix(stem, "lib"), x.Version)
		} else if lib := libraryOf(stem); lib != nil {
			x.Name = lib.name
			v, err := t.release(n, lib.says)
			if err != nil {
				return nil, err
			}
			if v != "" {
				x.Version = v
			}
			x.CPEs = cpes(lib.cpe, x.Version)
			if lib.licence != "" {
				x.Licenses = pkg.NewLicenseSet(pkg.License{Value: lib.licence, SPDXExpression: lib.licence, Type: "declared"})
			}
		} else if stem == "_rust.abi3" {
			continue
		}
		x.PURL = packageurl.NewPackageURL("generic", "", plain(x.Name), x.Version, nil, "").ToString()
		x.SetID()
		if seen[p] = true; x.Version == "UNKNOWN" && x.Name == "openssl" {
			continue // it holds none
		}
		out = append(out, x)
	}
	return out, nil
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
	if !ok || version == "UNKNOWN" {
		return nil
	}
	return []cpe.CPE{{Attributes: cpe.Attributes{Part: "a", Vendor: vendor, Product: name, Version: version}, Source: cpe.DeclaredSource}}
}

// release looks for what a library says of its release.
func (t *tree) release(n *node, says *regexp.Regexp) (string, error) {
	if says == nil {
		return "", nil
	}
	in, err := t.im.Layers[n.layer].Open(n.n)
	if err != nil {
		return "", err
	}
	const step, overlap = 1 << 20, 4 << 10
	in = io.LimitReader(in, maxScan)
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
