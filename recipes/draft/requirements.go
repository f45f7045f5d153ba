package draft

import (
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/forge-build/forge/recipes/requirements"
)

// requirement takes a PEP 508 line apart: name, extras, versions, marker.
var requirement = regexp.MustCompile(`^([A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?)\s*(\[[^\]]*\])?\s*([^;@]*?)\s*(;.*)?$`)

// maxFiles bounds how many files name each other with -r.
const maxFiles = 50

// RequirementsFile reads a requirements.txt, and the files that it names with -r. One with
// hashes that forge lock can read is named by the recipe as it is.
// What is no PEP 508 requirement becomes a note. Source: pip's documentation,
// "Requirements File Format".
func (d *Draft) RequirementsFile(files fs.FS, name string) error {
	raw, err := fs.ReadFile(files, name)
	if err != nil {
		return fmt.Errorf("reading requirements: %w", err)
	}
	if hash.Match(raw) {
		if set, err := requirements.Read(name, raw); err == nil {
			d.take(name, set)
			return nil
		}
	}
	d.lines(files, path.Dir(name), string(raw), map[string]bool{name: true})
	return nil
}

var comment = regexp.MustCompile(`(^|\s)#.*$`)

func (d *Draft) lines(files fs.FS, dir, text string, seen map[string]bool) {
	text = strings.TrimPrefix(strings.ReplaceAll(text, "\r\n", "\n"), "\ufeff")
	for _, line := range strings.Split(continued(text), "\n") {
		line = strings.TrimSpace(comment.ReplaceAllString(line, ""))
		if line == "" {
			continue
		}
		if !strings.HasPrefix(line, "-") {
			d.AddRequirement(line)
			continue
		}
		option, value := split(line)
		if option == "-r" || option == "--requirement" {
			d.nested(files, path.Join(dir, value), seen)
		} else {
			d.option(option, value)
		}
	}
}

// continued joins lines that end with a backslash.
func continued(text string) string {
	return regexp.MustCompile(`\\[ \t]*\n`).ReplaceAllString(text, " ")
}

// split takes an option of one line from its value: "-r x", "-rx", "--requirement=x".
func split(line string) (option, value string) {
	if strings.HasPrefix(line, "--") {
		i := strings.IndexAny(line, "= \t")
		if i < 0 {
			return line, ""
		}
		return line[:i], unquote(line[i+1:])
	}
	return line[:min(2, len(line))], unquote(line[min(2, len(line)):])
}

func (d *Draft) nested(files fs.FS, name string, seen map[string]bool) {
	if seen[name] || len(seen) >= maxFiles {
		return
	}
	seen[name] = true
	raw, err := fs.ReadFile(files, name)
	if err != nil {
		d.note("not carried over: requirements file %s, which is not there", name)
		return
	}
	d.lines(files, path.Dir(name), string(raw), seen)
}

var hash = regexp.MustCompile(`\s--hash[= ]\S+`)

// AddRequirement adds one requirement; torch becomes the pytorch block.
func (d *Draft) AddRequirement(line string) {
	line = strings.TrimSpace(line)
	if hash.MatchString(line) {
		line, d.hashes = strings.TrimSpace(hash.ReplaceAllString(line, "")), true
	}
	if before, _, found := strings.Cut(line, " --"); found {
		line = strings.TrimSpace(before) // --config-settings and the like concern builds
	}
	m := requirement.FindStringSubmatch(line)
	if m == nil || strings.ContainsAny(line, "$\\") || strings.HasSuffix(m[1], ".whl") || m[3] != "" && !strings.ContainsAny(m[3][:1], "(<>=!~") {
		d.note("not carried over, since it is no name with versions: %s", withoutPassword(line))
		return
	}
	name, extras, versions, marker := strings.ToLower(m[1]), m[2], strings.TrimSpace(m[3]), m[4]
	if strings.HasPrefix(name, "torch") || name == "triton" {
		if pin, local, ok := strings.Cut(versions, "+"); ok && d.label(local) {
			versions = pin // the pytorch block says which CUDA
		}
	}
	if name != "torch" {
		d.require(m[1] + extras + versions + marker)
		if name == "torchvision" || name == "torchaudio" {
			d.WantsTorch = true
		}
		return
	}
	d.WantsTorch = true
	pin, pinned := strings.CutPrefix(versions, "==")
	switch pin = strings.TrimSpace(strings.TrimPrefix(pin, "=")); {
	case pinned && exactTorch.MatchString("=="+pin):
		d.Torch = pin
	case versions != "":
		d.require("torch" + versions)
	}
	if extras != "" {
		d.require("torch" + extras)
	}
}

func (d *Draft) require(line string) {
	if !slices.Contains(d.Requirements, line) {
		d.Requirements = append(d.Requirements, line)
	}
}

// exactTorch is a pin of torch that the pytorch block can hold.
var exactTorch = regexp.MustCompile(`^==\s*([0-9]+\.[0-9]+(?:\.[0-9]+)?)$`)

var torchIndex = regexp.MustCompile(`/whl/(?:nightly/|test/)?(cpu|cu[0-9]{3})\b`)

// option takes an option of pip that stands in a file or on a command line.
func (d *Draft) option(option, value string) {
	switch option {
	case "-i", "--index-url", "--extra-index-url", "-f", "--find-links", "--pypi-url":
		if m := torchIndex.FindStringSubmatch(value); m != nil && d.label(m[1]) || strings.Contains(value, "/whl/torch_stable.html") {
			return // the pytorch block says the same
		}
		d.note("an index is not carried over, since nothing says which names come from it; if some do, write into python: index \"NAME\" { url = %s, packages = [\"acme-*\"] }", quote(withoutPassword(value)))
	case "-c", "--constraint":
		d.note("constraints are not carried over: %s (write those that matter into requirements)", value)
	case "-e", "--editable":
		d.note("a project's own folder is not built: %s (copy its files, or make a wheel of it)", withoutPassword(value))
	case "--pre":
		d.note("--pre is not carried over: ask for a pre-release by its version (x>=2.0rc1)")
	case "--no-binary":
		d.note("--no-binary %s is not carried over: forge takes wheels only", value)
	}
}

var password = regexp.MustCompile(`(://)[^/@\s]*@`)

// withoutPassword leaves user and password out of an address: a recipe is no place for them.
func withoutPassword(s string) string { return password.ReplaceAllString(s, "$1") }

func unquote(s string) string { return strings.Trim(strings.TrimSpace(s), `"'`) }
