// Package draft writes a first recipe from what a team already has: a
// requirements.txt, the pip part of an environment.yml, or a Dockerfile that
// starts from nvidia/cuda and runs pip install. A file that pins by hash, and one that
// forge lock reads by itself (uv.lock, pylock.toml, pyproject.toml), is named by the recipe.
//
// What cannot be carried over is never dropped in silence: it becomes a Note,
// which the recipe holds as a comment. The result is text; it is not evaluated
// here, and forge lock judges it like any other recipe.
//
// Dockerfiles are read with BuildKit's own parser, since continued lines, here-documents,
// escapes and variables are its subject; a RUN is not executed but searched for
// pip install and apt-get install.
package draft

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/forge-build/forge/recipes/cuda"
)

// Draft is what was understood. The zero value is empty and ready.
type Draft struct {
	Pythons map[string]string // suites of Debian, with the Python that each has; the draft takes a suite that fits

	Name         string
	Torch        string // version, "" when torch is not asked for or not pinned
	WantsTorch   bool
	CUDA         string // "12.8", "cpu" or ""
	GPUs         []string
	Driver       string // "525.60.13"
	Python       string // "3.13"
	Suite        string // "" is the default
	Requirements []string
	Files        []string // that the recipe names, below its folder
	Indexes      []Index
	Packages     []string // Debian
	User         string
	UID          int // 0: not said
	Env          map[string]string
	Labels       map[string]string
	Workdir      string
	Entrypoint   []string
	Command      []string
	Ports        []int
	Writable     []string // beside the place of the caches
	Copies       []Copy
	Notes        []string

	baseCUDA string // of a base image: what torch's wheels bring counts more
	hashes   bool   // some requirement had hashes
}

// defaultSuite is what a recipe without a base block has.
const defaultSuite = "trixie"

// Copy is a file or folder below the recipe's folder, and its place in the image.
type Copy struct{ From, To string }

// note keeps what could not be carried over. It stays one line of a comment.
func (d *Draft) note(format string, args ...any) {
	n := strings.Join(strings.Fields(strings.Map(printable, fmt.Sprintf(format, args...))), " ")
	if len(n) > 300 {
		n = strings.ToValidUTF8(n[:300], "") + "…"
	}
	if !slices.Contains(d.Notes, n) {
		d.Notes = append(d.Notes, n)
	}
}

func printable(r rune) rune {
	if unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) || r == 0x2028 || r == 0x2029 {
		return ' '
	}
	return r
}

// python keeps a wanted version when a suite of Debian has it.
func (d *Draft) python(version string) {
	parts := strings.SplitN(strings.Trim(version, "=<>~!* "), ".", 3)
	if len(parts) < 2 || d.Python == parts[0]+"."+parts[1] {
		return
	}
	want := parts[0] + "." + strings.Trim(parts[1], "*")
	for suite, has := range d.Pythons {
		if has == want {
			d.Python = want
			if suite != defaultSuite {
				d.Suite = suite
			}
			return
		}
	}
	d.note("Python %s is in no Debian suite that forge knows; the base's own is taken, so pins for %s may have no wheel", want, want)
}

// label reads the local version that PyTorch's index gives its wheels: "cu128", "cpu".
func (d *Draft) label(l string) bool {
	if l == "cpu" {
		d.CUDA = "cpu"
		return true
	}
	digits, ok := strings.CutPrefix(l, "cu")
	if _, err := strconv.Atoi(digits); !ok || err != nil || len(digits) < 3 {
		return false
	}
	d.CUDA = digits[:len(digits)-1] + "." + digits[len(digits)-1:]
	return true
}

// settle decides what several sources say of CUDA: wheels count more than a base image,
// and a base image's CUDA for which torch has no wheels is dropped.
func (d *Draft) settle() {
	if d.hashes {
		d.note("the hashes of the requirements are left out: the lock holds the sha256 of each file")
		d.hashes = false
	}
	if d.baseCUDA == "" {
		return
	}
	base := d.baseCUDA
	d.baseCUDA = ""
	switch {
	case !d.WantsTorch:
		d.note("CUDA %s of the base is left out: nothing asks for torch, and other wheels bring their own", base)
	case d.CUDA != "" && d.CUDA != base:
		d.note("CUDA %s comes with torch's wheels; the base had %s", d.CUDA, base)
	case d.CUDA == "":
		for _, p := range cuda.Check(cuda.Stack{Torch: d.Torch, CUDA: base, Arch: "linux/amd64"}).Problems {
			d.note("CUDA %s of the base is left out: %s", base, p.Detail)
			return
		}
		d.CUDA = base
	}
}

// imageName makes s fit for an image's label.
func imageName(s string) string {
	s = regexp.MustCompile(`[^a-z0-9._-]+`).ReplaceAllString(strings.ToLower(strings.TrimSpace(s)), "-")
	s = strings.Trim(s[:min(len(s), 100)], "-._")
	if s == "" {
		return "app"
	}
	return s
}
