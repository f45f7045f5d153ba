package sbom

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strings"
)

// Bounds of a document that is decoded. Ten million empty components are 30 MB of JSON, and
// took 11 GB as packages; 100,000 real ones take 300 MB. The image with the most packages that
// was seen had 4,000.
const (
	maxListed  = 120_000   // packages
	maxObjects = 1_500_000 // of any kind
	maxDepth   = 100
)

// CheckDocument refuses what is no JSON object, and a document with more packages, objects or
// depth than are decoded. It looks at brackets and names alone, so that it takes a moment.
func CheckDocument(r io.Reader) error {
	b := bufio.NewReaderSize(r, 1<<16)
	var lists []bool // by depth: an array of packages
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
			if n := len(lists); c == '{' && n > 0 && lists[n-1] {
				listed++
			}
			if c == '{' {
				objects++
			}
			lists = append(lists, c == '[' && named && (name == "components" || name == "packages" || name == "artifacts"))
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
			return fmt.Errorf("it has more than %d objects", maxObjects)
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
