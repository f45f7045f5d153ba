package report

import "github.com/forge-build/forge/recipes/finding"

// Format is the version of the JSON document's shape. A field that is added, or that
// changes its meaning, raises it.
const Format = 1

// Report is everything that is told about one image.
type Report struct {
	Format    int       `json:"format"`
	Forge     string    `json:"forge"` // version that wrote it
	Image     Image     `json:"image"`
	Layers    []Layer   `json:"layers"`   // in the order of the image, the lowest first
	Packages  []Package `json:"packages"` // sorted by kind, name, version, environment
	Inventory Inventory `json:"inventory"`
	GPU       *GPU      `json:"gpu,omitempty"` // absent: nothing in the image states a CUDA release
	// Scan is the vulnerability verdict. Absent, or with NotScanned: nobody has looked.
	Scan      *finding.Document `json:"scan,omitempty"`
	Tests     Tests             `json:"tests"`
	Slim      []Removed         `json:"slim"`            // what slim left out, by rule
	Runs      []string          `json:"runs,omitempty"`  // steps that executed code of the recipe, whose output is in the image
	Origin    Origin            `json:"origin,omitzero"` // absent: made from a finished image alone, so that only what is in it is known
	Signature Signature         `json:"signature"`
	Previous  *Previous         `json:"previous,omitempty"` // absent: this is the first build in its folder
}

// Image is what the image is as a whole.
type Image struct {
	Name         string   `json:"name"`
	Digest       string   `json:"digest"` // "sha256:…" of the manifest
	Platform     string   `json:"platform"`
	Created      string   `json:"created"` // RFC 3339, from the lock
	Base         string   `json:"base"`    // "Debian trixie", or the base image's reference
	Python       string   `json:"python,omitempty"`
	User         string   `json:"user"` // "1001 (forge)"
	Workdir      string   `json:"workdir,omitempty"`
	Command      []string `json:"command,omitempty"` // what runs when the container starts, after forge-init's checks
	Ports        []int    `json:"ports,omitempty"`
	Writable     []string `json:"writable,omitempty"`
	Environments []string `json:"environments,omitempty"` // names of further virtual environments
	Compressed   int64    `json:"compressed"`             // bytes of all layers as they are moved
	Unpacked     int64    `json:"unpacked"`               // bytes of all layers' tars
}

// Layer is one layer.
type Layer struct {
	Name      string `json:"name"`
	Kind      string `json:"kind"`   // "debian", "base", "wheels", "bytecode", "init", "settings", "copy", "run"; "other" of an image that this build did not make
	Digest    string `json:"digest"` // "sha256:…" of the compressed bytes
	DiffID    string `json:"diffID"`
	MediaType string `json:"mediaType"`
	Size      int64  `json:"size"`     // compressed bytes
	Unpacked  int64  `json:"unpacked"` // bytes of the tar; 0: not known
}

// Package is something with a name and a version that is in the image.
type Package struct {
	Name        string   `json:"name"`
	Version     string   `json:"version,omitempty"`
	Kind        string   `json:"kind"` // "python", "deb", "binary", …
	Environment string   `json:"environment,omitempty"`
	Parent      string   `json:"parent,omitempty"` // package that carries it within itself
	PURL        string   `json:"purl,omitempty"`
	Licences    []string `json:"licences,omitempty"`
	Layer       string   `json:"layer,omitempty"` // a Layer's name
	Size        int64    `json:"size,omitempty"`  // bytes of its files; 0: not known
	Files       int      `json:"files,omitempty"`
	SHA256      string   `json:"sha256,omitempty"` // of the locked artifact
	Requested   bool     `json:"requested,omitempty"`
	RequiredBy  []string `json:"requiredBy,omitempty"`
}

// Inventory says where the list of packages comes from.
type Inventory struct {
	Source string   `json:"source"`          // "image": what was found in it; "lock": what was put there, nothing was searched
	Files  []string `json:"files,omitempty"` // names of the SBOM documents beside this one
}

// GPU says what the CUDA part of the image needs and runs on.
type GPU struct {
	CUDA        string   `json:"cuda"`
	Torch       string   `json:"torch,omitempty"`
	Driver      string   `json:"driver"`      // oldest that starts code made for a GPU
	Recommended string   `json:"recommended"` // from which PTX runs too; may be "unknown"
	SM          []string `json:"sm,omitempty"`
	PTX         []string `json:"ptx,omitempty"`
	Families    []Family `json:"families,omitempty"` // newest first
}

// Family is a generation of GPUs with one compute capability, and how the image's code runs
// on it.
type Family struct {
	Name       string   `json:"name"` // "Hopper"
	Capability string   `json:"capability"`
	Products   []string `json:"products,omitempty"`   // the best known ones
	Code       string   `json:"code"`                 // "native", "ptx" or "none"
	Wanted     bool     `json:"wanted,omitempty"`     // the recipe asks for it
	LastDriver int      `json:"lastDriver,omitempty"` // branch of the last driver for it; 0: drivers still appear
}

// Tests are the recipe's tests in the finished image.
type Tests struct {
	State   string `json:"state"` // "passed", "not run", "none", "not known"
	Results []Test `json:"results,omitempty"`
}

// Test states.
const (
	Passed    = "passed"
	NotRun    = "not run"
	NoneAsked = "none"
	NotKnown  = "not known" // whoever built the image knows
)

// Test is one test. Only passed ones are in a report: a failed one ends the build.
type Test struct {
	Name string `json:"name"`
}

// Removed is what one rule of slim left out.
type Removed struct {
	Rule  string `json:"rule"`
	What  string `json:"what,omitempty"` // the files, in words
	Why   string `json:"why,omitempty"`  // why an image can do without, and what is lost
	Files int    `json:"files"`
	Bytes int64  `json:"bytes"`
}

// Origin is what the image was made from: whoever has it makes the same digest again.
type Origin struct {
	Recipe       string   `json:"recipe"`       // its file name
	RecipeSHA256 string   `json:"recipeSHA256"` // of the file
	Lock         string   `json:"lock"`
	LockSHA256   string   `json:"lockSHA256"`
	Init         string   `json:"init"`                // sha256 of forge-init
	LayerFormat  int      `json:"layerFormat"`         // of the layers' bytes
	AsOf         string   `json:"asOf,omitempty"`      // nothing newer was considered by forge lock
	Variables    []string `json:"variables,omitempty"` // names of the variables that were given; values are not told
	Copies       []string `json:"copies,omitempty"`    // files and folders of the recipe's folder that are in the image
}

// Signature says what is known about signatures when the report is written.
type Signature struct {
	State string `json:"state"` // "not signed yet", "signed", "not signed", "not verified here"
	Facts []Fact `json:"facts,omitempty"`
}

// Signature states.
const (
	NotSigned = "not signed yet"
	Signed    = "signed"
	Unsigned  = "not signed"        // it was published so
	NotSeen   = "not verified here" // nobody has looked
)

// Fact is something with a name.
type Fact struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// finished says that the report was made from a finished image alone.
func (r *Report) finished() bool { return r.Origin.Recipe == "" }

// Succeed says what changed since the build whose report this one replaces. A report of the
// very same image has nothing to tell but what changed before it, and that it was published
// since: a build that makes it again does not undo a signature.
func (r *Report) Succeed(old *Report) {
	if old.Image.Digest == r.Image.Digest {
		r.Previous = old.Previous
		if old.Signature.State == Signed {
			r.Signature = old.Signature
		}
		return
	}
	r.Previous = &Previous{Digest: old.Image.Digest, Created: old.Image.Created, Changes: Compare(old, r)}
}

// Previous is the build whose report this one replaced.
type Previous struct {
	Problem string `json:"problem,omitempty"` // why its report could not be read; then nothing else is known
	Digest  string `json:"digest,omitempty"`
	Created string `json:"created,omitempty"`
	Changes
}
