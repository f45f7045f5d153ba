package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"

	"github.com/forge-build/forge/builder/store"
)

// Whatever ends first, the error is the first thing's that has one, and what lies above is ended.
func TestWhatIsDoneAtATimeFailsAsIfInOrder(t *testing.T) {
	for name, row := range map[string]struct {
		fail map[int]time.Duration // thing: how long it takes to fail
		want string
	}{
		"nothing":                 {nil, "<nil>"},
		"one":                     {map[int]time.Duration{5: time.Second}, "thing 5"},
		"two, the lower first":    {map[int]time.Duration{1: time.Second, 2: 2 * time.Second}, "thing 1"},
		"two, the lower last":     {map[int]time.Duration{1: 9 * time.Second, 2: time.Second}, "thing 1"},
		"all, the lowest last":    {map[int]time.Duration{0: 9 * time.Second, 1: 3 * time.Second, 2: 2 * time.Second, 3: time.Second}, "thing 0"},
		"one that is never begun": {map[int]time.Duration{0: time.Second, 9: 0}, "thing 0"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var now, most, begun atomic.Int32
				err := inOrder(t.Context(), 10, 3, func(ctx context.Context, i int) error {
					begun.Add(1)
					if n := now.Add(1); n > most.Load() {
						most.Store(n)
					}
					defer now.Add(-1)
					for j, takes := range row.fail {
						if j == i {
							time.Sleep(takes) // whoever asked to end it is not heard
							return fmt.Errorf("thing %d", i)
						}
					}
					select {
					case <-ctx.Done():
						return ctx.Err()
					case <-time.After(5 * time.Second):
						return nil
					}
				})
				if fmt.Sprint(err) != row.want {
					t.Errorf("it ended with %v", err)
				}
				if most.Load() != 3 {
					t.Errorf("%d at a time", most.Load())
				}
				if row.want == "thing 0" && begun.Load() > 6 {
					t.Errorf("%d were begun", begun.Load())
				}
			})
		})
	}
	gone, stop := context.WithCancel(t.Context())
	stop()
	if err := inOrder(gone, 3, 2, func(context.Context, int) error { return errors.New("begun") }); !errors.Is(err, context.Canceled) {
		t.Errorf("without time it ended with %v", err)
	}
}

// An image whose layers nobody here made: of several that lie the lowest is told, always; what
// was kept of the others is gone.
func TestTheLowestLayerThatLiesIsTold(t *testing.T) {
	temp := t.TempDir()
	t.Setenv("TMPDIR", temp)
	s, err := store.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	img := v1.Image(empty.Image)
	for i := range 6 {
		layers, err := withTorch(t, fmt.Sprintf("2.%d.0", i)).Layers()
		if err == nil {
			img, err = mutate.AppendLayers(img, layers...)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	config, err := img.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	whole := config.RootFS.DiffIDs
	write := func(lies ...int) string {
		c := config.DeepCopy()
		c.RootFS.DiffIDs = append([]v1.Hash(nil), whole...)
		for _, i := range lies {
			c.RootFS.DiffIDs[i].Hex = strings.Repeat(fmt.Sprint(i), 64)
		}
		lying, err := mutate.ConfigFile(img, c)
		if err != nil {
			t.Fatal(err)
		}
		dir := t.TempDir()
		l, err := layout.Write(dir, empty.Index)
		if err == nil {
			err = l.AppendImage(lying)
		}
		if err != nil {
			t.Fatal(err)
		}
		return dir
	}
	v, err := viewLayout(t.Context(), s, write(), "", false)
	if err != nil {
		t.Fatal(err)
	}
	if len(v.Layers) != 6 || !strings.Contains(v.Layers[5].Files[0].Path, "torch-2.5.0") {
		t.Errorf("the layers are %+v", v.Layers)
	}
	v.Close()
	bad := write(1, 3, 5)
	for range 20 {
		if _, err := viewLayout(t.Context(), s, bad, "", true); err == nil || !strings.Contains(err.Error(), "reading layer 2 of image") {
			t.Fatalf("it ended with %v", err)
		}
	}
	if left, err := filepath.Glob(filepath.Join(temp, "*")); err != nil || len(left) > 0 {
		t.Errorf("left behind: %q, %v", left, err)
	}
}
