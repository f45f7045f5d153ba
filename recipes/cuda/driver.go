package cuda

import (
	"fmt"
	"strings"
)

// MinimumDriver returns the oldest Linux driver that runs programs of a CUDA
// release, given as "12.8", "12.8.1" or "13.0.3.0". A release without a row
// has the minimum of its major version; false means that the major version
// itself is not in the table, so nothing is known.
func MinimumDriver(cuda string) (Version, bool) {
	v, err := ParseVersion(cuda)
	if err != nil {
		return Version{}, false
	}
	var major Version
	for _, t := range loadToolkits() {
		if t.CUDA.Major() != v.Major() {
			continue
		}
		if t.CUDA.minor() == v.minor() {
			return t.Minimum, true
		}
		if major.Less(t.Minimum) {
			major = t.Minimum
		}
	}
	return major, !major.IsZero()
}

// First returns the oldest release of a major version, "12", whose minimum driver is enough for
// all of its releases: "12.0", and "11.1". A major version without a row is its first release.
func First(major string) string {
	first, all := major+".0", Version{}
	for _, t := range loadToolkits() { // newest first
		if !strings.HasPrefix(t.CUDA.text, major+".") || t.Minimum.Less(all) {
			continue
		}
		first, all = t.CUDA.minor(), t.Minimum
	}
	return first
}

// Recommended returns the driver that ships with a CUDA release, which is the one
// that compiles its PTX. "12.8" means the newest 12.8.x whose driver is known;
// "12.8.2" means that toolkit exactly. False means not known.
func Recommended(cuda string) (Version, bool) {
	v, err := ParseVersion(cuda)
	if err != nil {
		return Version{}, false
	}
	exact := v.text != v.minor()
	for _, t := range loadToolkits() { // newest first
		if t.CUDA.minor() != v.minor() || exact && t.CUDA.parts[2] != v.parts[2] {
			continue
		}
		if !t.Recommended.IsZero() {
			return t.Recommended, true
		}
	}
	return Version{}, false
}

// Highest returns, as "major.minor", the highest CUDA release among versions of
// the toolkit or of libraries that carry its number (cuda-toolkit,
// nvidia-cuda-runtime, nvrtc, nvjitlink, cupti: "12.8.90"). Versions of cuBLAS,
// cuDNN and the like are not CUDA versions and must not be given. None is an error.
func Highest(versions ...string) (string, error) {
	var top Version
	for _, text := range versions {
		v, err := ParseVersion(text)
		if err != nil {
			return "", fmt.Errorf("deriving the CUDA version: %w", err)
		}
		if top.Less(v) {
			top = v
		}
	}
	if top.IsZero() {
		return "", fmt.Errorf("deriving the CUDA version: no versions given")
	}
	return top.minor(), nil
}
