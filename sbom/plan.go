package sbom

import (
	"strings"

	"github.com/forge-build/forge/sbom/requirement"
)

// Plan is what whoever built an image meant to put into it. It is compared with what is
// found, and adds what an image cannot say: the sums and the origin of its artifacts.
type Plan struct {
	Packages []Planned
	Layers   map[string]string // diffID → "debian", "wheels", "base", "copy" and so on
	// Requirements are what the recipe and its files ask for, PEP 508 lines, by the
	// environment's folder. Their extras are asked for.
	Requirements map[string][]string
}

// Planned is a locked artifact.
type Planned struct {
	Type       string // "python" or "deb"
	Name       string // PEP 503 normalised, for Python
	Version    string
	Root       string // of Python: the environment's folder, "/opt/venv"
	File       string // its file name
	SHA256     string // lower-case hex
	Repository string // URL of the index or archive, where it is not the type's own; no credentials
}

// planned finds the artifact of a package; dir is where a Python one lies.
func (p *Plan) planned(typ, name, dir string) *Planned {
	if p == nil {
		return nil
	}
	for i := range p.Packages {
		x := &p.Packages[i]
		if x.Type != typ {
			continue
		}
		switch typ {
		case "python":
			if requirement.Normal(name) == x.Name && isSite(dir, x.Root) {
				return x
			}
		case "deb":
			if name == x.Name {
				return x
			}
		}
	}
	return nil
}

// isSite says whether a folder is where an environment keeps its modules, and not one of a
// wheel's, where it has copies of others.
func isSite(dir, root string) bool {
	rest, ok := strings.CutPrefix(dir, root+"/lib/python")
	if !ok {
		return false
	}
	_, rest, ok = strings.Cut(rest, "/")
	return ok && rest == "site-packages"
}
