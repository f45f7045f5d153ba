package sbom

import (
	"context"
	"io"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/anchore/syft/syft/file"
	"github.com/anchore/syft/syft/license"
	"github.com/anchore/syft/syft/pkg"
	syftsbom "github.com/anchore/syft/syft/sbom"

	"github.com/forge-build/forge/sbom/licence"
)

// licensing replaces what Syft says of licences by expressions of SPDX: each of a package's is
// a valid one. Syft takes a line of METADATA only if it is one by chance, knows no classifier,
// and of Debian's copyright files the first word of each line.
type licensing struct {
	ctx  context.Context // with a scanner of texts
	t    *tree
	refs map[string]licence.Ref
	kept int // bytes of texts in refs
}

// Bounds, in bytes.
const (
	maxMetadata = 4 << 20 // of METADATA or a copyright file that is read for its licence
	maxLicence  = 1 << 20 // of a licence's text
	maxTexts    = 16 << 20
)

// licences does it for all packages.
func (t *tree) licences(ctx context.Context, s *syftsbom.SBOM) (map[string]licence.Ref, error) {
	l := &licensing{ctx: ctx, t: t, refs: map[string]licence.Ref{}}
	all := s.Artifacts.Packages.Sorted()
	for i := range all {
		p := &all[i]
		found := p.Licenses.ToSlice()
		own, err := l.own(p, found)
		if err != nil {
			return nil, err
		}
		if own == nil {
			if own, err = l.others(found); err != nil {
				return nil, err
			}
		}
		p.Licenses = pkg.NewLicenseSet(own...)
	}
	s.Artifacts.Packages = pkg.NewCollection(all...)
	return l.refs, nil
}

// own reads the package's own words; nil: there are none that forge knows better than Syft.
func (l *licensing) own(p *pkg.Package, found []pkg.License) ([]pkg.License, error) {
	for _, at := range p.Locations.ToSlice() {
		switch name := path.Base(at.RealPath); {
		case p.Type == pkg.PythonPkg && (name == "METADATA" || name == "PKG-INFO" || strings.HasSuffix(name, ".egg-info")):
			return l.python(at, found)
		case p.Type == pkg.DebPkg && name == "copyright":
			raw, err := l.t.read(at.RealPath, maxMetadata)
			if err != nil || raw == nil {
				return nil, err
			}
			if list, ok := licence.Debian(raw); ok {
				return l.add(nil, license.Declared, at, list...), nil
			}
		}
	}
	return nil, nil
}

// python reads METADATA. Words that could mean several licences stay what is declared; what
// the licence's text is found to be is concluded.
func (l *licensing) python(at file.Location, found []pkg.License) ([]pkg.License, error) {
	raw, err := l.t.read(at.RealPath, maxMetadata)
	if err != nil || raw == nil {
		return nil, err
	}
	m := licence.ReadMetadata(raw)
	declared := m.Declared("")
	if declared.Expression != "" && len(declared.Refs) == 0 {
		return l.add(nil, license.Declared, at, declared), nil
	}
	var out []pkg.License
	var texts []string
	for _, name := range m.Files[:min(len(m.Files), 16)] {
		text, where, err := l.licenceFile(path.Dir(at.RealPath), name)
		if err != nil {
			return nil, err
		}
		if text != nil {
			texts = append(texts, string(text))
			out = l.add(out, license.Concluded, where, l.concluded(string(text))...)
		}
	}
	if strings.Contains(m.Licence, "\n") {
		out = l.add(out, license.Concluded, at, l.concluded(m.Licence)...)
	}
	out = l.add(out, license.Declared, at, m.Declared(strings.Join(texts, "\n\n")))
	if len(out) == 0 || declared.Expression == "" && len(m.Files) == 0 {
		return l.others(found) // in files that RECORD names
	}
	return out, nil
}

// licenceFile reads a file that METADATA names. Source: PEP 639; before it, the folder was
// dist-info itself.
func (l *licensing) licenceFile(dir, name string) ([]byte, file.Location, error) {
	for _, p := range []string{path.Join(dir, "licenses", name), path.Join(dir, name)} {
		if !strings.HasPrefix(p, dir+"/") {
			continue
		}
		text, err := l.t.read(p, maxLicence)
		if err != nil || text != nil {
			return text, l.t.locate(p), err
		}
	}
	return nil, file.Location{}, nil
}

// gnu are licences whose text does not say whether a later version may be chosen.
var gnu = regexp.MustCompile(`^(?:A|L)?GPL-[\d.]+-(?:only|or-later)$|^GFDL-`)

// concluded finds the licences that a text is.
func (l *licensing) concluded(text string) []licence.Licence {
	var out []licence.Licence
	reader := file.NewLocationReadCloser(file.Location{}, io.NopCloser(strings.NewReader(text)))
	for _, x := range pkg.NewLicensesFromReadCloserWithContext(l.ctx, reader) {
		if e, ok := licence.Expression(x.Value); ok && !gnu.MatchString(e.Expression) {
			out = append(out, e)
		}
	}
	return out
}

// others are what Syft has found, each as an expression. Of a text that it does not recognise it
// leaves the sum and the place.
func (l *licensing) others(found []pkg.License) ([]pkg.License, error) {
	var out []pkg.License
	for _, x := range found {
		at := append(x.Locations.ToSlice(), file.Location{})[0]
		e, ok := licence.Expression(x.SPDXExpression)
		if !ok {
			e, ok = licence.Words(x.Value)
		}
		words, isSum := strings.CutPrefix(x.Value, "sha256:")
		if x.Type == license.Concluded && gnu.MatchString(e.Expression) {
			ok, isSum = false, true // its text does not tell
		}
		if !ok && isSum {
			text, err := l.t.read(at.RealPath, maxLicence)
			if err != nil {
				return nil, err
			}
			if x.Contents != "" {
				text = []byte(x.Contents)
			}
			if e = licence.Unknown("", string(text)); e.Expression == "" {
				e = licence.Unknown(words, "")
			}
		} else if !ok {
			e = licence.Unknown(x.Value, x.Contents)
		}
		out = l.add(out, x.Type, at, e)
	}
	return out, nil
}

// add takes licences up, each expression once.
func (l *licensing) add(out []pkg.License, how license.Type, at file.Location, list ...licence.Licence) []pkg.License {
	if how == "" {
		how = license.Declared
	}
	for _, e := range list {
		if e.Expression == "" || slices.ContainsFunc(out, func(o pkg.License) bool { return o.SPDXExpression == e.Expression && o.Type == how }) {
			continue
		}
		words := e.Expression
		for _, r := range e.Refs {
			if r.ID == e.Expression && r.Words != "" {
				words = plain(r.Words)
			}
			if _, known := l.refs[r.ID]; !known {
				if l.kept += len(r.Text); l.kept > maxTexts {
					r.Text = "" // it is with the package
				}
				l.refs[r.ID] = licence.Ref{ID: r.ID, Words: plain(r.Words), Text: r.Text}
			}
		}
		x := pkg.License{SPDXExpression: e.Expression, Value: words, Type: how}
		if at.RealPath != "" {
			x.Locations = file.NewLocationSet(at.WithoutAnnotations())
		}
		out = append(out, x)
	}
	return out
}

// expressions are a package's licences of a kind, which all hold.
func expressions(p pkg.Package, how license.Type) []licence.Licence {
	var out []licence.Licence
	for _, x := range p.Licenses.ToSlice() {
		if x.Type == how && x.SPDXExpression != "" {
			out = append(out, licence.Parts(x.SPDXExpression)...)
		}
	}
	slices.SortFunc(out, func(a, b licence.Licence) int { return strings.Compare(a.Expression, b.Expression) })
	return out
}

// stated are the licences that a package is listed with.
func stated(p pkg.Package) []string {
	out := preferred(expressions(p, license.Declared), expressions(p, license.Concluded))
	if len(out) > 0 {
		return out
	}
	for _, x := range p.Licenses.ToSlice() { // of another tool's document
		if x.Value != "" && !strings.HasPrefix(x.Value, "sha256:") {
			out = append(out, plain(x.Value))
		}
	}
	return out
}

// preferred are what a package declares, or what its texts are where its words do not tell.
func preferred(declared, concluded []licence.Licence) []string {
	told := func(l licence.Licence) bool { return !strings.Contains(l.Expression, "LicenseRef-") }
	if len(concluded) > 0 && !slices.ContainsFunc(declared, told) {
		declared = concluded
	}
	var out []string
	for _, l := range declared {
		out = append(out, l.Expression)
	}
	slices.Sort(out)
	return slices.Compact(out)
}
