package resolve

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/forge-build/forge/builder/convert"
	"github.com/forge-build/forge/builder/fetch"
	"github.com/forge-build/forge/recipes"
	"github.com/forge-build/forge/recipes/lock"
	"github.com/forge-build/forge/recipes/requirements"
)

// file is a file of another tool, as the recipe's reader hands it on.
func file(t *testing.T, name, content string) recipes.RequirementsFile {
	t.Helper()
	set, err := requirements.Read(name, []byte(content))
	if err != nil {
		t.Fatal(err)
	}
	return recipes.RequirementsFile{Path: name, SHA256: sum([]byte(content)), Set: set}
}

// The public index has acme-core in a higher version, and only a distribution of the private
// one asks for it: IDX-05, as torchtriton was replaced.
func TestAPrivateNameNeverComesFromThePublicIndex(t *testing.T) {
	public, private := newShelf(t), newShelf(t)
	private.add("acme_app", "1.0", "acme-core>=1", "beta")
	private.add("acme_core", "1.5")
	public.add("acme_core", "99.0")
	public.add("acme_app", "99.0")
	public.add("beta", "1.0")
	for _, s := range []*shelf{public, private} { // pages have normalised names
		for _, n := range []string{"acme_app", "acme_core"} {
			s.files[strings.ReplaceAll(n, "_", "-")] = s.files[n]
		}
	}
	im := image("acme-app")
	im.Python.Indexes = []recipes.Index{{Name: "internal", URL: private.URL + "/simple", Packages: []string{"acme-*"}}}
	var got []string
	for _, w := range chosenBy(t, im, nil, options(t, public)) {
		got = append(got, w.Name+" "+w.Version+" "+w.Index)
	}
	if d := cmp.Diff([]string{"acme-app 1.0 internal", "acme-core 1.5 internal", "beta 1.0 default"}, got); d != "" {
		t.Error(d)
	}
	if public.asked["acme-core"]+public.asked["acme-app"]+private.asked["beta"] > 0 {
		t.Error("an index was asked for a name that it is not bound to")
	}
	im.Python.Indexes = append(im.Python.Indexes, recipes.Index{Name: "other", URL: public.URL + "/simple", Packages: []string{"acme-co*"}})
	var input *InputError
	if _, err := Python(context.Background(), im, nil, options(t, public)); !errors.As(err, &input) || !strings.Contains(err.Error(), "acme-core would come from the indexes internal and other") {
		t.Errorf("a transitive name of two indexes: %v", err)
	}
}

func TestATeamsOwnWheelIsTakenFromItsFileOrAddress(t *testing.T) {
	public, own := newShelf(t), newShelf(t)
	own.add("alpha", "1.0", "beta")
	own.add("beta", "2.0")
	public.add("alpha", "9.0")
	public.add("beta", "9.0")
	alpha, beta := "alpha-1.0-py3-none-any.whl", "beta-2.0-py3-none-any.whl"
	o := options(t, public)
	o.Dir = t.TempDir()
	if err := os.WriteFile(filepath.Join(o.Dir, alpha), own.files["alpha"][alpha], 0o600); err != nil {
		t.Fatal(err)
	}
	im := image()
	im.Python.Wheels = []recipes.LocalWheel{{Source: alpha, SHA256: sum(own.files["alpha"][alpha])}, {Source: own.URL + "/f/beta/" + beta}}
	got := chosenBy(t, im, nil, o)
	if d := cmp.Diff([]string{"alpha 1.0 requested", "beta 2.0 requested by alpha"}, brief(got)); d != "" {
		t.Fatal(d)
	}
	if a, b := got[0], got[1]; a.Path != alpha || a.Index+b.Index+b.Path != "" || b.SHA256 != sum(own.files["beta"][beta]) || a.Size != int64(len(own.files["alpha"][alpha])) {
		t.Errorf("%+v", got)
	}
	if public.asked["alpha"]+public.asked["beta"] > 0 {
		t.Error("the index was asked for a name that the recipe has a wheel of")
	}
	if err := os.WriteFile(filepath.Join(o.Dir, alpha), []byte("other"), 0o600); err != nil {
		t.Fatal(err)
	}
	im.Python.Wheels[0].SHA256 = sum([]byte("what the reader saw"))
	var wrong *fetch.HashError
	if _, err := Python(context.Background(), im, nil, o); !errors.As(err, &wrong) {
		t.Errorf("a file that changed since it was read: %v", err)
	}
}

func TestEachEnvironmentIsResolvedOnItsOwn(t *testing.T) {
	s := newShelf(t)
	s.add("alpha", "1.0")
	s.add("alpha", "2.0")
	s.add("beta", "1.0", "alpha")
	im := image("beta", "alpha<2")
	im.Environments = []recipes.Environment{{Name: "analysis", Requirements: []string{"alpha"}}, {Name: "old", Files: []recipes.RequirementsFile{file(t, "requirements.txt", "beta\nalpha==1.0\n")}}}
	wheels := chosenBy(t, im, nil, options(t, s))
	var got []string
	for i, w := range brief(wheels) {
		got = append(got, wheels[i].Environment+": "+w)
	}
	if d := cmp.Diff([]string{": alpha 1.0 requested by beta", ": beta 1.0 requested", "analysis: alpha 2.0 requested", "old: alpha 1.0 requested by beta", "old: beta 1.0 requested"}, got); d != "" {
		t.Error(d)
	}
	again := chosenBy(t, im, &lock.Image{Wheels: wheels}, options(t, s))
	if d := cmp.Diff(wheels, again); d != "" {
		t.Error(d)
	}
	layers := map[string]bool{}
	for _, l := range convert.Group(&lock.Image{Wheels: wheels}) {
		layers[l.Environment] = true
		if l.Environment != "" && !strings.HasPrefix(l.Name, l.Environment+": ") {
			t.Errorf("layer %q of environment %q", l.Name, l.Environment)
		}
	}
	if len(layers) != 3 {
		t.Errorf("layers of %v", layers)
	}
}

func TestFilesPinVersionsAndHashes(t *testing.T) {
	s := newShelf(t)
	s.add("alpha", "1.0", "beta")
	s.add("beta", "1.0")
	s.add("beta", "2.0")
	hash := func(name, version string) string { return sum(s.files[name][name+"-"+version+"-py3-none-any.whl"]) }
	uvLock := func(beta string) string {
		return fmt.Sprintf(`version = 1
requires-python = ">=3.12"
[[package]]
name = "app"
source = { virtual = "." }
dependencies = [{ name = "alpha" }]
[[package]]
name = "alpha"
version = "1.0"
source = { registry = "https://x.test" }
wheels = [{ url = "u", hash = "sha256:%s" }]
[[package]]
name = "beta"
version = "1.0"
source = { registry = "https://x.test" }
wheels = [{ url = "u", hash = "sha256:%s" }]
`, hash("alpha", "1.0"), beta)
	}
	pylock := fmt.Sprintf("lock-version = \"1.0\"\n[[packages]]\nname = \"beta\"\nversion = \"1.0\"\nwheels = [{url = \"u\", hashes = {sha256 = \"%s\"}}]\n", hash("beta", "1.0"))
	for _, row := range []struct {
		name, file, content, fails string
		want                       []string
	}{
		{"uv.lock", "uv.lock", uvLock(hash("beta", "1.0")), "", []string{"alpha 1.0 requested", "beta 1.0 by alpha"}},
		{"uv.lock of other bytes", "uv.lock", uvLock(strings.Repeat("a", 64)), "beta 1.0 has no wheel for Python 3.13 on linux/amd64 that uv.lock allows", nil},
		{"pylock.toml", "pylock.toml", pylock, "", []string{"beta 1.0 requested"}},
		{"a hashed requirements.txt", "requirements.txt", "beta==1.0 --hash=sha256:" + hash("beta", "1.0"), "", []string{"beta 1.0 requested"}},
		{"another hash", "requirements.txt", "beta==2.0 --hash=sha256:" + hash("beta", "1.0"), "that requirements.txt allows", nil},
		{"pyproject.toml", "pyproject.toml", "[project]\nrequires-python = \">=3.12\"\ndependencies = [\"beta<2\"]\n", "", []string{"beta 1.0 requested"}},
		{"another Python", "pyproject.toml", "[project]\nrequires-python = \"<3.13\"\ndependencies = [\"beta\"]\n", "pyproject.toml asks for Python <3.13, and the base has 3.13", nil},
	} {
		im := image()
		im.Python.Files = []recipes.RequirementsFile{file(t, row.file, row.content)}
		r, err := Python(context.Background(), im, nil, options(t, s))
		var input *InputError
		switch {
		case row.fails != "":
			if !errors.As(err, &input) || !strings.Contains(err.Error(), row.fails) {
				t.Errorf("%s: %v", row.name, err)
			}
		case err != nil:
			t.Errorf("%s: %v", row.name, err)
		case cmp.Diff(row.want, brief(r.Wheels)) != "":
			t.Errorf("%s: %s", row.name, cmp.Diff(row.want, brief(r.Wheels)))
		}
	}
	// Where the index publishes no hash, the bytes decide.
	s.html = true
	im := image()
	im.Python.Files = []recipes.RequirementsFile{file(t, "requirements.txt", "beta==1.0 --hash=sha256:"+strings.Repeat("a", 64))}
	if _, err := Python(context.Background(), im, nil, options(t, s)); err == nil || !strings.Contains(err.Error(), "which is not among those that requirements.txt allows") {
		t.Error(err)
	}
}

// A requires-python with a patch is judged by the interpreter that the image will have.
func TestTheInterpretersPatchDecides(t *testing.T) {
	s := newShelf(t)
	s.add("alpha", "1.0", `beta; python_full_version >= "3.13.4"`)
	s.add("beta", "1.0")
	debian := func(version string) *lock.Debian {
		return &lock.Debian{Packages: []lock.Deb{{Name: "python3", Version: "3.13.9-1"}, {Name: "python3.13", Version: version}}}
	}
	pyproject := "[project]\nrequires-python = \">=3.13.4\"\ndependencies = [\"alpha\"]\n"
	both := []string{"analysis: alpha 1.0 requested", "analysis: beta 1.0 by alpha"}
	for _, row := range []struct {
		name  string
		o     func(*Options)
		fails string
	}{
		{"Debian's package", func(o *Options) { o.Debian = debian("3.13.5-2+deb13u5") }, ""},
		{"an older package", func(o *Options) { o.Debian = debian("3.13.3-1") }, "pyproject.toml asks for Python >=3.13.4, and the base has 3.13.3"},
		{"no package: the first patch", func(*Options) {}, "pyproject.toml asks for Python >=3.13.4, and the base has 3.13"},
		{"a base image", func(o *Options) {
			o.Target = &Target{Python: lock.Python{Version: "3.13", Full: "3.13.7", Interpreter: "/usr/local/bin/python3.13"}, GLIBC: "2.41"}
		}, ""},
		{"a base image's release candidate", func(o *Options) {
			o.Target = &Target{Python: lock.Python{Version: "3.13", Full: "3.13.7rc1", Interpreter: "/usr/local/bin/python3.13"}, GLIBC: "2.41"}
		}, ""},
	} {
		im := image()
		im.Environments = []recipes.Environment{{Name: "analysis", Files: []recipes.RequirementsFile{file(t, "pyproject.toml", pyproject)}}}
		o := options(t, s)
		row.o(&o)
		r, err := Python(context.Background(), im, nil, o)
		if row.fails != "" {
			var input *InputError
			if !errors.As(err, &input) || !strings.HasSuffix(err.Error(), row.fails) {
				t.Errorf("%s: %v", row.name, err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", row.name, err)
			continue
		}
		var got []string
		for i, w := range brief(r.Wheels) {
			got = append(got, r.Wheels[i].Environment+": "+w)
		}
		if d := cmp.Diff(both, got); d != "" {
			t.Errorf("%s: %s", row.name, d)
		}
	}
}

func TestMetadataBesideAWheelMustBeTheWheelsOwn(t *testing.T) {
	s := newShelf(t)
	s.add("alpha", "1.0", "beta")
	s.add("beta", "1.0")
	head := "Metadata-Version: 2.1\nName: alpha\nVersion: 1.0\n"
	s.told["alpha-1.0-py3-none-any.whl"] = head + "Requires-Dist: beta\n"
	if got := brief(chosenBy(t, image("alpha"), nil, options(t, s))); len(got) != 2 {
		t.Error(got)
	}
	s.told["alpha-1.0-py3-none-any.whl"] = head
	var contradiction *MetadataError
	if _, err := Python(context.Background(), image("alpha"), nil, options(t, s)); !errors.As(err, &contradiction) || contradiction.Own != "beta" || contradiction.Index != "" {
		t.Error(err)
	}
}

func TestYankedFilesAreTakenOnlyWhenPinnedAndAreReported(t *testing.T) {
	s := newShelf(t)
	s.add("alpha", "1.0")
	s.add("alpha", "2.0")
	s.yank["alpha-2.0-py3-none-any.whl"] = "broken on Sundays"
	if got := brief(chosenBy(t, image("alpha"), nil, options(t, s))); cmp.Diff([]string{"alpha 1.0 requested"}, got) != "" {
		t.Error(got)
	}
	r, err := Python(context.Background(), image("alpha==2.0"), nil, options(t, s))
	if err != nil || len(r.Notes) != 1 || !strings.Contains(r.Notes[0], "yanked: broken on Sundays") {
		t.Errorf("%v %v", r, err)
	}
}

func TestConditionsAndExtrasSayWhoAsked(t *testing.T) {
	s := newShelf(t)
	s.add("alpha", "1.0", `beta; extra == "more"`, `gamma; python_version < "3.0"`, `delta; sys_platform == "linux" and extra == "more"`)
	s.add("beta", "1.0", "gamma")
	s.add("gamma", "1.0")
	s.add("delta", "1.0")
	want := []string{"alpha 1.0 requested", "beta 1.0 by alpha", "delta 1.0 by alpha", "gamma 1.0 by beta"}
	if d := cmp.Diff(want, brief(chosenBy(t, image("alpha[more]"), nil, options(t, s)))); d != "" {
		t.Error(d)
	}
}

func TestTorchAndItsCompanionsComeFromTheVariantsIndex(t *testing.T) {
	public, variant := newShelf(t), newShelf(t)
	variant.add("torch", "2.9.1+cu126", "triton", "nvidia_cublas_cu12", "numpy")
	variant.add("torchvision", "0.24.1+cu126", "torch==2.9.1")
	variant.add("triton", "3.5.1")
	public.add("torch", "2.9.1")
	public.add("torchvision", "0.99")
	public.add("triton", "9.9")
	public.add("nvidia_cublas_cu12", "12.6.4.1")
	public.files["nvidia-cublas-cu12"] = public.files["nvidia_cublas_cu12"]
	public.add("numpy", "2.0")
	torch := "torch-2.9.1+cu126-py3-none-any.whl"
	o := options(t, public)
	st := o.Store
	set, err := fetch.Host(func(name string) string {
		return map[string]string{"FORGE_INDEX_URL": public.URL + "/simple", "FORGE_INDEX_PYTORCH_CU126_URL": variant.URL + "/simple"}[name]
	}, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	o.Fetch = fetch.New(st, set, nil)
	im := image("torchvision")
	im.PyTorch = &recipes.PyTorch{Version: "2.9.1", CUDA: "12.6"}
	variant.html = true
	var got []string
	for _, w := range chosenBy(t, im, nil, o) {
		got = append(got, strings.TrimSpace(w.Name+" "+w.Version+" "+w.Index+" "+strings.Join(w.Notes, " ")))
	}
	want := []string{"numpy 2.0 default", "nvidia-cublas-cu12 12.6.4.1 default", "torch 2.9.1+cu126 pytorch-cu126 index publishes no hash",
		"torchvision 0.24.1+cu126 pytorch-cu126 index publishes no hash", "triton 3.5.1 pytorch-cu126 index publishes no hash"}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	variant.html = false
	variant.lies[torch] = strings.Repeat("a", 64)
	o.Fetch = fetch.New(st, set, nil)
	var wrong *fetch.HashError
	if _, err := Python(context.Background(), im, nil, o); !errors.As(err, &wrong) || !strings.Contains(err.Error(), "accept") {
		t.Errorf("a wrong hash: %v", err)
	}
}

func TestWhatHasNoWheelIsExplained(t *testing.T) {
	s := newShelf(t)
	s.add("alpha", "1.0", "beta>=2")
	s.told["alpha-1.0-py3-none-any.whl"] = "Metadata-Version: 2.1\nName: alpha\nVersion: 1.0\nRequires-Dist: beta>=2\n"
	s.put("beta", "beta-2.0.tar.gz", []byte("x"))
	s.put("gamma", "gamma-1.0-cp311-cp311-manylinux_2_28_x86_64.whl", []byte("x"))
	s.add("delta", "1.0")
	s.put("delta", "delta-2.0.0.tar.gz", []byte("x"))
	s.add("omega", "1.0")
	s.put("omega", "omega-2.0-cp311-cp311-win_amd64.whl", []byte("x"))
	for requirement, want := range map[string][]string{
		"alpha":      {"beta has only source distributions", "asked for by alpha 1.0 (beta>=2)", `wheel "dist/beta-…`},
		"gamma":      {"gamma has no wheel for Python 3.13 on linux/amd64", "wheels for others: cp311"},
		"omega==2.0": {"omega has no wheel for Python 3.13 on linux/amd64 of what is asked for", "versions with a wheel: 1.0; wheels for others: cp311-cp311-win_amd64. Choose"},
		"delta==2.0": {"delta has no wheel for Python 3.13", "versions with a wheel: 1.0"},
	} {
		_, err := Python(context.Background(), image(requirement), nil, options(t, s))
		var input *InputError
		if !errors.As(err, &input) {
			t.Errorf("%s: %v", requirement, err)
			continue
		}
		if strings.Contains(err.Error(), os.TempDir()) || strings.Contains(err.Error(), "warning") {
			t.Errorf("%s: a place or a warning of uv's in: %v", requirement, err)
		}
		for _, w := range want {
			if !strings.Contains(err.Error(), w) {
				t.Errorf("%s: no %q in: %v", requirement, w, err)
			}
		}
	}
}

// uv sees wheels alone. Where no release has one, as of DeepSpeed, it would take a development version of
// years ago.
func TestAReleaseThatIsSourceAloneIsNotPassedOverInSilence(t *testing.T) {
	s := newShelf(t)
	s.add("speed", "0.3.1.dev3")
	s.put("speed", "speed-0.3.1.tar.gz", []byte("x"))
	s.put("speed", "speed-0.18.2.tar.gz", []byte("x"))
	s.put("speed", "speed-0.19rc1.tar.gz", []byte("x"))
	s.add("swift", "0.3.1.dev3") // whose releases have wheels for others alone
	s.put("swift", "swift-0.16-cp311-cp311-win_amd64.whl", []byte("x"))
	s.put("swift", "swift-0.15.tar.gz", []byte("x"))
	s.add("young", "1.0b1") // has no release at all
	s.put("young", "young-1.0b1.tar.gz", []byte("x"))
	s.add("asks", "1.0", "speed")
	s.add("pins", "1.0", "speed==0.3.1.dev3")
	s.add("old", "1.0")
	s.put("old", "old-1.10.tar.gz", []byte("x"))
	s.put("old", "old-1.9.tar.gz", []byte("x"))
	s.add("also", "1.0", "old")
	s.add("built", "1.0")
	s.put("built", "built-1.5.tar.gz", []byte("x"))
	s.put("built", "built-2.0-cp311-cp311-manylinux_2_28_x86_64.whl", []byte("x"))
	const note = `old 1.0 is the newest version with a wheel; 1.10 comes as source alone, and forge runs no setup code: build one and name it in the recipe: wheel "dist/old-….whl" {}`
	for _, row := range []struct{ requirement, err, note string }{
		{"speed", `speed has only source distributions of its releases, up to 0.18.2, and forge runs no setup code; versions with a wheel: 0.3.1.dev3. Ask for one of these versions by its number, or build one and name it in the recipe: wheel "dist/speed-….whl" {}`, ""},
		{"swift", "swift has no wheel of a release for Python 3.13 on linux/amd64, and forge runs no setup code; versions with a wheel: 0.3.1.dev3; wheels for others: cp311-cp311-win_amd64. Ask for", ""},
		{"asks", "speed has only source distributions of its releases, up to 0.18.2, and forge runs no setup code; asked for by asks 1.0 (speed); versions with", ""},
		{"speed==0.3.1.dev3", "", ""},
		{"pins", "", ""},
		{"young", "", ""},
		{"old", "", note},
		{"old>=1", "", ""},
		{"also", "", ""},
		{"built", "", ""},
	} {
		res, err := Python(context.Background(), image(row.requirement), nil, options(t, s))
		var input *InputError
		switch {
		case row.err != "":
			if !errors.As(err, &input) || !strings.Contains(err.Error(), row.err) {
				t.Errorf("%s: %v", row.requirement, err)
			}
		case err != nil:
			t.Errorf("%s: %v", row.requirement, err)
		case strings.Join(res.Notes, "\n") != row.note:
			t.Errorf("%s: %q", row.requirement, res.Notes)
		}
	}
}

// One requirement changes: its wheel, what only it leads to, and the layer of its group.
func TestAChangedRequirementChangesOnlyItsOwnLines(t *testing.T) {
	s := newShelf(t)
	s.add("alpha", "1.0", "beta")
	s.add("alpha", "2.0", "beta", "gamma")
	s.add("beta", "1.0")
	s.add("gamma", "1.0")
	s.add("other", "1.0")
	o := options(t, s)
	before := &lock.Image{Wheels: chosenBy(t, image("alpha==1.0", "other"), nil, o)}
	s.add("beta", "2.0")
	s.add("other", "2.0")
	after := &lock.Image{Wheels: chosenBy(t, image("alpha==2.0", "other"), before, options(t, s))}
	if d := cmp.Diff([]string{"alpha 2.0 requested", "beta 1.0 by alpha", "gamma 1.0 by alpha", "other 1.0 requested"}, brief(after.Wheels)); d != "" {
		t.Error(d)
	}
	changed := map[string]bool{}
	was := map[string]string{}
	for _, l := range convert.Group(before) {
		was[l.Name] = strings.Join(l.Members, " ")
	}
	of := map[string]string{}
	for _, l := range convert.Group(after) {
		changed[l.Name] = was[l.Name] != strings.Join(l.Members, " ")
		for _, m := range l.Members {
			for _, w := range after.Wheels {
				if w.SHA256 == m {
					of[w.Name] = l.Name
				}
			}
		}
	}
	for name, layer := range of {
		if want := layer == of["alpha"] || layer == of["gamma"]; changed[layer] != want {
			t.Errorf("layer %s of %s changed: %v", layer, name, changed[layer])
		}
	}
}
