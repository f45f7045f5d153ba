package wheel

import (
	"regexp"
	"strings"
	"unicode/utf8"
)

// EntryPoint is a command that calls a function: Name on the command line, Attr (dotted)
// of Module.
type EntryPoint struct{ Name, Module, Attr string }

// EntryPoints are the commands of entry_points.txt.
type EntryPoints struct{ Console, GUI []EntryPoint }

var (
	commandName = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.-]*$`)
	interpreter = regexp.MustCompile(`(?i)^(python[0-9.]*[a-z]*|pythonw)(-config)?(\.exe)?$`)
	reference   = regexp.MustCompile(`^([A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z_][A-Za-z0-9_]*)*)\s*:\s*([A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z_][A-Za-z0-9_]*)*)\s*(?:\[[A-Za-z0-9._, -]*\])?$`)
)

// ParseEntryPoints reads entry_points.txt. Groups other than console_scripts and
// gui_scripts make no files and are not judged.
func ParseEntryPoints(data []byte) (EntryPoints, error) {
	var eps EntryPoints
	if !utf8.Valid(data) {
		return eps, refuse("WHL-04", "entry_points.txt", -1, "entry_points.txt is not UTF-8")
	}
	section := ""
	seen := map[string]bool{}
	for n, line := range strings.Split(string(data), "\n") {
		indented := strings.HasPrefix(line, " ") || strings.HasPrefix(line, "\t")
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' || line[0] == ';' {
			continue
		}
		if line[0] == '[' && strings.HasSuffix(line, "]") && !indented {
			section = strings.TrimSpace(line[1 : len(line)-1])
			continue
		}
		var list *[]EntryPoint
		switch section {
		case "console_scripts":
			list = &eps.Console
		case "gui_scripts":
			list = &eps.GUI
		case "":
			return eps, refuse("WHL-04", "entry_points.txt", -1, "entry_points.txt line %d stands before the first section", n+1)
		default:
			continue
		}
		ep, err := parseEntryPoint(line, n+1)
		if err != nil {
			return eps, err
		}
		if key := Fold(ep.Name); seen[key] {
			return eps, refuse("WHL-04", "entry_points.txt", -1, "entry_points.txt line %d: script %s is there twice", n+1, q(ep.Name))
		} else {
			seen[key] = true
		}
		*list = append(*list, ep)
	}
	return eps, nil
}

func parseEntryPoint(line string, n int) (EntryPoint, error) {
	name, value, ok := strings.Cut(line, "=")
	name = strings.TrimSpace(name)
	if !ok {
		return EntryPoint{}, refuse("WHL-04", "entry_points.txt", -1, "entry_points.txt line %d is not name = module:function", n)
	}
	if err := checkCommand(name); err != nil {
		err.Entry = "entry_points.txt"
		return EntryPoint{}, err
	}
	m := reference.FindStringSubmatch(strings.TrimSpace(value))
	if m == nil {
		return EntryPoint{}, refuse("WHL-04", "entry_points.txt", -1, "script %s refers to %s, which is not module:function", q(name), q(strings.TrimSpace(value)))
	}
	return EntryPoint{Name: name, Module: m[1], Attr: m[2]}, nil
}

// checkCommand judges the name of a file in bin.
func checkCommand(name string) *Error {
	if len(name) > 255 || !commandName.MatchString(name) {
		return refuse("WHL-04", "", -1, "script name %s is not letters, digits, dot, dash and underscore", q(name))
	}
	if interpreter.MatchString(name) {
		return refuse("WHL-04", "", -1, "script name %s is the interpreter's own", q(name))
	}
	return nil
}

// Launcher returns a console script: it imports attr's first name from module and exits
// with what the call returns. Arguments come from a parsed EntryPoint.
func Launcher(interpreter, module, attr string) []byte {
	first, _, _ := strings.Cut(attr, ".")
	return []byte("#!" + interpreter + "\n" +
		"# -*- coding: utf-8 -*-\n" +
		"import sys\n" +
		"from " + module + " import " + first + "\n" +
		"if __name__ == \"__main__\":\n" +
		"    sys.exit(" + attr + "())\n")
}
