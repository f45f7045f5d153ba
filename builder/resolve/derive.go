package resolve

import (
	"strings"

	"github.com/forge-build/forge/builder/convert"
	"github.com/forge-build/forge/recipes"
	"github.com/forge-build/forge/recipes/cuda"
	"github.com/forge-build/forge/recipes/lock"
)

// Derive is convert.Derive, and an *InputError when nobody knows which driver the image needs, or
// the recipe's fleet does not have it.
func Derive(im *recipes.Image, li *lock.Image, made []convert.Made) (lock.Derived, error) {
	d, err := convert.Derive(im, li, made)
	switch {
	case err != nil || d.CUDA == "":
		return d, err
	case d.Driver == "":
		return d, &InputError{"the image carries CUDA " + d.CUDA + madeForIt(d) + ", and forge's table (" + cuda.Checked + ") does not know which driver that needs"}
	}
	return d, checkDriver(im, d)
}

// checkDriver compares what the wheels need with the fleet that the recipe names.
func checkDriver(im *recipes.Image, d lock.Derived) error {
	if im.PyTorch == nil || im.PyTorch.Driver == "" {
		return nil
	}
	fleet, err := cuda.ParseVersion(im.PyTorch.Driver)
	if err != nil {
		return err
	}
	needs, err := cuda.ParseVersion(d.Driver)
	if err != nil {
		return err
	}
	if fleet.Less(needs) {
		return &InputError{"CUDA " + d.CUDA + " needs driver " + d.Driver + " or newer on Linux; this fleet floor is " + im.PyTorch.Driver + madeForIt(d)}
	}
	return nil
}

// madeForIt names the wheels because of which the CUDA version is higher than what is carried.
func madeForIt(d lock.Derived) string {
	if len(d.GPUWheels) == 0 {
		return ""
	}
	return " (" + strings.Join(d.GPUWheels, ", ") + ": made for CUDA " + d.CUDA + ")"
}
