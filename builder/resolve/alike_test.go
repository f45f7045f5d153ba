package resolve

import (
	"strings"
	"testing"
)

func TestNamesThatAreMistakenForAnother(t *testing.T) { // WHL-08
	for pair, want := range map[string]bool{
		"torch t0rch": true, "pillow plllow": true, "torch-vision torchvision": true, "numpy nunpy": true, "numpy numppy": true, "requests equests": true,
		"requests reqeusts": true, "requests request": true, "torch tourch": true, "modern modem": true, "torch torchz": true,
		"torch torch": false, "torch torchvision": false, "torch pytorch-cuda": false, "nvidia-nccl-cu12 nvidia-nccl-cu13": false, "urllib3 urllib": false,
		"six sex": false, "numpy umpy": false, "idna idnax": false, "numpy scipy": false, "requests requirements": false, "abcdef abfedc": false,
	} {
		a, b, _ := strings.Cut(pair, " ")
		if mistakable(a, b) != want || mistakable(b, a) != want {
			t.Errorf("%s: %v and %v, want %v", pair, mistakable(a, b), mistakable(b, a), want)
		}
	}
	got := alike([]version{{name: "t0rch", by: []string{"helper"}}, {name: "torch", requested: true}, {name: "torchx", requested: true}, {name: "helper", requested: true}})
	if len(got) != 1 || got[0] != "t0rch is not torch, which the recipe asks for, though it is called almost the same; it comes for helper" {
		t.Errorf("%q", got)
	}
}
