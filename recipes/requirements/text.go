package requirements

import (
	"fmt"
	"regexp"
	"strings"
)

var (
	comment = regexp.MustCompile(`(^|\s)#.*$`)
	pinned  = regexp.MustCompile(`^[^;]*[^<>!~=]==[^=*][^*,;]*(;|$)`)
)

// harmless are options that ask for what forge does anyway.
var harmless = map[string]bool{"--require-hashes": true, "--only-binary :all:": true, "--only-binary=:all:": true}

// requirementsText reads a requirements file. Source: pip, "Requirements File Format". As
// with pip, a file that has a hash has one for each line, and each line pins a version.
func (f *file) requirementsText() error {
	hashed := 0
	var open []int // lines without a hash or without a version
	lines := strings.Split(strings.TrimPrefix(f.text, "\ufeff"), "\n")
	for i := 0; i < len(lines); i++ {
		at, line := i+1, strings.TrimRight(lines[i], "\r")
		for strings.HasSuffix(line, `\`) && i+1 < len(lines) {
			i++
			line = strings.TrimSuffix(line, `\`) + " " + strings.TrimRight(lines[i], "\r")
		}
		line = strings.TrimSpace(comment.ReplaceAllString(line, ""))
		if line == "" {
			continue
		}
		if harmless[strings.Join(strings.Fields(line), " ")] {
			if strings.HasPrefix(line, "--require") {
				hashed++
			}
			continue
		}
		hashes, err := f.line(at, line)
		if err != nil {
			return err
		}
		hashed += hashes
		if hashes == 0 || !pinned.MatchString(line) {
			open = append(open, at)
		}
	}
	if hashed > 0 && len(open) > 0 {
		return &Error{f.name, open[0], "other lines have hashes and this one pins no version by hash: pip refuses such a file too; make it with pip-compile --generate-hashes, or leave the hashes out, since forge lock records every file's"}
	}
	return nil
}

// line reads one requirement with its hashes, and says how many there are.
func (f *file) line(at int, line string) (hashes int, err error) {
	bad := func(format string, args ...any) (int, error) {
		return 0, &Error{f.name, at, fmt.Sprintf(format, args...)}
	}
	if line[0] == '-' {
		word := strings.FieldsFunc(line, func(r rune) bool { return r == ' ' || r == '=' || r == '\t' })[0]
		return bad("option %+q is not taken: indexes and wheels are named in the recipe, and a file that this one includes has a place of its own in files = […]", cut(word))
	}
	line, options, _ := strings.Cut(strings.Join(strings.Fields(line), " "), " --")
	line = strings.TrimSpace(line)
	name, ok := Name(line)
	if !ok {
		return bad("%+q: a name with versions is due (numpy>=2); addresses and paths are not taken", cut(line))
	}
	f.set.Lines = append(f.set.Lines, line)
	if options == "" {
		return 0, nil
	}
	for _, o := range strings.Split(options, " --") {
		hash, ok := strings.CutPrefix(strings.TrimSpace(strings.Replace(o, "hash ", "hash=", 1)), "hash=sha256:")
		if !ok || !sha256Hex.MatchString(hash) {
			return bad("%+q is not --hash=sha256:<64 hexadecimal digits>", cut("--"+o))
		}
		f.set.Hashes[name] = append(f.set.Hashes[name], hash)
		hashes++
	}
	return hashes, nil
}
