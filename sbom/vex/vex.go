package vex

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	openvex "github.com/openvex/go-vex/pkg/vex"

	"github.com/forge-build/forge/recipes/finding"
)

// MaxBytes is the largest VEX document that is read.
const MaxBytes = 16 << 20

const (
	maxStatements = 10_000 // of all documents, with one product each
	maxImpact     = 4096   // bytes of prose that are kept
)

// Error is a document that cannot be used.
type Error struct {
	Name, Reason string
}

func (e *Error) Error() string { return fmt.Sprintf("reading VEX %q: %s", e.Name, e.Reason) }

// Subject is the image that VEX may speak of.
type Subject struct {
	Repository string // ghcr.io/acme/train; may be empty
	Digest     string // of the manifest, "sha256:…"; may be empty
	Index      string // of an index that lists it, by which the image is known, too; may be empty
}

// Documents are what OpenVEX documents say about one image. Of the statements of one author
// about the same vulnerability in the same package the latest counts, in whichever of the
// author's documents it stands; of one who has signed, those are the documents that the same
// signer vouches for.
// Source: github.com/openvex/spec, OPENVEX-SPEC.md, version 0.2.0.
type Documents struct {
	Subject Subject
	Authors []string // whose documents count; none: those of each who is named

	said []dated
	at   map[string]int
}

// dated is a statement, when it was made, and where.
type dated struct {
	finding.Statement
	made time.Time
}

// Add reads a document. signer is who vouches for it, "" where nobody does. What is wrong is a
// *Error, and then nothing of the document counts.
func (d *Documents) Add(raw []byte, name, signer string) error {
	said, err := d.read(raw, name)
	if err != nil {
		return &Error{Name: name, Reason: err.Error()}
	}
	if len(d.said)+len(said) > maxStatements {
		return &Error{Name: name, Reason: fmt.Sprintf("it brings more than %d statements together", maxStatements)}
	}
	if d.at == nil {
		d.at = map[string]int{}
	}
	for _, x := range said {
		key := strings.Join([]string{signer, x.Author, strings.ToUpper(x.ID), x.Product}, "\n")
		n, ok := d.at[key]
		switch {
		case ok && (x.made.After(d.said[n].made) || x.made.Equal(d.said[n].made) && d.said[n].Document == name):
			d.said[n] = x
		case ok && x.made.Before(d.said[n].made):
		default: // the first of its kind, or of the same moment in another document: both count
			d.at[key] = len(d.said)
			d.said = append(d.said, x)
		}
	}
	return nil
}

// Statements are those that count.
func (d *Documents) Statements() []finding.Statement {
	var out []finding.Statement
	for _, x := range d.said {
		out = append(out, x.Statement)
	}
	return out
}

// read reads all statements of a document.
func (d *Documents) read(raw []byte, name string) ([]dated, error) {
	if len(raw) > MaxBytes {
		return nil, fmt.Errorf("it has more than %d bytes", MaxBytes)
	}
	var doc openvex.VEX
	if err := json.Unmarshal(raw, &doc); err != nil {
		return nil, fmt.Errorf("it is no OpenVEX document: %w", err)
	}
	author := strings.TrimSpace(doc.Author)
	switch {
	case doc.Context != openvex.Context && !strings.HasPrefix(doc.Context, openvex.Context+"/v0."):
		return nil, fmt.Errorf("its @context is %q, and %s is due", doc.Context, openvex.ContextLocator())
	case author == "" || author == openvex.DefaultAuthor:
		return nil, errors.New("it does not say who its author is")
	case len(d.Authors) > 0 && !slices.Contains(d.Authors, author):
		return nil, fmt.Errorf("its author is %q, and the recipe takes documents of %s", author, quoted(d.Authors))
	case doc.Timestamp == nil || doc.Timestamp.IsZero():
		return nil, errors.New("it has no timestamp")
	case len(doc.Statements) == 0:
		return nil, errors.New("it holds no statement")
	}
	var out []dated
	elsewhere := true // all is about other images
	for i := range doc.Statements {
		st := &doc.Statements[i]
		made := *doc.Timestamp
		if st.Timestamp != nil {
			made = *st.Timestamp
		}
		said, err := statements(st, d.Subject)
		if err != nil {
			return nil, fmt.Errorf("statement %d: %w", i+1, err)
		}
		elsewhere = elsewhere && !slices.ContainsFunc(st.Products, d.Subject.concerned)
		for _, x := range said {
			x.Author, x.Document = author, name
			out = append(out, dated{x, made})
		}
		if len(out) > maxStatements {
			return nil, fmt.Errorf("it holds more than %d statements", maxStatements)
		}
	}
	if elsewhere {
		return nil, fmt.Errorf("statement 1: it is about another image, %+q, and so are all others; this image is %s", bounded(out[0].Product, 200), d.Subject)
	}
	return out, nil
}

// concerned says whether a statement about a product can be about the image: about itself or a
// package, but not about another image.
func (s Subject) concerned(p openvex.Product) bool {
	product := purl(p.Component)
	return s.is(product) || !strings.HasPrefix(product, "pkg:oci/") && !strings.HasPrefix(product, "pkg:docker/")
}

func quoted(list []string) string {
	var out []string
	for _, s := range list {
		out = append(out, fmt.Sprintf("%q", s))
	}
	return strings.Join(out, ", ")
}

// statements reads one statement: one for each package that it names.
func statements(st *openvex.Statement, s Subject) ([]finding.Statement, error) {
	if st.Vulnerability.Name == "" {
		return nil, fmt.Errorf("it names no vulnerability")
	}
	if !st.Status.Valid() {
		return nil, fmt.Errorf("the status is %q, and one of %s is due", st.Status, strings.Join(openvex.Statuses(), ", "))
	}
	if st.Status == openvex.StatusNotAffected && st.Justification == "" && strings.TrimSpace(st.ImpactStatement) == "" {
		return nil, fmt.Errorf("not_affected needs a justification: one of %s", strings.Join(openvex.Justifications(), ", "))
	}
	if err := st.Validate(); err != nil {
		return nil, err
	}
	base := finding.Statement{ID: string(st.Vulnerability.Name), Status: string(st.Status), Justification: string(st.Justification),
		Impact: bounded(st.ImpactStatement, maxImpact)}
	for _, a := range st.Vulnerability.Aliases {
		base.Aliases = append(base.Aliases, string(a))
	}
	if len(st.Products) == 0 {
		return nil, fmt.Errorf("it names no product")
	}
	var out []finding.Statement
	for _, p := range st.Products {
		product := purl(p.Component)
		if product == "" {
			return nil, fmt.Errorf("a product has no purl: pkg:pypi/torch@2.5.1 is due as its @id")
		}
		x := base
		ours := s.is(product)
		if x.Product = product; len(p.Subcomponents) == 0 || !ours {
			x.Image = ours
			out = append(out, x) // about a package, or this whole image; or about another image, and then never used
			continue
		}
		for _, c := range p.Subcomponents {
			if x.Product = purl(c.Component); x.Product == "" {
				return nil, fmt.Errorf("a subcomponent has no purl")
			}
			out = append(out, x)
		}
	}
	return out, nil
}

func purl(c openvex.Component) string {
	for _, id := range []string{c.ID, c.Identifiers[openvex.PURL]} {
		if strings.HasPrefix(id, "pkg:") {
			return id
		}
	}
	return ""
}

// String says which image it is, as a statement would name it.
func (s Subject) String() string {
	var names []string
	if s.Digest != "" {
		names = append(names, s.Digest)
	}
	if s.Index != "" && s.Index != s.Digest {
		names = append(names, "listed by "+s.Index)
	}
	if s.Repository != "" {
		names = append(names, "of "+s.Repository)
	}
	if len(names) == 0 {
		return "known by neither digest nor repository"
	}
	return strings.Join(names, " ")
}

// is tells whether a product is this image: by its digest, or, without one, by its repository.
// Source: github.com/package-url/purl-spec, types-doc/oci-definition.md.
func (s Subject) is(product string) bool {
	rest, ok := strings.CutPrefix(product, "pkg:oci/")
	if !ok {
		return false
	}
	path, query, _ := strings.Cut(rest, "?")
	_, digest, versioned := strings.Cut(path, "@")
	if digest, err := url.PathUnescape(digest); versioned && (err != nil || digest == "" || digest != s.Digest && digest != s.Index) {
		return false
	}
	values, err := url.ParseQuery(query)
	if err != nil {
		return false
	}
	repository := values.Get("repository_url")
	if repository == "" {
		return versioned
	}
	return repository == s.Repository
}

// purlOf is the image's own purl.
func (s Subject) purlOf(image string) string {
	name, query := image, ""
	if s.Repository != "" {
		name, query = s.Repository[strings.LastIndexByte(s.Repository, '/')+1:], "?repository_url="+url.QueryEscape(s.Repository)
	}
	return "pkg:oci/" + strings.ToLower(name) + "@" + url.QueryEscape(s.Digest) + query
}

// Write writes what a verdict accepts by waiver as one OpenVEX document: the image is
// affected, and why that is accepted, until when, and who answers for it. It is nil when
// nothing is. created is the image's time; the same verdict gives the same bytes.
func Write(v *finding.Verdict, image string, s Subject, created time.Time) ([]byte, error) {
	created = created.UTC().Truncate(time.Second)
	doc := openvex.VEX{Metadata: openvex.Metadata{Context: openvex.ContextLocator(), Timestamp: &created, Version: 1, Tooling: "forge"}}
	owners := []string{}
	for _, j := range v.Findings {
		w := j.Waiver
		if w == nil || j.Fails || slices.Contains(v.ExpiredWaivers, *w) {
			continue
		}
		owners = append(owners, w.Owner)
		st := openvex.Statement{
			Vulnerability: openvex.Vulnerability{Name: openvex.VulnerabilityID(j.ID)},
			Products: []openvex.Product{{Component: openvex.Component{ID: s.purlOf(image)},
				Subcomponents: []openvex.Subcomponent{{Component: openvex.Component{ID: j.PURL}}}}},
			Status:          openvex.StatusAffected,
			ActionStatement: fmt.Sprintf("Accepted until %s by %s: %s", w.Until, w.Owner, w.Reason),
		}
		for _, a := range j.Aliases {
			st.Vulnerability.Aliases = append(st.Vulnerability.Aliases, openvex.VulnerabilityID(a))
		}
		if j.PURL == "" {
			st.Products[0].Subcomponents = nil
		}
		doc.Statements = append(doc.Statements, st)
	}
	if len(doc.Statements) == 0 {
		return nil, nil
	}
	slices.Sort(owners)
	doc.Author = strings.Join(slices.Compact(owners), ", ")
	if _, err := doc.GenerateCanonicalID(); err != nil {
		return nil, fmt.Errorf("naming a VEX document: %w", err)
	}
	var b bytes.Buffer
	if err := doc.ToJSON(&b); err != nil {
		return nil, fmt.Errorf("writing a VEX document: %w", err)
	}
	return b.Bytes(), nil
}

// bounded cuts a text after at most n bytes, between characters.
func bounded(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return strings.ToValidUTF8(s[:n], "") + "…"
}
