package lock

// Format is the version of the lock's own shape.
const Format = 1

// Lock is the whole file: one entry for each image of the recipe.
type Lock struct {
	Format int               `json:"format"`
	Layers int               `json:"layers"` // version of the layers' bytes, layer.Format
	Images map[string]*Image `json:"images"`
}

// Image names every byte of one image.
type Image struct {
	Inputs   map[string]string `json:"inputs"` // what the recipe said, flattened: "pytorch.version" → "2.9.1"
	Platform string            `json:"platform"`
	Created  string            `json:"created"`        // RFC 3339, UTC, seconds
	AsOf     string            `json:"asOf,omitempty"` // RFC 3339: nothing newer was considered
	Init     Init              `json:"init"`
	Python   Python            `json:"python"`
	Derived  Derived           `json:"derived"`
	Base     *Base             `json:"base,omitempty"`
	Debian   *Debian           `json:"debian,omitempty"`
	Wheels   []Wheel           `json:"wheels"` // sorted by environment, name
	Layers   []Layer           `json:"layers"` // in the order of the image, base first
}

// Init is forge-init for the platform.
type Init struct {
	SHA256 string `json:"sha256"`
	Size   int64  `json:"size"`
}

// Python is the interpreter the wheels were chosen for.
type Python struct {
	Version     string `json:"version"`        // "3.13"
	Interpreter string `json:"interpreter"`    // absolute path in the image
	Full        string `json:"full,omitempty"` // "3.13.5"
}

// Wheel is one locked wheel. Index is a name, never a host.
type Wheel struct {
	Environment string   `json:"environment,omitempty"` // empty: /opt/venv
	Name        string   `json:"name"`                  // PEP 503 normalised
	Version     string   `json:"version"`
	File        string   `json:"file"`
	Index       string   `json:"index,omitempty"` // "default", "pytorch-cu126", a recipe's index name; empty: Path, or the recipe's wheel block of that file name
	Path        string   `json:"path,omitempty"`  // of a local wheel, relative to the recipe
	Size        int64    `json:"size"`
	SHA256      string   `json:"sha256"`
	Requested   bool     `json:"requested,omitempty"`
	RequiredBy  []string `json:"requiredBy,omitempty"` // names, sorted
	Notes       []string `json:"notes,omitempty"`      // "index publishes no hash", "yanked: …"
}

// Debian is a base of Debian packages.
type Debian struct {
	Suite    string    `json:"suite"`
	Archives []Archive `json:"archives"`
	Packages []Deb     `json:"packages"` // sorted by name
}

// Archive is one verified InRelease.
type Archive struct {
	Name      string            `json:"name"`  // "debian", "debian-security", a recipe's archive name
	Suite     string            `json:"suite"` // "trixie-updates"
	Date      string            `json:"date"`  // the Release file's Date, RFC 3339
	InRelease string            `json:"inRelease"`
	Packages  map[string]string `json:"packages"` // component → sha256 of its Packages file
}

// Deb is one locked package.
type Deb struct {
	Name         string   `json:"name"`
	Version      string   `json:"version"`
	Architecture string   `json:"architecture"`
	Source       string   `json:"source,omitempty"`
	Archive      string   `json:"archive"` // an Archive's Name
	Path         string   `json:"path"`    // pool path
	Size         int64    `json:"size"`
	SHA256       string   `json:"sha256"`
	Requested    bool     `json:"requested,omitempty"`
	RequiredBy   []string `json:"requiredBy,omitempty"`
	Choice       string   `json:"choice,omitempty"`  // "mawk for awk (of gawk, mawk, original-awk)"
	Dropped      []string `json:"dropped,omitempty"` // dependencies that only scripts need: "tzdata: …"
}

// Base is an image that lies below, resolved to the platform. Its reference is the recipe's
// own, a name that says where the bytes may be had; which they are, the digests say.
type Base struct {
	Reference string   `json:"reference"`           // as the recipe says it
	Index     string   `json:"index,omitempty"`     // sha256:… when the reference was an index
	Manifest  string   `json:"manifest"`            // sha256:…
	Config    string   `json:"config"`              // sha256:…
	System    string   `json:"system,omitempty"`    // os-release's PRETTY_NAME
	Libc      string   `json:"libc"`                // "glibc 2.41"
	Libstdcxx string   `json:"libstdcxx,omitempty"` // highest GLIBCXX_ that it has: "3.4.33"; empty: no libstdc++.so.6
	Libz      string   `json:"libz,omitempty"`      // file of libz.so.1: "libz.so.1.3.1"; empty: none
	CUDA      string   `json:"cuda,omitempty"`      // highest CUDA version that its files state: "12.8"; empty: none
	CA        string   `json:"ca,omitempty"`        // its bundle of certificate authorities, absolute
	Env       []string `json:"env,omitempty"`       // what is kept, sorted
	Removed   []string `json:"removed,omitempty"`   // names of variables that are not, sorted
	Layers    []Layer  `json:"layers"`              // the lowest first
}

// Layer names one layer of the image by what it is made of and by its bytes.
// Digest, Size and DiffID are claims: the store's own pass over the members confirms them.
type Layer struct {
	Kind        string          `json:"kind"` // "debian", "wheels", "bytecode", "init", "base"
	Name        string          `json:"name"` // "torch 2.9.1", "small-3", "os", unique in the image
	Environment string          `json:"environment,omitempty"`
	Members     []string        `json:"members,omitempty"`   // sha256 of wheels or debs, in the order of the layer
	DiffID      string          `json:"diffID"`              // sha256:…
	Unpacked    int64           `json:"unpacked"`            // bytes of the tar
	Blobs       map[string]Blob `json:"blobs"`               // by codec: "gzip", "zstd"
	MediaType   string          `json:"mediaType,omitempty"` // only of a base's layer
}

// Blob is a layer in one codec.
type Blob struct {
	Digest string `json:"digest"` // sha256:…
	Size   int64  `json:"size"`
}

// Derived is what follows from the chosen bytes.
type Derived struct {
	CUDA        string   `json:"cuda,omitempty"`              // "12.8": highest over the base image and all wheels that carry CUDA or are made for it; empty: none
	GPUWheels   []string `json:"gpuWheels,omitempty"`         // "cupy-cuda12x 14.2.0": those whose CUDA is newer than what is carried; without CUDA, those with code for GPUs that state no release
	Driver      string   `json:"driver,omitempty"`            // minimum, "525.60.13"
	Recommended string   `json:"recommendedDriver,omitempty"` // "570.124.06", or "unknown"
	SM          []string `json:"sm,omitempty"`                // "7.0" …
	PTX         []string `json:"ptx,omitempty"`
	Torch       string   `json:"torch,omitempty"`   // what torch/version.py says: "2.9.1+cu128"
	GLIBC       string   `json:"glibc,omitempty"`   // highest GLIBC_x.y that a locked file needs
	Compressed  int64    `json:"compressed"`        // bytes of wheels, debs and a base's layers
	Unpacked    int64    `json:"unpacked"`          // bytes of all layers' tars
	Removed     int64    `json:"removed,omitempty"` // bytes that slim left out
}
