package sbom

import "strings"

// Plan is what whoever built an image meant to put into it. It is compared with what is
// found, and adds what an image cannot say: the sums and the origin of its artifacts.
type Plan struct {
	Packages []Planned
	Layers   map[string]string // diffID → "debian", "wheels", "base", "copy" and so on
}

// Planned is a locked artifact.
type Planned struct {
	Type       string // "python" or "deb"
	Name       string // PEP 503 normalised, for Python
	Version    string
	Root       string   // of Python: the environment's folder, "/opt/venv"
	File       string   // its file name
	SHA256     string   // lower-case hex
	Repository string   // URL of the index or archive, where it is not the type's own; no credentials
	Extras     []string // of Python: that the recipe asks for
}

// normal is a Python project's normal name. Source: PEP 503.
func normal(name string) string {
	var b strings.Builder
	dash := false
	for _, r := range strings.ToLower(name) {
		if r == '-' || r == '_' || r == '.' {
			dash = true
			continue
		}
		if dash && b.Len() > 0 {
			b.WriteByte('-')
		}
		dash = false
		b.WriteRune(r)
	}
	return b.String()
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
			if normal(name) == x.Name && isSite(dir, x.Root) {
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
