package requirements

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

var (
	sumA = strings.Repeat("a", 64)
	sumB = strings.Repeat("b", 64)
)

func TestRead(t *testing.T) {
	for _, c := range []struct {
		name, file, content string
		want                Set
	}{
		{"a frozen requirements.txt", "requirements.txt", "\ufeff# by pip-compile\n--require-hashes\n--only-binary :all:\nnumpy==2.3.4 \\\n    --hash=sha256:" + sumB + " \\\n    --hash=sha256:" + sumA +
			"\n    # via -r x.in\nTyping_Extensions==4.1 ; python_version < \"3.14\" --hash sha256:" + sumA + "\t# why\r\n\n",
			Set{Lines: []string{"numpy==2.3.4", `Typing_Extensions==4.1 ; python_version < "3.14"`}, Hashes: map[string][]string{"numpy": {sumA, sumB}, "typing-extensions": {sumA}}}},
		{"a loose requirements.in", "requirements.in", "a>=1,<2\nb [x] ~= 1.0\nc(>=3)\nd\n", Set{Lines: []string{"a>=1,<2", "b [x] ~= 1.0", "c(>=3)", "d"}}},
		{"a pylock", "env/pylock.cpu.toml", "lock-version = \"1.0\"\nrequires-python = \">=3.11\"\ndefault-groups = [\"app\"]\n[[packages]]\nname = \"numpy\"\nversion = \"2.3.4\"\nmarker = \"sys_platform == 'linux'\"\n" +
			"wheels = [{url = \"https://x.test/numpy.whl\", hashes = {sha256 = \"" + sumA + "\"}}]\n[[packages]]\nname = \"pytest\"\nversion = \"9\"\nmarker = \"'dev' in dependency_groups or 'x' not in extras\"\n" +
			"[[packages]]\nname = \"web\"\nversion = \"1\"\nmarker = \"'app' in dependency_groups and os_name == 'posix'\"\n",
			Set{Lines: []string{"numpy==2.3.4 ; sys_platform == 'linux'", "pytest==9 ; python_version < '0' or python_version >= '0'", "web==1 ; python_version >= '0' and os_name == 'posix'"},
				Hashes: map[string][]string{"numpy": {sumA}}, Python: ">=3.11"}},
		{"a uv.lock with a fork and a workspace", "uv.lock", "version = 1\n[[package]]\nname = \"app\"\nversion = \"0\"\nsource = { virtual = \".\" }\ndependencies = [{ name = \"numpy\", extra = [\"x\"] }, { name = \"tz\", marker = \"os_name == 'nt'\" }, { name = \"lib\" }]\n" +
			"[[package]]\nname = \"lib\"\nversion = \"0\"\nsource = { editable = \"lib\" }\n" +
			"[[package]]\nname = \"numpy\"\nversion = \"2.3.4\"\nsource = { registry = \"https://x.test\" }\nresolution-markers = [\"python_full_version < '3.12'\", \"os_name == 'nt'\"]\nwheels = [{ url = \"u\", hash = \"sha256:" + sumA + "\" }]\n",
			Set{Lines: []string{"numpy[x]", "tz ; os_name == 'nt'", "lib"}, Constraints: []string{"numpy==2.3.4 ; (python_full_version < '3.12') or (os_name == 'nt')"}, Hashes: map[string][]string{"numpy": {sumA}},
				Elsewhere: map[string]string{"lib": "workspace"}}},
		{"a pyproject", "pyproject.toml", "[project]\nname = \"x\"\nrequires-python = \">=3.12\"\ndependencies = [\"numpy>=2\", \"a[b]~=1.0\"]\n[tool.uv]\nconstraint-dependencies = [\"c<2\"]\n" +
			"[[tool.uv.index]]\nname = \"t\"\nurl = \"https://x.test\"\nexplicit = true\n[tool.uv.sources]\nnumpy = { index = \"t\" }\na = [{ index = \"t\", marker = \"os_name == 'nt'\" }, { git = \"u\" }]\n",
			Set{Lines: []string{"numpy>=2", "a[b]~=1.0"}, Constraints: []string{"c<2"}, Python: ">=3.12", Elsewhere: map[string]string{"numpy": "index", "a": "git"}, Indexes: []Index{{"t", "https://x.test", []string{"numpy"}}}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := Read(c.file, []byte(c.content))
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(&c.want, got, cmpopts.EquateEmpty()); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestWhatCouldBringOtherBytesIsRefused(t *testing.T) {
	const project = "[project]\ndependencies = []\n"
	for _, c := range []struct {
		file, content, want string
		line                int
	}{
		{"requirements.txt", "numpy\n--extra-index-url https://x.test\n", "--extra-index-url", 2},
		{"requirements.txt", "numpy\n--index-url=https://x.test\n", "--index-url", 2},
		{"requirements.txt", "-f\t/x", `"-f"`, 1},
		{"requirements.txt", "-r other.txt", "-r", 1},
		{"requirements.txt", "\n\n-e .", "-e", 3},
		{"requirements.txt", "x @ https://x.test/x.whl", "addresses and paths", 1},
		{"requirements.txt", "./x.whl", "addresses and paths", 1},
		{"requirements.txt", "git+https://x.test/x", "addresses and paths", 1},
		{"requirements.txt", "x\\\n==1\\\n -i https://x.test", "addresses and paths", 1},
		{"requirements.txt", "${HOME}", "addresses and paths", 1},
		{"requirements.txt", "x ; python_version > '${HOME}'", "addresses and paths", 1},
		{"requirements.txt", "x==1 --hash=md5:00", "--hash=sha256:", 1},
		{"requirements.txt", "x==1 --config-settings a=b", "--hash=sha256:", 1},
		{"requirements.txt", "x==1 --hash=sha256:" + sumA + "\ny==2\n", "other lines have hashes", 2},
		{"requirements.txt", "x>=1 --hash=sha256:" + sumA + "\n", "pins no version", 1},
		{"requirements.txt", "x==1.* --hash=sha256:" + sumA + "\n", "pins no version", 1},
		{"requirements.txt", "\nx\x00", "NUL", 2},
		{"requirements.txt", "\xff", "UTF-8", 0},
		{"pylock.toml", `lock-version = "2.0"`, "lock-version", 1},
		{"pylock.toml", "lock-version = \"1.0\"\n[[packages]]\nname = \"x\"\nversion = \"1\"\n", "no wheel", 3},
		{"pylock.toml", "lock-version = \"1.0\"\n[[packages]]\nname = \"x\"\nversion = \"1\"\nwheels = [{url = \"u\", hashes = {md5 = \"0\"}}]", "no sha256", 3},
		{"pylock.toml", "lock-version = \"1.0\"\n[[packages]]\nname = \"x\"\n[packages.vcs]\ntype = \"git\"\n", "repository", 3},
		{"pylock.toml", "lock-version = \"1.0\"\n[[packages]]\nname = \"x\"\nversion = \"1\\n--index-url=y\"\nwheels = []\n", "no name and version", 3},
		{"pylock.toml", "lock-version = \"1.0\"\nrequires-python = \"three\"\n", "no comparison", 2},
		{"pylock.toml", "a = ", "", 1},
		{"uv.lock", "version = 2", "version 2", 1},
		{"uv.lock", "version = 1\n[[package]]\nname = \"x\"\nversion = \"1\"\nsource = { git = \"u\" }\n", "repository", 3},
		{"uv.lock", "version = 1\n", "no project", 0},
		{"pyproject.toml", "[tool.x]\n", "[project]", 0},
		{"pyproject.toml", "[project]\ndynamic = [\"dependencies\"]\n", "dynamic", 2},
		{"pyproject.toml", "[project]\ndependencies = [\n\"x @ file:///x\"]\n", "addresses", 3},
		{"pyproject.toml", project + "[tool.uv]\nextra-index-url = [\"https://x.test\"]\n", "extra-index-url", 4},
		{"pyproject.toml", project + "[tool.uv]\nfind-links = [\"/x\"]\n", "find-links", 4},
		{"pyproject.toml", project + "[[tool.uv.index]]\nurl = \"https://x.test\"\n", "not explicit", 3},
		{"pyproject.toml", project + "[tool.uv]\noverride-dependencies = [\"x==1\"]\n", "override", 4},
		{"Pipfile", "", "forge reads", 0},
	} {
		_, err := Read(c.file, []byte(c.content))
		var e *Error
		if !errors.As(err, &e) || !strings.Contains(e.Error(), c.want) || e.Line != c.line || e.File != c.file {
			t.Errorf("%s %q: %v", c.file, c.content, err)
		}
	}
}

func TestAllows(t *testing.T) {
	for _, c := range []struct {
		spec, version string
		want          bool
	}{
		{"", "3.13", true}, {">=3.9", "3.13", true}, {">=3.9,<3.13", "3.13", false}, {"<3.13", "3.9", true}, {">=3.10", "3.9", false},
		{"==3.*", "3.13", true}, {"==3.13.*", "3.13.5", true}, {"!=3.13.*", "3.13.5", false}, {"~=3.11", "3.13", true}, {"~=3.11.2", "3.12", false},
		{"~=3.11", "4.0", false}, {">3.13", "3.13", false}, {"===3.13", "3.13", true}, {">=3.13.2", "3.13", false}, {">=3.13.2", "3.13.5", true},
		{">=3.8, !=3.9.*", "3.13", true}, {"<4.0a0", "3.13", true}, {" >= 3.11 ", "3.13", true},
	} {
		got, err := Allows(c.spec, c.version)
		if err != nil || got != c.want {
			t.Errorf("%q admits %s: %v, %v", c.spec, c.version, got, err)
		}
	}
	for _, spec := range []string{"three", ">=", ">=3.x", "=>3"} {
		if _, err := Allows(spec, "3.13"); err == nil {
			t.Errorf("%q was understood", spec)
		}
	}
}

func FuzzRead(f *testing.F) {
	f.Add("requirements.txt", []byte("a==1 \\\n --hash=sha256:"+sumA))
	f.Add("pylock.toml", []byte("lock-version = \"1.0\"\n[[packages]]\nname = \"x\"\nversion = \"1\"\nmarker = \"'a' in extras\"\n"))
	f.Add("uv.lock", []byte("version = 1\n[[package]]\nname = \"x\"\nsource = { virtual = \".\" }\n"))
	f.Add("pyproject.toml", []byte("[project]\ndependencies = [\"x\"]\n[tool.uv.sources]\nx = { git = \"u\" }\n"))
	f.Fuzz(func(t *testing.T, name string, content []byte) {
		s, err := Read(name, content)
		if err != nil {
			return
		}
		for _, line := range append(append([]string{}, s.Lines...), s.Constraints...) {
			if _, ok := Name(line); !ok || strings.ContainsAny(line, "\n\r$\\#@") || strings.Contains(line, " -") {
				t.Errorf("line %q", line)
			}
		}
	})
}
