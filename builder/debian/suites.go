package debian

import (
	"fmt"
	"strings"
)

// suite is what forge knows of one release of Debian.
type suite struct {
	name, python string
}

// suites are the releases that forge can build on. Sources: packages.debian.org/<suite>/python3.
var suites = []suite{
	{"bookworm", "3.11"},
	{"trixie", "3.13"},
}

// SuitePython says which Python a suite has, "3.13", and where its interpreter is.
func SuitePython(name string) (version, interpreter string, err error) {
	var known []string
	for _, s := range suites {
		if s.name == name {
			return s.python, "/usr/bin/python" + s.python, nil
		}
		known = append(known, s.name+" (Python "+s.python+")")
	}
	return "", "", fmt.Errorf("suite %q is not known; known are %s", name, strings.Join(known, ", "))
}

// PythonPackages names what an image with a suite's Python starts from: the interpreter
// with its library; what wheels for manylinux expect of a system (PEP 600: glibc, libstdc++,
// libgcc, zlib); ldconfig and the locale C.UTF-8, since Triton asks "ldconfig -p" where
// libcuda is; certificate authorities; and the release's name, by which scanners choose
// their data.
func PythonPackages(name string) ([]string, error) {
	version, _, err := SuitePython(name)
	if err != nil {
		return nil, err
	}
	return []string{"base-files", "ca-certificates", "libc-bin", "libc6", "libgcc-s1", "libpython" + version + "-stdlib",
		"libstdc++6", "netbase", "python" + version, "zlib1g"}, nil
}
