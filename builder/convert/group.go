package convert

import (
	"crypto/sha256"
	"fmt"
	"sort"

	"github.com/forge-build/forge/recipes/lock"
)

const (
	alone   = 30_000_000 // a wheel of this many bytes has a layer of its own
	buckets = 8          // layers for the small wheels of one environment
	budget  = 80         // layers of one image that come from members; runtimes stop near 125
)

// Group says which members make which layer, in the order of the image: the operating
// system, then for each environment the large wheels by name and the small ones in a few
// layers. A small wheel's layer depends on its name alone.
//
// The layers have Kind, Name, Environment and Members; the rest is filled in by Make.
func Group(li *lock.Image) []lock.Layer {
	budget := budget
	if li.Base != nil { // and a few for forge's own, copied files and steps
		budget = min(budget, 109-len(li.Base.Layers))
	}
	for least, n := int64(alone), buckets; ; {
		layers := group(li, least, n)
		if len(layers) <= budget || n == 1 && !anyLarge(li, least) {
			return layers
		}
		if anyLarge(li, least) {
			least *= 2
		} else {
			n /= 2
		}
	}
}

func anyLarge(li *lock.Image, least int64) bool {
	for _, w := range li.Wheels {
		if w.Size >= least {
			return true
		}
	}
	return false
}

func group(li *lock.Image, least int64, n int) []lock.Layer {
	var layers []lock.Layer
	if li.Debian != nil {
		os := lock.Layer{Kind: "debian", Name: "os"}
		debs := append([]lock.Deb(nil), li.Debian.Packages...)
		sort.Slice(debs, func(i, j int) bool { return debs[i].Name < debs[j].Name })
		for _, d := range debs {
			os.Members = append(os.Members, d.SHA256)
		}
		layers = append(layers, os)
	}
	wheels := append([]lock.Wheel(nil), li.Wheels...)
	sort.SliceStable(wheels, func(i, j int) bool {
		if wheels[i].Environment != wheels[j].Environment {
			return wheels[i].Environment < wheels[j].Environment
		}
		return wheels[i].Name < wheels[j].Name
	})
	for len(wheels) > 0 {
		env := wheels[0].Environment
		end := sort.Search(len(wheels), func(i int) bool { return wheels[i].Environment > env })
		layers = append(layers, environment(env, wheels[:end], least, n)...)
		wheels = wheels[end:]
	}
	return layers
}

// environment groups the wheels of one environment, which are sorted by name.
func environment(env string, wheels []lock.Wheel, least int64, n int) []lock.Layer {
	prefix := ""
	if env != "" {
		prefix = env + ": "
	}
	var large []lock.Layer
	small := make([]lock.Layer, n)
	for _, w := range wheels {
		if w.Size >= least {
			large = append(large, lock.Layer{Kind: "wheels", Name: prefix + w.Name + " " + w.Version, Environment: env, Members: []string{w.SHA256}})
			continue
		}
		sum := sha256.Sum256([]byte(w.Name))
		b := &small[int(sum[0])%n]
		b.Members = append(b.Members, w.SHA256)
	}
	for i, l := range small {
		if len(l.Members) > 0 {
			l.Kind, l.Name, l.Environment = "wheels", fmt.Sprintf("%ssmall-%d", prefix, i), env
			large = append(large, l)
		}
	}
	return large
}
