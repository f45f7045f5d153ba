package builder

import (
	"errors"
	"strings"
	"testing"

	"github.com/forge-build/forge/builder/convert"
	"github.com/forge-build/forge/recipes"
	"github.com/forge-build/forge/recipes/lock"
)

// What a container's start is checked with is confirmed, whatever a lock says.
func TestALockDoesNotWeakenTheCheckAtTheStart(t *testing.T) {
	made := []convert.Made{{Layer: lock.Layer{Kind: "wheels"}, CUDA: "12.8", Torch: "2.9.1+cu128", GLIBC: "2.28"}, {Layer: lock.Layer{Kind: "debian"}, GLIBC: "2.41"}}
	im := &recipes.Image{Name: "a", Platform: "linux/amd64"}
	good, err := convert.Derive(im, &lock.Image{}, made)
	if err != nil || good.Driver != "525.60.13" || good.GLIBC != "2.28" || len(good.SM) == 0 {
		t.Fatalf("%+v, %v", good, err)
	}
	for _, row := range []struct {
		what   string
		change func(d *lock.Derived)
		words  string // empty: taken
	}{
		{"as it is", func(*lock.Derived) {}, ""},
		{"a newer driver", func(d *lock.Derived) { d.Driver = "570.124.06" }, ""},
		{"another recommended driver", func(d *lock.Derived) { d.Recommended = "unknown" }, ""},
		{"fewer GPUs", func(d *lock.Derived) { d.SM = d.SM[1:] }, ""},
		{"an older driver", func(d *lock.Derived) { d.Driver = "1.0" }, `the lock states driver "1.0", and what it locks makes it "525.60.13"`},
		{"no driver", func(d *lock.Derived) { d.Driver = "" }, `the lock states driver ""`},
		{"a driver that is none", func(d *lock.Derived) { d.Driver = "new" }, `the lock states driver "new"`},
		{"no CUDA", func(d *lock.Derived) { *d = lock.Derived{Torch: d.Torch, GLIBC: d.GLIBC} }, `the lock states CUDA "", and what it locks makes it "12.8"`},
		{"a wheel for GPUs", func(d *lock.Derived) { d.GPUWheels = []string{"cupy 1"} }, `the lock states wheels for GPUs "cupy 1", and what it locks makes it ""`},
		{"older CUDA", func(d *lock.Derived) { d.CUDA = "12.6" }, `CUDA "12.6"`},
		{"another torch", func(d *lock.Derived) { d.Torch = "2.9.1+cpu" }, `torch "2.9.1+cpu"`},
		{"an older glibc", func(d *lock.Derived) { d.GLIBC = "2.17" }, `glibc "2.17"`},
		{"other sums", func(d *lock.Derived) { d.Unpacked++ }, `bytes in all "0 compressed, 1 unpacked, 0 removed"`},
		{"a GPU more", func(d *lock.Derived) { d.SM = append([]string{"3.5"}, d.SM...) }, "code for GPUs"},
		{"PTX more", func(d *lock.Derived) { d.PTX = []string{"5.0"} }, "code for GPUs"},
	} {
		d := good
		row.change(&d)
		var edited *LockError
		switch err := confirm(&Plan{Image: im, Lock: &lock.Image{Derived: d}}, made); {
		case row.words == "" && err != nil:
			t.Errorf("%s: %v", row.what, err)
		case row.words != "" && (!errors.As(err, &edited) || !strings.Contains(err.Error(), row.words)):
			t.Errorf("%s: %v", row.what, err)
		}
	}
	if err := confirm(&Plan{Image: im, Lock: &lock.Image{}}, []convert.Made{{Layer: lock.Layer{Kind: "debian"}, GLIBC: "2.41"}}); err != nil {
		t.Errorf("without CUDA: %v", err)
	}
}
