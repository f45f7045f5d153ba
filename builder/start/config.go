package start

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/forge-build/forge/recipes/cuda"
)

// Where the image has its parts. The image's ENTRYPOINT is exactly InitPath and "--".
const (
	InitPath   = "/usr/lib/forge/init"
	ConfigPath = "/usr/lib/forge/start.json"
)

// AcceptVariable is the environment variable that waives outcomes, by name, for one
// container. It must not be set in an image.
const AcceptVariable = "FORGE_INIT_ACCEPT"

// ExitStopped is forge-init's exit code when it does not run the command.
const ExitStopped = 78

// Outcome is something a check can find wrong.
type Outcome string

// The outcomes, in the order in which they are reported.
const (
	Root      Outcome = "root"       // the user is root
	NoGPU     Outcome = "no-gpu"     // the container was given no GPU
	NoDriver  Outcome = "no-driver"  // a GPU, but not the driver's libraries
	OldDriver Outcome = "old-driver" // older than the image's minimum
	NoCode    Outcome = "no-code"    // a GPU for which the image has no code
)

// Outcomes lists them all.
func Outcomes() []Outcome { return []Outcome{Root, NoGPU, NoDriver, OldDriver, NoCode} }

// Action is what happens at an outcome.
type Action string

// The actions. CPU is for NoGPU alone: the command is started and told that it has none.
const (
	Stop Action = "stop"
	Warn Action = "warn"
	CPU  Action = "cpu"
)

// Config is what an image needs of the container it runs in.
type Config struct {
	CUDA        string             `json:"cuda,omitempty"`        // "12.8"; empty: the image has no CUDA, only root is checked
	Driver      string             `json:"driver,omitempty"`      // minimum; empty: not known
	Recommended string             `json:"recommended,omitempty"` // ships with that CUDA; empty or "unknown": not known
	SM          []string           `json:"sm,omitempty"`          // native code, "8.0"; empty: not known
	PTX         []string           `json:"ptx,omitempty"`         // embedded PTX
	Outcomes    map[Outcome]Action `json:"outcomes"`              // one for each outcome
}

// maxConfig is far more than any real file has.
const maxConfig = 64 << 10

// Encode returns the one normal form: what an image has at ConfigPath. Values that
// Decode would refuse are an error.
func (c Config) Encode() ([]byte, error) {
	if err := c.check(); err != nil {
		return nil, fmt.Errorf("encoding start settings: %w", err)
	}
	b, err := json.Marshal(c)
	if err != nil {
		return nil, fmt.Errorf("encoding start settings: %w", err)
	}
	return append(b, '\n'), nil
}

// Decode reads what Encode wrote, and nothing else: unknown or repeated keys, other
// spacing and unknown values are errors.
func Decode(data []byte) (Config, error) {
	if len(data) > maxConfig {
		return Config{}, fmt.Errorf("reading start settings: longer than %d bytes", maxConfig)
	}
	var c Config
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(&c); err != nil {
		return Config{}, fmt.Errorf("reading start settings: %w", err)
	}
	if _, err := d.Token(); err != io.EOF {
		return Config{}, fmt.Errorf("reading start settings: text after the object")
	}
	again, err := c.Encode()
	if err != nil {
		return Config{}, err
	}
	if !bytes.Equal(again, data) {
		return Config{}, fmt.Errorf("reading start settings: not in normal form")
	}
	return c, nil
}

func (c Config) check() error {
	for name, text := range map[string]string{"cuda": c.CUDA, "driver": c.Driver, "recommended": c.Recommended} {
		if text == "" || name == "recommended" && text == "unknown" {
			continue
		}
		if _, err := cuda.ParseVersion(text); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	if c.CUDA == "" && (c.Driver != "" || c.Recommended != "" || len(c.SM) > 0 || len(c.PTX) > 0) {
		return fmt.Errorf("cuda is empty, but something of CUDA is set")
	}
	for name, list := range map[string][]string{"sm": c.SM, "ptx": c.PTX} {
		if _, err := cuda.Capabilities(list); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	for _, o := range Outcomes() {
		switch a := c.Outcomes[o]; {
		case a == Stop || a == Warn || a == CPU && o == NoGPU:
		case a == "":
			return fmt.Errorf("outcome %q has no action", o)
		default:
			return fmt.Errorf("outcome %q has no action %+.60q", o, string(a))
		}
	}
	if len(c.Outcomes) != len(Outcomes()) {
		return fmt.Errorf("outcomes other than %s", names())
	}
	return nil
}

// ParseAccept reads the value of AcceptVariable: outcomes with commas between. An
// unknown name is an error, since a misspelt waiver would be taken for one.
func ParseAccept(text string) ([]Outcome, error) {
	var out []Outcome
	if strings.TrimSpace(text) == "" {
		return nil, nil
	}
	for name := range strings.SplitSeq(text, ",") {
		o := Outcome(strings.TrimSpace(name))
		if !slices.Contains(Outcomes(), o) {
			return nil, fmt.Errorf("reading %s: %+.60q is none of %s", AcceptVariable, string(o), names())
		}
		out = append(out, o)
	}
	return out, nil
}

func names() string {
	var out []string
	for _, o := range Outcomes() {
		out = append(out, string(o))
	}
	return strings.Join(out, ", ")
}
