package recipes

import (
	"time"

	"github.com/forge-build/forge/recipes/finding"
	"github.com/forge-build/forge/recipes/requirements"
)

// Image is one image block, checked and with every default filled in.
type Image struct {
	Name       string   // the block's label: [a-z0-9]([a-z0-9._-]*[a-z0-9])?
	Repository string   // where it is published; not needed to build
	Tags       []string // never part of the lock
	Platform   string   // "linux/amd64" or "linux/arm64"

	PyTorch *PyTorch // nil: the image has no torch of its own
	Python  Python
	Debian  *Debian    // exactly one of Debian and Base is set
	Base    *BaseImage // exactly one of Debian and Base is set

	User         User
	Copies       []Copy
	Workdir      string
	Entrypoint   []string // becomes CMD together with Command; forge-init is the ENTRYPOINT
	Command      []string
	Env          map[string]string
	Labels       map[string]string
	Ports        []int
	Writable     []string // absolute; the first one holds the caches. Default: ["/cache"]
	Start        Start
	Slim         Slim
	Environments []Environment // sorted by name
	Runs         []Run         // in the order of the file
	Tests        []Test        // in the order of the file
	Sign         *Sign         // nil: the recipe says nothing about it

	Vulnerabilities *Vulnerabilities // nil: the recipe says nothing of them. Never part of the lock

	Notes []string // whole sentences: what the tables warn of, and what they do not know
}

// PyTorch says which torch, for which GPUs.
type PyTorch struct {
	Version string   // "2.9.1"; empty: lock takes the newest
	CUDA    string   // "12.8" or "cpu"; empty: what the default index serves for the version
	GPUs    []string // compute capabilities, "8.0", sorted and unique; names in the recipe are already mapped
	Driver  string   // oldest driver of the fleet, "525.60.13"; empty: derived from the wheels
}

// Python says which interpreter and which distributions.
type Python struct {
	Version      string   // "3.13"; empty: the base's own
	Requirements []string // PEP 508 lines, as written
	Files        []RequirementsFile
	Bytecode     bool
	Indexes      []Index      // sorted by name
	Wheels       []LocalWheel // a team's own wheels
	Accepts      []Accept
}

// Index binds names to one package index (PEP 503/691).
type Index struct {
	Name     string
	URL      string   // empty: a setting of the host says it
	Packages []string // normalised names or globs ("acme-*")
}

// RequirementsFile is a file of another tool that says what is needed.
type RequirementsFile struct {
	Path   string // slash path relative to the recipe
	SHA256 string // of its content, lower-case hex
	Set    *requirements.Set
}

// LocalWheel is a wheel that no index serves.
type LocalWheel struct {
	Source string // slash path relative to the recipe, or an https URL
	SHA256 string // lower-case hex; of a file always, of an address where the recipe says it
}

// Accept says why exactly this file is right: although an index states another sha256, or
// although the wheel contradicts itself.
type Accept struct {
	File   string
	SHA256 string
	Reason string
}

// Accepted finds what is said of a wheel with these bytes.
func (p Python) Accepted(file, sha256 string) (Accept, bool) {
	for _, a := range p.Accepts {
		if a.File == file && a.SHA256 == sha256 {
			return a, true
		}
	}
	return Accept{}, false
}

// Debian is a base made of Debian packages.
type Debian struct {
	Suite    string   // "trixie"
	Packages []string // on top of what Python needs
	Deny     []string // these are never taken
	Snapshot string   // RFC 3339 time, or empty
	Mirror   string   // URL of a mirror of the archive, or empty
	Archives []Archive
}

// Archive is a further Debian archive.
type Archive struct {
	Name       string
	URL        string
	Key        string // slash path of an OpenPGP key, relative to the recipe
	Suite      string
	Components []string // default ["main"]
}

// BaseImage is any OCI image, pinned by digest.
type BaseImage struct {
	From        string      // repo@sha256:…, or oci:DIR@sha256:… for a layout below the recipe's folder
	Interpreter string      // absolute path in the image; empty: the one on its PATH
	SignedBy    *BaseSigner // nil: nobody need have signed it. Never part of a lock
}

// BaseSigner says who must have signed a base image: an identity, or a key.
type BaseSigner struct {
	Identity   string // of the certificate, exactly
	Issuer     string
	Key        string // slash path of a public key, relative to the recipe
	TrustRoot  string // slash path of a trusted root; empty: the one that forge keeps
	Repository string // under which it was signed, where the base is a copy; empty: its own
}

// User is who the container runs as.
type User struct {
	Name   string   // default "forge"
	UID    int      // default 1001; never 0; also the primary group's id
	Groups []string // supplementary: names known to Debian's base-passwd
}

// Copy brings files of the recipe's folder into the image, root-owned, 0644 or 0755.
type Copy struct {
	From string // slash path relative to the recipe, inside its folder
	To   string // absolute path in the image
}

// Start says what forge-init does with each outcome: "stop", "warn" or "cpu".
type Start struct {
	NoGPU     string
	NoDriver  string // GPU without driver files
	OldDriver string
	NoCode    string // GPU for which the image has no code
	Root      string // "stop" or "warn"
}

// Slim says which files are left out, by rule.
type Slim struct {
	Drop  []string // rule names, sorted
	Keep  []string // globs below site-packages that no rule may remove
	Codec string   // "zstd" (default) or "gzip"
}

// Environment is a further virtual environment, at /opt/envs/<Name>.
type Environment struct {
	Name         string
	Requirements []string
	Files        []RequirementsFile
}

// Run is a step that makes files: explicit, without network, as the image's user.
type Run struct {
	Name    string
	Command []string
	Output  []string // absolute paths of folders, empty when it starts, that become a layer
	Env     map[string]string
}

// Test is a command that must succeed in the finished image.
type Test struct {
	Name    string
	Command []string
	Env     map[string]string
}

// Vulnerabilities says which known vulnerabilities an image may have.
type Vulnerabilities struct {
	Limits     finding.Limits
	MaxDBAge   time.Duration // zero: the default
	VEX        []string      // slash paths relative to the recipe, sorted; each is there
	VEXAuthors []string      // only documents of these authors count; empty: of any who is named
	Waivers    []finding.Waiver
}
