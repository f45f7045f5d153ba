package convert

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"sort"
	"strings"

	"github.com/forge-build/forge/builder/layer"
	"github.com/forge-build/forge/builder/store"
)

// checkPaths compares the layers of each environment: one path has one content in all of
// them, on a file system that folds case too. What was found in order is remembered, so
// that a build without work reads no index.
func (m *maker) checkPaths(made []Made) error {
	byEnv := map[string][]*Made{}
	for i := range made {
		x := &made[i]
		if x.Layer.Kind == "wheels" {
			byEnv[x.Layer.Environment] = append(byEnv[x.Layer.Environment], x)
		}
	}
	envs := make([]string, 0, len(byEnv))
	for env := range byEnv {
		envs = append(envs, env)
	}
	sort.Strings(envs)
	for _, env := range envs {
		if err := m.checkEnvironment(env, byEnv[env]); err != nil {
			return err
		}
	}
	return nil
}

func (m *maker) checkEnvironment(env string, made []*Made) error {
	if len(made) < 2 {
		return nil
	}
	sums := make([]string, len(made))
	for i, x := range made {
		sums[i] = x.Index
	}
	sort.Strings(sums)
	all := sha256.Sum256([]byte(strings.Join(sums, "\n")))
	key := hex.EncodeToString(all[:])
	shared := map[string][]Shared{} // by index
	text, ok, err := m.o.Store.Fact("disjoint", key)
	if err != nil {
		return err
	}
	if !ok || json.Unmarshal(text, &shared) != nil {
		if shared, err = m.compare(env, made); err != nil {
			return err
		}
		if text, err = json.Marshal(shared); err != nil {
			return fmt.Errorf("internal error: %w", err)
		}
		if err := m.o.Store.PutFact("disjoint", key, text); err != nil {
			return err
		}
	}
	for _, x := range made {
		if list := shared[x.Index]; list != nil {
			x.Shared = list
		}
	}
	return nil
}

// compare puts the files of all layers into one tree, and returns for each index its files
// that have several owners.
func (m *maker) compare(env string, made []*Made) (map[string][]Shared, error) {
	made = append([]*Made(nil), made...)
	sort.Slice(made, func(i, j int) bool { return made[i].Layer.Name < made[j].Layer.Name })
	t := newTree(newVenv(env, m.li.Python.Version))
	paths := map[string][]string{}
	for _, x := range made {
		list, err := m.addLayer(t, x)
		if err != nil {
			return nil, err
		}
		paths[x.Index] = list
	}
	shared := map[string][]Shared{}
	for index, list := range paths {
		for _, p := range list {
			if o := t.files[p].owners; len(o) > 1 {
				shared[index] = append(shared[index], Shared{p, o})
			}
		}
	}
	return shared, nil
}

// addLayer adds the files of a layer's index to a tree and returns their paths.
func (m *maker) addLayer(t *tree, x *Made) ([]string, error) {
	ix, err := x.LoadIndex(m.o.Store)
	if err != nil {
		return nil, err
	}
	var paths []string
	owners := map[string][]string{}
	for _, s := range x.Shared {
		owners[s.Path] = s.Owners
	}
	for _, e := range ix.Entries {
		if e.Type != layer.Regular {
			continue
		}
		own := owners[e.Path]
		if own == nil {
			own = []string{strings.TrimPrefix(e.Owner, "wheel:")}
		}
		if _, err := t.add(e.Path, owned{owners: own, sum: recordHash(e.SHA256), exec: e.Mode&0o111 != 0, declares: slices.Contains(x.Namespaces, e.Path)}); err != nil {
			return nil, err
		}
		paths = append(paths, e.Path)
	}
	return paths, nil
}

// LoadIndex reads the layer's index from the store.
func (made *Made) LoadIndex(s *store.Store) (*layer.Index, error) {
	f, _, err := s.Open(made.Index)
	if err != nil {
		return nil, fmt.Errorf("reading index of layer %q: %w", made.Layer.Name, err)
	}
	defer f.Close() // only read
	ix, err := layer.DecodeIndex(f)
	if err != nil {
		return nil, fmt.Errorf("reading index of layer %q: %w", made.Layer.Name, err)
	}
	return ix, nil
}
