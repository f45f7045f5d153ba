package main

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"
)

var update = flag.Bool("update", false, "write docs/commands.md anew")

// TestTheCommandReferenceIsCurrent compares docs/commands.md with the commands.
func TestTheCommandReferenceIsCurrent(t *testing.T) {
	const file = "../../docs/commands.md"
	want := reference(newRoot(newTerminal(os.Stdout, os.Stderr)))
	if *update {
		if err := os.WriteFile(file, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Errorf("docs/commands.md is not what the commands say; go test ./cmd/forge -run Reference -update writes it:\n%s", diff)
	}
}

// TestEveryCommandSaysHowItIsUsed: an example and the exit codes are part of each help text.
func TestEveryCommandSaysHowItIsUsed(t *testing.T) {
	root := newRoot(newTerminal(os.Stdout, os.Stderr))
	for _, c := range all(root) {
		if c.Example == "" || !strings.Contains(c.Long, "Exit codes:") || c.Short == "" {
			t.Errorf("%s: an example, a short text or the exit codes are missing", c.CommandPath())
		}
	}
}

// all are the commands below c, in the order of the help.
func all(c *cobra.Command) []*cobra.Command {
	var out []*cobra.Command
	for _, sub := range c.Commands() {
		if sub.Name() != "help" && sub.Name() != "completion" {
			out = append(append(out, sub), all(sub)...)
		}
	}
	return out
}

// reference writes the commands as a page.
func reference(root *cobra.Command) string {
	var b strings.Builder
	b.WriteString("# Commands\n\nGenerated from the help texts by a test of `cmd/forge`; do not edit.\n\nEvery command takes these:\n\n```\n" +
		root.PersistentFlags().FlagUsages() + "```\n" + exitCodesText() +
		"\n`forge completion bash|zsh|fish|powershell` writes a completion script; `forge completion bash --help` says how to load it.\n")
	for _, c := range all(root) {
		fmt.Fprintf(&b, "\n## %s\n\n%s.\n\n", c.CommandPath(), c.Short)
		if long := strings.TrimSpace(strings.Replace(c.Long, strings.TrimSpace(exitCodes), "", 1)); long != "" {
			b.WriteString(long + "\n\n")
		}
		fmt.Fprintf(&b, "```\n%s\n", c.UseLine())
		if flags := c.LocalNonPersistentFlags().FlagUsages(); flags != "" {
			b.WriteString("\n" + flags)
		}
		if c.Example != "" {
			b.WriteString("\n" + c.Example + "\n")
		}
		b.WriteString("```\n")
	}
	return b.String()
}

func exitCodesText() string { return "\n```\n" + strings.TrimSpace(exitCodes) + "\n```\n" }
