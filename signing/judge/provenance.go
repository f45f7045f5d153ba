package judge

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/forge-build/forge/recipes/cuda"
	"github.com/forge-build/forge/recipes/trust"
	"github.com/forge-build/forge/signing/statement"
	"github.com/forge-build/forge/signing/strictjson"
)

// history is what is judged of a provenance.
type history struct {
	builder string
	recipes []string // sha256:… of materials named "recipe"
	locks   []string
	bases   []string // "debian trixie", or host/name@sha256:…
	driver  string   // oldest that the image runs with; empty: it says none
	cuda    bool     // whether the image has CUDA
	known   bool     // whether it says what the image needs
}

// provenance wants one statement of a trusted signer that holds in everything.
func (j *judgement) provenance() {
	want := j.Rule.Provenance
	statements := j.of(want.SignedBy, TypeProvenance)
	if len(statements) == 0 {
		j.missing("provenance", want.SignedBy, TypeProvenance)
		return
	}
	var first []Check
	for _, s := range statements {
		one := &judgement{Case: j.Case}
		one.history(s)
		if !Fails(one.checks) {
			j.checks = append(j.checks, one.checks...)
			return
		}
		if first == nil {
			first = one.checks
		}
	}
	j.checks = append(j.checks, first...) // of the newest
}

// history judges one provenance.
func (j *judgement) history(s *Statement) {
	want := j.Rule.Provenance
	h, err := readProvenance(s.Document())
	if err != nil {
		j.failed("provenance", s, "a provenance as its type says", "%v", err)
		return
	}
	j.done("provenance", s, "built by %s", cmp.Or(strictjson.Clip(h.builder), "a builder without a name"))
	j.builder(s, h)
	j.material(s, "recipe", want.Recipes, h.recipes)
	j.material(s, "lock", want.Locks, h.locks)
	j.bases(s, h)
	j.driver(s, h)
}

// builder judges who built. What forge writes names itself and the identity in the certificate, and
// that must be the one that signed; a rule names either of both, or the whole.
func (j *judgement) builder(s *Statement, h *history) {
	names := []string{h.builder}
	if _, identity, ok := statement.Builder(h.builder); ok && identity != "" {
		if identity != statement.IdentityURI(s.Identity) {
			found := "a key"
			if s.Identity != "" {
				found = strictjson.Quote(s.Identity)
			}
			j.failed("builder", s, "signed by the identity that it names as builder: "+strictjson.Clip(identity), "%s", found)
			return
		}
		names = append(names, identity, s.Identity)
	} else if ok {
		names = append(names, statement.Home+"/local")
	} else if s.Identity != "" && h.builder == statement.IdentityURI(s.Identity) { // as earlier versions wrote it
		names = append(names, s.Identity)
	}
	var wanted []string
	for _, m := range j.Rule.Provenance.Builders {
		if slices.ContainsFunc(names, func(n string) bool { return n != "" && m.Fits(n) }) {
			j.done("builder", s, "%s", strictjson.Clip(h.builder))
			return
		}
		wanted = append(wanted, m.String())
	}
	if wanted == nil {
		j.row(Check{ID: "builder", Status: Skipped, Why: "the rule names no builder"}, s)
		return
	}
	j.failed("builder", s, strings.Join(wanted, " or "), "%s", cmp.Or(strictjson.Clip(h.builder), "one without a name"))
}

// material judges the one digest that a build had of a kind.
func (j *judgement) material(s *Statement, id string, want, found []string) {
	switch {
	case len(want) == 0:
		j.row(Check{ID: id, Status: Skipped, Why: "the rule names no " + id}, s)
	case len(found) != 1:
		j.failed(id, s, strings.Join(want, " or "), "%d of them in the provenance", len(found))
	case !slices.Contains(want, found[0]):
		j.failed(id, s, strings.Join(want, " or "), "%s", strictjson.Clip(found[0]))
	default:
		j.done(id, s, "%s", found[0])
	}
}

func (j *judgement) bases(s *Statement, h *history) {
	want := j.Rule.Bases
	if len(want) == 0 {
		return
	}
	if len(h.bases) == 0 {
		j.failed("base", s, strings.Join(want, " or "), "none is named")
		return
	}
	for _, b := range h.bases {
		if !slices.ContainsFunc(want, func(w string) bool { return trust.BaseFits(w, b) }) {
			j.failed("base", s, strings.Join(want, " or "), "%s", strictjson.Clip(b))
			return
		}
	}
	j.done("base", s, "%s", strictjson.Clip(strings.Join(h.bases, ", ")))
}

// driver judges whether the image runs with the fleet's oldest driver.
func (j *judgement) driver(s *Statement, h *history) {
	if j.Rule.Driver == "" {
		return
	}
	expected := "an image that runs with driver " + j.Rule.Driver
	fleet, err := cuda.ParseVersion(j.Rule.Driver)
	if err != nil {
		j.failed("driver", s, expected, "%v", err)
		return
	}
	if h.driver == "" {
		if h.cuda || !h.known {
			j.failed("driver", s, expected, "one that does not say which driver it needs")
			return
		}
		j.row(Check{ID: "driver", Status: Skipped, Why: "the image has no CUDA, so it needs no driver"}, s)
		return
	}
	floor, err := cuda.ParseVersion(h.driver)
	switch {
	case err != nil:
		j.failed("driver", s, expected, "%s", strictjson.Quote(h.driver))
	case fleet.Less(floor):
		j.failed("driver", s, expected, "one that needs driver %s or newer", floor)
	default:
		j.done("driver", s, "%s or newer", floor)
	}
}

// readProvenance reads SLSA provenance v1. Source: slsa.dev/spec/v1.0/provenance.
func readProvenance(raw []byte) (*history, error) {
	o, err := open(raw)
	if err != nil {
		return nil, err
	}
	definition, err := o.at("buildDefinition")
	if err != nil {
		return nil, err
	}
	if _, err := definition.text("buildType"); err != nil {
		return nil, fmt.Errorf("buildDefinition.%w", err)
	}
	builder, err := o.at("runDetails", "builder")
	if err != nil {
		return nil, err
	}
	h := &history{}
	// BuildKit leaves its name empty unless it was given one; no rule's builder fits that.
	if _, ok := builder["id"]; !ok {
		return nil, errors.New("runDetails.builder.id is missing")
	}
	if h.builder, err = builder.optional("id"); err != nil {
		return nil, fmt.Errorf("runDetails.builder.%w", err)
	}
	if err := h.facts(definition); err != nil {
		return nil, fmt.Errorf("buildDefinition.internalParameters: %w", err)
	}
	materials, err := definition.list("resolvedDependencies")
	if err != nil {
		return nil, fmt.Errorf("buildDefinition.%w", err)
	}
	for i, m := range materials {
		if err := h.material(m); err != nil {
			return nil, fmt.Errorf("buildDefinition.resolvedDependencies[%d]: %w", i, err)
		}
	}
	return h, nil
}

// material notes one resolved dependency, by the name that forge gives it.
func (h *history) material(m object) error {
	name, err := m.optional("name")
	if err != nil {
		return err
	}
	switch name {
	case "recipe", "lock":
		sums, err := m.at("digest")
		if err != nil {
			return err
		}
		sum, err := sums.text("sha256")
		if err != nil {
			return err
		}
		if name == "recipe" {
			h.recipes = append(h.recipes, "sha256:"+sum)
		} else {
			h.locks = append(h.locks, "sha256:"+sum)
		}
	case "base":
		notes, err := m.at("annotations")
		if err != nil {
			return err
		}
		base, err := notes.text("base")
		if err != nil {
			return err
		}
		if !slices.Contains(h.bases, base) {
			h.bases = append(h.bases, base)
		}
	}
	return nil
}

// facts notes what forge says in its provenance of what an image needs.
func (h *history) facts(definition object) error {
	if definition["internalParameters"] == nil {
		return nil
	}
	p, err := definition.at("internalParameters")
	if err != nil || p["facts"] == nil {
		return err
	}
	f, err := p.at("facts")
	if err != nil {
		return err
	}
	if h.driver, err = f.optional("minimumDriver"); err != nil {
		return err
	}
	version, err := f.optional("cuda")
	h.cuda = version != "" && version != "cpu"
	h.known = true
	return err
}
