package convert

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sort"
	"sync"

	"github.com/forge-build/forge/builder/fetch"
	"github.com/forge-build/forge/builder/layer"
	"github.com/forge-build/forge/builder/store"
	"github.com/forge-build/forge/recipes"
	"github.com/forge-build/forge/recipes/lock"
)

// version changes whenever the same members would give other bytes or another judgement: a
// slim rule, a launcher's text, what debian.Unpacker writes, a fact that indexes hold. Layers
// made before are then made again.
const version = 5

// Options says where members come from and which codecs are wanted.
type Options struct {
	Store      *store.Store
	Fetch      *fetch.Fetcher
	Codecs     []layer.Codec // made and kept in the store
	AlsoDigest bool          // the other codec's digest is computed too, its bytes are not kept
	Slim       recipes.Slim
	Again      bool        // every layer is made again, also those that this store has made
	Jobs       int         // layers converted at a time; 0: one for each CPU, at most 2
	Progress   func(Event) // may be nil; called from several goroutines, one call at a time
	Dir        string      // the recipe's folder, for local wheels
	// Before are layers that an earlier lock states. One of them that this store has made
	// in a kept codec, with the stated bytes, still states its digest in another codec: a
	// claim as before, which whoever makes that codec confirms.
	Before []lock.Layer
}

// Event is a step of Make.
type Event struct {
	Layer string // its name
	Step  Step
	Bytes int64 // of the members, as they are compressed there, read so far; with Converting
	Total int64 // of the members in all
}

// Step says what happened to a layer.
type Step string

// The steps of a layer: it is in the store already, or its members arrive, are converted,
// and it is done.
const (
	Reused     Step = "reused"
	Fetched    Step = "fetched"
	Converting Step = "converting"
	Done       Step = "done"
)

// Finding is something about a member that a policy should know.
type Finding struct {
	ID       string `json:"id"`             // "WHL-06"
	Severity string `json:"severity"`       // "high", "medium", "low"
	Owner    string `json:"owner"`          // name of the distribution or package
	Path     string `json:"path"`           // in the image; of WHL-01, 04 and 06 in the wheel
	Hash     string `json:"hash,omitempty"` // "sha256=…", RECORD's form
	Reason   string `json:"reason"`
}

// Made is a layer that this store has made from its members.
type Made struct {
	Layer      lock.Layer `json:"layer"`             // with DiffID, Unpacked and Blobs as found
	Index      string     `json:"index"`             // sha256 of the encoded layer.Index, in the store
	Removed    []Removed  `json:"removed,omitempty"` // by slim
	Omitted    []Removed  `json:"omitted,omitempty"` // of Debian packages: manuals, translations and the like, in every image
	Notes      []string   `json:"notes,omitempty"`   // what was done in place of maintainer scripts
	Shared     []Shared   `json:"shared,omitempty"`  // within this layer
	Findings   []Finding  `json:"findings,omitempty"`
	GLIBC      string     `json:"glibc,omitempty"`      // highest GLIBC_x.y that an ELF file needs: "2.27"
	Torch      string     `json:"torch,omitempty"`      // what torch/version.py says: "2.9.1+cu128"
	CUDA       string     `json:"cuda,omitempty"`       // highest toolkit of the layer's wheels: "12.8"
	GPUs       []GPU      `json:"gpus,omitempty"`       // wheels that have to do with GPUs
	Namespaces []string   `json:"namespaces,omitempty"` // paths of __init__.py that only declare a namespace
	Accepted   []string   `json:"accepted,omitempty"`   // sha256 of wheels that contradict themselves and that the recipe accepts
	Reused     bool       `json:"-"`                    // made before, nothing was read but the store's own record
}

// ClaimError says that a lock states other bytes for a layer than its members give.
type ClaimError struct {
	Layer           string // its name
	What            string // "diffID", "gzip digest", "zstd size"
	Expected, Found string
}

func (e *ClaimError) Error() string {
	return fmt.Sprintf("layer %q: %s is %s, the lock states %s", e.Layer, e.What, e.Found, e.Expected)
}

// Make brings the members of layers into the store and makes every layer that this store
// has not made before. The result is in the order of layers. A lock's digests are compared
// with what was found (*ClaimError), and no path may have two contents, in one layer or in
// two of one environment.
func Make(ctx context.Context, im *recipes.Image, li *lock.Image, layers []lock.Layer, o Options) ([]Made, error) {
	if o.Jobs <= 0 {
		// Each takes 60 to 80 MB of memory, and spreads a large file over several CPUs.
		o.Jobs = min(runtime.GOMAXPROCS(0), 2)
	}
	if len(o.Codecs) == 0 {
		return nil, errors.New("converting: no codec is wanted")
	}
	slim, err := newSlimmer(o.Slim.Drop, o.Slim.Keep)
	if err != nil {
		return nil, err
	}
	m := &maker{im: im, li: li, o: o, slim: slim}
	jobs := make([]*job, len(layers))
	for i, l := range layers {
		if jobs[i], err = m.job(l); err != nil {
			return nil, err
		}
	}
	if err := m.run(ctx, jobs); err != nil {
		return nil, err
	}
	made := make([]Made, len(jobs))
	for i, j := range jobs {
		made[i] = *j.made
	}
	for i, x := range made {
		if err := CheckClaims(layers[i], x.Layer); err != nil {
			return nil, err
		}
	}
	return made, m.checkPaths(made)
}

// maker is one call of Make.
type maker struct {
	im   *recipes.Image
	li   *lock.Image
	o    Options
	slim slimmer

	reporting sync.Mutex
}

// job is one layer to make.
type job struct {
	layer lock.Layer // as it was given, with its claims
	key   string     // of the fact "checked"
	size  int64      // bytes of the members
	parts []part
	made  *Made
}

// work is how long a processor has to do with j, beside other jobs: a byte of a Debian package,
// which xz compressed, takes it nine times as long as a byte of a wheel.
func (j *job) work() int64 {
	if j.layer.Kind == "debian" {
		return 9 * j.size
	}
	return j.size
}

// part is one member of a job.
type part struct {
	wheel *lock.Wheel
	deb   *lock.Deb
}

func (p part) size() int64 {
	if p.wheel != nil {
		return p.wheel.Size
	}
	return p.deb.Size
}

// job finds the members of a layer in the lock.
func (m *maker) job(l lock.Layer) (*job, error) {
	j := &job{layer: l}
	for _, sum := range l.Members {
		p := part{}
		switch l.Kind {
		case "wheels":
			for i := range m.li.Wheels {
				if w := &m.li.Wheels[i]; w.SHA256 == sum && w.Environment == l.Environment {
					p.wheel = w
				}
			}
		case "debian":
			for i := range debs(m.li) {
				if d := &m.li.Debian.Packages[i]; d.SHA256 == sum {
					p.deb = d
				}
			}
		default:
			return nil, fmt.Errorf("layer %q: a layer of kind %q is not made of members", l.Name, l.Kind)
		}
		if p.wheel == nil && p.deb == nil {
			return nil, fmt.Errorf("layer %q: member %q is not in the lock", l.Name, sum)
		}
		j.size += p.size()
		j.parts = append(j.parts, p)
	}
	if len(j.parts) == 0 {
		return nil, fmt.Errorf("layer %q: no members", l.Name)
	}
	var err error
	j.key, err = m.key(j)
	return j, err
}

func debs(li *lock.Image) []lock.Deb {
	if li.Debian == nil {
		return nil
	}
	return li.Debian.Packages
}

// key names everything that decides a layer's bytes, except the codec, and everything that the
// pass compares with the lock: another size or version in a lock is another layer, which this
// store has not checked.
func (m *maker) key(j *job) (string, error) {
	k := struct {
		Version, Format        int
		Kind, Platform, Prefix string
		Python                 string
		Drop, Keep             []string
		Members                []string
	}{Version: version, Format: layer.Format, Kind: j.layer.Kind, Platform: m.li.Platform}
	for _, p := range j.parts {
		if p.deb != nil {
			k.Members = append(k.Members, fmt.Sprintf("%s %d %s %s %s", p.deb.SHA256, p.deb.Size, p.deb.Name, p.deb.Version, p.deb.Architecture))
			continue
		}
		k.Members = append(k.Members, fmt.Sprintf("%s %d %s %s %s %v", p.wheel.SHA256, p.wheel.Size, p.wheel.Name, p.wheel.Version, p.wheel.File, p.wheel.Requested))
	}
	if j.layer.Kind == "wheels" {
		k.Prefix, k.Python = newVenv(j.layer.Environment, m.li.Python.Version).prefix, m.li.Python.Version
		k.Drop, k.Keep = sorted(m.o.Slim.Drop), sorted(m.o.Slim.Keep)
	}
	text, err := json.Marshal(k)
	if err != nil {
		return "", fmt.Errorf("internal error: %w", err)
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:]), nil
}

func sorted(list []string) []string {
	out := append([]string(nil), list...)
	sort.Strings(out)
	return out
}

// checked returns what this store knows about a layer, if that is all that is wanted and
// the blobs are still there.
func (m *maker) checked(j *job) (*Made, error) {
	if m.o.Again {
		return nil, nil
	}
	made, err := m.recall(j)
	if made == nil || err != nil || !m.accepts(j, made.Accepted) {
		return nil, err
	}
	for _, c := range m.wanted() {
		blob, ok := made.Layer.Blobs[string(c)]
		if !ok && !m.keeps(c) {
			if blob, ok = m.stated(made.Layer, c); ok {
				made.Layer.Blobs[string(c)] = blob
			}
		}
		if !ok {
			return nil, nil
		}
		if m.keeps(c) {
			size, ok, err := m.o.Store.Stat(hexOf(blob.Digest))
			if err != nil || !ok || size != blob.Size {
				return nil, err
			}
		}
	}
	_, ok, err := m.o.Store.Stat(made.Index)
	if err != nil || !ok {
		return nil, err
	}
	made.Reused = true
	return made, nil
}

// accepts says whether the recipe still accepts the wheels that it accepted when a layer was
// made; without a recipe nothing is judged.
func (m *maker) accepts(j *job, sums []string) bool {
	for _, p := range j.parts {
		if p.wheel == nil || m.im == nil || !slices.Contains(sums, p.wheel.SHA256) {
			continue
		}
		if _, ok := m.im.Python.Accepted(p.wheel.File, p.wheel.SHA256); !ok {
			return false
		}
	}
	return true
}

// stated is what an earlier lock says of a layer in a codec, if it is right about everything
// that this store knows of it.
func (m *maker) stated(l lock.Layer, c layer.Codec) (lock.Blob, bool) {
	for _, b := range m.o.Before {
		if b.Name != l.Name || b.Environment != l.Environment || !slices.Equal(b.Members, l.Members) {
			continue
		}
		blob, ok := b.Blobs[string(c)]
		return blob, ok && b.DiffID == l.DiffID && CheckClaims(b, l) == nil
	}
	return lock.Blob{}, false
}

// recall reads the fact about a layer; nil when there is none.
func (m *maker) recall(j *job) (*Made, error) {
	text, ok, err := m.o.Store.Fact("checked", j.key)
	if err != nil || !ok {
		return nil, err
	}
	var made Made
	if json.Unmarshal(text, &made) != nil || made.Layer.DiffID == "" {
		return nil, nil // not written by this version: the layer is made again
	}
	l := j.layer
	l.DiffID, l.Unpacked, l.Blobs = made.Layer.DiffID, made.Layer.Unpacked, made.Layer.Blobs
	made.Layer = l
	return &made, nil
}

// remember adds a made layer to the facts, with the codecs that were known before.
func (m *maker) remember(j *job, made *Made) error {
	before, err := m.recall(j)
	if err != nil {
		return err
	}
	if before != nil {
		if before.Layer.DiffID != made.Layer.DiffID {
			return fmt.Errorf("internal error: layer %q has diffID %s, and had %s before", j.layer.Name, made.Layer.DiffID, before.Layer.DiffID)
		}
		for codec, blob := range before.Layer.Blobs {
			if _, ok := made.Layer.Blobs[codec]; !ok {
				made.Layer.Blobs[codec] = blob
			}
		}
	}
	text, err := json.Marshal(made)
	if err != nil {
		return fmt.Errorf("internal error: %w", err)
	}
	return m.o.Store.PutFact("checked", j.key, text)
}

// wanted lists the codecs whose digests are asked for.
func (m *maker) wanted() []layer.Codec {
	if m.o.AlsoDigest {
		return []layer.Codec{layer.Gzip, layer.Zstd}
	}
	return m.o.Codecs
}

// keeps says whether a codec's bytes are kept.
func (m *maker) keeps(c layer.Codec) bool {
	for _, k := range m.o.Codecs {
		if k == c {
			return true
		}
	}
	return false
}

func hexOf(digest string) string {
	if len(digest) > 7 && digest[:7] == "sha256:" {
		return digest[7:]
	}
	return digest
}

// CheckClaims compares what a lock states about a layer with what was found; a difference is
// a *ClaimError. An empty claim states nothing.
func CheckClaims(claim, found lock.Layer) error {
	if claim.DiffID != "" && claim.DiffID != found.DiffID {
		return &ClaimError{found.Name, "diffID", claim.DiffID, found.DiffID}
	}
	if claim.Unpacked != 0 && claim.Unpacked != found.Unpacked {
		return &ClaimError{found.Name, "unpacked size", fmt.Sprint(claim.Unpacked), fmt.Sprint(found.Unpacked)}
	}
	codecs := make([]string, 0, len(claim.Blobs))
	for codec := range claim.Blobs {
		codecs = append(codecs, codec)
	}
	sort.Strings(codecs)
	for _, codec := range codecs {
		want, have := claim.Blobs[codec], found.Blobs[codec]
		if have.Digest == "" {
			continue // this codec was not asked for
		}
		if want.Digest != have.Digest {
			return &ClaimError{found.Name, codec + " digest", want.Digest, have.Digest}
		}
		if want.Size != have.Size {
			return &ClaimError{found.Name, codec + " size", fmt.Sprint(want.Size), fmt.Sprint(have.Size)}
		}
	}
	return nil
}
