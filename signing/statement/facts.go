package statement

import "github.com/forge-build/forge/recipes/lock"

// Needs is what an image needs of its host, and what it was made for.
type Needs struct {
	CUDA        string   `json:"cuda,omitempty"`              // inside the wheels, "12.8"; empty: none
	Driver      string   `json:"minimumDriver,omitempty"`     // "525.60.13"; empty: none is needed
	Recommended string   `json:"recommendedDriver,omitempty"` // that NVIDIA shipped with that CUDA
	SM          []string `json:"computeCapabilities"`         // with native code, "8.0"
	PTX         []string `json:"ptx"`                         // with PTX
	Torch       string   `json:"torch,omitempty"`
	GLIBC       string   `json:"glibc,omitempty"` // highest that a file asks for
	Platform    string   `json:"platform"`
}

func facts(l *lock.Image) Needs {
	d := l.Derived
	n := Needs{CUDA: d.CUDA, Driver: d.Driver, Recommended: d.Recommended, SM: d.SM, PTX: d.PTX, Torch: d.Torch, GLIBC: d.GLIBC, Platform: l.Platform}
	if n.SM == nil {
		n.SM = []string{}
	}
	if n.PTX == nil {
		n.PTX = []string{}
	}
	return n
}

// Facts tells what an image needs of its host.
func Facts(l *lock.Image) Statement { return Statement{TypeFacts, facts(l)} }

// Tests tells which of a recipe's tests passed. Source: in-toto/attestation,
// spec/predicates/test-result.md.
func Tests(recipe File, passed, failed []string) Statement {
	result := "PASSED"
	if len(failed) > 0 {
		result = "FAILED"
	}
	return Statement{TypeTests, struct {
		Result        string     `json:"result"`
		Configuration []resource `json:"configuration"`
		Passed        []string   `json:"passedTests,omitempty"`
		Failed        []string   `json:"failedTests,omitempty"`
	}{result, []resource{{Name: recipe.Name, Digest: sha(recipe.SHA256)}}, passed, failed}}
}
