package requirements

import (
	"errors"
	"regexp"
	"slices"
	"strings"

	"github.com/BurntSushi/toml"
)

// decode reads TOML into v; its errors name the line.
func (f *file) decode(v any) error {
	_, err := toml.Decode(f.text, v)
	var pe toml.ParseError
	if errors.As(err, &pe) {
		return &Error{f.name, pe.Position.Line, pe.Message}
	}
	if err != nil {
		return f.bad("", "%v", err)
	}
	return nil
}

type artifact struct {
	URL    string            `toml:"url"`
	Hash   string            `toml:"hash"` // uv.lock: "sha256:…"
	Hashes map[string]string `toml:"hashes"`
}

// allow notes the hashes of a version's wheels; each must have a sha256.
func (f *file) allow(name, version string, wheels []artifact) error {
	for _, w := range wheels {
		sum := w.Hashes["sha256"]
		if sum == "" {
			sum = strings.TrimPrefix(w.Hash, "sha256:")
		}
		if !sha256Hex.MatchString(sum) {
			return f.bad(`"`+name+`"`, "a wheel of %+q %+q has no sha256", cut(name), cut(version))
		}
		f.set.Hashes[Normalize(name)] = append(f.set.Hashes[Normalize(name)], sum)
	}
	return nil
}

// pin makes "name==version ; marker" and refuses what is none.
func (f *file) pin(name, version, marker string) (string, error) {
	line := name + "==" + version
	if marker != "" {
		line += " ; " + marker
	}
	if n, ok := Name(line); !ok || n != Normalize(name) {
		return "", f.bad(`"`+name+`"`, "%+q is no name and version", cut(line))
	}
	return line, nil
}

// membership is a condition on the groups and extras that are installed. Source: PEP 751.
var membership = regexp.MustCompile(`("[^"]*"|'[^']*')\s+(not\s+)?in\s+(extras|dependency_groups)\b`)

// chosen replaces conditions on groups and extras by ones that every resolver knows: a file
// is read without extras, with the groups that it names as its default.
func chosen(marker string, groups []string) string {
	return membership.ReplaceAllStringFunc(marker, func(s string) string {
		m := membership.FindStringSubmatch(s)
		in := m[3] == "dependency_groups" && slices.Contains(groups, m[1][1:len(m[1])-1])
		if in != (m[2] != "") {
			return "python_version >= '0'"
		}
		return "python_version < '0'"
	})
}

// pylock reads a lock of PEP 751.
func (f *file) pylock() error {
	var doc struct {
		Version  string   `toml:"lock-version"`
		Python   string   `toml:"requires-python"`
		Groups   []string `toml:"default-groups"`
		Packages []struct {
			Name      string     `toml:"name"`
			Version   string     `toml:"version"`
			Marker    string     `toml:"marker"`
			VCS       any        `toml:"vcs"`
			Directory any        `toml:"directory"`
			Archive   any        `toml:"archive"`
			Wheels    []artifact `toml:"wheels"`
		} `toml:"packages"`
	}
	if err := f.decode(&doc); err != nil {
		return err
	}
	if doc.Version != "1.0" {
		return f.bad("lock-version", "lock-version %+q is not known; 1.0 is", cut(doc.Version))
	}
	f.set.Python = doc.Python
	for _, p := range doc.Packages {
		if p.VCS != nil || p.Directory != nil || p.Archive != nil {
			return f.bad(`"`+p.Name+`"`, "%+q comes from a repository, folder or archive; forge takes wheels of an index, or a wheel block of the recipe", cut(p.Name))
		}
		line, err := f.pin(p.Name, p.Version, chosen(p.Marker, doc.Groups))
		if err != nil {
			return err
		}
		if len(p.Wheels) == 0 && p.Marker == "" {
			return f.bad(`"`+p.Name+`"`, "%+q %+q has no wheel in it, and forge runs no setup code: name a wheel of it in the recipe, or choose a version that has one", cut(p.Name), cut(p.Version))
		}
		if err := f.allow(p.Name, p.Version, p.Wheels); err != nil {
			return err
		}
		f.set.Lines = append(f.set.Lines, line)
	}
	return nil
}

// uvPackage is an entry of uv.lock.
type uvPackage struct {
	Name         string         `toml:"name"`
	Version      string         `toml:"version"`
	Source       map[string]any `toml:"source"`
	Markers      []string       `toml:"resolution-markers"`
	Dependencies []struct {
		Name   string   `toml:"name"`
		Marker string   `toml:"marker"`
		Extra  []string `toml:"extra"`
	} `toml:"dependencies"`
	Wheels []artifact `toml:"wheels"`
}

// project says whether the entry is a folder of the workspace and no distribution.
func (p uvPackage) project() bool {
	return p.Source["virtual"] != nil || p.Source["editable"] != nil || p.Source["directory"] != nil
}

// uvLock reads uv's lock: what the workspace's projects depend on are lines, everything
// else pins what they lead to.
func (f *file) uvLock() error {
	var doc struct {
		Version  int         `toml:"version"`
		Python   string      `toml:"requires-python"`
		Packages []uvPackage `toml:"package"`
	}
	if err := f.decode(&doc); err != nil {
		return err
	}
	if doc.Version != 1 {
		return f.bad("version", "version %d is not known; 1 is", doc.Version)
	}
	f.set.Python = doc.Python
	projects, found := map[string]bool{}, false
	for _, p := range doc.Packages {
		if p.project() {
			projects[Normalize(p.Name)], found = true, true
		}
	}
	for _, p := range doc.Packages {
		var err error
		switch {
		case p.project():
			err = f.project(p, projects)
		case p.Source["registry"] != nil:
			err = f.locked(p)
		default:
			err = f.bad(`"`+p.Name+`"`, "%+q comes from a repository, folder or address; forge takes wheels of an index, or a wheel block of the recipe", cut(p.Name))
		}
		if err != nil {
			return err
		}
	}
	if !found {
		return f.bad("", "it has no project whose dependencies it locks")
	}
	return nil
}

// locked notes the version and the hashes of a distribution. One without a wheel is an error
// only when it is chosen, which it may never be.
func (f *file) locked(p uvPackage) error {
	line, err := f.pin(p.Name, p.Version, markers(p.Markers))
	if err != nil {
		return err
	}
	f.set.Constraints = append(f.set.Constraints, line)
	return f.allow(p.Name, p.Version, p.Wheels)
}

// project takes a project's dependencies. Another project of the workspace is no line: an
// index might have a distribution of that name, and it would be a stranger's.
func (f *file) project(p uvPackage, projects map[string]bool) error {
	for _, d := range p.Dependencies {
		line := d.Name
		if len(d.Extra) > 0 {
			line += "[" + strings.Join(d.Extra, ",") + "]"
		}
		if d.Marker != "" {
			line += " ; " + d.Marker
		}
		name, ok := Name(line)
		if !ok {
			return f.bad(`"`+d.Name+`"`, "%+q is no requirement", cut(line))
		}
		if projects[name] {
			f.set.Elsewhere[name] = "workspace"
		}
		f.set.Lines = append(f.set.Lines, line)
	}
	return nil
}

// markers joins the conditions of a fork: one of them holds.
func markers(list []string) string {
	if len(list) == 0 {
		return ""
	}
	return "(" + strings.Join(list, ") or (") + ")"
}

// pyproject reads a project's dependencies, without extras and groups. Source: PEP 621.
func (f *file) pyproject() error {
	var doc struct {
		Project *struct {
			Python       string   `toml:"requires-python"`
			Dependencies []string `toml:"dependencies"`
			Dynamic      []string `toml:"dynamic"`
		} `toml:"project"`
		Tool struct {
			UV uvSettings `toml:"uv"`
		} `toml:"tool"`
	}
	if err := f.decode(&doc); err != nil {
		return err
	}
	if doc.Project == nil {
		return f.bad("", "it has no [project] table")
	}
	if slices.Contains(doc.Project.Dynamic, "dependencies") {
		return f.bad("dynamic", "its dependencies are dynamic: only running the project's build would tell them, and forge runs none")
	}
	f.set.Python = doc.Project.Python
	for _, d := range doc.Project.Dependencies {
		line := strings.TrimSpace(d)
		if _, ok := Name(line); !ok {
			return f.bad(d, "dependency %+q: a name with versions is due; addresses are not taken", cut(d))
		}
		f.set.Lines = append(f.set.Lines, line)
	}
	return f.uvTool(doc.Tool.UV)
}

// uvSettings is the part of [tool.uv] that changes what a dependency means.
type uvSettings struct {
	Sources     map[string]any `toml:"sources"`
	Constraints []string       `toml:"constraint-dependencies"`
	Overrides   []string       `toml:"override-dependencies"`
	IndexURL    string         `toml:"index-url"`
	ExtraIndex  []string       `toml:"extra-index-url"`
	FindLinks   []string       `toml:"find-links"`
	Index       []struct {
		Name     string `toml:"name"`
		URL      string `toml:"url"`
		Explicit bool   `toml:"explicit"`
	} `toml:"index"`
}

// uvTool takes constraints, notes which names come from elsewhere, and refuses indexes: the
// recipe binds names to them.
func (f *file) uvTool(t uvSettings) error {
	const refuse = `%s: the recipe says where names come from: index "NAME" { url = "…", packages = ["acme-*"] }`
	switch {
	case len(t.Overrides) > 0:
		return f.bad("override-dependencies", "override-dependencies changes what other distributions ask for, which forge does not")
	case t.IndexURL != "":
		return f.bad("index-url", refuse, "index-url")
	case len(t.ExtraIndex) > 0:
		return f.bad("extra-index-url", refuse, "extra-index-url")
	case len(t.FindLinks) > 0:
		return f.bad("find-links", refuse, "find-links")
	}
	for _, ix := range t.Index {
		if !ix.Explicit {
			return f.bad("[[tool.uv.index]]", refuse, "an index that is not explicit")
		}
	}
	for _, c := range t.Constraints {
		if _, ok := Name(strings.TrimSpace(c)); !ok {
			return f.bad(c, "constraint %+q: a name with versions is due", cut(c))
		}
		f.set.Constraints = append(f.set.Constraints, strings.TrimSpace(c))
	}
	from := map[string][]string{} // index → names
	for name, v := range t.Sources {
		list, ok := v.([]map[string]any)
		if one, is := v.(map[string]any); is {
			list, ok = []map[string]any{one}, true
		}
		if many, is := v.([]any); is {
			for _, m := range many {
				if one, is := m.(map[string]any); is {
					list, ok = append(list, one), true
				}
			}
		}
		if !ok {
			return f.bad(name, "tool.uv.sources: %+q is no source", cut(name))
		}
		f.set.Elsewhere[Normalize(name)] = kindOf(list)
		for _, one := range list {
			if ix, ok := one["index"].(string); ok && one["marker"] == nil {
				from[ix] = append(from[ix], Normalize(name))
			}
		}
	}
	for _, ix := range t.Index {
		if names := unique(from[ix.Name]); len(names) > 0 {
			f.set.Indexes = append(f.set.Indexes, Index{ix.Name, ix.URL, names})
		}
	}
	slices.SortFunc(f.set.Indexes, func(a, b Index) int { return strings.Compare(a.Name, b.Name) })
	return nil
}

// kindOf says where a source is: "index" if all of its forms are one, else the other kind.
func kindOf(list []map[string]any) string {
	for _, kind := range []string{"git", "url", "path", "workspace"} {
		for _, one := range list {
			if one[kind] != nil {
				return kind
			}
		}
	}
	return "index"
}
