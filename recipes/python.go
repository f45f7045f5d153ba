package recipes

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"path"
	"regexp"
	"slices"
	"sort"
	"strings"

	"github.com/hashicorp/hcl/v2"

	"github.com/forge-build/forge/recipes/requirements"
)

var (
	plainName = regexp.MustCompile(`^[a-z0-9]([a-z0-9._-]{0,62}[a-z0-9])?$`)
	glob      = regexp.MustCompile(`^[a-z0-9*?]([a-z0-9*?-]*[a-z0-9*?])?$`)
	hexSum    = regexp.MustCompile(`^[0-9a-f]{64}$`)
	wheelName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._+!]*(-[A-Za-z0-9._+!]+){4,5}\.whl$`)
)

// requirements reads PEP 508 lines.
func (d *decoder) requirements(w *words) []string {
	lines, at := w.list("requirements")
	for i, r := range lines {
		if _, ok := requirements.Name(strings.TrimSpace(r)); !ok {
			d.mistake(at[i], "Invalid requirement", "%+q: a name with versions is due (numpy>=2); addresses, paths and options are not taken.", cut(r))
		}
	}
	return lines
}

// files reads what other tools wrote down. A mistake in one of them names its line there.
func (d *decoder) files(w *words) []RequirementsFile {
	names, at := w.list("files")
	var out []RequirementsFile
	for i, name := range names {
		b, err := readBelow(d.dir, name, requirements.MaxBytes-d.read)
		if err != nil {
			d.mistake(at[i], "File cannot be read", "%v.", err)
			continue
		}
		d.read += int64(len(b))
		set, err := requirements.Read(name, b)
		if err != nil {
			d.mistake(at[i], "Requirements cannot be taken", "%v.", err)
			continue
		}
		sum := sha256.Sum256(b)
		out = append(out, RequirementsFile{Path: path.Clean(name), SHA256: hex.EncodeToString(sum[:]), Set: set})
	}
	return out
}

// indexes reads which names come from which further index.
func (d *decoder) indexes(w *words, im *Image) {
	for _, b := range w.blocks("index", 1) {
		p := d.words(b, "python.index.")
		ix := Index{Name: b.Labels[0]}
		if !plainName.MatchString(ix.Name) || ix.Name == "default" || ix.Name == "pytorch" || strings.HasPrefix(ix.Name, "pytorch-") ||
			slices.ContainsFunc(im.Python.Indexes, func(o Index) bool { return o.Name == ix.Name }) {
			d.mistake(b.LabelRanges[0], "Invalid index name", "%+q: small letters, digits, . _ and -; each index has a name of its own, and default and pytorch are forge's.", cut(ix.Name))
		}
		var at hcl.Range
		if ix.URL, at = p.text("url", ""); ix.URL != "" {
			if err := address(ix.URL); err != nil {
				d.mistake(at, "Invalid address", "%+q: %v.", cut(ix.URL), err)
			}
		}
		names, places := p.list("packages")
		for i, n := range names {
			n = requirements.Normalize(n)
			if !glob.MatchString(n) || strings.Trim(n, "*?-") == "" {
				d.mistake(places[i], "Invalid package name", "%+q: a distribution's name or a pattern is due, as acme-*; everything else comes from the default index.", cut(names[i]))
			}
			ix.Packages = append(ix.Packages, n)
		}
		if len(names) == 0 {
			d.mistake(b.DefRange(), "Index without packages", `Write packages = ["acme-*"]: these names come from here and from nowhere else.`)
		}
		p.done()
		im.Python.Indexes = append(im.Python.Indexes, ix)
	}
	sort.Slice(im.Python.Indexes, func(i, j int) bool { return im.Python.Indexes[i].Name < im.Python.Indexes[j].Name })
}

// address judges where an index or a wheel is.
func address(s string) error {
	u, err := url.Parse(s)
	switch {
	case err != nil || u.Host == "" || u.Fragment != "":
		return errors.New("an https address is due")
	case u.User != nil:
		return errors.New("it holds a user name; write it into ~/.netrc")
	case u.Scheme != "https" && (u.Scheme != "http" || !slices.Contains([]string{"localhost", "127.0.0.1", "::1"}, u.Hostname())):
		return errors.New("an https address is due (http only on this machine itself)")
	case secret.MatchString(s):
		return errors.New("it looks as if it held a token; write it into ~/.netrc")
	}
	return nil
}

// Serves says whether a normalised name comes from this index.
func (ix Index) Serves(name string) bool {
	for _, p := range ix.Packages {
		if ok, err := path.Match(p, name); ok && err == nil {
			return true
		}
	}
	return false
}

// Remote says whether the wheel is named by its address.
func (w LocalWheel) Remote() bool { return strings.Contains(w.Source, "://") }

// File is the wheel's file name.
func (w LocalWheel) File() string {
	if u, err := url.Parse(w.Source); err == nil && w.Remote() {
		return path.Base(u.Path)
	}
	return path.Base(w.Source)
}

// Distribution is the normalised name that the file name says.
func (w LocalWheel) Distribution() string {
	name, _, _ := strings.Cut(w.File(), "-")
	return requirements.Normalize(name)
}

// Version is what the file name says, as requirements write it.
func (w LocalWheel) Version() string {
	parts := strings.Split(w.File(), "-")
	if len(parts) < 2 {
		return ""
	}
	return strings.ReplaceAll(parts[1], "_", "-")
}

// place names the wheel without a host.
func (w LocalWheel) place() string {
	if w.Remote() {
		return w.File()
	}
	return w.Source
}

// maxWheels bounds how many bytes of wheels of the recipe's folder are hashed.
const maxWheels = 2 << 30

// wheels reads a team's own wheels. A file is hashed here: when it changes, its lock is stale.
func (d *decoder) wheels(w *words, im *Image) {
	for _, b := range w.blocks("wheel", 1) {
		p := d.words(b, "python.wheel.")
		l := LocalWheel{Source: b.Labels[0]}
		if !l.Remote() {
			l.Source = path.Clean(l.Source)
		}
		var at hcl.Range
		if l.SHA256, at = p.text("sha256", ""); l.SHA256 != "" && !hexSum.MatchString(l.SHA256) {
			d.mistake(at, "Invalid sha256", "%+q: 64 small hexadecimal digits are due.", cut(l.SHA256))
		}
		p.done()
		label := b.LabelRanges[0]
		switch {
		case !wheelName.MatchString(l.File()):
			d.mistake(label, "Invalid wheel", "%+q: a wheel's file name is name-version-python-abi-platform.whl.", cut(l.Source))
		case slices.ContainsFunc(im.Python.Wheels, func(o LocalWheel) bool {
			return o.File() == l.File() || o.Distribution() == l.Distribution() && o.Version() != l.Version()
		}):
			d.mistake(label, "Wheel twice", "%s stands here already, or another version of it.", l.File())
		case l.Remote():
			if err := address(l.Source); err != nil {
				d.mistake(label, "Invalid wheel", "%+q: %v.", cut(l.Source), err)
			}
		default:
			sum, err := d.hash(l.Source)
			if err != nil {
				d.mistake(label, "Wheel cannot be read", "%v.", err)
			} else if l.SHA256 != "" && l.SHA256 != sum {
				d.mistake(at, "Another wheel", "%s has sha256 %s.", l.Source, sum)
			}
			l.SHA256 = sum
		}
		im.Python.Wheels = append(im.Python.Wheels, l)
	}
}

// hash is the sha256 of a file below the recipe's folder.
func (d *decoder) hash(name string) (string, error) {
	if path.IsAbs(name) || strings.ContainsAny(name, "\\\x00") {
		return "", fmt.Errorf("HCL-04: %+q is not a path below the recipe's folder", cut(name))
	}
	root, err := os.OpenRoot(d.dir)
	if err != nil {
		return "", err
	}
	defer root.Close()
	info, err := root.Stat(name)
	if err != nil || !info.Mode().IsRegular() {
		return "", fmt.Errorf("HCL-04: %+q is no regular file of the recipe's folder", cut(name))
	}
	if d.hashed += info.Size(); d.hashed > maxWheels {
		return "", fmt.Errorf("the recipe's own wheels have more than %d GiB: let an index serve them", maxWheels>>30)
	}
	f, err := root.Open(name)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, io.LimitReader(f, info.Size())); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// accepts reads why a file is right that an index or itself contradicts.
func (d *decoder) accepts(w *words, im *Image) {
	for _, b := range w.blocks("accept", 1) {
		p := d.words(b, "python.accept.")
		a := Accept{File: b.Labels[0]}
		if !wheelName.MatchString(a.File) || slices.ContainsFunc(im.Python.Accepts, func(o Accept) bool { return o.File == a.File }) {
			d.mistake(b.LabelRanges[0], "Invalid accept", "%+q: the file name of a wheel is due, each once.", cut(a.File))
		}
		var at hcl.Range
		if a.SHA256, at = p.text("sha256", ""); !hexSum.MatchString(a.SHA256) {
			d.mistake(at, "Invalid sha256", "%+q: the 64 small hexadecimal digits that the file really has are due.", cut(a.SHA256))
		}
		if a.Reason, at = p.text("reason", ""); strings.TrimSpace(a.Reason) == "" || len(a.Reason) > 500 || strings.ContainsAny(a.Reason, "\n\r\x00") {
			d.mistake(at, "Accept without a reason", "One line is due that says why the file is right although the index or the file itself says otherwise.")
		}
		p.done()
		im.Python.Accepts = append(im.Python.Accepts, a)
	}
}

// environments reads further virtual environments.
func (d *decoder) environments(w *words, im *Image) {
	for _, b := range w.blocks("environment", 1) {
		p := d.words(b, "environment.")
		e := Environment{Name: b.Labels[0]}
		if !plainName.MatchString(e.Name) || slices.ContainsFunc(im.Environments, func(o Environment) bool { return o.Name == e.Name }) {
			d.mistake(b.LabelRanges[0], "Invalid environment name", "%+q: small letters, digits, . _ and -; each environment has a name of its own.", cut(e.Name))
		}
		e.Requirements = d.requirements(p)
		e.Files = d.files(p)
		if len(e.Requirements)+len(e.Files) == 0 {
			d.mistake(b.DefRange(), "Environment without requirements", `Write requirements = ["pandas"] or files = ["requirements.txt"].`)
		}
		p.done()
		im.Environments = append(im.Environments, e)
	}
	sort.Slice(im.Environments, func(i, j int) bool { return im.Environments[i].Name < im.Environments[j].Name })
}

// sources compares where names come from: one place for each.
func (d *decoder) sources(im *Image) {
	files := slices.Clone(im.Python.Files)
	lines := slices.Clone(im.Python.Requirements)
	for _, e := range im.Environments {
		files, lines = append(files, e.Files...), append(lines, e.Requirements...)
	}
	at := d.places["python"]
	for _, f := range files {
		lines = append(lines, f.Set.Lines...)
		for _, name := range sortedKeys(f.Set.Elsewhere) {
			if f.Set.Names(name) && !im.bound(name) {
				d.mistake(at, "Name from elsewhere", "%s says that %s comes from elsewhere (%s). Say so in the recipe: an index or a wheel block of python names it.", f.Path, name, f.Set.Elsewhere[name])
			}
		}
	}
	seen := map[string]bool{}
	for _, l := range lines {
		name, _ := requirements.Name(strings.TrimSpace(l))
		if seen[name] {
			continue
		}
		seen[name] = true
		var by []string
		for _, ix := range im.Python.Indexes {
			if ix.Serves(name) {
				by = append(by, ix.Name)
			}
		}
		if len(by) > 1 {
			d.mistake(at, "Name from two indexes", "%s would come from the indexes %s. A name has one place: narrow packages of one of them.", name, strings.Join(by, " and "))
		}
	}
}

// bound says whether the recipe itself says where a name comes from.
func (im *Image) bound(name string) bool {
	if im.PyTorch != nil && slices.Contains([]string{"torch", "torchvision", "torchaudio", "triton"}, name) {
		return true
	}
	return slices.ContainsFunc(im.Python.Indexes, func(ix Index) bool { return ix.Serves(name) }) ||
		slices.ContainsFunc(im.Python.Wheels, func(w LocalWheel) bool { return w.Distribution() == name })
}
