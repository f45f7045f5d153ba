package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestProgressIsABarOnATerminalAndALineElsewhere(t *testing.T) {
	for _, row := range []struct {
		tty  bool
		want string
	}{
		{true, "[#####---------------] 25.0 MB of 100.0 MB, layer os"},
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

func TestAResultTakesThePlaceOfWhatWasDrawnOver(t *testing.T) {
	var screen bytes.Buffer // one for both, as on a terminal
	term := &terminal{out: &screen, err: &screen, tty: true, width: 30}
	term.progress("reading größe/größe/größe/größe.whl")
	if got := screen.String(); !utf8.ValidString(got) || utf8.RuneCountInString(got) != 29 {
		t.Errorf("a narrow terminal shows %q", got)
	}
	term.result("done")
	if got := screen.String(); !strings.HasSuffix(got, "\r\x1b[Kdone\n") {
		t.Errorf("the result stands behind what was drawn over: %q", got)
	}
}

func TestAnInterruptionSaysWhatWasInterrupted(t *testing.T) {
	for _, row := range []struct {
		err  error
		want string
	}{
		{context.Canceled, "interrupted"},
		{fmt.Errorf("building image %q: fetching x.whl: %w", "train", context.Canceled), `interrupted: building image "train": fetching x.whl`},
		{errors.New("podman load: signal: killed"), "interrupted: podman load: signal: killed"},
		{hinted{errors.New("pip: signal: interrupt"), "install pip"}, "interrupted: pip: signal: interrupt"},
	} {
		err := interruptedError{row.err}
		if err.Error() != row.want || exitCode(err) != exitInterrupted || hint(err) != "" {
			t.Errorf("%q, exit code %d, hint %q; want %q", err, exitCode(err), hint(err), row.want)
		}
	}
}
