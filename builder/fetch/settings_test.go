package fetch

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/forge-build/forge/recipes"
)

// host is a machine with these files and variables. Names that begin with ~ lie in the home
// folder, all others below the root.
type hostFiles struct {
	env   map[string]string
	files map[string]string
	root  string
	home  string
}

func (h *hostFiles) settings(t *testing.T) Settings {
	t.Helper()
	h.root, h.home = t.TempDir(), t.TempDir()
	for name, content := range h.files {
		path := filepath.Join(h.root, name)
		if rest, ok := strings.CutPrefix(name, "~/"); ok {
			path = filepath.Join(h.home, rest)
		}
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s, err := hostAt(h.root, func(k string) string { return h.short(h.env[k], true) }, h.home)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// short turns real folders into ~ and /, or the other way round.
func (h *hostFiles) short(s string, back bool) string {
	if back {
		return strings.ReplaceAll(strings.ReplaceAll(s, "ROOT", h.root), "HOME", h.home)
	}
	return strings.ReplaceAll(strings.ReplaceAll(s, h.home, "HOME"), h.root, "ROOT")
}

func TestWhereTheDefaultIndexComesFrom(t *testing.T) {
	pip := func(n string) string { return "[global]\nindex-url = https://pip" + n + ".test/simple/\n" }
	uv := "[[index]]\nname = \"x\"\nurl = \"https://uv.test/simple\"\ndefault = true\n"
	for name, c := range map[string]struct {
		host   hostFiles
		config map[string]string
		fact   string
		im     *recipes.Image
		want   string
	}{
		"the recipe before all": {
			host: hostFiles{env: map[string]string{"FORGE_INDEX_URL": "https://forge.test"}},
			im:   &recipes.Image{Python: recipes.Python{Indexes: []recipes.Index{{Name: "default", URL: "https://recipe.test/simple/"}}}},
			want: "https://recipe.test/simple",
		},
		"forge's variable": {host: hostFiles{env: map[string]string{"FORGE_INDEX_URL": "https://forge.test", "UV_DEFAULT_INDEX": "https://uv.test"}}, config: map[string]string{"default": "https://file.test"}, want: "https://forge.test"},
		"forge's file":     {host: hostFiles{env: map[string]string{"UV_DEFAULT_INDEX": "https://uv.test"}}, config: map[string]string{"default": "https://file.test"}, want: "https://file.test"},
		"uv's variable":    {host: hostFiles{env: map[string]string{"UV_DEFAULT_INDEX": "https://uv.test", "UV_INDEX_URL": "https://old.test", "PIP_INDEX_URL": "https://pip.test"}}, want: "https://uv.test"},
		"with a name":      {host: hostFiles{env: map[string]string{"UV_DEFAULT_INDEX": "corp=https://uv.test/x?y=z"}}, want: "https://uv.test/x"},
		"uv's old one":     {host: hostFiles{env: map[string]string{"UV_INDEX_URL": "https://old.test", "PIP_INDEX_URL": "https://pip.test"}}, want: "https://old.test"},
		"pip's variable":   {host: hostFiles{env: map[string]string{"PIP_INDEX_URL": "https://pip.test"}, files: map[string]string{"etc/pip.conf": pip("1")}}, want: "https://pip.test"},
		"pip's own file": {host: hostFiles{env: map[string]string{"PIP_CONFIG_FILE": "ROOT/my.conf"},
			files: map[string]string{"my.conf": pip("0"), "~/.config/pip/pip.conf": pip("2")}}, want: "https://pip0.test/simple"},
		"pip's files, the environment's first": {host: hostFiles{env: map[string]string{"VIRTUAL_ENV": "ROOT/venv"},
			files: map[string]string{"venv/pip.conf": pip("1"), "~/.config/pip/pip.conf": pip("2"), "~/.pip/pip.conf": pip("3"), "etc/pip.conf": pip("4")}}, want: "https://pip1.test/simple"},
		"then the user's":     {host: hostFiles{files: map[string]string{"~/.config/pip/pip.conf": pip("2"), "~/.pip/pip.conf": pip("3"), "etc/pip.conf": pip("4")}}, want: "https://pip2.test/simple"},
		"then the old one":    {host: hostFiles{files: map[string]string{"~/.pip/pip.conf": pip("3"), "etc/pip.conf": pip("4")}}, want: "https://pip3.test/simple"},
		"then the machine's":  {host: hostFiles{files: map[string]string{"etc/pip.conf": pip("4"), "~/.config/uv/uv.toml": uv}}, want: "https://pip4.test/simple"},
		"no pip files at all": {host: hostFiles{env: map[string]string{"PIP_CONFIG_FILE": os.DevNull}, files: map[string]string{"etc/pip.conf": pip("4"), "~/.config/uv/uv.toml": uv}}, want: "https://uv.test/simple"},
		"pip's other forms": {host: hostFiles{files: map[string]string{"etc/pip.conf": "# x\n[other]\nindex-url = https://no.test\n[global]\ntimeout = 5\nIndex_URL:\n  https://pip.test/simple\n; y\n"}},
			want: "https://pip.test/simple"},
		"a command's section": {host: hostFiles{files: map[string]string{"etc/pip.conf": "[install]\nindex-url = https://install.test\n" + pip("")}}, want: "https://install.test"},
		"uv's file":           {host: hostFiles{files: map[string]string{"~/.config/uv/uv.toml": uv, "etc/uv/uv.toml": "index-url = \"https://no.test\""}}, want: "https://uv.test/simple"},
		"uv's old key":        {host: hostFiles{files: map[string]string{"etc/uv/uv.toml": "offline = false\nindex-url = \"https://uv.test\"\n"}}, want: "https://uv.test"},
		"uv's pip table":      {host: hostFiles{files: map[string]string{"etc/uv/uv.toml": "[pip]\nindex-url = \"https://uv.test\"\n"}}, want: "https://uv.test"},
		"uv by itself":        {fact: "https://fact.test/simple", want: "https://fact.test/simple"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			set := c.host.settings(t)
			set.Configure(Config{Where: "forge.hcl", Indexes: c.config})
			if c.fact != "" {
				if err := w.st.PutFact("settings", "uv-default-index", []byte(c.fact)); err != nil {
					t.Fatal(err)
				}
			}
			if got, err := w.fetcher(set).IndexURL(context.Background(), "default", c.im); err != nil || got != c.want {
				t.Errorf("got %q, %v", got, err)
			}
			if err := set.CheckLock(); err != nil {
				t.Errorf("CheckLock: %v", err)
			}
		})
	}
}

func TestUVIsAskedOnce(t *testing.T) {
	w := newWorld(t)
	asked := 0
	w.f.AskDefaultIndex = func(context.Context) (string, error) { asked++; return "https://uv.test/simple", nil }
	for range 2 {
		if got, err := w.f.IndexURL(context.Background(), "default", nil); err != nil || got != "https://uv.test/simple" {
			t.Errorf("got %q, %v", got, err)
		}
	}
	if asked != 1 {
		t.Errorf("asked %d times", asked)
	}
	w = newWorld(t)
	w.f.AskDefaultIndex = func(context.Context) (string, error) { return "", errors.New("no uv") }
	if got, err := w.f.IndexURL(context.Background(), "default", nil); err == nil || got != "" || !strings.Contains(err.Error(), "no uv") || !strings.Contains(err.Error(), "FORGE_INDEX_URL") {
		t.Errorf("uv does not say: %q, %v", got, err)
	}
	w = newWorld(t)
	var s *SettingsError
	if _, err := w.f.IndexURL(context.Background(), "default", nil); !errors.As(err, &s) || !strings.Contains(err.Error(), "FORGE_INDEX_URL") {
		t.Errorf("nobody knows: %v", err)
	}
}

// A file that cannot be read might name an index: nothing else is asked in its place.
func TestBrokenSettingsAreNotPassedOver(t *testing.T) {
	w := newWorld(t)
	if err := w.st.PutFact("settings", "uv-default-index", []byte("https://fact.test/simple")); err != nil {
		t.Fatal(err)
	}
	h := hostFiles{files: map[string]string{"etc/uv/uv.toml": "a = = 1\n"}}
	f := w.fetcher(h.settings(t))
	var s *SettingsError
	if got, err := f.IndexURL(context.Background(), "default", nil); !errors.As(err, &s) || !strings.HasSuffix(s.Where, "uv.toml:1") {
		t.Errorf("got %q, %v", got, err)
	}
}

func TestOtherIndexes(t *testing.T) {
	env := map[string]string{"FORGE_INDEX_PYTORCH_CU126_URL": "https://cu126.test/x/", "FORGE_INDEX_ACME_WHEELS_URL": "https://acme.test"}
	set := Settings{env: func(k string) string { return env[k] }}
	set.Configure(Config{Indexes: map[string]string{"team": "https://team.test/simple"}})
	w := newWorld(t)
	f := w.fetcher(set)
	im := &recipes.Image{Python: recipes.Python{Indexes: []recipes.Index{{Name: "team", URL: "https://recipe.test"}}}}
	check := func(name string, im *recipes.Image, want string) {
		t.Helper()
		if got, err := f.IndexURL(context.Background(), name, im); got != want || (err == nil) != (want != "") {
			t.Errorf("%s: got %q, %v", name, got, err)
		}
	}
	check("pytorch-cu128", nil, "https://download.pytorch.org/whl/cu128")
	check("pytorch-cpu", nil, "https://download.pytorch.org/whl/cpu")
	check("pytorch-cu126", nil, "https://cu126.test/x")
	check("acme-wheels", nil, "https://acme.test")
	check("team", nil, "https://team.test/simple")
	check("team", im, "https://recipe.test")
	check("unknown", im, "")
	check("pytorch-../x", nil, "")
	env["FORGE_INDEX_PYTORCH_URL"] = "https://mirror.test/whl/"
	check("pytorch-cu128", nil, "https://mirror.test/whl/cu128")
	env["FORGE_INDEX_URL"] = "http://me:geheim@forge.test"
	_, err := f.IndexURL(context.Background(), "default", nil)
	var s *SettingsError
	if !errors.As(err, &s) || s.Where != "FORGE_INDEX_URL" || strings.Contains(err.Error(), "geheim") || !strings.Contains(err.Error(), "only https") {
		t.Errorf("http: %v", err)
	}
}

func TestCheckLockNamesThePlace(t *testing.T) { // IDX-05
	for name, c := range map[string]struct {
		host hostFiles
		want []string // where
	}{
		"variables": {hostFiles{env: map[string]string{"PIP_EXTRA_INDEX_URL": "x", "UV_EXTRA_INDEX_URL": "x", "UV_INDEX": "x", "PIP_FIND_LINKS": "x", "UV_FIND_LINKS": "x"}},
			[]string{"PIP_EXTRA_INDEX_URL", "UV_EXTRA_INDEX_URL", "UV_INDEX", "PIP_FIND_LINKS", "UV_FIND_LINKS"}},
		"pip.conf": {hostFiles{files: map[string]string{
			"etc/pip.conf":           "[global]\n\nextra_index_url =\n    https://b.test\n",
			"~/.config/pip/pip.conf": "[install]\nfind-links = /srv\n[list]\nfind-links = /srv\n",
		}}, []string{"HOME/.config/pip/pip.conf:2", "ROOT/etc/pip.conf:4"}},
		"uv.toml": {hostFiles{files: map[string]string{
			"~/.config/uv/uv.toml": "x = 1\nextra-index-url = [\"https://b.test\"]\nfind-links = [\"/srv\"]\n[[index]]\nurl = \"https://c.test\"\n",
		}}, []string{"HOME/.config/uv/uv.toml:4", "HOME/.config/uv/uv.toml:2", "HOME/.config/uv/uv.toml:3"}},
		"uv.toml, pip":          {hostFiles{files: map[string]string{"etc/uv/uv.toml": "[pip]\nextra-index-url = [\"https://b.test\"]\n"}}, []string{"ROOT/etc/uv/uv.toml:2"}},
		"an explicit index":     {hostFiles{files: map[string]string{"etc/uv/uv.toml": "[[index]]\nurl = \"https://c.test\"\nexplicit = true\n"}}, nil},
		"uv without its files":  {hostFiles{env: map[string]string{"UV_NO_CONFIG": "1"}, files: map[string]string{"etc/uv/uv.toml": "find-links = [\"/srv\"]"}}, nil},
		"a file that is broken": {hostFiles{files: map[string]string{"etc/uv/uv.toml": "a = 1\nb = = 2\n", "etc/pip.conf": "[global]\nnonsense\n"}}, []string{"ROOT/etc/pip.conf:2", "ROOT/etc/uv/uv.toml:2"}},
		"a folder for a file":   {hostFiles{files: map[string]string{"etc/pip.conf/x": ""}}, []string{"ROOT/etc/pip.conf"}},
	} {
		t.Run(name, func(t *testing.T) {
			set := c.host.settings(t)
			err := set.CheckLock()
			var got []string
			if err != nil {
				for _, e := range err.(interface{ Unwrap() []error }).Unwrap() {
					var s *SettingsError
					if !errors.As(e, &s) {
						t.Fatalf("%v is no *SettingsError", e)
					}
					got = append(got, c.host.short(s.Where, false))
					if !strings.HasPrefix(s.Error(), s.Where+": ") {
						t.Errorf("%q does not name the place", s)
					}
					if strings.HasPrefix(s.Reason, "adds") && !strings.Contains(s.Reason, "in the recipe: ") {
						t.Errorf("%q does not say what to do", s)
					}
				}
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestAptSources(t *testing.T) {
	h := hostFiles{files: map[string]string{
		"etc/apt/sources.list": "# deb https://no.test/debian x main\ndeb http://a.test/debian/ bookworm main # x\ndeb-src https://no.test/debian bookworm main\n" +
			"deb [ arch=amd64  signed-by=/x ] https://b.test/mirror/debian-security bookworm-security main\ndeb cdrom:[Debian]/debian bookworm main\ndeb https://c.test/other bookworm main\ndeb [arch=amd64\n",
		"etc/apt/sources.list.d/a.list":    "deb https://a.test/debian-security trixie-security main\n",
		"etc/apt/sources.list.d/b.sources": "Types: deb deb-src\n# x\nURIs: https://d.test/debian\n  http://a.test/debian\nSuites: trixie trixie-updates\nComponents: main\n\nTypes: deb\nURIs: https://e.test/debian\nSuites: trixie\nEnabled: no\n\nTypes: deb-src\nURIs: https://f.test/debian\nSuites: trixie\n",
		"etc/apt/sources.list.d/c.save":    "deb https://no.test/debian trixie main\n",
	}}
	set := h.settings(t)
	w := newWorld(t)
	f := w.fetcher(set)
	for _, c := range []struct{ name, suite, want string }{
		{"debian", "trixie", "http://a.test/debian https://d.test/debian"},
		{"debian", "bookworm", "http://a.test/debian https://d.test/debian"},
		{"debian", "trixie-updates", "http://a.test/debian https://d.test/debian"},
		{"debian-security", "trixie-security", "https://a.test/debian-security https://b.test/mirror/debian-security"},
		{"debian-security", "bookworm-security", "https://b.test/mirror/debian-security https://a.test/debian-security"},
		{"debian-security", "sid", "https://b.test/mirror/debian-security https://a.test/debian-security"},
		{"acme", "x", ""},
	} {
		if got := strings.Join(f.mirrors(c.name, c.suite, nil), " "); got != c.want {
			t.Errorf("%s %s: %q, want %q", c.name, c.suite, got, c.want)
		}
	}
}

func TestNetrc(t *testing.T) {
	h := hostFiles{env: map[string]string{"NETRC": "ROOT/n"}, files: map[string]string{
		"~/.netrc": "machine no.test login a password b\n",
		"n":        "# machine no.test login a password b\nmachine A.test\n\tlogin me\n\tpassword #1\nmachine b.test login you account x password p\nmacdef init\nmachine no.test login a password b\n\ndefault login d password d\nmachine c.test password only\n",
	}}
	// The variable is read before the folders exist in it; so set it by hand.
	h.settings(t)
	set, err := hostAt(h.root, func(k string) string { return h.short(h.env[k], true) }, h.home)
	if err != nil {
		t.Fatal(err)
	}
	want := []machine{{"a.test", "me", "#1"}, {"b.test", "you", "p"}, {"c.test", "", "only"}}
	if diff := cmp.Diff(want, set.netrc, cmp.AllowUnexported(machine{})); diff != "" {
		t.Error(diff)
	}
	h.env = nil
	if set := h.settings(t); len(set.netrc) != 1 || set.netrc[0].host != "no.test" {
		t.Errorf("~/.netrc: %+v", set.netrc)
	}
}

func TestMissingCAFileIsSaid(t *testing.T) {
	_, err := hostAt(t.TempDir(), func(k string) string {
		return map[string]string{"FORGE_CA_FILE": "/no/such/file"}[k]
	}, t.TempDir())
	var s *SettingsError
	if !errors.As(err, &s) || s.Where != "FORGE_CA_FILE" {
		t.Errorf("error is %v", err)
	}
}
