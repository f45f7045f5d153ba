package sbom

import (
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/CycloneDX/cyclonedx-go"
	"github.com/anchore/syft/syft/format/common/cyclonedxhelpers"
)

// writeCycloneDX writes CycloneDX 1.6. Packages come first, in the inventory's order, then
// the system, then files; a file that a package owns lies within it.
func (inv *Inventory) writeCycloneDX(w io.Writer) error {
	b := cyclonedxhelpers.ToFormatModel(*inv.bom)
	if b.Components == nil || len(*b.Components) < len(inv.Packages) {
		return fmt.Errorf("internal error: no document, or one without packages")
	}
	b.SerialNumber = "urn:uuid:" + uuidOf(inv.Subject.Digest)
	b.Metadata.Timestamp = inv.made()
	if tools := b.Metadata.Tools; tools != nil && tools.Components != nil {
		*tools.Components = []cyclonedx.Component{
			{Type: cyclonedx.ComponentTypeApplication, Name: plain(inv.bom.Descriptor.Name), Version: plain(inv.bom.Descriptor.Version)},
			{Type: cyclonedx.ComponentTypeLibrary, Publisher: "Anchore, Inc.", Name: "syft"},
		}
	}
	all := *b.Components
	refs, at := map[string]string{}, map[string]int{}
	for i, x := range inv.Packages {
		refs[x.ID], at[x.ID] = all[i].BOMRef, i
	}
	for i, x := range inv.Packages {
		c := &all[i]
		for _, h := range x.Hashes {
			c.Hashes = withHash(c.Hashes, hexOf(h))
		}
		if by := refs[x.BundledIn]; by != "" {
			c.Properties = withProperty(c.Properties, "forge:bundledIn", by)
		}
		c.Name, c.Version = x.Name, x.Version
	}
	top := all[:0:0]
	var within = make([][]cyclonedx.Component, len(inv.Packages))
	for i, c := range all {
		if i < len(inv.Packages) || c.Type != cyclonedx.ComponentTypeFile {
			top = append(top, c)
			continue
		}
		if owners := inv.owners[c.Name]; len(owners) > 0 {
			n := at[string(owners[0].ID())]
			within[n] = append(within[n], c)
			continue
		}
		if isModel(c.Name) {
			c.Type = cyclonedx.ComponentTypeMachineLearningModel
		}
		top = append(top, c)
	}
	for i, list := range within {
		if len(list) > 0 {
			top[i].Components = &list
		}
	}
	b.Components = &top
	for _, r := range inv.Removed {
		b.Metadata.Properties = withProperty(b.Metadata.Properties, "forge:removed:"+r.Rule+":"+r.Owner, strconv.Itoa(r.Files)+" files, "+strconv.FormatInt(r.Bytes, 10)+" bytes")
	}
	enc := cyclonedx.NewBOMEncoder(w, cyclonedx.BOMFileFormatJSON)
	enc.SetEscapeHTML(false)
	return enc.EncodeVersion(b, cyclonedx.SpecVersion1_6)
}

func withHash(list *[]cyclonedx.Hash, sum string) *[]cyclonedx.Hash {
	if list == nil {
		list = &[]cyclonedx.Hash{}
	}
	out := append(*list, cyclonedx.Hash{Algorithm: cyclonedx.HashAlgoSHA256, Value: sum})
	return &out
}

func withProperty(list *[]cyclonedx.Property, name, value string) *[]cyclonedx.Property {
	if list == nil {
		list = &[]cyclonedx.Property{}
	}
	out := append(*list, cyclonedx.Property{Name: plain(name), Value: plain(value)})
	return &out
}

// models are the suffixes of files that hold weights.
var models = []string{".safetensors", ".gguf", ".onnx", ".pt", ".pth", ".ckpt", ".pt2", ".h5", ".tflite", ".engine", ".plan"}

func isModel(p string) bool {
	for _, suffix := range models {
		if strings.HasSuffix(strings.ToLower(p), suffix) {
			return true
		}
	}
	return false
}
