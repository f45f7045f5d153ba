package registry

// How much of a list of what refers to an image is read, by all who read one.
const (
	MaxReferrers = 4096              // of them are looked at
	MaxListed    = 16 * MaxReferrers // entries, of which many may be the same
	MaxPages     = 256
)
