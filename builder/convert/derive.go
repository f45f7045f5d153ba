package convert

import (
	"strings"

	"github.com/forge-build/forge/recipes"
	"github.com/forge-build/forge/recipes/cuda"
	"github.com/forge-build/forge/recipes/lock"
)

// Derive says what follows from the chosen bytes: the CUDA version over the base image and all
// wheels that carry CUDA or are made for it, the driver it needs, the GPUs that torch has code for, the glibc
// floor, and sums. Driver is empty where the tables do not know it.
func Derive(im *recipes.Image, li *lock.Image, made []Made) (lock.Derived, error) {
	var d lock.Derived
	var toolkits, glibc []string
	for _, m := range made {
		if m.CUDA != "" {
			toolkits = append(toolkits, m.CUDA)
		}
		if m.GLIBC != "" && m.Layer.Kind == "wheels" {
			glibc = append(glibc, m.GLIBC)
		}
		if m.Torch != "" && m.Layer.Environment == "" {
			d.Torch = m.Torch
		}
		for _, r := range m.Removed {
			d.Removed += r.Size
		}
		d.Unpacked += m.Layer.Unpacked
	}
	for _, w := range li.Wheels {
		d.Compressed += w.Size
	}
	if li.Debian != nil {
		for _, p := range li.Debian.Packages {
			d.Compressed += p.Size
		}
	}
	if li.Base != nil {
		if li.Base.CUDA != "" {
			toolkits = append(toolkits, li.Base.CUDA)
		}
		for _, l := range li.Base.Layers {
			d.Unpacked += l.Unpacked
			for _, b := range l.Blobs {
				d.Compressed += b.Size
			}
		}
	}
	if len(glibc) > 0 {
		highest, err := cuda.Highest(glibc...)
		if err != nil {
			return d, err
		}
		d.GLIBC = highest
	}
	stated := ""
	if len(toolkits) > 0 {
		var err error
		if stated, err = cuda.Highest(toolkits...); err != nil {
			return d, err
		}
	}
	release, exact, wheels := beyond(made, stated)
	d.CUDA, d.GPUWheels = release, wheels
	if d.CUDA == "" {
		return d, nil
	}
	d.Recommended = "unknown"
	if v, ok := cuda.MinimumDriver(d.CUDA); ok {
		d.Driver = v.String()
	}
	if v, ok := cuda.Recommended(d.CUDA); ok && (exact || d.CUDA == stated) {
		d.Recommended = v.String()
	}
	addCode(&d, im)
	return d, nil
}

// addCode says which GPUs torch has native code and PTX for, by the table; a torch that is
// not in it leaves both empty, which means unknown.
func addCode(d *lock.Derived, im *recipes.Image) {
	version, label, _ := strings.Cut(d.Torch, "+")
	variant := strings.TrimPrefix(label, "cu")
	if len(variant) > 1 {
		variant = variant[:len(variant)-1] + "." + variant[len(variant)-1:]
	}
	row, ok := cuda.Torch(version, variant, im.Platform)
	if !ok {
		return
	}
	for _, c := range row.SM {
		d.SM = append(d.SM, c.String())
	}
	for _, c := range row.PTX {
		d.PTX = append(d.PTX, c.String())
	}
}
