package judge

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/forge-build/forge/signing/strictjson"
)

// bill is what is judged of an SBOM.
type bill struct {
	packages int
	about    []string            // sha256 digests that the described thing has, hex; empty: it states none
	python   map[string][]string // distribution, as PEP 503 compares names → versions
}

func (j *judgement) sbom() {
	want := j.Rule.SBOM
	types := []string{TypeSPDX, TypeCycloneDX}
	if len(want.Formats) > 0 {
		types = nil
		for format, t := range map[string]string{"spdx": TypeSPDX, "cyclonedx": TypeCycloneDX} {
			if slices.Contains(want.Formats, format) {
				types = append(types, t)
			}
		}
		slices.Sort(types)
	}
	statements := j.of(want.SignedBy, types...)
	if len(statements) == 0 {
		j.missing("sbom", want.SignedBy, types...)
		return
	}
	// Every one of a trusted signer must hold: a reader may take any of them.
	for _, s := range statements {
		b, err := readBill(s)
		switch {
		case err != nil:
			j.failed("sbom", s, "an SBOM as its type says", "%v", err)
		case b.packages == 0:
			j.failed("sbom", s, "a list of packages", "0 packages")
		case len(b.about) > 0 && !slices.Contains(b.about, strings.TrimPrefix(j.Digest, "sha256:")):
			j.failed("sbom", s, "an SBOM of "+j.Digest, "one of sha256:%s", strictjson.Clip(b.about[0]))
		default:
			about := "which is the statement's word alone"
			if len(b.about) > 0 {
				about = "as it says itself"
			}
			j.done("sbom", s, "%d packages of this digest, %s", b.packages, about)
			j.minimum(s, b)
		}
	}
}

// minimum judges the versions of Python distributions.
func (j *judgement) minimum(s *Statement, b *bill) {
	for _, name := range sortedKeys(j.Rule.Minimum) {
		least := j.Rule.Minimum[name]
		found := b.python[distribution(name)]
		if len(found) == 0 {
			j.row(Check{ID: "version", Status: Skipped, Why: name + " is not in the image"}, s)
			continue
		}
		if i := slices.IndexFunc(found, func(v string) bool { return older(v, least) }); i >= 0 {
			j.failed("version", s, name+" "+least+" or newer", "%s %s", name, strictjson.Clip(found[i]))
			continue
		}
		j.done("version", s, "%s %s", name, strictjson.Clip(strings.Join(found, ", ")))
	}
}

// Open reads the document in pieces, wherever it lies.
func (s *Statement) Open() io.Reader {
	if s.Large != nil {
		return s.Large()
	}
	return bytes.NewReader(s.Document())
}

func readBill(s *Statement) (*bill, error) {
	open := s.Large
	if open == nil {
		raw := s.Document()
		if err := strictjson.Check(raw); err != nil {
			return nil, err
		}
		open = func() io.Reader { return bytes.NewReader(raw) }
	}
	if s.Type == TypeSPDX {
		return readSPDX(open)
	}
	return readCycloneDX(open())
}

// readSPDX reads SPDX 2.x. Source: spdx.github.io/spdx-spec/v2.3.
func readSPDX(open func() io.Reader) (*bill, error) {
	version, described := "", map[string]bool{}
	describes := func(v json.RawMessage) error {
		r, err := sub(v)
		if err != nil {
			return err
		}
		from, _ := r.optional("spdxElementId")
		to, _ := r.optional("relatedSpdxElement")
		switch kind, _ := r.optional("relationshipType"); {
		case kind == "DESCRIBES" && from == "SPDXRef-DOCUMENT":
			described[to] = true
		case kind == "DESCRIBED_BY" && to == "SPDXRef-DOCUMENT":
			described[from] = true
		}
		return nil
	}
	err := walk(open(), map[string]func(json.RawMessage) error{
		"spdxVersion":       func(v json.RawMessage) error { return json.Unmarshal(v, &version) },
		"documentDescribes": func(v json.RawMessage) error { return eachText(v, func(s string) { described[s] = true }) },
		"relationships[]":   describes,
	})
	if err != nil {
		return nil, err
	}
	if !strings.HasPrefix(version, "SPDX-2.") {
		return nil, fmt.Errorf("spdxVersion is %s, SPDX-2.x is due", strictjson.Quote(version))
	}
	b := &bill{python: map[string][]string{}}
	return b, walk(open(), map[string]func(json.RawMessage) error{"packages[]": func(v json.RawMessage) error {
		p, err := sub(v)
		if err != nil {
			return err
		}
		id, _ := p.optional("SPDXID")
		if described[id] {
			return b.describe(p, "versionInfo", "checksums", "algorithm", "checksumValue")
		}
		b.packages++
		refs, err := p.list("externalRefs")
		if err != nil {
			return err
		}
		for _, r := range refs {
			if kind, _ := r.optional("referenceType"); kind == "purl" {
				purl, _ := r.optional("referenceLocator")
				b.pypi(purl)
			}
		}
		return nil
	}})
}

// readCycloneDX reads CycloneDX 1.x. Source: cyclonedx.org/docs/1.6/json.
func readCycloneDX(r io.Reader) (*bill, error) {
	format, version := "", ""
	b := &bill{python: map[string][]string{}}
	err := walk(r, map[string]func(json.RawMessage) error{
		"bomFormat":   func(v json.RawMessage) error { return json.Unmarshal(v, &format) },
		"specVersion": func(v json.RawMessage) error { return json.Unmarshal(v, &version) },
		"metadata": func(v json.RawMessage) error {
			m, err := sub(v)
			if err != nil || m["component"] == nil {
				return err
			}
			c, err := m.at("component")
			if err != nil {
				return err
			}
			return b.describe(c, "version", "hashes", "alg", "content")
		},
		"components[]": func(v json.RawMessage) error {
			c, err := sub(v)
			if err != nil {
				return err
			}
			b.packages++
			purl, err := c.optional("purl")
			b.pypi(purl)
			return err
		},
	})
	if err != nil {
		return nil, err
	}
	if format != "CycloneDX" || !strings.HasPrefix(version, "1.") {
		return nil, fmt.Errorf("bomFormat is %s, version %s; CycloneDX 1.x is due", strictjson.Quote(format), strictjson.Quote(version))
	}
	return b, nil
}

// describe collects the digests of what an SBOM is about.
func (b *bill) describe(p object, version, sums, algorithm, value string) error {
	add := func(s string) {
		if s, ok := strings.CutPrefix(s, "sha256:"); ok && len(s) == 64 {
			b.about = append(b.about, s)
		}
	}
	v, err := p.optional(version)
	if err != nil {
		return err
	}
	add(v)
	list, err := p.list(sums)
	if err != nil {
		return err
	}
	for _, s := range list {
		if a, _ := s.optional(algorithm); a == "SHA256" || a == "SHA-256" {
			v, _ := s.optional(value)
			add("sha256:" + v)
		}
	}
	return nil
}

// pypi notes a Python distribution by its purl.
func (b *bill) pypi(purl string) {
	rest, ok := strings.CutPrefix(purl, "pkg:pypi/")
	if !ok {
		return
	}
	rest, _, _ = strings.Cut(rest, "?")
	name, version, ok := strings.Cut(rest, "@")
	if !ok {
		return
	}
	name, version = distribution(name), strings.NewReplacer("%2B", "+", "%2b", "+").Replace(version)
	if !slices.Contains(b.python[name], version) {
		b.python[name] = append(b.python[name], version)
	}
}

// walk reads the top level of an object that was checked and hands the values of some keys,
// or of "key[]" each value of its list, to functions; what nobody asks for is not kept.
func walk(r io.Reader, of map[string]func(json.RawMessage) error) error {
	dec := json.NewDecoder(r)
	if t, err := dec.Token(); err != nil || t != json.Delim('{') {
		return errors.New("it is no object")
	}
	for dec.More() {
		t, err := dec.Token()
		if err != nil {
			return err
		}
		key, _ := t.(string)
		one, each := of[key], of[key+"[]"]
		switch {
		case one != nil:
			err = value(dec, key, one)
		case each != nil:
			err = values(dec, key, each)
		default:
			err = skip(dec)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func value(dec *json.Decoder, key string, f func(json.RawMessage) error) error {
	var v json.RawMessage
	if err := dec.Decode(&v); err != nil {
		return err
	}
	if err := f(v); err != nil {
		return fmt.Errorf("%s: %w", key, err)
	}
	return nil
}

func values(dec *json.Decoder, key string, f func(json.RawMessage) error) error {
	t, err := dec.Token()
	if err != nil || t == nil { // null is an empty list
		return err
	}
	if t != json.Delim('[') {
		return fmt.Errorf("%s is no list", key)
	}
	for i := 0; dec.More(); i++ {
		if err := value(dec, fmt.Sprintf("%s[%d]", key, i), f); err != nil {
			return err
		}
	}
	_, err = dec.Token()
	return err
}

// skip passes over one value.
func skip(dec *json.Decoder) error {
	depth := 0
	for {
		t, err := dec.Token()
		if err != nil {
			return err
		}
		switch t {
		case json.Delim('{'), json.Delim('['):
			depth++
		case json.Delim('}'), json.Delim(']'):
			depth--
		}
		if depth == 0 {
			return nil
		}
	}
}

func eachText(raw json.RawMessage, f func(string)) error {
	var texts []string
	if err := json.Unmarshal(raw, &texts); err != nil {
		return errors.New("it is no list of texts")
	}
	for _, s := range texts {
		f(s)
	}
	return nil
}
