package licence

import (
	"regexp"
	"strings"

	"github.com/github/go-spdx/v2/spdxexp"
)

var (
	refForm = regexp.MustCompile(`^LicenseRef-[A-Za-z0-9.-]+$`)
	idForm  = regexp.MustCompile(`^[A-Za-z0-9.+-]+$`)
	with    = regexp.MustCompile(`(?i)^(\S+) with (\S+)$`)
)

// spdxID is the identifier that a name is, in SPDX's spelling, or a reference; empty for others.
// SPDX has withdrawn GPL-2.0 and its like for names that say "only" or "or later" (annex I).
func spdxID(name string) string {
	if refForm.MatchString(name) {
		return name
	}
	if m := with.FindStringSubmatch(name); m != nil {
		if base := spdxID(m[1]); base != "" && !refForm.MatchString(base) {
			if e, ok := Valid(base + " WITH " + m[2]); ok {
				return e
			}
		}
		return ""
	}
	if !idForm.MatchString(name) || len(name) > 100 {
		return ""
	}
	tries := []string{name, name + "-only"}
	if base, later := strings.CutSuffix(name, "+"); later {
		tries = []string{base + "-or-later"}
	}
	for _, try := range tries {
		if ok, id := spdxexp.ActiveLicense(try); ok {
			return id
		}
	}
	e, ok := Valid(name)
	if !ok || strings.Contains(e, " ") {
		return ""
	}
	return e
}

// names are the usual ways in which people write what can be only one licence of SPDX's list,
// in the form that plainly makes: small letters, without "the", "license", "version" and "v".
// What could be several is not here: "bsd", "apache", "gpl", "lgpl", "psf", "artistic".
// Sources: SPDX's list (full names), the trove classifiers, PEP 639's appendix on those
// that are ambiguous.
var names = map[string]string{
	"mit": "MIT", "mit mit": "MIT", "expat": "MIT", "mit expat": "MIT", "expat mit": "MIT", "osi approved mit": "MIT",
	"mit no attribution": "MIT-0", "mit no attribution mit 0": "MIT-0", "mit 0": "MIT-0", "mit cmu": "MIT-CMU", "hpnd": "HPND",
	"historical permission notice and disclaimer hpnd": "HPND",

	"apache 2.0": "Apache-2.0", "apache 2": "Apache-2.0", "apache2": "Apache-2.0", "apache2.0": "Apache-2.0", "apachev2": "Apache-2.0", "apache 2.0 apache 2.0": "Apache-2.0",
	"asl 2.0": "Apache-2.0", "asl 2": "Apache-2.0", "al 2.0": "Apache-2.0", "apache public 2.0": "Apache-2.0",

	"bsd 3 clause": "BSD-3-Clause", "3 clause bsd": "BSD-3-Clause", "bsd 3": "BSD-3-Clause", "bsd3": "BSD-3-Clause", "new bsd": "BSD-3-Clause", "modified bsd": "BSD-3-Clause",
	"revised bsd": "BSD-3-Clause", "new or revised bsd": "BSD-3-Clause", "bsd 3 clause new or revised": "BSD-3-Clause", "bsd new": "BSD-3-Clause", "three clause bsd": "BSD-3-Clause",
	"bsd three clause": "BSD-3-Clause",
	"bsd 2 clause":     "BSD-2-Clause", "2 clause bsd": "BSD-2-Clause", "bsd 2": "BSD-2-Clause", "simplified bsd": "BSD-2-Clause", "bsd 2 clause simplified": "BSD-2-Clause",
	"bsd 4 clause": "BSD-4-Clause", "0bsd": "0BSD", "zero clause bsd": "0BSD", "zero clause bsd 0bsd": "0BSD", "bsd zero clause": "0BSD",

	"isc": "ISC", "isc iscl": "ISC", "iscl": "ISC", "zlib": "Zlib", "zlib libpng": "Zlib", "unlicense": "Unlicense", "unlicense unlicense": "Unlicense",
	"boost 1.0": "BSL-1.0", "boost 1.0 bsl 1.0": "BSL-1.0", "boost": "BSL-1.0", "wtfpl": "WTFPL", "cc0": "CC0-1.0", "cc0 1.0": "CC0-1.0", "cc0 1.0 universal": "CC0-1.0",
	"cc0 1.0 universal cc0 1.0 public domain dedication": "CC0-1.0", "university of illinois ncsa open source": "NCSA", "ncsa": "NCSA", "postgresql": "PostgreSQL",
	"universal permissive upl": "UPL-1.0", "upl 1.0": "UPL-1.0", "blue oak model blueoak 1.0.0": "BlueOak-1.0.0", "ms pl": "MS-PL",
	"psf 2.0": "PSF-2.0", "psf 2": "PSF-2.0", "python 2.0": "Python-2.0", "zpl 2.1": "ZPL-2.1", "zope public 2.1": "ZPL-2.1", "openssl": "OpenSSL", "curl": "curl",

	"mpl 2.0": "MPL-2.0", "mpl 2": "MPL-2.0", "mpl2": "MPL-2.0", "mplv2": "MPL-2.0", "mplv2.0": "MPL-2.0", "mozilla public 2.0": "MPL-2.0", "mozilla public 2.0 mpl 2.0": "MPL-2.0",
	"mozilla public 1.1 mpl 1.1": "MPL-1.1", "mozilla public 1.0 mpl": "MPL-1.0", "epl 2.0": "EPL-2.0", "eclipse public 2.0": "EPL-2.0", "eclipse public 2.0 epl 2.0": "EPL-2.0",
	"eclipse public 1.0 epl 1.0": "EPL-1.0", "common development and distribution 1.0 cddl 1.0": "CDDL-1.0",
	"european union public 1.2 eupl 1.2": "EUPL-1.2", "european union public 1.1 eupl 1.1": "EUPL-1.1", "open font 1.1 ofl 1.1": "OFL-1.1", "sil open font 1.1 ofl 1.1": "OFL-1.1",
	"mulan permissive 2 mulanpsl 2.0": "MulanPSL-2.0",

	"gnu general public 2 or later gplv2+": "GPL-2.0-or-later", "gplv2+": "GPL-2.0-or-later", "gpl2+": "GPL-2.0-or-later", "gpl 2+": "GPL-2.0-or-later", "gpl 2.0+": "GPL-2.0-or-later",
	"gnu general public 3 or later gplv3+": "GPL-3.0-or-later", "gplv3+": "GPL-3.0-or-later", "gpl3+": "GPL-3.0-or-later", "gpl 3+": "GPL-3.0-or-later", "gpl 3.0+": "GPL-3.0-or-later",
	"gnu lesser general public 3 or later lgplv3+": "LGPL-3.0-or-later", "lgplv3+": "LGPL-3.0-or-later", "lgpl 3+": "LGPL-3.0-or-later", "lgplv2.1+": "LGPL-2.1-or-later",
	"lgpl 2.1+": "LGPL-2.1-or-later", "lgpl 2+": "LGPL-2.0-or-later", "lgplv2+": "LGPL-2.0-or-later",
	"gnu affero general public 3 or later agplv3+": "AGPL-3.0-or-later", "agplv3+": "AGPL-3.0-or-later", "agpl 3+": "AGPL-3.0-or-later",
}

var drop = map[string]bool{"the": true, "license": true, "licence": true, "licensed": true, "version": true, "v": true, "v.": true, "ver": true, "software": true, "under": true}

// plainly is a name as the table above has it.
func plainly(name string) string {
	var out []string
	for _, w := range strings.FieldsFunc(strings.ToLower(name), func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '.' && r != '+'
	}) {
		if len(w) > 1 && w[0] == 'v' && w[1] >= '0' && w[1] <= '9' {
			w = w[1:]
		}
		if w = strings.Trim(w, "."); w != "" && !drop[w] {
			out = append(out, w)
		}
	}
	return strings.Join(out, " ")
}

// named is the identifier that people mean by a name; empty when it could be several.
func named(name string) string {
	if id := spdxID(name); id != "" {
		return id
	}
	if len(name) > 200 {
		return ""
	}
	return names[plainly(name)]
}
