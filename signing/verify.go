package signing

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/forge-build/forge/recipes/trust"
	"github.com/forge-build/forge/signing/evidence"
	"github.com/forge-build/forge/signing/strictjson"
)

// maxChildren bounds the images of an index that are verified with it.
const maxChildren = 64

// IncompleteError is an image that is not verified, where the registry could not be asked
// for everything: what is missing may exist.
type IncompleteError struct {
	NotVerified *NotVerifiedError
	Cause       error
}

func (e *IncompleteError) Error() string {
	return fmt.Sprintf("%s could not be verified, because not everything about it could be read: %v", e.NotVerified.Image, e.Cause)
}

func (e *IncompleteError) Unwrap() error { return e.Cause }

// Verify judges an image by a policy: its own document, then every candidate that src offers
// about it, and for an index its children. It returns what holds, or a [*NotVerifiedError];
// a [*PolicyError] before anything is read; an [*IncompleteError] or another error where the
// source is at fault. image.Repository is the name that statements must bear.
func Verify(ctx context.Context, src evidence.Source, image Image, p Policy) (*Verified, error) {
	if err := p.Check(); err != nil {
		return nil, err
	}
	doc, err := src.Document(ctx, image.Digest)
	if err != nil {
		return nil, err
	}
	own := p
	if doc.Index != nil && p.Index == EveryChild {
		own.Statements = p.ofIndex()
	}
	v, err := verifyOne(ctx, src, image, doc, &own)
	if err != nil || doc.Index == nil {
		return v, err
	}
	if err := v.index(ctx, src, doc, &p); err != nil {
		return nil, err
	}
	return v, nil
}

// verifyOne judges one document.
func verifyOne(ctx context.Context, src evidence.Source, image Image, doc *evidence.Document, p *Policy) (*Verified, error) {
	t := &table{judge: judge{p, image}, v: Verified{image: image}}
	t.add(Check{ID: CheckManifest, Status: Done, Found: string(doc.MediaType)})
	if err := t.contents(ctx, src, doc); err != nil {
		return nil, err
	}
	found, err := src.Candidates(ctx, image.Digest, p.Limits, func(c evidence.Candidate) error {
		t.candidate(c)
		return nil
	})
	if found == nil || errors.Is(err, context.Canceled) {
		return nil, err
	}
	if err := t.documents(ctx, src, found); err != nil {
		return nil, err
	}
	t.close(found)
	met := t.require()
	switch {
	case met:
		if err != nil { // all that is wanted was found before
			t.add(Check{ID: CheckCandidates, Status: Skipped, Why: "not everything was looked at: " + err.Error()})
		}
		return &t.v, nil
	case err != nil:
		return nil, &IncompleteError{t.refused(), err}
	case len(found.Failures) > 0:
		return nil, &IncompleteError{t.refused(), found.Failures[0]}
	}
	return nil, t.refused()
}

// table gathers what was found about one image.
type table struct {
	judge
	v        Verified
	findings []*finding
}

func (t *table) add(c Check) {
	c.Digest = t.image.Digest.String()
	t.v.checks = append(t.v.checks, c)
}

func (t *table) contents(ctx context.Context, src evidence.Source, doc *evidence.Document) error {
	if doc.Image == nil {
		t.add(Check{ID: CheckContents, Status: Skipped, Why: "an index has no bytes but its children"})
		return nil
	}
	checked, err := src.Contents(ctx, doc)
	switch {
	case err != nil:
		return err
	case checked:
		t.add(Check{ID: CheckContents, Status: Done, Found: fmt.Sprintf("config and %d layers are what the manifest says", len(doc.Image.Layers))})
	default:
		t.add(Check{ID: CheckContents, Status: Skipped, Why: "whoever pulls by the digest compares them"})
	}
	return nil
}

// candidate judges one candidate and keeps what is small of it, or what counts.
func (t *table) candidate(c evidence.Candidate) {
	f := t.judge.candidate(c)
	if f.failed == nil {
		t.findings = append(t.findings, f)
		return
	}
	t.v.rejected = append(t.v.rejected, Rejected{
		Where: c.Where, Digest: c.Digest.String(), Type: f.claims,
		Check: f.failed.ID, Expected: f.failed.Expected, Found: f.failed.Found,
	})
	t.findings = append(t.findings, &finding{rows: f.rows, failed: f.failed, claims: f.claims})
}

// maxDocuments bounds the documents beside the statements about one image.
const maxDocuments = 32

// documents brings in what verified statements name. A statement whose document is not there, or
// is another one, does not count.
func (t *table) documents(ctx context.Context, src evidence.Source, found *evidence.Found) error {
	known := map[v1.Hash]*document{}
	for _, f := range t.findings {
		if f.statement == nil || f.statement.elsewhere == nil {
			continue
		}
		at := f.statement.elsewhere
		d, err := known[at.Digest], error(nil)
		if d == nil && len(known) == maxDocuments {
			err = fmt.Errorf("at most %d documents are read", maxDocuments)
		} else if d == nil {
			d, err = at.fetch(ctx, src)
		}
		if errors.Is(context.Cause(ctx), context.Canceled) {
			return context.Cause(ctx)
		}
		if err != nil {
			var failed *evidence.RegistryError
			if errors.As(err, &failed) && failed.ID != evidence.NotFound {
				found.Failures = append(found.Failures, err)
			}
			s := f.statement
			f.statement = nil
			f.fail(CheckDocument, fmt.Sprintf("the document %s, %d bytes", at.Digest, at.Size), strictjson.Clip(err.Error()))
			t.v.rejected = append(t.v.rejected, Rejected{Where: s.Format, Digest: s.Evidence, Type: s.Type, Check: f.failed.ID, Expected: f.failed.Expected, Found: f.failed.Found})
			continue
		}
		known[at.Digest], f.statement.document = d, d
		f.row(CheckDocument, fmt.Sprintf("%s, %d bytes", at.Digest, at.Size))
	}
	return nil
}

// close adds what was no candidate, and puts all in an order that does not depend on how
// the source answered.
func (t *table) close(found *evidence.Found) {
	for _, j := range found.Junk {
		t.v.rejected = append(t.v.rejected, Rejected{Where: j.Where, Digest: j.Digest, Check: CheckCandidates, Found: j.Reason})
	}
	slices.SortStableFunc(t.v.rejected, func(a, b Rejected) int {
		return cmp.Or(strings.Compare(a.Digest, b.Digest), strings.Compare(a.Where, b.Where), strings.Compare(a.Found, b.Found))
	})
	slices.SortStableFunc(t.findings, func(a, b *finding) int {
		if a.statement == nil || b.statement == nil {
			return cmp.Compare(len(b.rows), len(a.rows)) // who came further first
		}
		return cmp.Or(strings.Compare(a.statement.Type, b.statement.Type), b.statement.Time.Compare(a.statement.Time),
			strings.Compare(a.statement.Evidence, b.statement.Evidence))
	})
	good := 0
	for _, f := range t.findings {
		if f.statement != nil {
			good++
			t.v.statements = append(t.v.statements, *f.statement)
		}
	}
	text := fmt.Sprintf("%d statements hold, %d candidates do not count", good, len(t.v.rejected))
	if found.Others > 0 {
		text += fmt.Sprintf(", %d referrers are of other kinds", found.Others)
	}
	t.add(Check{ID: CheckCandidates, Status: Done, Found: text})
	if found.Unread > 0 {
		t.add(Check{ID: CheckCandidates, Status: Skipped, Why: fmt.Sprintf("%d more were not looked at: there are too many, or they are too large", found.Unread)})
	}
}

// require looks for each required statement and adds its rows.
func (t *table) require() bool {
	met := true
	for _, r := range t.policy.requirements() {
		met = t.requirement(r) && met
	}
	return met
}

func (t *table) requirement(r Requirement) bool {
	ids, keys := t.policy.of(r)
	named := map[string][]int{} // who signed → who of the policy that can be
	var first *finding
	for _, f := range t.findings {
		if f.statement == nil || !slices.Contains(r.Types, f.statement.Type) {
			continue
		}
		if of := by(f, ids, keys); len(of) > 0 {
			who := f.statement.Signer.Credential()
			named[who] = append(named[who], of...)
			first = cmp.Or(first, f)
		}
	}
	want := strings.Join(r.Types, " or ")
	signers := trust.Distinct(named)
	if signers >= max(1, r.Signers) {
		t.add(Check{ID: CheckPresent, Type: first.statement.Type, Status: Done, Found: fmt.Sprintf("%s, by %d signer(s)", first.statement.Type, signers), Evidence: first.statement.Evidence})
		t.rows(first, first.statement.Type)
		return true
	}
	if r.Optional {
		t.add(Check{ID: CheckPresent, Type: want, Status: Skipped, Why: want + " need not be there"})
		return true
	}
	if signers > 0 {
		t.add(Check{ID: CheckPresent, Type: want, Status: Failed, Expected: fmt.Sprintf("%s by %d signers", want, r.Signers), Found: fmt.Sprintf("%d", signers)})
		t.rows(first, want)
		return false
	}
	if near := t.nearest(r); near != nil { // it claims to be one, and this is why it is not
		t.rows(near, want)
		c := *near.failed
		c.Type = want
		t.add(c)
		return false
	}
	t.add(Check{ID: CheckPresent, Type: want, Status: Failed, Expected: want, Found: t.others()})
	return false
}

func (t *table) rows(f *finding, kind string) {
	for _, c := range f.rows {
		c.Type = kind
		if f.statement != nil {
			c.Evidence = f.statement.Evidence
		}
		t.add(c)
	}
}

// nearest is the refused candidate for a requirement that came furthest; one that could not
// even be read may have been meant as anything.
func (t *table) nearest(r Requirement) *finding {
	for _, f := range t.findings {
		if f.failed != nil && slices.Contains(r.Types, f.claims) {
			return f
		}
	}
	return nil
}

// others says what there is where the wanted is not. signing A3.
func (t *table) others() string {
	var types []string
	for _, f := range t.findings {
		if f.claims != "" {
			types = append(types, f.claims)
		}
	}
	slices.Sort(types)
	if types = slices.Compact(types); len(types) > 0 {
		return strings.Join(types, ", ")
	}
	if n := len(t.v.rejected); n > 0 {
		return fmt.Sprintf("nothing but %d candidate(s) that cannot be read, the first: %s", n, t.v.rejected[0].Found)
	}
	return "nothing"
}

// by is which of those made a statement that holds, by their places: identities, then keys. A
// key that is named twice has the place of the first.
func by(f *finding, ids []Identity, keys []Key) (of []int) {
	if f.summary == nil {
		if i := slices.IndexFunc(keys, func(k Key) bool { return k.fingerprint() == f.statement.Signer.Key }); i >= 0 {
			of = append(of, len(ids)+i)
		}
		return of
	}
	for i, id := range ids {
		if id.fits(*f.summary) {
			of = append(of, i)
		}
	}
	return of
}

func (t *table) refused() *NotVerifiedError {
	return &NotVerifiedError{Image: t.image.String(), Checks: t.v.checks, Rejected: t.v.rejected}
}

// index verifies the children of an index that is verified itself. signing A6, A7.
func (v *Verified) index(ctx context.Context, src evidence.Source, doc *evidence.Document, p *Policy) error {
	refuse := func(expected, found string) error {
		v.checks = append(v.checks, Check{ID: CheckIndex, Digest: v.image.Digest.String(), Status: Failed, Expected: expected, Found: found})
		return &NotVerifiedError{Image: v.image.String(), Checks: v.checks, Rejected: v.rejected}
	}
	if p.Index == IndexOnly {
		v.checks = append(v.checks, Check{ID: CheckIndex, Digest: v.image.Digest.String(), Status: Skipped, Why: "the policy is content with the index, which names its children by digest"})
		return nil
	}
	children, err := Images(doc.Index)
	if err != nil {
		return refuse("an index of images", err.Error())
	}
	for _, d := range doc.Index.Manifests { // present but unsigned is not absent
		if !slices.ContainsFunc(children, func(c v1.Descriptor) bool { return c.Digest == d.Digest }) {
			v.checks = append(v.checks, Check{ID: CheckCandidates, Digest: d.Annotations[buildKitSubject], Status: Skipped, Why: "BuildKit's attestation " + d.Digest.String() + " is not signed, so it counts for nothing"})
		}
	}
	for _, d := range children {
		child := Image{v.image.Repository, d.Digest}
		cd, err := src.Document(ctx, d.Digest)
		if err != nil {
			return fmt.Errorf("reading %s of index %s: %w", d.Digest, v.image.Digest, err)
		}
		if cd.MediaType != d.MediaType || int64(len(cd.Raw)) != d.Size {
			return refuse(fmt.Sprintf("%s with %d bytes of %s", d.Digest, d.Size, d.MediaType), fmt.Sprintf("%d bytes of %s", len(cd.Raw), cd.MediaType))
		}
		if cd.Image == nil {
			return refuse("images", "an index in the index: "+d.Digest.String())
		}
		one, err := verifyOne(ctx, src, child, cd, p)
		var not *NotVerifiedError
		if errors.As(err, &not) {
			not.Image = v.image.String()
			not.Checks = append(slices.Clone(v.checks), not.Checks...)
			not.Rejected = append(slices.Clone(v.rejected), not.Rejected...)
			return not
		}
		if err != nil {
			return err
		}
		v.checks, v.rejected = append(v.checks, one.checks...), append(v.rejected, one.rejected...)
		v.statements = append(v.statements, one.statements...)
		v.children = append(v.children, child)
	}
	v.checks = append(v.checks, Check{ID: CheckIndex, Digest: v.image.Digest.String(), Status: Done, Found: fmt.Sprintf("%d children, each verified", len(children))})
	return nil
}

// buildKitSubject is the annotation of BuildKit's attestation manifests with the image's digest.
// Source: moby/buildkit, docs/attestations/attestation-storage.md.
const buildKitSubject = "vnd.docker.reference.digest"

// Images are the images of an index: all but BuildKit's attestation manifests. Such a one is
// about an image of the same index, and says that it is for no platform; any other may be what
// a runtime chooses, whatever is noted beside it. signing A7.
func Images(index *v1.IndexManifest) ([]v1.Descriptor, error) {
	var all []v1.Descriptor
	here := map[string]bool{}
	for _, d := range index.Manifests {
		here[d.Digest.String()] = true
	}
	for _, d := range index.Manifests {
		if d.Annotations["vnd.docker.reference.type"] == "attestation-manifest" {
			if of := d.Annotations[buildKitSubject]; !here[of] {
				return nil, fmt.Errorf("%s is about %s, which is not in the index", d.Digest, strictjson.Quote(of))
			}
			if p := d.Platform; p != nil && p.OS == "unknown" && p.Architecture == "unknown" {
				continue
			}
		}
		all = append(all, d)
	}
	switch {
	case len(all) == 0:
		return nil, errors.New("no image")
	case len(all) > maxChildren:
		return nil, fmt.Errorf("%d images; at most %d are verified", len(all), maxChildren)
	}
	return all, nil
}
