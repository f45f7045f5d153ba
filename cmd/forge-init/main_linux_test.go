package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/forge-build/forge/builder/start"
)

// The binary under test, built once, and the folder that it takes for "/".
var binary, below string

func TestMain(m *testing.M) {
	if mode := os.Getenv("FORGE_INIT_TEST_CHILD"); mode != "" {
		child_(mode)
	}
	if signal.Ignored(syscall.SIGHUP) { // under nohup: a command would inherit that, but not that it is caught
		signal.Notify(make(chan os.Signal, 1), syscall.SIGHUP)
	}
	os.Exit(testMain(m))
}

func testMain(m *testing.M) int {
	dir, err := os.MkdirTemp("", "forge-init")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	binary, below = filepath.Join(dir, "init"), filepath.Join(dir, "root")
	build := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-ldflags=-s -w -buildid= -X main.root="+below, "-o", binary, ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "building forge-init: %v\n%s", err, out)
		return 1
	}
	return m.Run()
}

// settings is an image with CUDA that lets root start, since tests may run as root.
func settings(change func(*start.Config)) start.Config {
	c := start.Config{CUDA: "12.8", Driver: "525.60.13", Recommended: "570.124.06", SM: []string{"8.0", "9.0"},
		Outcomes: map[start.Outcome]start.Action{start.NoGPU: start.Stop, start.NoDriver: start.Stop, start.OldDriver: start.Stop, start.NoCode: start.Stop, start.Root: start.Warn}}
	if change != nil {
		change(&c)
	}
	return c
}

func noCUDA(c *start.Config) { *c = start.Config{Outcomes: c.Outcomes} }

// container makes the tree that the binary sees: settings, and files.
func container(t *testing.T, c start.Config, files map[string]string) {
	t.Helper()
	if err := os.RemoveAll(below); err != nil {
		t.Fatal(err)
	}
	text, err := c.Encode()
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(below, start.ConfigPath), string(text), 0o644)
	for name, text := range files {
		write(t, filepath.Join(below, name), text, 0o644)
	}
}

func write(t *testing.T, name, text string, mode os.FileMode) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
}

// h100 is a container with a GPU and a driver.
func h100(driver string) map[string]string {
	return map[string]string{
		"dev/nvidia0":                "",
		"proc/driver/nvidia/version": "NVRM version: NVIDIA UNIX x86_64 Kernel Module  " + driver + "  Wed Oct 25\n",
		"proc/driver/nvidia/gpus/0000:62:00.0/information": "Model: NVIDIA H100 80GB HBM3\nDevice Minor: 0\n",
		"usr/lib/x86_64-linux-gnu/libcuda.so.1":            "",
	}
}

// result runs the binary to its end.
func result(t *testing.T, env []string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	cmd := exec.Command(binary, args...)
	cmd.Env = append(clean(), env...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), out.String(), withoutRoot(errs.String())
}

// clean is the environment without what forge-init reads.
func clean() []string {
	var out []string
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, "FORGE_INIT") && !strings.HasPrefix(v, "CUDA_VISIBLE_DEVICES=") && !strings.HasPrefix(v, "LD_LIBRARY_PATH=") {
			out = append(out, v)
		}
	}
	return out
}

// withoutRoot leaves out the warning that is there when the tests run as root.
func withoutRoot(text string) string {
	var out []string
	for line := range strings.Lines(text) {
		if !strings.HasPrefix(line, "forge-init: warning: root: ") {
			out = append(out, line)
		}
	}
	return strings.Join(out, "")
}

func TestOutcomesDecideWhetherTheCommandRuns(t *testing.T) {
	for _, row := range []struct {
		name   string
		change func(*start.Config)
		files  map[string]string
		accept string
		code   int
		stderr string
	}{
		{name: "all is well", files: h100("570.124.06")},
		{name: "no CUDA", change: noCUDA},
		{name: "no GPU", code: 78, stderr: "forge-init: stopped: no-gpu: no GPU found, this image needs an NVIDIA GPU for CUDA 12.8; start the container with "},
		{name: "no GPU, waived and logged", accept: "no-gpu", stderr: "forge-init: accepted by FORGE_INIT_ACCEPT: no-gpu: no GPU found"},
		{name: "no GPU, two outcomes waived", accept: " old-driver , no-gpu", stderr: "forge-init: accepted by FORGE_INIT_ACCEPT: no-gpu: no GPU found"},
		{name: "no GPU, another outcome waived", accept: "old-driver", code: 78, stderr: "forge-init: stopped: no-gpu: "},
		{name: "a waiver that is none", accept: "nogpu", code: 78, stderr: "forge-init: stopped: reading FORGE_INIT_ACCEPT: \"nogpu\" is none of root, no-gpu, no-driver, old-driver, no-code\n"},
		{name: "a waiver that is none, though all is well", files: h100("570.124.06"), accept: "no-gpu,x", code: 78, stderr: "forge-init: stopped: reading FORGE_INIT_ACCEPT: \"x\" is none of "},
		{name: "an old driver", files: h100("520.61"), code: 78,
			stderr: "forge-init: stopped: old-driver: driver 520.61 found, this image needs ≥ 525.60.13 for CUDA 12.8; update the NVIDIA driver of the host; or set FORGE_INIT_ACCEPT=old-driver to start anyway\n"},
		{name: "driver text unknown", files: h100("unreadable"), stderr: "forge-init: warning: driver-unknown: "},
		{name: "a megabyte for a driver", files: h100(strings.Repeat("570.", 1<<18)), stderr: "forge-init: warning: driver-unknown: "},
	} {
		t.Run(row.name, func(t *testing.T) {
			container(t, settings(row.change), row.files)
			code, stdout, stderr := result(t, []string{start.AcceptVariable + "=" + row.accept}, "--", "echo", "started")
			if code != row.code || !strings.HasPrefix(stderr, row.stderr) || row.stderr == "" && stderr != "" || strings.Count(stderr, "\n") > 1 {
				t.Errorf("code %d, want %d, stderr:\n%s", code, row.code, stderr)
			}
			if (stdout == "started\n") != (row.code == 0) {
				t.Errorf("stdout %q", stdout)
			}
		})
	}
}

func TestRootStops(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs to be root")
	}
	container(t, settings(func(c *start.Config) { noCUDA(c); c.Outcomes[start.Root] = start.Stop }), nil)
	if code, stdout, stderr := result(t, nil, "--", "echo", "started"); code != 78 || stdout != "" || !strings.HasPrefix(stderr, "forge-init: stopped: root: user 0 (root) found") {
		t.Errorf("%d %q %q", code, stdout, stderr)
	}
}

func TestCPUTellsTheCommandThatItHasNoGPU(t *testing.T) {
	container(t, settings(func(c *start.Config) { c.Outcomes[start.NoGPU] = start.CPU }), nil)
	code, stdout, stderr := result(t, []string{"CUDA_VISIBLE_DEVICES=0,1"}, "--", "sh", "-c", `echo "[${CUDA_VISIBLE_DEVICES-unset}]"; env | grep -c CUDA_VISIBLE_DEVICES`)
	if code != 0 || stdout != "[]\n1\n" || !strings.Contains(stderr, "starting without one, with CUDA_VISIBLE_DEVICES set to nothing") {
		t.Errorf("%d %q %q", code, stdout, stderr)
	}
	container(t, settings(nil), h100("570.124.06"))
	if _, stdout, _ := result(t, []string{"CUDA_VISIBLE_DEVICES=0,1"}, "--", "sh", "-c", `echo "[$CUDA_VISIBLE_DEVICES]"`); stdout != "[0,1]\n" {
		t.Errorf("with a GPU it is %q", stdout)
	}
}

func TestCheck(t *testing.T) {
	container(t, settings(nil), h100("520.61.05"))
	for _, args := range [][]string{{"check", "--json"}, {"--", start.InitPath, "check", "--json"}} {
		code, stdout, _ := result(t, nil, args...)
		var v start.Verdict
		if err := json.Unmarshal([]byte(stdout), &v); err != nil {
			t.Fatalf("%v: %s", err, stdout)
		}
		last := v.Findings[len(v.Findings)-1]
		if code != 78 || v.Start || last.ID != start.OldDriver || last.Found != "driver 520.61.05" || last.Needed != "≥ 525.60.13 for CUDA 12.8" || last.Fix == "" || v.Host.Kernel != "520.61.05" || v.Host.GPUs[0].Code != "native" {
			t.Errorf("%q: %d %+v", args, code, v)
		}
	}
	code, stdout, _ := result(t, nil, "check")
	for _, want := range []string{"image: CUDA 12.8, driver ≥ 525.60.13, code for 8.0 9.0\n", "driver: kernel 520.61.05, libraries unknown\n",
		"GPU: \"NVIDIA H100 80GB HBM3\", compute capability 9.0, code: native\n", "old-driver: driver 520.61.05 found", "the command would not be started: exit code 78\n"} {
		if !strings.Contains(stdout, want) {
			t.Errorf("%q is not in:\n%s", want, stdout)
		}
	}
	if code != 78 {
		t.Errorf("code %d", code)
	}
	container(t, settings(noCUDA), nil)
	if code, stdout, _ := result(t, nil, "check"); code != 0 || !strings.HasPrefix(stdout, "image: no CUDA\n") || !strings.HasSuffix(stdout, "the command would be started\n") {
		t.Errorf("%d %q", code, stdout)
	}
}

func TestUsageErrors(t *testing.T) {
	container(t, settings(noCUDA), nil)
	for _, row := range []struct {
		args   string
		stderr string
	}{
		{"", "forge-init: no arguments\nusage: "},
		{"--", "forge-init: no command: nothing follows \"--\"; "},
		{"bash", "forge-init: unknown argument \"bash\"\nusage: "},
		{"--help", "forge-init: unknown argument \"--help\"\nusage: "},
		{"check --xml", "forge-init: unknown arguments after check: \"--xml\"\n"},
		{"check --json --json", "forge-init: unknown arguments after check: "},
	} {
		code, stdout, stderr := result(t, nil, strings.Fields(row.args)...)
		if code != 78 || stdout != "" || !strings.HasPrefix(stderr, row.stderr) {
			t.Errorf("%q: %d %q %q", row.args, code, stdout, stderr)
		}
	}
}

func TestSettingsThatCannotBeReadStop(t *testing.T) {
	path := filepath.Join(below, start.ConfigPath)
	for name, text := range map[string]string{"absent": "", "empty object": "{}\n", "not JSON": "\x1b[2J", "other form": `{"outcomes": {}}`, "huge": strings.Repeat("x", 1<<20)} {
		container(t, settings(noCUDA), nil)
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		if text != "" {
			write(t, path, text, 0o644)
		}
		code, stdout, stderr := result(t, []string{start.AcceptVariable + "=no-gpu,root"}, "--", "echo", "started")
		if code != 78 || stdout != "" || !strings.HasPrefix(stderr, "forge-init: stopped: ") || !strings.Contains(stderr, start.ConfigPath) || strings.Contains(stderr, below) || strings.Contains(stderr, "\x1b") {
			t.Errorf("%s: %d %q %q", name, code, stdout, stderr)
		}
	}
}

func TestNothingOfTheDriverIsRun(t *testing.T) {
	dir := t.TempDir()
	mark := filepath.Join(dir, "was run")
	for _, name := range []string{"nvidia-smi", "ldconfig", "nvidia-container-cli", "sh"} {
		write(t, filepath.Join(dir, name), "#!/bin/sh\ntouch '"+mark+"'\n", 0o755)
	}
	container(t, settings(nil), h100("520.61"))
	env := []string{"PATH=" + dir + ":" + os.Getenv("PATH")}
	for _, args := range [][]string{{"check"}, {"check", "--json"}, {"--", "true"}} {
		if code, _, stderr := result(t, env, args...); code != 78 {
			t.Errorf("%q: %d %s", args, code, stderr)
		}
		if _, err := os.Stat(mark); err == nil {
			t.Fatalf("%q ran something of PATH", args)
		}
	}
	if result(t, env, "--", "nvidia-smi"); !missing(mark) {
		t.Fatal("stopped, and yet the command was run")
	}
	container(t, settings(noCUDA), nil)
	if result(t, env, "--", "nvidia-smi"); missing(mark) {
		t.Fatal("the trap does not work")
	}
}

func missing(name string) bool {
	_, err := os.Stat(name)
	return err != nil
}

func TestExitCodes(t *testing.T) {
	container(t, settings(noCUDA), nil)
	dir := t.TempDir()
	write(t, filepath.Join(dir, "a", "tool"), "#!/bin/sh\nexit 9\n", 0o644)
	write(t, filepath.Join(dir, "b", "tool"), "#!/bin/sh\nexit 5\n", 0o755)
	write(t, filepath.Join(dir, "c", "broken"), "#!/no/such/interpreter\n", 0o755)
	write(t, filepath.Join(dir, "c", "binary"), "no format", 0o755)
	path := func(dirs ...string) []string {
		var full []string
		for _, d := range dirs {
			full = append(full, filepath.Join(dir, d))
		}
		return []string{"PATH=" + strings.Join(full, ":")}
	}
	for _, row := range []struct {
		name   string
		env    []string
		args   []string
		code   int
		stderr string
	}{
		{"success", nil, []string{"true"}, 0, ""},
		{"the child's code", nil, []string{"sh", "-c", "exit 42"}, 42, ""},
		{"the child's 78", nil, []string{"sh", "-c", "exit 78"}, 78, ""},
		{"255", nil, []string{"sh", "-c", "exit 255"}, 255, ""},
		{"ended by SIGTERM", nil, []string{"sh", "-c", "kill -TERM $$"}, 143, ""},
		{"ended by SIGKILL", nil, []string{"sh", "-c", "kill -KILL $$"}, 137, ""},
		{"ended by SIGSEGV", nil, []string{"sh", "-c", "kill -SEGV $$"}, 139, ""},
		{"ended by SIGHUP", nil, []string{"sh", "-c", "kill -HUP $$"}, 129, ""},
		{"no such command", nil, []string{"no-such-command"}, 127, "forge-init: command \"no-such-command\": not found\n"},
		{"no such path", nil, []string{"/no/such/command"}, 127, "forge-init: command \"/no/such/command\": not found\n"},
		{"an empty name", nil, []string{""}, 127, "forge-init: command \"\": not found\n"},
		{"not executable", nil, []string{filepath.Join(dir, "a", "tool")}, 126, "not executable\n"},
		{"a folder", nil, []string{dir}, 126, "not executable\n"},
		{"not executable in PATH", path("a"), []string{"tool"}, 126, "forge-init: command \"tool\": not executable\n"},
		{"an executable one later in PATH", path("a", "b"), []string{"tool"}, 5, ""},
		{"an interpreter that is not there", path("c"), []string{"broken"}, 126, "its interpreter is not)\n"},
		{"no format", path("c"), []string{"binary"}, 126, "exec format error\n"},
		{"arguments as they are", nil, []string{"sh", "-c", `test "$1" = "--" && test "$2" = "" && test "$3" = "a b"`, "x", "--", "", "a b"}, 0, ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			code, _, stderr := result(t, row.env, append([]string{"--"}, row.args...)...)
			if code != row.code || !strings.HasSuffix(stderr, row.stderr) || row.stderr == "" && stderr != "" {
				t.Errorf("%d, want %d: %q", code, row.code, stderr)
			}
		})
	}
}

func TestRelativeFoldersOfPATHAreLeftOut(t *testing.T) {
	container(t, settings(noCUDA), nil)
	t.Chdir(t.TempDir())
	write(t, "tool", "#!/bin/sh\nexit 5\n", 0o755)
	write(t, "b/tool", "#!/bin/sh\nexit 5\n", 0o755)
	for _, path := range []string{".", "b", ":", "::/no/such", "./b"} {
		if code, _, stderr := result(t, []string{"PATH=" + path}, "--", "tool"); code != 127 {
			t.Errorf("PATH %q: %d %s", path, code, stderr)
		}
	}
	if code, _, _ := result(t, nil, "--", "./b/tool"); code != 5 {
		t.Errorf("a path with a slash: %d", code)
	}
}
