package convert

import "github.com/forge-build/forge/recipes/lock"

// Known is what this store's passes of before have noted about layers of a lock. Nothing is
// fetched or made: a layer that this store has not made, or no longer holds, is left out.
func Known(li *lock.Image, layers []lock.Layer, o Options) ([]Made, error) {
	m := &maker{li: li, o: o}
	var out []Made
	for _, l := range layers {
		if l.Kind != "wheels" && l.Kind != "debian" {
			continue
		}
		j, err := m.job(l)
		if err != nil {
			return nil, err
		}
		made, err := m.checked(j)
		if err != nil {
			return nil, err
		}
		if made != nil {
			out = append(out, *made)
		}
	}
	return out, nil
}
