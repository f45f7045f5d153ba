package convert

import (
	"encoding/hex"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/forge-build/forge/builder/layer"
	"github.com/forge-build/forge/builder/wheel"
)

var (
	torchVersion = regexp.MustCompile(`(?m)^__version__ *(?:: *[A-Za-z]+ *)?= *['"]([A-Za-z0-9.+_!-]{1,64})['"]`)
	torchLabel   = regexp.MustCompile(`\+cu([0-9]{2})([0-9]+)$`)
)

// readFacts notes the versions that a wheel states: torch's own, and the CUDA toolkit's.
// Versions of other nvidia wheels are versions of libraries and say nothing about CUDA.
func (made *Made) readFacts(w *wheel.Wheel) error {
	switch {
	case w.Name == "torch":
		text, err := w.ReadFile("torch/version.py", 64<<10)
		var missing *wheel.Error
		if errors.As(err, &missing) && missing.ID == "WHL-00" {
			return nil // another project's torch
		}
		if err != nil {
			return err
		}
		if m := torchVersion.FindSubmatch(text); m != nil {
			made.Torch = string(m[1])
		}
		if m := torchLabel.FindStringSubmatch(made.Torch); m != nil {
			made.cuda(m[1] + "." + m[2])
		}
	case w.Name == "cuda-toolkit" || strings.HasPrefix(w.Name, "nvidia-cuda-runtime"):
		v := strings.SplitN(w.Version, ".", 3)
		if len(v) >= 2 {
			made.cuda(v[0] + "." + v[1])
		}
	}
	return nil
}

func (made *Made) cuda(v string) { made.CUDA = highest(made.CUDA, v) }

// highest returns the higher of two dotted numbers; empty is lowest.
func highest(a, b string) string {
	x, y := strings.Split(a, "."), strings.Split(b, ".")
	for i := 0; i < len(x) && i < len(y); i++ {
		m, errA := strconv.Atoi(x[i])
		n, errB := strconv.Atoi(y[i])
		switch {
		case errA != nil:
			return b
		case errB != nil || m > n:
			return a
		case m < n:
			return b
		}
	}
	if len(x) >= len(y) && a != "" {
		return a
	}
	return b
}

// isSHA256 says whether RECORD's hash is of the kind that the layer's index has too.
func isSHA256(hash string) bool { return strings.HasPrefix(hash, "sha256=") }

// wrongHash is RECORD's refusal of content that has passed.
func wrongHash(it item) error {
	return &wheel.Error{ID: "WHL-01", Path: it.from.wheel.File, Entry: it.file.Name, Offset: -1,
		Reason: fmt.Sprintf("%+q does not have RECORD's hash %+q", it.file.Name, it.hash)}
}

// checkRecord compares RECORD's sha256 of every file with what has passed into the layer.
// Both lists are sorted by path.
func checkRecord(items []item, ix *layer.Index) error {
	sums := make(map[string]string, len(ix.Entries))
	for _, e := range ix.Entries {
		if e.Type == layer.Regular {
			sums[e.Path] = e.SHA256
		}
	}
	for _, it := range items {
		if !isSHA256(it.hash) {
			continue // compared while it passed
		}
		sum, ok := sums[it.path]
		if !ok {
			return fmt.Errorf("internal error: %q is not in its layer's index", it.path)
		}
		if recordHash(sum) != it.hash {
			return wrongHash(it)
		}
	}
	return nil
}

// recordHash returns the index's sum in RECORD's form.
func recordHash(sum string) string {
	b, err := hex.DecodeString(sum)
	if err != nil {
		return ""
	}
	return wheel.RecordHash(b)
}
