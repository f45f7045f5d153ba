package main

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/forge-build/forge/builder"
	"github.com/forge-build/forge/recipes/lock"
	"github.com/forge-build/forge/sbom/report"
)

// finishedReport tells of an image what it shows by itself, whoever built it.
func finishedReport(ctx context.Context, b *brought, layout *builder.Layout) (*report.Report, error) {
	s, err := openStore()
	if err != nil {
		return nil, err
	}
	v, err := viewLayout(ctx, s, b.layout, b.called, false)
	if err != nil {
		return nil, err
	}
	defer v.Close()
	inv, err := v.list(ctx, s, nil)
	if err != nil {
		return nil, err
	}
	rep := &report.Report{Format: report.Format, Forge: currentVersions().Forge, Image: stated(v.Name, layout), GPU: gpuFacts(labelled(layout.Config.Config.Labels), nil),
		Inventory: report.Inventory{Source: "image"}, Tests: report.Tests{State: report.NotKnown}, Signature: report.Signature{State: report.NotSeen}}
	rep.Image.Base = inv.Subject.System
	names := layerNames(layout)
	for i, d := range layout.Manifest.Layers {
		l := report.Layer{Name: names[i], Kind: "other", Digest: d.Digest.String(), DiffID: layout.Config.RootFS.DiffIDs[i].String(), MediaType: string(d.MediaType), Size: d.Size}
		for _, f := range v.Layers[i].Files {
			l.Unpacked += f.Size
		}
		rep.Layers = append(rep.Layers, l)
		rep.Image.Compressed += l.Size
		rep.Image.Unpacked += l.Unpacked
	}
	rep.Packages = foundPackages(inv, rep.Layers, nil)
	return rep, nil
}

// stated is what an image's config says.
func stated(name string, layout *builder.Layout) report.Image {
	c := layout.Config
	x := report.Image{Name: name, Digest: layout.Digest, Platform: c.OS + "/" + c.Architecture, User: c.Config.User, Workdir: c.Config.WorkingDir,
		Command: append(append([]string{}, c.Config.Entrypoint...), c.Config.Cmd...)}
	if !c.Created.IsZero() {
		x.Created = c.Created.UTC().Format(time.RFC3339)
	}
	for port := range c.Config.ExposedPorts {
		number, _, _ := strings.Cut(port, "/")
		if n, err := strconv.Atoi(number); err == nil {
			x.Ports = append(x.Ports, n)
		}
	}
	slices.Sort(x.Ports)
	return x
}

// labelled is what forge's labels say of an image's CUDA; images of others have none.
func labelled(labels map[string]string) lock.Derived {
	return lock.Derived{CUDA: labels["dev.forge.cuda"], Torch: labels["dev.forge.torch"], Driver: labels["dev.forge.driver.minimum"], Recommended: labels["dev.forge.driver.recommended"],
		SM: strings.Fields(labels["dev.forge.sm"]), PTX: strings.Fields(labels["dev.forge.ptx"])}
}

// layerNames numbers layers and says what their history calls them.
func layerNames(layout *builder.Layout) []string {
	names := make([]string, len(layout.Manifest.Layers))
	for i := range names {
		names[i] = fmt.Sprintf("layer %d", i+1)
	}
	i := 0
	for _, h := range layout.Config.History {
		if h.EmptyLayer || i >= len(names) {
			continue
		}
		if by := strings.Fields(strings.TrimPrefix(h.CreatedBy, "forge: ")); len(by) > 0 {
			text := []rune(strings.Join(by, " "))
			names[i] += ": " + string(text[:min(len(text), 60)])
		}
		i++
	}
	return names
}
