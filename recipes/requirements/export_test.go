package requirements

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestWhatIsWrittenIsRead(t *testing.T) {
	one, two := strings.Repeat("a", 64), strings.Repeat("b", 64)
	text, err := WritePylock(Target{"3.13", "x86_64"}, []Pin{
		{Name: "torch", Version: "2.9.1+cu128", File: "torch-2.9.1+cu128-cp313-cp313-manylinux_2_28_x86_64.whl", URL: "https://user:secret@x.test/a/torch%2B.whl?token=secret#sha256=secret", SHA256: one, Size: 900_000_000},
		{Name: "own", Version: "1.0", File: "own-1.0-py3-none-any.whl", Path: "dist/own-1.0-py3-none-any.whl", SHA256: two, Size: 12},
	})
	if err != nil {
		t.Fatal(err)
	}
	want := `lock-version = "1.0"
environments = ["sys_platform == 'linux' and platform_machine == 'x86_64' and implementation_name == 'cpython' and python_version == '3.13'"]
requires-python = "==3.13.*"
created-by = "forge"

[[packages]]
name = "torch"
version = "2.9.1+cu128"

[[packages.wheels]]
name = "torch-2.9.1+cu128-cp313-cp313-manylinux_2_28_x86_64.whl"
url = "https://x.test/a/torch%2B.whl"
size = 900000000
[packages.wheels.hashes]
sha256 = "` + one + `"

[[packages]]
name = "own"
version = "1.0"

[[packages.wheels]]
name = "own-1.0-py3-none-any.whl"
path = "dist/own-1.0-py3-none-any.whl"
size = 12
[packages.wheels.hashes]
sha256 = "` + two + `"
`
	if d := cmp.Diff(want, string(text)); d != "" {
		t.Error(d)
	}
	set, err := Read("pylock.toml", text)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]string{"torch==2.9.1+cu128", "own==1.0"}, set.Lines); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff(map[string][]string{"torch": {one}, "own": {two}}, set.Hashes); d != "" || set.Python != "==3.13.*" {
		t.Error(d, set.Python)
	}
	if _, err := WritePylock(Target{"3.13", "x86_64"}, []Pin{{Name: "a", Version: "1", File: "a-1-py3-none-any.whl", SHA256: one}}); err == nil {
		t.Error("a wheel that nobody serves was written")
	}
}
