package sbom

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strings"
)

// Bounds of a document that is decoded, which takes less than 512 MB then. Ten million empty
// components are 30 MB of JSON, and took 11 GB as packages. A file takes about 1 KB for each of its
// objects, a package in SPDX or Syft's form three times that. The image with the most packages
// that was seen had 4,000.
const (
	MaxDocument = 64 << 20 // bytes of a document that is read
	maxListed   = 120_000  // packages, or components of any kind
	maxObjects  = 370_000  // of any kind
	heavy       = 3        // as how many objects a package counts where it takes most
	maxDepth    = 100
)

// counts are the arrays of packages, and as how many objects each package in them counts.
var counts = map[string]int{"components": 1, "packages": heavy, "artifacts": heavy}

// CheckDocument refuses what is no JSON object, and a document with more packages, objects or
// depth than are decoded. It looks at brackets and names alone, so that it takes a moment.
func CheckDocument(r io.Reader) error {
	b := bufio.NewReaderSize(r, 1<<16)
	var lists []int // by depth: of an array of packages, what each counts; else 0
	name, named := "", false
	objects, listed := 0, 0
	for first := true; ; {
		c, err := b.ReadByte()
		switch {
		case err == io.EOF && len(lists) == 0 && !first:
			return nil
		case err == io.EOF:
			return io.ErrUnexpectedEOF
		case err != nil:
			return err
		case c == ' ' || c == '\t' || c == '\n' || c == '\r':
			continue
		case first && c != '{':
			return errors.New("it is no JSON object")
		}
		first = false
		switch c {
		case '"':
			if name, err = short(b); err != nil {
				return err
			}
			named = false
			continue
		case ':':
			named = true
			continue
		case '{', '[':
			if c == '{' {
				objects++
			}
			if n := len(lists); c == '{' && n > 0 && lists[n-1] > 0 {
				listed++
				objects += lists[n-1] - 1
			}
			each := 0
			if c == '[' && named {
				each = counts[name]
			}
			lists = append(lists, each)
		case '}', ']':
			if len(lists) == 0 {
				return fmt.Errorf("there is %q where nothing is open", c)
			}
			lists = lists[:len(lists)-1]
		}
		named = false
		switch {
		case len(lists) > maxDepth:
			return fmt.Errorf("it is nested deeper than %d", maxDepth)
		case listed > maxListed:
			return fmt.Errorf("it lists more than %d packages", maxListed)
		case objects > maxObjects:
			return fmt.Errorf("it has more than %d objects (a package counts for up to %d)", maxObjects, heavy)
		}
	}
}

// short reads a string to its end and returns it, lower-case, if it can be one of the names
// that matter. A reader may spell a name in escapes: then it is taken for one of them.
func short(b *bufio.Reader) (string, error) {
	const longest = len("components")
	var name [longest + 1]byte
	n, escaped := 0, false
	for {
		c, err := b.ReadByte()
		if err != nil {
			return "", io.ErrUnexpectedEOF
		}
		switch c {
		case '"':
			if escaped {
				return "components", nil
			}
			return strings.ToLower(string(name[:n])), nil
		case '\\':
			escaped = true
			if _, err := b.ReadByte(); err != nil {
				return "", io.ErrUnexpectedEOF
			}
		}
		if n < len(name) {
			name[n] = c
			n++
		}
	}
}
