package main

import (
	"bytes"
	"strings"
	"testing"
)

func TestProgressIsABarOnATerminalAndALineElsewhere(t *testing.T) {
	for _, row := range []struct {
		tty  bool
		want string
	}{
		{true, "[#####---------------] layer os: 25.0 MB of 100.0 MB"},
		{false, "forge: layer os: 25.0 MB of 100.0 MB\n"},
	} {
		var err bytes.Buffer
		term := &terminal{err: &err, tty: row.tty, width: 80}
		term.amount("layer os", 25e6, 100e6)
		if err.String() != row.want {
			t.Errorf("terminal %v: got %q, want %q", row.tty, err.String(), row.want)
		}
	}
	for _, g := range []string{gauge(-1, 0), gauge(0, 10)} {
		if strings.Contains(g, "#") || len(g) != 22 {
			t.Errorf("nothing done is %q", g)
		}
	}
	if g := gauge(11, 10); strings.Contains(g, "-") || len(g) != 22 {
		t.Errorf("more than all is %q", g)
	}
}
