package convert

import (
	"fmt"
	"path"
	"strings"

	"github.com/forge-build/forge/builder/layer"
	"github.com/forge-build/forge/builder/wheel"
)

// Machines of ELF files that some CPU runs, by e_machine; others are code for GPUs and the
// like, which no loader is asked to load. Source: gABI, "e_machine".
var cpus = map[int]string{
	3: "i386", 8: "MIPS", 20: "PowerPC", 21: "PowerPC64", 22: "S390", 40: "ARM", 62: "x86-64", 183: "AArch64", 243: "RISC-V", 258: "LoongArch",
}

var machines = map[string]int{"linux/amd64": 62, "linux/arm64": 183}

// readIndex notes what the layer's ELF files need, and what about them a policy should know
// (WHL-07). Libraries for another CPU in a wheel that is said to be made for this one are an
// error, unless it has some for this one, too: then it is made for both, as CUTLASS's are,
// which bring stubs for cross-compiling.
func (made *Made) readIndex(ix *layer.Index, v venv, platform string, members []*member) error {
	pure, native := map[string]bool{}, map[string]bool{} // by owner
	files := map[string]string{}
	for _, mb := range members {
		pure[mb.wheel.Name] = anyPlatform(mb.wheel.Tags)
		files[mb.wheel.Name] = mb.wheel.File
	}
	for _, e := range ix.Entries {
		if runs(e.ELF) && e.ELF.Machine == machines[platform] {
			native[strings.TrimPrefix(e.Owner, "wheel:")] = true
		}
	}
	for _, e := range ix.Entries {
		elf := e.ELF
		if elf == nil {
			continue
		}
		owner := strings.TrimPrefix(e.Owner, "wheel:")
		note := func(severity, reason string) {
			made.Findings = append(made.Findings, Finding{ID: "WHL-07", Severity: severity, Owner: owner, Path: e.Path, Hash: recordHash(e.SHA256), Reason: reason})
		}
		if cpu := cpus[elf.Machine]; cpu != "" && elf.Machine != machines[platform] && runs(elf) {
			if !pure[owner] && !native[owner] {
				return &wheel.Error{ID: "WHL-07", Path: files[owner], Entry: e.Path, Offset: -1, Reason: fmt.Sprintf("%+q is for %s, not for %s", e.Path, cpu, platform)}
			}
			note("low", "for "+cpu+", which is not this image's")
			continue
		}
		made.GLIBC = highest(made.GLIBC, elf.GLIBC)
		inspect(elf, e.Path, v, note)
	}
	return nil
}

// runs says whether a file is a program or a shared library (gABI, "e_type").
func runs(elf *layer.ELF) bool { return elf != nil && (elf.Kind == 2 || elf.Kind == 3) }

func anyPlatform(tags []wheel.Tag) bool {
	for _, t := range tags {
		if t.Platform == "any" {
			return true
		}
	}
	return false
}

// inspect notes what makes a library load something that nobody chose.
func inspect(elf *layer.ELF, p string, v venv, note func(severity, reason string)) {
	if elf.Broken != "" {
		note("low", "a broken ELF file: "+elf.Broken)
	}
	for _, list := range [][]string{elf.RPath, elf.RunPath} {
		for _, dir := range list {
			if severity, reason := judgeRunPath(dir, path.Dir(p), v); reason != "" {
				note(severity, reason)
			}
		}
	}
	for _, lib := range elf.Needed {
		if strings.Contains(lib, "/") {
			note("medium", fmt.Sprintf("needs %+q by its path", lib))
		}
	}
	if elf.TextRel {
		note("medium", "has text relocations")
	}
	if elf.ExecStack && elf.Kind != 1 {
		note("medium", "asks for an executable stack")
	}
}

// Folders that everybody may write to.
var writable = []string{"/tmp", "/var/tmp", "/dev/shm", "/run/lock", "/cache"}

// judgeRunPath judges one element of a run path of a file in folder dir.
func judgeRunPath(element, dir string, v venv) (severity, reason string) {
	rest, ok := strings.CutPrefix(element, "$ORIGIN")
	if !ok {
		rest, ok = strings.CutPrefix(element, "${ORIGIN}")
	}
	switch {
	case element == "":
		return "high", "has an empty run path element: the current folder"
	case ok && (rest == "" || rest[0] == '/'):
		if to := path.Join("/", dir, rest); to != "/"+v.prefix && !under(to, "/"+v.prefix) {
			return "medium", fmt.Sprintf("has run path %+q, which leaves the environment", element)
		}
		return "", ""
	case element[0] != '/':
		return "high", fmt.Sprintf("has run path %+q, which is relative to the current folder", element)
	}
	clean := path.Clean(element)
	for _, w := range writable {
		if clean == w || under(clean, w) {
			return "high", fmt.Sprintf("has run path %+q, which everybody can write to", element)
		}
	}
	return "medium", fmt.Sprintf("has run path %+q, a folder of another machine", element)
}
