package resolve

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"
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
