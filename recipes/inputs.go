package recipes

import (
	"cmp"
	"fmt"
	"strings"
)

// Inputs returns every value that decides what is locked, by name. User, env, copies,
// labels, tests and what is published are not among them.
func (im *Image) Inputs() map[string]string {
	m := map[string]string{"platform": im.Platform}
	set := func(name, v string) {
		if v != "" {
			m[name] = v
		}
	}
	if p := im.PyTorch; p != nil {
		m["pytorch"] = "wanted"
		set("pytorch.version", p.Version)
		set("pytorch.cuda", p.CUDA)
		set("pytorch.gpus", strings.Join(p.GPUs, " "))
		set("pytorch.driver", p.Driver)
	}
	set("python.version", im.Python.Version)
	for _, r := range im.Python.Requirements {
		set("python.requirements: "+strings.TrimSpace(r), "wanted")
	}
	for _, f := range im.Python.Files {
		set("python.files: "+f.Path, "sha256 "+f.SHA256)
	}
	for _, ix := range im.Python.Indexes {
		set("python.index: "+ix.Name, strings.Join(ix.Packages, " "))
	}
	for _, w := range im.Python.Wheels {
		set("python.wheel: "+w.place(), cmp.Or(w.SHA256, "wanted"))
	}
	for _, a := range im.Python.Accepts {
		set("python.accept: "+a.File, a.SHA256+" "+a.Reason)
	}
	for _, e := range im.Environments {
		set("environment "+e.Name, "wanted")
		for _, r := range e.Requirements {
			set("environment "+e.Name+".requirements: "+strings.TrimSpace(r), "wanted")
		}
		for _, f := range e.Files {
			set("environment "+e.Name+".files: "+f.Path, "sha256 "+f.SHA256)
		}
	}
	if im.Python.Bytecode {
		set("python.bytecode", "wanted")
	}
	if b := im.Debian; b != nil {
		set("base.suite", b.Suite)
		for _, p := range b.Packages {
			set("base.packages: "+p, "wanted")
		}
		for _, p := range b.Deny {
			set("base.deny: "+p, "wanted")
		}
		set("base.snapshot", b.Snapshot)
		for _, a := range b.Archives {
			set("base.archive: "+a.Name, strings.TrimSpace(a.Suite+" "+strings.Join(a.Components, " ")))
		}
	}
	if b := im.Base; b != nil {
		set("base.from", b.From)
		set("base.interpreter", b.Interpreter)
	}
	for _, r := range im.Slim.Drop {
		set("slim.drop: "+r, "wanted")
	}
	for i, k := range im.Slim.Keep {
		set(fmt.Sprintf("slim.keep: %s", k), fmt.Sprint(i+1))
	}
	set("slim.codec", im.Slim.Codec)
	return m
}
