package requirements

import (
	"bytes"
	"fmt"
	"net/url"

	"github.com/BurntSushi/toml"
)

// Pin is one distribution of a lock that is written for other tools, with its one wheel.
type Pin struct {
	Name, Version string
	File          string // of the wheel
	URL           string // where it is served now; its credentials, query and fragment are left out
	Path          string // in place of URL: relative to the file that is written, with slashes
	SHA256        string
	Size          int64
}

// Target is the one kind of machine that a lock is for.
type Target struct {
	Python  string // "3.13"
	Machine string // platform_machine: "x86_64", "aarch64"
}

// The shape of a lock of PEP 751, as far as it is written here. BurntSushi/toml keeps the
// order of fields.
type (
	pylockFile struct {
		Version      string          `toml:"lock-version"`
		Environments []string        `toml:"environments"`
		Python       string          `toml:"requires-python"`
		By           string          `toml:"created-by"`
		Packages     []pylockPackage `toml:"packages"`
	}
	pylockPackage struct {
		Name    string        `toml:"name"`
		Version string        `toml:"version"`
		Wheels  []pylockWheel `toml:"wheels"`
	}
	pylockWheel struct {
		Name   string            `toml:"name"`
		URL    string            `toml:"url,omitempty"`
		Path   string            `toml:"path,omitempty"`
		Size   int64             `toml:"size"`
		Hashes map[string]string `toml:"hashes"`
	}
)

// WritePylock returns a lock of PEP 751 that pins exactly these wheels, in their order. It
// says which machine they are for, so that an installer on another one refuses it.
func WritePylock(t Target, pins []Pin) ([]byte, error) {
	doc := pylockFile{
		Version: "1.0",
		Environments: []string{fmt.Sprintf("sys_platform == 'linux' and platform_machine == '%s' and implementation_name == 'cpython' and python_version == '%s'",
			t.Machine, t.Python)},
		Python:   "==" + t.Python + ".*",
		By:       "forge",
		Packages: []pylockPackage{},
	}
	for _, p := range pins {
		w := pylockWheel{Name: p.File, Path: p.Path, Size: p.Size, Hashes: map[string]string{"sha256": p.SHA256}}
		if p.Path == "" {
			u, err := url.Parse(p.URL)
			if err != nil || u.Host == "" {
				return nil, fmt.Errorf("pinning %s %s: nobody says where %s is served", p.Name, p.Version, p.File)
			}
			u.User, u.RawQuery, u.Fragment, u.RawFragment = nil, "", "", ""
			w.URL = u.String()
		}
		doc.Packages = append(doc.Packages, pylockPackage{p.Name, p.Version, []pylockWheel{w}})
	}
	var b bytes.Buffer
	e := toml.NewEncoder(&b)
	e.Indent = ""
	if err := e.Encode(doc); err != nil {
		return nil, fmt.Errorf("internal error: writing TOML: %w", err)
	}
	return b.Bytes(), nil
}
