package start

import (
	"fmt"
	"slices"
	"strings"

	"github.com/forge-build/forge/recipes/cuda"
)

// Verdict is what Judge found. It is the JSON of forge-init check.
type Verdict struct {
	Start    bool      `json:"start"`         // whether the command is run
	CPU      bool      `json:"cpu,omitempty"` // …without a GPU, on purpose
	Findings []Finding `json:"findings"`      // outcomes, at most one of each
	Warnings []Warning `json:"warnings"`
	Image    Config    `json:"image"`
	Host     HostFacts `json:"host"`
}

// Finding is an outcome, what was found, what the image needs, and what to do.
type Finding struct {
	ID     Outcome `json:"id"`
	Action string  `json:"action"` // "stop", "warn", "cpu", or "accepted": it would stop, but is waived
	Found  string  `json:"found"`
	Needed string  `json:"needed"`
	Fix    string  `json:"fix"`
}

// Warning is something that does not stop, with a stable id.
type Warning struct {
	ID   string `json:"id"` // "driver-unknown", "driver-differs", "gpu-unknown", "code-unknown", "ptx-driver", "slow"
	Text string `json:"text"`
}

// HostFacts is Facts in words, for the JSON.
type HostFacts struct {
	UID       int      `json:"uid"`
	Platform  Platform `json:"platform"`
	Kernel    string   `json:"kernelDriver"` // "unknown" where it is
	KernelBy  string   `json:"kernelDriverSource,omitempty"`
	User      string   `json:"userDriver"`
	UserBy    string   `json:"userDriverSource,omitempty"`
	Nodes     []string `json:"nodes"`
	GPUs      []OneGPU `json:"gpus"`
	Libraries []string `json:"libraries"`
}

// OneGPU is a GPU of the container and how the image's code runs on it.
type OneGPU struct {
	Model      string `json:"model,omitempty"`
	Capability string `json:"capability,omitempty"` // empty: not known
	Code       string `json:"code"`                 // "native", "ptx", "none" or "unknown"
}

// Judge compares what an image needs with what its container has. accept names the
// outcomes that shall not stop. It is pure, and reports everything at once.
func Judge(c Config, f Facts, accept []Outcome) Verdict {
	v := Verdict{Start: true, Findings: []Finding{}, Warnings: []Warning{}, Image: c, Host: hostFacts(f)}
	add := func(id Outcome, found, needed, fix string) {
		action := string(c.Outcomes[id])
		switch {
		case action == string(Stop) && slices.Contains(accept, id):
			action = "accepted"
		case action == string(Stop):
			v.Start = false
		case action == string(CPU):
			v.CPU = true
		}
		v.Findings = append(v.Findings, Finding{id, action, found, needed, fix})
	}
	if f.UID == 0 {
		add(Root, "user 0 (root)", "an ordinary user", "leave out --user 0, or set runAsNonRoot in Kubernetes")
	}
	if c.CUDA == "" {
		return v
	}
	if f.Slow {
		v.warn("slow", "something of the driver did not answer in time: what is said to be unknown may be there")
	}
	if len(f.Nodes) == 0 && f.Slow {
		return v
	}
	if len(f.Nodes) == 0 {
		found := "no GPU"
		if !f.Kernel.Version.IsZero() {
			found = fmt.Sprintf("no GPU in the container (the host has driver %s)", f.Kernel.Version)
		}
		add(NoGPU, found, "an NVIDIA GPU for CUDA "+c.CUDA, "start the container with --gpus all (docker), --device nvidia.com/gpu=all (podman) or a limit of nvidia.com/gpu (Kubernetes)")
		return v
	}
	if len(f.Libraries) == 0 && !f.Slow {
		add(NoDriver, "no libcuda.so.1 for "+strings.Join(f.Nodes, " "), "the driver's libraries beside the device", "let the NVIDIA Container Toolkit add the GPU (--gpus all, --device nvidia.com/gpu=all): it brings the libraries too")
	}
	driver := v.driver(c, f, add)
	v.code(c, f, driver, add)
	return v
}

func (v *Verdict) warn(id, format string, a ...any) {
	v.Warnings = append(v.Warnings, Warning{id, fmt.Sprintf(format, a...)})
}

// driver compares the driver with the minimum and returns it, zero if it is not known.
func (v *Verdict) driver(c Config, f Facts, add func(id Outcome, found, needed, fix string)) cuda.Version {
	if f.Platform == JetsonOS {
		v.warn("driver-unknown", "on Jetson the driver's version is the board's and not compared: whether it is new enough for CUDA %s is unknown", c.CUDA)
		return cuda.Version{}
	}
	driver := f.Kernel.Version
	if driver.IsZero() {
		driver = f.User.Version
	}
	if driver.IsZero() {
		reason := "nothing in the container tells it"
		switch {
		case f.Platform == WSL2:
			reason = "WSL2 does not tell it"
		case f.Kernel.Source != "":
			reason = fmt.Sprintf("%s says %+.120q", f.Kernel.Source, f.Kernel.Text)
		}
		v.warn("driver-unknown", "the driver's version is unknown (%s): whether it is %s for CUDA %s was not checked", reason, atLeast(c.Driver), c.CUDA)
		return driver
	}
	if !f.Kernel.Version.IsZero() && !f.User.Version.IsZero() && f.Kernel.Version.Compare(f.User.Version) != 0 {
		v.warn("driver-differs", "the kernel has driver %s (%s), the libraries are of %s (%s)", f.Kernel.Version, f.Kernel.Source, f.User.Version, f.User.Source)
	}
	need, err := cuda.ParseVersion(c.Driver)
	if err != nil {
		v.warn("driver-unknown", "which driver CUDA %s needs is unknown: driver %s was not checked", c.CUDA, driver)
		return driver
	}
	if driver.Less(need) {
		add(OldDriver, "driver "+driver.String(), atLeast(c.Driver)+" for CUDA "+c.CUDA, "update the NVIDIA driver of the host")
	}
	return driver
}

func atLeast(driver string) string {
	if driver == "" {
		return "new enough"
	}
	return "≥ " + driver
}

// code compares the GPUs with what the image has code for.
func (v *Verdict) code(c Config, f Facts, driver cuda.Version, add func(id Outcome, found, needed, fix string)) {
	sm, errSM := cuda.Capabilities(c.SM)
	ptx, errPTX := cuda.Capabilities(c.PTX)
	if errSM != nil || errPTX != nil || len(sm)+len(ptx) == 0 {
		v.warn("code-unknown", "for which GPUs this image has code is unknown: the GPU was not checked")
		return
	}
	var unknown, none, compiled []string
	for i, gpu := range f.GPUs {
		if !gpu.Known {
			unknown = once(unknown, modelText(gpu))
			continue
		}
		code := cuda.Runs(sm, ptx, gpu.Capability)
		v.Host.GPUs[i].Code = string(code)
		switch code {
		case cuda.None:
			none = once(none, modelText(gpu))
		case cuda.PTX:
			compiled = once(compiled, modelText(gpu))
		}
	}
	if len(unknown) > 0 {
		v.warn("gpu-unknown", "the compute capability of %s is unknown: whether this image has code for it (it has %s) was not checked", strings.Join(unknown, ", "), codeText(c))
	}
	if len(none) > 0 {
		add(NoCode, strings.Join(none, ", "), "a GPU that it has code for ("+codeText(c)+")", "take an image built for this GPU, or give the container another one")
	}
	if len(compiled) > 0 {
		v.ptx(c, driver, strings.Join(compiled, ", "))
	}
}

// ptx warns of code that the driver must compile, if it may be too old for that.
func (v *Verdict) ptx(c Config, driver cuda.Version, gpus string) {
	recommended, err := cuda.ParseVersion(c.Recommended)
	switch {
	case err != nil || driver.IsZero():
		v.warn("ptx-driver", "this image has only PTX for %s; whether driver %s can compile it is unknown (recommended for CUDA %s: %s)", gpus, driver, c.CUDA, recommended)
	case driver.Less(recommended):
		v.warn("ptx-driver", "this image has only PTX for %s, which needs driver ≥ %s (recommended for CUDA %s); driver %s may refuse it: update the NVIDIA driver of the host", gpus, recommended, c.CUDA, driver)
	}
}

// Lines returns the verdict in words: one line for each finding and warning, those that stop first.
func (v Verdict) Lines() []string {
	var stops, rest []string
	for _, f := range v.Findings {
		text := fmt.Sprintf("%s: %s found, this image needs %s", f.ID, f.Found, f.Needed)
		switch f.Action {
		case string(Stop):
			stops = append(stops, fmt.Sprintf("stopped: %s; %s; or set %s=%s to start anyway", text, f.Fix, AcceptVariable, f.ID))
		case string(CPU):
			rest = append(rest, "warning: "+text+"; starting without one, with CUDA_VISIBLE_DEVICES set to nothing")
		case string(Warn):
			rest = append(rest, "warning: "+text+"; "+f.Fix)
		default:
			rest = append(rest, "accepted by "+AcceptVariable+": "+text)
		}
	}
	for _, w := range v.Warnings {
		rest = append(rest, "warning: "+w.ID+": "+w.Text)
	}
	return append(stops, rest...)
}

func hostFacts(f Facts) HostFacts {
	h := HostFacts{UID: f.UID, Platform: f.Platform, Kernel: f.Kernel.Version.String(), KernelBy: f.Kernel.Source, User: f.User.Version.String(), UserBy: f.User.Source,
		Nodes: append([]string{}, f.Nodes...), GPUs: []OneGPU{}, Libraries: append([]string{}, f.Libraries...)}
	for _, gpu := range f.GPUs {
		one := OneGPU{Model: gpu.Model, Code: "unknown"}
		if gpu.Known {
			one.Capability = gpu.Capability.String()
		}
		h.GPUs = append(h.GPUs, one)
	}
	return h
}

// modelText is a GPU in a line: what the driver calls it is quoted, since it is foreign text.
func modelText(gpu GPU) string {
	switch {
	case gpu.Model == "":
		return "a GPU whose name is not told"
	case gpu.Known:
		return fmt.Sprintf("%+.120q (%s)", gpu.Model, gpu.Capability)
	}
	return fmt.Sprintf("%+.120q", gpu.Model)
}

func codeText(c Config) string {
	text := strings.Join(c.SM, " ")
	if len(c.PTX) > 0 {
		text += ", PTX " + strings.Join(c.PTX, " ")
	}
	return strings.TrimPrefix(text, ", ")
}

func once(list []string, text string) []string {
	if slices.Contains(list, text) {
		return list
	}
	return append(list, text)
}
