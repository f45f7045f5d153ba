package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/forge-build/forge/builder/start"
)

// root is where proc, sys, dev and start.json are looked for. Only the linker of a
// test sets it (-X); in an image nothing can.
var root = "/"

const usage = `usage: init -- COMMAND [ARGUMENT...]   check the container, then run the command
       init check [--json]           check the container and say what was found
exit codes: 78 stopped by the check (or: the check would stop), 126 the command cannot be run,
            127 no such command, 128+N ended by signal N, else the command's own`

func main() {
	os.Exit(run(os.Args[1:], root, os.Stdout, os.Stderr))
}

func run(args []string, root string, stdout, stderr io.Writer) int {
	fail := func(format string, a ...any) int {
		fmt.Fprintf(stderr, "forge-init: "+format+"\n", a...)
		return start.ExitStopped
	}
	switch {
	case len(args) == 0:
		return fail("no arguments\n%s", usage)
	case args[0] == "check":
		return check(args[1:], root, stdout, fail)
	case args[0] != "--":
		return fail("unknown argument %+.60q\n%s", args[0], usage)
	case len(args) == 1:
		return fail("no command: nothing follows \"--\"; the image has no command of its own, so give one: podman run IMAGE COMMAND")
	case args[1] == start.InitPath && len(args) > 2 && args[2] == "check":
		return check(args[3:], root, stdout, fail) // podman run IMAGE /usr/lib/forge/init check
	}
	verdict, err := judge(root)
	if err != nil {
		return fail("stopped: %v", err)
	}
	for _, line := range verdict.Lines() {
		fmt.Fprintln(stderr, "forge-init: "+line)
	}
	if !verdict.Start {
		return start.ExitStopped
	}
	env := os.Environ()
	if verdict.CPU {
		env = slices.DeleteFunc(env, func(v string) bool { return strings.HasPrefix(v, "CUDA_VISIBLE_DEVICES=") })
		env = append(env, "CUDA_VISIBLE_DEVICES=")
	}
	return command(args[1:], env, stderr)
}

// judge reads the settings and the container.
func judge(root string) (start.Verdict, error) {
	accept, err := start.ParseAccept(os.Getenv(start.AcceptVariable))
	if err != nil {
		return start.Verdict{}, err
	}
	data, err := readSettings(filepath.Join(root, start.ConfigPath))
	if err != nil {
		return start.Verdict{}, fmt.Errorf("reading %s: %w", start.ConfigPath, err)
	}
	config, err := start.Decode(data)
	if err != nil {
		return start.Verdict{}, fmt.Errorf("%s: %w", start.ConfigPath, err)
	}
	uid := os.Getuid()
	if os.Geteuid() == 0 {
		uid = 0
	}
	return start.Judge(config, start.Look(root, uid, os.Getenv("LD_LIBRARY_PATH")), accept), nil
}

// readSettings reads at most a little more than Decode takes.
func readSettings(name string) ([]byte, error) {
	f, err := os.Open(name)
	var pathErr *fs.PathError
	if errors.As(err, &pathErr) {
		return nil, pathErr.Err // the path as the image knows it is said by the caller
	}
	if err != nil {
		return nil, err
	}
	defer f.Close() // only read
	return io.ReadAll(io.LimitReader(f, 1<<17))
}

// check is init check: stdout is the verdict, the exit code says whether it stops.
func check(args []string, root string, stdout io.Writer, fail func(string, ...any) int) int {
	asJSON := len(args) == 1 && args[0] == "--json"
	if len(args) > 0 && !asJSON {
		return fail("unknown arguments after check: %+.120q\n%s", strings.Join(args, " "), usage)
	}
	verdict, err := judge(root)
	if err != nil {
		return fail("%v", err)
	}
	code := 0
	if !verdict.Start {
		code = start.ExitStopped
	}
	if !asJSON {
		fmt.Fprint(stdout, text(verdict))
		return code
	}
	b, err := json.MarshalIndent(verdict, "", "  ")
	if err != nil {
		return fail("internal error: %v", err)
	}
	fmt.Fprintln(stdout, string(b))
	return code
}

// text is the verdict for people.
func text(v start.Verdict) string {
	var b strings.Builder
	if v.Image.CUDA == "" {
		b.WriteString("image: no CUDA\n")
	} else {
		fmt.Fprintf(&b, "image: CUDA %s, driver ≥ %s, code for %s\n", v.Image.CUDA, or(v.Image.Driver), or(strings.Join(v.Image.SM, " ")))
		fmt.Fprintf(&b, "driver: kernel %s, libraries %s\n", v.Host.Kernel, v.Host.User)
	}
	for _, gpu := range v.Host.GPUs {
		fmt.Fprintf(&b, "GPU: %+.120q, compute capability %s, code: %s\n", gpu.Model, or(gpu.Capability), gpu.Code)
	}
	for _, line := range v.Lines() {
		b.WriteString(line + "\n")
	}
	if v.Start {
		b.WriteString("the command would be started\n")
	} else {
		b.WriteString("the command would not be started: exit code 78\n")
	}
	return b.String()
}

func or(text string) string {
	if text == "" {
		return "unknown"
	}
	return text
}
