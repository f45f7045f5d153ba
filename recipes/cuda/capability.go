package cuda

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Capability is a compute capability, "8.6", of a GPU or of code for it. Code may
// have a variant: 'a' runs on exactly that chip, 'f' on its family.
type Capability struct {
	Major, Minor int
	Variant      byte // 0, 'a' or 'f'
}

// ParseCapability reads "8.6" or "9.0a". Only text that String gives back is accepted.
func ParseCapability(text string) (Capability, error) {
	var c Capability
	body := text
	if n := len(body); n > 0 && (body[n-1] == 'a' || body[n-1] == 'f') {
		c.Variant, body = body[n-1], body[:n-1]
	}
	major, minor, _ := strings.Cut(body, ".")
	a, errA := strconv.Atoi(major)
	b, errB := strconv.Atoi(minor)
	c.Major, c.Minor = a, b
	if errA != nil || errB != nil || a < 1 || a > 99 || b < 0 || b > 9 || c.String() != text {
		return Capability{}, fmt.Errorf("parsing compute capability %.30q: not of the form 8.6 or 9.0a", text)
	}
	return c, nil
}

// Capabilities reads a list.
func Capabilities(texts []string) ([]Capability, error) {
	out := make([]Capability, 0, len(texts))
	for _, text := range texts {
		c, err := ParseCapability(text)
		if err != nil {
			return nil, err
		}
		out = append(out, c)
	}
	return out, nil
}

// String returns "8.6" or "9.0a".
func (c Capability) String() string {
	s := strconv.Itoa(c.Major) + "." + strconv.Itoa(c.Minor)
	if c.Variant != 0 {
		s += string(rune(c.Variant))
	}
	return s
}

// Compare orders by number, then variant.
func (c Capability) Compare(d Capability) int {
	return cmp.Or(cmp.Compare(c.Major, d.Major), cmp.Compare(c.Minor, d.Minor), cmp.Compare(c.Variant, d.Variant))
}

// Generation returns NVIDIA's name, "Volta", or "" for one that is not known here.
func (c Capability) Generation() string {
	switch {
	case c.Major == 3:
		return "Kepler"
	case c.Major == 5:
		return "Maxwell"
	case c.Major == 6:
		return "Pascal"
	case c.Major == 7 && c.Minor < 5:
		return "Volta"
	case c.Major == 7:
		return "Turing"
	case c.Major == 8 && c.Minor < 9:
		return "Ampere"
	case c.Major == 8:
		return "Ada"
	case c.Major == 9:
		return "Hopper"
	case c.Major >= 10 && c.Major <= 12:
		return "Blackwell"
	}
	return ""
}

// tegra lists the capabilities of Jetson modules. 10.1 is what CUDA 12 called 11.0.
var tegra = []Capability{{3, 2, 0}, {5, 3, 0}, {6, 2, 0}, {7, 2, 0}, {8, 7, 0}, {10, 1, 0}, {11, 0, 0}}

// Jetson says whether the capability is of a Jetson module: a family of its own,
// between which and the desktop native code is not compatible.
// Source: CUDA C++ Programming Guide, "Binary Compatibility".
func (c Capability) Jetson() bool {
	c.Variant = 0
	return slices.Contains(tegra, c)
}

// LastDriver returns the last driver branch that supports the GPU; false means
// that it is supported still. Source:
// docs.nvidia.com/datacenter/tesla/drivers/cuda-toolkit-driver-and-architecture-matrix.html
func LastDriver(gpu Capability) (branch int, ended bool) {
	switch gpu.Generation() {
	case "Kepler":
		return 470, true
	case "Maxwell", "Pascal", "Volta":
		return 580, true
	}
	return 0, false
}

// Code says how code runs on a GPU.
type Code string

// Native code starts with the minimum driver; PTX is compiled by the driver when the
// program starts, which needs the recommended one.
const (
	Native Code = "native"
	PTX    Code = "ptx"
	None   Code = "none"
)

// Runs says how code with the given native and PTX capabilities runs on a GPU:
// native code of X.y on X.z with z ≥ y, never across major versions or between
// Jetson and desktop; 'a' on exactly that chip; PTX on any later GPU.
// Source: CUDA C++ Programming Guide, "Binary Compatibility", "PTX Compatibility".
func Runs(sm, ptx []Capability, gpu Capability) Code {
	gpu.Variant = 0
	for _, code := range sm {
		if nativeOn(code, gpu) {
			return Native
		}
	}
	for _, code := range ptx {
		same := code.Major == gpu.Major && code.Minor == gpu.Minor
		switch code.Variant {
		case 'a':
			if same {
				return PTX
			}
		case 'f':
			if code.Major == gpu.Major && code.Minor <= gpu.Minor {
				return PTX
			}
		default:
			if code.Major < gpu.Major || code.Major == gpu.Major && code.Minor <= gpu.Minor {
				return PTX
			}
		}
	}
	return None
}

func nativeOn(code, gpu Capability) bool {
	if code.Major != gpu.Major {
		return false
	}
	if code.Variant == 'a' || code.Jetson() || gpu.Jetson() {
		return code.Minor == gpu.Minor
	}
	return code.Minor <= gpu.Minor
}
