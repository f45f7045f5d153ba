package resolve

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/forge-build/forge/builder/store"
)

// Ctrl-C in a terminal ends uv as well, maybe first; and a uv that is killed has no opinion on
// the recipe.
func TestAUVThatIsKilledSaysNothingOfVersions(t *testing.T) {
	for name, script := range map[string]string{"by a signal": "kill -9 $$", "as it exits on Ctrl-C": "exit 130", "that is no program": ""} {
		path := filepath.Join(t.TempDir(), "uv")
		if script != "" {
			script = "#!/bin/sh\n" + script + "\n"
		}
		if err := os.WriteFile(path, []byte(script), 0o700); err != nil {
			t.Fatal(err)
		}
		u := &uv{path: path}
		var input *InputError
		if _, err := u.run(t.Context(), ""); err == nil || errors.As(err, &input) {
			t.Errorf("%s: %v", name, err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(100*time.Millisecond, cancel)
		if _, err := u.run(ctx, ""); !errors.Is(err, context.Canceled) {
			t.Errorf("%s, and then forge hears of it: %v", name, err)
		}
	}
}

// A full disk is no mistake of the recipe's; versions that do not fit are.
func TestWhatUVSaysOfTheHostIsNoMistakeOfTheRecipe(t *testing.T) {
	for text, mistake := range map[string]bool{
		"error: Failed to initialize cache at `x`\n  cause: failed to write to file `x/CACHEDIR.TAG`: No space left on device (os error 28)":       false,
		"error: No interpreter found for Python 3.13.5 in virtual environments, managed installations, or search path":                             false,
		"error: No solution found when resolving dependencies\n  cause: Because only foo==1.0 is available and you require foo>2, we can conclude": true,
	} {
		path := filepath.Join(t.TempDir(), "uv")
		if err := os.WriteFile(path, []byte("#!/bin/sh\ncat >&2 <<'END'\n"+text+"\nEND\nexit 2\n"), 0o700); err != nil {
			t.Fatal(err)
		}
		var input *InputError
		if _, err := (&uv{path: path}).run(t.Context(), ""); err == nil || errors.As(err, &input) != mistake {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// pip stands for python3 -m pip.
func TestAFullDiskIsNoReasonToPutUVOnPATH(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "python3"), []byte("#!/bin/sh\necho \"OSError: [Errno 28] No space left on device\" >&2\nexit 2\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+":/usr/bin:/bin")
	s, err := store.Open(filepath.Join(t.TempDir(), "store"))
	if err != nil {
		t.Fatal(err)
	}
	var none *UVError
	if _, err := downloadUV(t.Context(), s); err == nil || errors.As(err, &none) || !strings.Contains(err.Error(), "No space left on device") {
		t.Error(err)
	}
}
