package recipes

import (
	"crypto/sha256"
	"encoding/hex"
	"regexp"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"

	"github.com/forge-build/forge/recipes/cuda"
	"github.com/forge-build/forge/recipes/trust"
)

var (
	fullDigest = regexp.MustCompile(`^sha256:[0-9a-f]{64}$`)
	release    = regexp.MustCompile(`^[0-9]{1,9}(\.[0-9]{1,9}){0,7}$`)
	pythonName = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?$`)
)

// rule reads one images block.
func (d *policyDecoder) rule(b *hclsyntax.Block) {
	p := d.words(b, "images.")
	r := trust.Rule{Name: d.ruleName(b), Level: trust.LevelEach}
	for _, other := range d.policy.Rules {
		if other.Name == r.Name {
			d.mistake(b.LabelRanges[0], "Duplicate rule", "images %q stands twice.", cut(r.Name))
		}
	}
	d.repositories(b, p, &r)
	r.SignedBy = d.signers(p, "signed_by", nil)
	if b.Body.Attributes["signed_by"] == nil {
		d.mistake(b.DefRange(), "Rule without a signer", `Whose word counts? Write signed_by = ["…"], a signer's name.`)
	}
	var at hcl.Range
	if r.Signatures, at = p.number("signatures", 1); r.Signatures < 1 || r.Signatures > max(1, len(r.SignedBy)) {
		d.mistake(at, "Invalid number of signatures", "%d: from 1 to the number of signers in signed_by, which is %d.", r.Signatures, len(r.SignedBy))
	}
	level, at := p.text("level", string(trust.LevelEach))
	if r.Level = trust.Level(level); !slices.Contains(trust.Levels, level) {
		d.mistake(at, "Unknown level", "%+q: %s", cut(level), nearest(level, trust.Levels))
	}
	r.MaxAge = d.age(p, "max_age")
	r.Since, _ = d.moment(p, "since", false)
	d.minimum(p, &r)
	r.Driver = d.fleet(p)
	d.bases(p, &r)
	d.statements(p, &r)
	p.done()
	d.policy.Rules = append(d.policy.Rules, r)
}

// repositories reads which repositories a rule is about, and which are mirrors of them.
func (d *policyDecoder) repositories(b *hclsyntax.Block, p *words, r *trust.Rule) {
	names, at := p.list("repositories")
	for i, n := range names {
		s, err := trust.ParseScope(n)
		if err != nil {
			d.mistake(at[i], "Invalid repository", "%v.", err)
			continue
		}
		r.Repositories = append(r.Repositories, s)
	}
	if len(names) == 0 {
		d.mistake(b.DefRange(), "Rule without repositories", `Write repositories = ["registry.example/team/*"]; "*" is every one that no other rule names.`)
	}
	mirrors, place := p.texts("mirrors")
	for _, k := range sortedKeys(mirrors) {
		from, err := trust.ParseScope(k)
		if err != nil {
			d.mistake(place, "Invalid mirror", "%v.", err)
			continue
		}
		of, err := trust.ParseScope(mirrors[k])
		switch {
		case err != nil:
			d.mistake(place, "Invalid mirror", "%v.", err)
		case from == "*" || of == "*" || strings.HasSuffix(k, "*") != strings.HasSuffix(mirrors[k], "*"):
			d.mistake(place, "Invalid mirror", `%+q = %+q: one repository mirrors one, or all below a path ("host/a/*") all below another.`, cut(k), cut(mirrors[k]))
		case !slices.ContainsFunc(r.Repositories, func(s trust.Scope) bool { return covers(s, of) }):
			d.mistake(place, "Mirror of something else", "%+q is none of this rule's repositories.", cut(mirrors[k]))
		default:
			r.Mirrors = append(r.Mirrors, trust.Mirror{At: from, Of: of})
		}
	}
}

// covers says whether each repository of b is one of a.
func covers(a, b trust.Scope) bool {
	if a == b || a == "*" {
		return true
	}
	return strings.HasSuffix(string(a), "*") && strings.HasPrefix(string(b), strings.TrimSuffix(string(a), "*"))
}

// scopesOnce: a scope belongs to one rule, so that exactly one rule applies to a repository.
func (d *policyDecoder) scopesOnce(w *words) {
	owner := map[trust.Scope]string{}
	blocks := w.blocks("images", 1)
	for i, r := range d.policy.Rules {
		scopes := slices.Clone(r.Repositories)
		for _, m := range r.Mirrors {
			scopes = append(scopes, m.At)
		}
		for _, s := range scopes {
			if first, ok := owner[s]; ok {
				d.mistake(blocks[i].DefRange(), "Two rules for one repository", "%q is named by images %q already; exactly one rule applies to a repository.", s, cut(first))
			}
			owner[s] = r.Name
		}
	}
}

// minimum reads how old the versions of Python distributions may be.
func (d *policyDecoder) minimum(p *words, r *trust.Rule) {
	versions, at := p.texts("minimum_versions")
	for _, k := range sortedKeys(versions) {
		switch {
		case !pythonName.MatchString(k):
			d.mistake(at, "Invalid name", "%+q: a Python distribution's name is due.", cut(k))
		case !release.MatchString(versions[k]):
			d.mistake(at, "Invalid version", "%s = %+q: numbers with dots are due, as 2.9.1.", k, cut(versions[k]))
		default:
			if r.Minimum == nil {
				r.Minimum = map[string]string{}
			}
			r.Minimum[k] = versions[k]
		}
	}
}

// fleet reads driver: the oldest driver of the fleet, as a recipe writes it.
func (d *policyDecoder) fleet(p *words) string {
	value, at := p.text("driver", "")
	if value == "" {
		return ""
	}
	v, ok := strings.CutPrefix(strings.TrimSpace(value), ">=")
	v = strings.TrimSpace(v)
	if _, err := cuda.ParseVersion(v); err != nil || !ok {
		d.mistake(at, "Invalid driver version", `%+q: write the oldest driver of the fleet as ">= 525.60.13".`, cut(value))
		return ""
	}
	return v
}

// bases reads what may lie below an image.
func (d *policyDecoder) bases(p *words, r *trust.Rule) {
	names, at := p.list("bases")
	for i, n := range names {
		suite, debian := strings.CutPrefix(n, "debian ")
		switch {
		case debian && packageName.MatchString(suite), trust.IsBase(n):
			r.Bases = append(r.Bases, n)
		default:
			d.mistake(at[i], "Invalid base", `%+q: "debian trixie", a repository, a path of repositories ("host/path/*"), or a digest, with or without its repository.`, cut(n))
		}
	}
	if names != nil && len(names) == 0 {
		d.mistake(p.block.Body.Attributes["bases"].Expr.Range(), "No base is taken", "bases is empty; leave it out, or name what may lie below.")
	}
}

// statements reads the blocks that say what must be there besides the signature.
func (d *policyDecoder) statements(p *words, r *trust.Rule) {
	if b := p.one("sbom", 0); b != nil {
		s := d.words(b, "images.sbom.")
		r.SBOM = &trust.SBOM{SignedBy: d.signers(s, "signed_by", r.SignedBy)}
		formats, at := s.list("formats")
		for i, f := range formats {
			if f != "spdx" && f != "cyclonedx" {
				d.mistake(at[i], "Unknown format", "%+q: %s", cut(f), nearest(f, []string{"spdx", "cyclonedx"}))
			}
		}
		r.SBOM.Formats = formats
		s.done()
	}
	if b := p.one("provenance", 0); b != nil {
		d.provenance(b, r)
	}
	if b := p.one("scan", 0); b != nil {
		d.scan(b, r)
	}
	if b := p.one("tests", 0); b != nil {
		s := d.words(b, "images.tests.")
		r.Tests = &trust.Tests{SignedBy: d.signers(s, "signed_by", r.SignedBy)}
		s.done()
	}
	if r.Provenance == nil && (len(r.Bases) > 0 || r.Driver != "") {
		d.mistake(p.block.DefRange(), "Nothing to judge by", "bases and driver are read from the signed provenance; add provenance {}.")
	}
	if r.SBOM == nil && len(r.Minimum) > 0 {
		d.mistake(p.block.DefRange(), "Nothing to judge by", "minimum_versions are read from the signed SBOM; add sbom {}.")
	}
	if r.Scan != nil && r.Scan.Rescan && r.SBOM == nil {
		d.mistake(p.block.DefRange(), "Nothing to scan", "rescan searches the signed SBOM; add sbom {}.")
	}
}

func (d *policyDecoder) provenance(b *hclsyntax.Block, r *trust.Rule) {
	s := d.words(b, "images.provenance.")
	v := &trust.Provenance{SignedBy: d.signers(s, "signed_by", r.SignedBy)}
	names, at := s.list("builders")
	for i, n := range names {
		if n == "" || strings.ContainsFunc(n, func(r rune) bool { return r <= ' ' || r == 0x7f }) {
			d.mistake(at[i], "Invalid builder", "%+q: the builder's address is due, as its provenance states it.", cut(n))
		}
		v.Builders = append(v.Builders, trust.Match{Text: n})
	}
	patterns, at := s.list("builder_patterns")
	for i, n := range patterns {
		d.pattern(at[i], n)
		v.Builders = append(v.Builders, trust.Match{Text: n, Pattern: true})
	}
	v.Recipes = d.digests(s, "recipes")
	v.Locks = d.digests(s, "locks")
	s.done()
	r.Provenance = v
}

// digests reads a list of digests, or of files beside the policy whose digests they are.
func (d *policyDecoder) digests(s *words, name string) []string {
	values, at := s.list(name)
	var out []string
	for i, v := range values {
		if strings.HasPrefix(v, "sha256:") {
			if !fullDigest.MatchString(v) {
				d.mistake(at[i], "Invalid digest", "%+q: sha256: and 64 small hexadecimal digits.", cut(v))
			}
			out = append(out, v)
			continue
		}
		if _, ok := d.hashes[v]; !ok {
			raw, err := readBelow(d.dir, v, maxList)
			if err != nil {
				d.mistake(at[i], "File cannot be read", "%s: a digest or a file beside the policy is due: %v.", name, err)
			}
			sum := sha256.Sum256(raw)
			d.hashes[v] = "sha256:" + hex.EncodeToString(sum[:])
		}
		out = append(out, d.hashes[v])
	}
	if values != nil && len(values) == 0 {
		d.mistake(s.block.Body.Attributes[name].Expr.Range(), "Nothing is taken", "%s is empty; leave it out, or name one.", name)
	}
	return out
}

func (d *policyDecoder) scan(b *hclsyntax.Block, r *trust.Rule) {
	s := d.words(b, "images.scan.")
	v := &trust.Scan{SignedBy: d.signers(s, "signed_by", r.SignedBy), MaxAge: d.age(s, "max_age"), DatabaseMaxAge: d.age(s, "database_max_age")}
	var at hcl.Range
	if v.Limit, at = s.text("limit", ""); v.Limit != "" && !slices.Contains(trust.Severities, v.Limit) {
		d.mistake(at, "Unknown severity", "%+q: %s", cut(v.Limit), nearest(v.Limit, trust.Severities))
	}
	v.AtMost = d.atMost(s, v.Limit)
	v.Exploited, _ = s.flag("known_exploited")
	v.Waivers, _ = s.flag("accept_waivers")
	v.Rescan, _ = s.flag("rescan")
	r.VEX = d.signers(s, "vex_signed_by", nil)
	if v.MaxAge == 0 {
		d.mistake(b.DefRange(), "Scan of any age", `A scan says what was known on its day: write max_age = "7 days".`)
	}
	if v.Limit == "" && len(v.AtMost) == 0 {
		d.mistake(b.DefRange(), "Scan without a limit", `What may it have found? Write limit = "high", from which severity on nothing is taken, or at_most = { high = 3 }.`)
	}
	s.done()
	r.Scan = v
}

// atMost reads how many findings of a severity are taken.
func (d *policyDecoder) atMost(s *words, limit string) map[string]int {
	texts, at := s.texts("at_most")
	out := map[string]int{}
	for _, k := range sortedKeys(texts) {
		n := 0
		for _, c := range texts[k] {
			if c < '0' || c > '9' || n > 1_000_000 {
				n = -1
				break
			}
			n = 10*n + int(c-'0')
		}
		switch i := slices.Index(trust.Severities, k); {
		case i < 0:
			d.mistake(at, "Unknown severity", "%+q: %s", cut(k), nearest(k, trust.Severities))
		case n < 0 || texts[k] == "":
			d.mistake(at, "Invalid number", "at_most: %s = %+q: a whole number is due.", k, cut(texts[k]))
		case limit != "" && i >= slices.Index(trust.Severities, limit):
			d.mistake(at, "Said twice", "at_most: %s is at or above the limit %q, of which none is taken.", k, limit)
		default:
			out[k] = n
		}
	}
	if len(out) == 0 {
		return nil
	}
	return out
}
