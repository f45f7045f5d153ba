package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/term"

	"github.com/forge-build/forge/builder"
	"github.com/forge-build/forge/builder/convert"
	"github.com/forge-build/forge/builder/fetch"
	"github.com/forge-build/forge/recipes"
	"github.com/forge-build/forge/recipes/registry"
	"github.com/forge-build/forge/sbom/vuln"
	"github.com/forge-build/forge/signing"
	"github.com/forge-build/forge/signing/evidence"
	"github.com/forge-build/forge/signing/push"
)

// All of forge's output goes through this file. Its rules:
//   - stdout is the result and nothing else: references, a plan, a report;
//   - stderr has progress and messages: "forge: …", then perhaps "hint: …";
//   - with --json stdout holds one JSON document, and a failure is one JSON
//     object, the last line of stderr;
//   - text from outside never reaches a terminal with raw control characters.

// terminal is where a command's result and its messages go.
type terminal struct {
	out, err io.Writer
	json     bool // set by --json
	quiet    bool // set by --quiet: no progress
	tty      bool // stderr is a terminal that can draw over a line
	color    bool // it is one, and nobody has set NO_COLOR
	width    int

	mu      sync.Mutex
	bar     string // the line that is drawn over
	barTime time.Time
}

func newTerminal(out, err *os.File) *terminal {
	t := &terminal{out: &output{w: out}, err: err, width: 80}
	if fd := int(err.Fd()); term.IsTerminal(fd) && os.Getenv("TERM") != "dumb" {
		t.tty, t.color = true, os.Getenv("NO_COLOR") == "" // https://no-color.org
		if w, _, e := term.GetSize(fd); e == nil && w > 20 {
			t.width = w
		}
	}
	return t
}

// result writes a line of the result.
func (t *terminal) result(format string, args ...any) {
	fmt.Fprintln(t.stdout(), clean(fmt.Sprintf(format, args...)))
}

// stdout is where the result goes. What is drawn over is gone before: both may be one screen.
func (t *terminal) stdout() io.Writer {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.clear()
	return t.out
}

// output is standard output. It remembers that a result could not be written: a command
// whose result nobody got has failed.
type output struct {
	w   io.Writer
	err error
}

func (o *output) Write(p []byte) (int, error) {
	n, err := o.w.Write(p)
	if err != nil && o.err == nil {
		o.err = fmt.Errorf("writing the result: %w", err)
	}
	return n, err
}

// document writes the one JSON document of a --json call.
func (t *terminal) document(v any) error {
	enc := json.NewEncoder(t.stdout())
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}

// say writes a message for the person who waits.
func (t *terminal) say(format string, args ...any) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.clear()
	fmt.Fprintln(t.err, "forge: "+clean(fmt.Sprintf(format, args...)))
}

// notes says what the tables of torch and CUDA warn of in a recipe, and what they do not know.
func (t *terminal) notes(im *recipes.Image) {
	for _, n := range im.Notes {
		t.say("%s: note: %s", im.Name, n)
	}
}

// progress is a line of long work: drawn over on a terminal, plain and at most
// one in five seconds elsewhere.
func (t *terminal) progress(format string, args ...any) {
	if t.quiet {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	line := clean(fmt.Sprintf(format, args...))
	every := 5 * time.Second
	if t.tty {
		every = 100 * time.Millisecond
	}
	if time.Since(t.barTime) < every {
		return
	}
	t.barTime = time.Now()
	if !t.tty {
		fmt.Fprintln(t.err, "forge: "+line)
		return
	}
	t.clear()
	t.bar = cutRunes(line, t.width-1)
	fmt.Fprint(t.err, t.bar)
}

// amount is progress whose end is known, in bytes; a terminal also gets a bar. The name comes
// last, since a narrow terminal cuts it.
func (t *terminal) amount(what string, done, total int64) {
	if t.tty {
		t.progress("%s %s of %s, %s", gauge(done, total), megabytes(done), megabytes(total), what)
		return
	}
	t.progress("%s: %s of %s", what, megabytes(done), megabytes(total))
}

// gauge draws done of total in 20 characters.
func gauge(done, total int64) string {
	const width = 20
	full := 0
	if total > 0 {
		full = int(float64(width) * float64(min(max(done, 0), total)) / float64(total))
	}
	return "[" + strings.Repeat("#", full) + strings.Repeat("-", width-full) + "]"
}

func (t *terminal) clear() {
	if t.bar != "" {
		fmt.Fprint(t.err, "\r\x1b[K")
		t.bar = ""
	}
}

// Write lets libraries that know only io.Writer (BuildKit's display) write
// between forge's own lines.
func (t *terminal) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.clear()
	if t.quiet {
		return len(p), nil
	}
	return t.err.Write(p)
}

// failure prints what ended the command.
func (t *terminal) failure(err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.clear()
	var diagnostics *recipes.Diagnostics
	found := errors.As(err, &diagnostics)
	if t.json {
		raw, _ := json.Marshal(struct {
			ID          string `json:"id,omitempty"`
			Error       string `json:"error"`
			Hint        string `json:"hint,omitempty"`
			ExitCode    int    `json:"exitCode"`
			Diagnostics any    `json:"diagnostics,omitempty"`
			Unverified  any    `json:"verification,omitempty"`
		}{reasonID(err), err.Error(), hint(err), exitCode(err), diagnosticsJSON(diagnostics), verification(err)})
		fmt.Fprintln(t.err, string(raw))
		return
	}
	if found {
		diagnostics.Text(t.err, t.width, t.color)
		return
	}
	fmt.Fprintln(t.err, "forge: "+clean(err.Error()))
	if h := hint(err); h != "" {
		fmt.Fprintln(t.err, "hint: "+clean(h))
	}
}

func diagnosticsJSON(d *recipes.Diagnostics) any {
	if d == nil {
		return nil
	}
	return d.JSON()
}

// verification is the table of an image that is not verified.
func verification(err error) any {
	var not *signing.NotVerifiedError
	var part *signing.IncompleteError
	switch {
	case errors.As(err, &part):
		return part.NotVerified
	case errors.As(err, &not):
		return not
	}
	return nil
}

// reasonID is a failure's reason for programs, finer than the exit code; empty for most.
func reasonID(err error) string {
	var (
		gone    *fetch.GoneError
		offline *fetch.OfflineError
		stale   staleError
		none    *builder.NoBuilderError
		test    *builder.TestError
		claim   *convert.ClaimError
		reg     *evidence.RegistryError
		not     *signing.NotVerifiedError
		policy  *signing.PolicyError
		failed  *gateError
		data    *vuln.DatabaseError
	)
	switch {
	case errors.As(err, &reg):
		return reg.ID
	case errors.As(err, &not):
		return not.ID()
	case errors.As(err, &policy):
		return "policy"
	case pushID(err) != "":
		return pushID(err)
	case errors.As(err, &gone):
		return "gone" // a locked file is served nowhere any more
	case errors.As(err, &offline):
		return "offline"
	case errors.As(err, &stale):
		return "stale"
	case errors.As(err, &none):
		return "no-builder"
	case errors.As(err, &test):
		return "test-failed"
	case errors.As(err, &failed):
		return "gate"
	case errors.As(err, &data):
		return data.ID
	case errors.As(err, &claim):
		return "claim" // a layer is not what the lock states
	}
	return ""
}

// pushID is why something could not be brought to a registry.
func pushID(err error) string {
	var (
		denied   *registry.DeniedError
		status   *push.StatusError
		refused  *push.Error
		mismatch *push.MismatchError
	)
	switch {
	case errors.As(err, &mismatch):
		return "digest-mismatch"
	case errors.As(err, &denied), errors.As(err, &status) && (status.Code == 401 || status.Code == 403):
		return evidence.Denied
	case errors.As(err, &status) && status.Code == 404:
		return evidence.NotFound
	case errors.As(err, &status):
		return evidence.Broken
	case errors.As(err, &refused):
		return evidence.Refused
	}
	return ""
}

// hint is what to try, for errors where there is something to try.
func hint(err error) string {
	var stopped interruptedError
	if errors.As(err, &stopped) {
		return "" // nothing was wrong
	}
	var stale staleError
	if errors.As(err, &stale) {
		return stale.hint
	}
	var gone *fetch.GoneError
	if errors.As(err, &gone) && gone.Version != "" {
		return typed("forge", "lock", "--upgrade="+gone.Package) + " chooses it anew, --upgrade-base every Debian package"
	}
	if errors.As(err, &gone) && gone.Package == "InRelease" {
		return "archives have no state of every time: another snapshot, --as-of or mirror may have one"
	}
	var hinted interface{ Hint() string }
	if errors.As(err, &hinted) {
		return hinted.Hint()
	}
	// BuildKit and the programs that forge runs say it in words alone.
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) || strings.Contains(strings.ToLower(err.Error()), "no space left on device") {
		return "make room on that disk, or name another: FORGE_CACHE for the store and the embedded builder, TMPDIR for what lives for a moment, --output for images"
	}
	return ""
}

// plainWord is a word that a shell takes as it is.
var plainWord = regexp.MustCompile(`^[A-Za-z0-9_@%+=:,./-]+$`)

// typed writes a command so that a shell reads it as the same words.
func typed(words ...string) string {
	for i, w := range words {
		if !plainWord.MatchString(w) {
			words[i] = "'" + strings.ReplaceAll(w, "'", `'\''`) + "'"
		}
	}
	return strings.Join(words, " ")
}

// clean keeps line feeds and tabs; other control characters, and those that turn text
// around, become U+FFFD.
func clean(s string) string { return strings.Map(recipes.Shown, s) }

// count writes a number of things.
func count(n int, one string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %ss", n, one)
}

// megabytes writes a size the way people compare images: MB = 10⁶ bytes.
func megabytes(n int64) string {
	switch {
	case n >= 1e9:
		return fmt.Sprintf("%.2f GB", float64(n)/1e9)
	case n >= 1e5:
		return fmt.Sprintf("%.1f MB", float64(n)/1e6)
	}
	return fmt.Sprintf("%d B", n)
}
