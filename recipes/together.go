package recipes

import (
	"reflect"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
)

// Together are the images of a recipe that are one image for several platforms, im among them:
// they name the same repository and the same tags. They are sorted by platform. An image by
// itself is together with nobody else.
func (f *File) Together(im *Image) []*Image {
	all := []*Image{im}
	for _, other := range f.Images {
		if other != im && im.Repository != "" && other.Repository == im.Repository && other.Platform != im.Platform && sameTags(other, im) {
			all = append(all, other)
		}
	}
	slices.SortFunc(all, func(a, b *Image) int { return strings.Compare(a.Platform, b.Platform) })
	for i := 1; i < len(all); i++ {
		if all[i].Platform == all[i-1].Platform { // without tags nothing says which one is meant
			return []*Image{im}
		}
	}
	return all
}

func sameTags(a, b *Image) bool {
	return slices.Equal(slices.Compact(slices.Sorted(slices.Values(a.Tags))), slices.Compact(slices.Sorted(slices.Values(b.Tags))))
}

// together judges what images say that share a tag: they must be one image for several platforms.
func (f *File) together() (diags hcl.Diagnostics) {
	at := func(im *Image, word string) hcl.Range {
		if r, ok := f.places[im.Name][word]; ok {
			return r
		}
		return f.places[im.Name][""]
	}
	for i, b := range f.Images {
		for _, a := range f.Images[:i] {
			shared := slices.IndexFunc(b.Tags, func(t string) bool { return slices.Contains(a.Tags, t) })
			if a.Name == b.Name || a.Repository == "" || a.Repository != b.Repository || shared < 0 {
				continue
			}
			switch {
			case a.Platform == b.Platform:
				diags = append(diags, mistake(at(b, "tags"), "Tag of two images", "%+q is a tag of image %q too, and both are for %s: a tag names one image for each platform.", cut(b.Tags[shared]), a.Name, a.Platform))
			case !sameTags(a, b):
				diags = append(diags, mistake(at(b, "tags"), "Tags of one image", "%+q is a tag of image %q too, so both are one image for several platforms, and have the same tags.", cut(b.Tags[shared]), a.Name))
			case !reflect.DeepEqual(a.Sign, b.Sign):
				diags = append(diags, mistake(at(b, "sign"), "Two signers", "Images %q and %q are one image for several platforms, which has one signer: write the same sign block into both.", a.Name, b.Name))
			}
		}
	}
	return diags
}
