package sbom

import (
	"io"
	"path"
	"slices"
	"strings"
)

// MIME types of programs. Source: github.com/gabriel-vasile/mimetype, which Syft asks.
const (
	mimeELF        = "application/x-elf"
	mimeExecutable = "application/x-executable"
	mimeShared     = "application/x-sharedlib"
	mimePE         = "application/vnd.microsoft.portable-executable"
	mimeMachO      = "application/x-mach-binary"
)

func mimeOf(e *ELF) string {
	switch {
	case e == nil:
		return ""
	case e.Kind == 2:
		return mimeExecutable
	case e.Kind == 3:
		return mimeShared
	}
	return mimeELF
}

// programs lists programs by MIME type, without those in which no cataloger would find
// anything: five ask for programs by type and read each one whole, which is most of an
// image's bytes. They look for
//
//   - Go's build information, in the section .go.buildinfo (go-module-binary-cataloger);
//   - what cargo auditable notes, in .dep-v0 (cargo-auditable-binary-cataloger);
//   - a section .note.package (elf-binary-package-cataloger);
//   - GraalVM's SBOM, in files that have a section .svm_heap (graalvm-native-image-cataloger);
//   - a .NET bundle (dotnet-deps-binary-cataloger), which only an executable can be: one has
//     an interpreter or is of kind 2.
//
// A shared object whose section names were read, and are none of these, is withheld. One
// without section names is not: it may be packed.
func (t *tree) programs() (map[string][]string, error) {
	mime := map[string][]string{}
	for _, p := range t.paths {
		n := t.nodes[p]
		if !n.regular() || n.from.Size < 4 {
			continue
		}
		if e := n.from.ELF; e != nil {
			if !barren(e) {
				mime[mimeOf(e)] = append(mime[mimeOf(e)], p)
			}
			continue
		}
		if n.from.Looked && !foreign(p) {
			continue
		}
		kind, err := t.sniff(n)
		if err != nil {
			return nil, err
		}
		if kind != "" {
			mime[kind] = append(mime[kind], p)
		}
	}
	return mime, nil
}

// telling are the sections in which catalogers find something.
var telling = []string{".go.buildinfo", ".dep-v0", ".rust-deps-v0", ".note.package", ".svm_heap"}

// barren says whether a program is one in which no cataloger would find anything. Its
// sections are read first: a complaint about notes says nothing about them.
func barren(e *ELF) bool {
	whole := e.Broken == "" || strings.HasPrefix(e.Broken, "a note of ") || strings.HasPrefix(e.Broken, "notes of ")
	return whole && len(e.Sections) > 0 && e.Kind == 3 && e.Interp == "" &&
		!slices.ContainsFunc(e.Sections, func(s string) bool { return slices.Contains(telling, s) })
}

// foreign says whether a file that is no ELF file may be a program of another system, by its
// name; Linux starts none of them.
func foreign(p string) bool {
	switch strings.ToLower(path.Ext(p)) {
	case ".exe", ".dll", ".bpl", ".pyd", ".sys", ".dylib", ".node", ".bundle":
		return true
	}
	return false
}

// sniff looks at a file's first bytes.
func (t *tree) sniff(n *node) (string, error) {
	in, err := t.im.Layers[n.layer].Open(n.n)
	if err != nil {
		return "", err
	}
	var head [20]byte
	got, err := io.ReadFull(in, head[:])
	if err != nil && got < 4 {
		return "", nil // shorter than any program
	}
	switch string(head[:4]) {
	case "\x7fELF":
		kind := head[16]
		if head[5] == 2 {
			kind = head[17]
		}
		return mimeOf(&ELF{Kind: int(kind)}), nil
	case "\xfe\xed\xfa\xce", "\xfe\xed\xfa\xcf", "\xce\xfa\xed\xfe", "\xcf\xfa\xed\xfe", "\xca\xfe\xba\xbe":
		return mimeMachO, nil
	}
	if string(head[:2]) == "MZ" {
		return mimePE, nil
	}
	return "", nil
}
