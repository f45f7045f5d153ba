package wheel

import (
	"bytes"
	"fmt"
	"io"
	"path"
	"strings"
	"unicode/utf8"

	"github.com/forge-build/forge/builder/inflate"
)

// place decides where each file goes: PEP 427, "Installing a wheel".
func (w *Wheel) place(fn FileName) error {
	root := PlatLib
	if w.PureLib {
		root = PureLib
	}
	seen := make(map[string]string, len(w.Files))
	kept := w.Files[:0]
	for _, f := range w.Files {
		f.Target, f.Path = root, f.Name
		top, rest, deep := strings.Cut(f.Name, "/")
		if w.signature(f.Name) {
			w.find("WHL-01", f, "a signature of RECORD, which nobody checks, is not installed")
			continue
		}
		if deep && strings.HasSuffix(strings.ToLower(top), ".data") {
			if !ownFolder(top, ".data", fn) {
				return refuse("WHL-03", f.Name, -1, "data folder %s is not of %s %s", q(top), q(fn.Name), q(fn.Version))
			}
			scheme, p, ok := strings.Cut(rest, "/")
			if !ok {
				return refuse("WHL-03", f.Name, -1, "%s lies beside the schemes", q(f.Name))
			}
			f.Target, f.Path = Target(scheme), p
			if err := checkScheme(f); err != nil {
				return err
			}
		}
		key := place(f)
		if other, ok := seen[key]; ok {
			return refuse("WHL-03", f.Name, -1, "%s and %s are installed to one path", q(other), q(f.Name))
		}
		seen[key] = f.Name
		w.byName[f.Name] = len(kept)
		kept = append(kept, f)
	}
	w.Files = kept
	return nil
}

// place is a key for the place of a file. Purelib and platlib are one folder, and so are
// scripts and the data's bin.
func place(f File) string {
	t, p := f.Target, Fold(f.Path)
	switch rest, bin := strings.CutPrefix(p, "bin/"); {
	case t == PureLib:
		t = PlatLib
	case t == Data && bin:
		t, p = Scripts, rest
	}
	return string(t) + "/" + p
}

func checkScheme(f File) error {
	switch f.Target {
	case PureLib, PlatLib:
		return nil
	case Headers:
		if strings.EqualFold(f.Path, "Python.h") {
			return refuse("WHL-03", f.Name, -1, "%s would stand in for the interpreter's own header", q(f.Name))
		}
		return nil
	case Scripts:
		if strings.Contains(f.Path, "/") {
			return refuse("WHL-04", f.Name, -1, "script %s lies in a folder", q(f.Name))
		}
		if err := checkCommand(f.Path); err != nil {
			err.Entry = f.Name
			return err
		}
		return nil
	case Data:
		return checkData(f)
	}
	return refuse("WHL-03", f.Name, -1, "unknown scheme %s", q(string(f.Target)))
}

// Commands by which others are started: no package has them among its data.
var shells = map[string]bool{"sh": true, "bash": true, "dash": true, "env": true, "sudo": true, "su": true}

// checkData judges a data file, whose path is below the environment. A file has no power by
// lying there unless something looks for it: the interpreter's own settings and import path,
// and what programs read as configuration, which but for Jupyter's are refused. What lies in
// bin is a command like any script. All else is a package's own: z3's program is in bin, and
// NIXL, below vLLM and SGLang, has its pkgconfig beside lib.
func checkData(f File) error {
	top, rest, deep := strings.Cut(f.Path, "/")
	switch dir := Fold(top); {
	case !deep:
		return refuse("WHL-03", f.Name, -1, "data file %s lies in no folder: the interpreter's settings are there", q(f.Path))
	case dir == "etc" && !strings.HasPrefix(f.Path, "etc/jupyter/"):
		return refuse("WHL-03", f.Name, -1, "data file %s is in etc, of which only etc/jupyter is a package's", q(f.Path))
	case (dir == "lib" || dir == "lib64") && strings.HasPrefix(Fold(rest), "python"):
		return refuse("WHL-03", f.Name, -1, "data file %s is on the import path", q(f.Path))
	case dir == "bin" && strings.Contains(rest, "/"):
		return refuse("WHL-03", f.Name, -1, "data file %s is in a folder of bin", q(f.Path))
	case dir == "bin" && shells[Fold(rest)]:
		return refuse("WHL-03", f.Name, -1, "data file %s would stand in for the system's own", q(f.Path))
	case dir == "bin":
		if err := checkCommand(rest); err != nil {
			return refuse("WHL-03", f.Name, -1, "data file %s: %s", q(f.Path), err.Reason)
		}
	}
	return nil
}

// inspect reads the first line of scripts and the start-up hooks.
func (w *Wheel) inspect() error {
	for i := range w.Files {
		f := &w.Files[i]
		if f.Target == Scripts {
			if err := w.readShebang(f); err != nil {
				return w.inFile(err)
			}
		}
		if f.Target == PureLib || f.Target == PlatLib {
			if err := w.inspectHook(*f); err != nil {
				return w.inFile(err)
			}
		}
	}
	return nil
}

// readShebang decides what becomes of a script's first line. Linux reads 255 bytes of it.
func (w *Wheel) readShebang(f *File) error {
	head, err := w.head(*f, 257)
	if err != nil {
		return err
	}
	if !bytes.HasPrefix(head, []byte("#!")) {
		return nil
	}
	line, _, ended := bytes.Cut(head, []byte("\n"))
	switch {
	case len(line) > 255 || !ended && f.Size > 255:
		return refuse("WHL-04", f.Name, -1, "the first line of script %s is longer than 255 bytes", q(f.Name))
	case string(line) == "#!python" || string(line) == "#!pythonw":
		f.Shebang = string(line)
	case bytes.HasPrefix(line, []byte("#!python")):
		return refuse("WHL-04", f.Name, -1, "script %s starts with %s: only #!python and #!pythonw can be rewritten", q(f.Name), q(string(line)))
	default:
		w.find("WHL-04", *f, fmt.Sprintf("script with its own interpreter line %s", q(string(line))))
	}
	return nil
}

// head returns the first n bytes of a file, or all.
func (w *Wheel) head(f File, n int64) ([]byte, error) {
	var content io.Reader = w.Raw(f)
	if f.Method == Deflated {
		z := inflaters.Get().(*inflate.Reader)
		defer inflaters.Put(z)
		z.Reset(content)
		content = z
	}
	head, err := io.ReadAll(io.LimitReader(content, n))
	if err != nil {
		return nil, refuse("ZIP-07", f.Name, f.DataOffset, "%s is not a whole deflate stream", q(f.Name))
	}
	return head, nil
}

// maxHook is the size up to which a .pth file is read.
const maxHook = 64 << 10

// inspectHook reports files that Python runs or reads at its start without being asked:
// site.py's .pth files, sitecustomize and usercustomize.
func (w *Wheel) inspectHook(f File) error {
	top, _, deep := strings.Cut(f.Path, "/")
	stem, _, _ := strings.Cut(top, ".")
	switch s := Fold(stem); {
	case s == "sitecustomize" || s == "usercustomize":
		w.find("WHL-06", f, "Python imports "+s+" at every start")
	case strings.HasPrefix(s, "__editable__"):
		w.find("WHL-06", f, "a finder of an editable installation")
	}
	if deep || !strings.EqualFold(path.Ext(f.Path), ".pth") {
		return nil
	}
	if f.Size > 2<<10 {
		w.find("WHL-06", f, fmt.Sprintf("a .pth file of %d bytes", f.Size))
	}
	if f.Size > maxHook {
		return nil
	}
	data, err := w.ReadFile(f.Name, maxHook)
	if err != nil {
		return err
	}
	if !utf8.Valid(data) {
		w.find("WHL-06", f, "a .pth file that is not UTF-8")
	}
	for _, line := range strings.FieldsFunc(string(data), func(r rune) bool { return r == '\n' || r == '\r' }) {
		switch {
		case strings.HasPrefix(line, "import ") || strings.HasPrefix(line, "import\t"):
			w.find("WHL-06", f, "Python runs a line of this .pth file at every start: "+q(line))
		case strings.HasPrefix(line, "#"):
		case strings.HasPrefix(line, "/") || strings.HasPrefix(path.Clean(strings.TrimSpace(line)), ".."):
			w.find("WHL-06", f, "a .pth file that adds "+q(line)+" to the import path")
		}
	}
	return nil
}

func (w *Wheel) find(id string, f File, reason string) {
	w.Findings = append(w.Findings, Finding{ID: id, Entry: f.Name, Hash: f.Hash, Reason: reason})
}
