package sbom

import (
	"path"

	"github.com/anchore/syft/syft/artifact"
	"github.com/anchore/syft/syft/file"
	"github.com/anchore/syft/syft/pkg"
	syftsbom "github.com/anchore/syft/syft/sbom"
)

// weights are the suffixes of files that hold a model's weights.
var weights = []string{".safetensors", ".gguf", ".ggml", ".onnx", ".pt", ".pth", ".pt2", ".ckpt", ".h5", ".keras", ".tflite", ".engine", ".plan", ".mlmodel", ".pdparams"}

func isModel(p string) bool { return endsIn(p, weights) }

// models lists files of weights that no package owns. Syft's catalogers read the headers of
// GGUF and safetensors, one model for each file or folder; a file of another form, or one whose
// header is not to be understood, is a model of its own, which has the file's name.
func (t *tree) models(s *syftsbom.SBOM, owners map[string][]*pkg.Package) {
	known := map[string]bool{}
	own := func(p pkg.Package) {
		for _, l := range p.Locations.ToSlice() {
			n := t.nodes[l.RealPath]
			if !n.regular() || l.Annotations[pkg.EvidenceAnnotationKey] == pkg.SupportingEvidenceAnnotation {
				continue
			}
			known[n.path] = true
			s.Relationships = append(s.Relationships, artifact.Relationship{From: p, Type: artifact.ContainsRelationship, To: file.NewCoordinates(n.path, t.im.Layers[n.layer].DiffID)})
		}
	}
	for _, p := range s.Artifacts.Packages.Sorted(pkg.ModelPkg) {
		own(p)
	}
	for _, p := range t.paths {
		n := t.nodes[p]
		if !n.regular() || !isModel(p) || known[p] || len(owners[p]) > 0 {
			continue
		}
		x := pkg.Package{Name: path.Base(p), Type: pkg.ModelPkg, FoundBy: "forge-models",
			Locations: file.NewLocationSet(t.locate(p).WithAnnotation(pkg.EvidenceAnnotationKey, pkg.PrimaryEvidenceAnnotation))}
		x.SetID()
		s.Artifacts.Packages.Add(x)
		own(x)
	}
}

// modelSums adds to each model that is one file the sum of it. Those of several have it with
// each file.
func (inv *Inventory) modelSums(t *tree) error {
	for i := range inv.Packages {
		x := &inv.Packages[i]
		if x.Type != string(pkg.ModelPkg) || len(x.Hashes) > 0 || x.Files != 1 {
			continue
		}
		for _, l := range x.Locations {
			if n := t.nodes[l.Path]; n != nil && n.from != nil && isModel(l.Path) {
				if n.from.SHA256 == "" {
					if _, err := t.sums(l.Path, n); err != nil {
						return err
					}
				}
				x.Hashes = []string{"sha256:" + n.from.SHA256}
				break
			}
		}
	}
	return nil
}
