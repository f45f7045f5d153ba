package resolve

import (
	"archive/zip"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/forge-build/forge/builder/convert"
	"github.com/forge-build/forge/builder/fetch"
	"github.com/forge-build/forge/builder/store"
	"github.com/forge-build/forge/recipes"
	"github.com/forge-build/forge/recipes/lock"
)

// shelf is an index of the tests' own: files by project.
type shelf struct {
	*httptest.Server
	files map[string]map[string][]byte
	lies  map[string]string // file → sha256 that the page states
	asked map[string]int
	told  map[string]string // file → METADATA that lies beside it
	yank  map[string]string // file → why
	html  bool              // pages in HTML, without hashes
	parts bool              // sends parts of files
	other map[string][]byte // file → what parts are of, when it is another file
	sent  map[string]int    // file → bytes
	mu    sync.Mutex        // of sent
}

func newShelf(t *testing.T) *shelf {
	s := &shelf{files: map[string]map[string][]byte{}, lies: map[string]string{}, asked: map[string]int{}, told: map[string]string{}, yank: map[string]string{},
		other: map[string][]byte{}, sent: map[string]int{}}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		parts := strings.Split(strings.Trim(r.URL.Path, "/"), "/")
		switch {
		case len(parts) == 2 && parts[0] == "simple" && s.files[parts[1]] != nil:
			s.asked[parts[1]]++
			s.page(w, parts[1])
		case len(parts) == 3 && parts[0] == "f" && s.told[strings.TrimSuffix(parts[2], ".metadata")] != "" && strings.HasSuffix(parts[2], ".metadata"):
			_, _ = w.Write([]byte(s.told[strings.TrimSuffix(parts[2], ".metadata")]))
		case len(parts) == 3 && parts[0] == "f" && s.files[parts[1]][parts[2]] != nil:
			s.send(w, r, parts[1], parts[2])
		default:
			http.NotFound(w, r)
		}
	}))
	t.Cleanup(s.Close)
	return s
}

func (s *shelf) send(w http.ResponseWriter, r *http.Request, project, file string) {
	content := s.files[project][file]
	if s.other[file] != nil && r.Header.Get("Range") != "" {
		content = s.other[file]
	}
	if !s.parts {
		r.Header.Del("Range")
	}
	to := httptest.NewRecorder()
	http.ServeContent(to, r, "", time.Time{}, bytes.NewReader(content))
	if !s.parts {
		to.Header().Del("Accept-Ranges")
	}
	s.mu.Lock()
	s.sent[file] += to.Body.Len()
	s.mu.Unlock()
	for k, v := range to.Header() {
		w.Header()[k] = v
	}
	w.WriteHeader(to.Code)
	_, _ = w.Write(to.Body.Bytes()) // the client may have had enough
}

func (s *shelf) page(w http.ResponseWriter, project string) {
	var files []map[string]any
	if s.html {
		for name := range s.files[project] {
			fmt.Fprintf(w, "<a href=\"%s/f/%s/%s\">%s</a>\n", s.URL, project, strings.ReplaceAll(name, "+", "%2B"), name)
		}
		return
	}
	for name, content := range s.files[project] {
		h := sum(content)
		if lie := s.lies[name]; lie != "" {
			h = lie
		}
		row := map[string]any{"filename": name, "url": s.URL + "/f/" + project + "/" + strings.ReplaceAll(name, "+", "%2B"), "hashes": map[string]string{"sha256": h}, "size": len(content)}
		if s.told[name] != "" {
			row["core-metadata"] = true
		}
		if s.yank[name] != "" {
			row["yanked"] = s.yank[name]
		}
		files = append(files, row)
	}
	w.Header().Set("Content-Type", "application/vnd.pypi.simple.v1+json")
	_ = json.NewEncoder(w).Encode(map[string]any{"meta": map[string]string{"api-version": "1.1"}, "name": project, "files": files})
}

// add puts a small wheel on the shelf.
func (s *shelf) add(name, version string, requires ...string) {
	info := name + "-" + version + ".dist-info"
	meta := fmt.Sprintf("Metadata-Version: 2.1\nName: %s\nVersion: %s\n", name, version)
	for _, r := range requires {
		meta += "Requires-Dist: " + r + "\n"
	}
	content := map[string]string{name + ".py": "x = 1\n", info + "/METADATA": meta, info + "/WHEEL": "Wheel-Version: 1.0\nGenerator: t\nRoot-Is-Purelib: true\nTag: py3-none-any\n"}
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	record := ""
	put := func(file, text string) {
		h := &zip.FileHeader{Name: file, Method: zip.Store, CRC32: crc32.ChecksumIEEE([]byte(text)), CompressedSize64: uint64(len(text)), UncompressedSize64: uint64(len(text))}
		h.SetMode(0o644)
		w, err := z.CreateRaw(h)
		if err != nil {
			panic(err)
		}
		_, _ = w.Write([]byte(text))
	}
	for _, file := range []string{name + ".py", info + "/METADATA", info + "/WHEEL"} {
		put(file, content[file])
		h := sha256.Sum256([]byte(content[file]))
		record += fmt.Sprintf("%s,sha256=%s,%d\n", file, base64.RawURLEncoding.EncodeToString(h[:]), len(content[file]))
	}
	put(info+"/RECORD", record+info+"/RECORD,,\n")
	if err := z.Close(); err != nil {
		panic(err)
	}
	s.put(name, fmt.Sprintf("%s-%s-py3-none-any.whl", name, version), b.Bytes())
}

func (s *shelf) put(project, file string, content []byte) {
	if s.files[project] == nil {
		s.files[project] = map[string][]byte{}
	}
	s.files[project][file] = content
}

// tools is one store for all tests of this run: uv is unpacked once.
var tools = func() string {
	dir, err := os.MkdirTemp("", "forge-resolve-test-")
	if err != nil {
		panic(err)
	}
	return filepath.Join(dir, "store")
}()

func TestMain(m *testing.M) {
	code := m.Run()
	os.RemoveAll(filepath.Dir(tools))
	os.Exit(code)
}

func options(t *testing.T, s *shelf) Options {
	t.Helper()
	st, err := store.Open(tools)
	if err != nil {
		t.Fatal(err)
	}
	env := func(name string) string {
		if name == "FORGE_INDEX_URL" {
			return s.URL + "/simple"
		}
		return ""
	}
	set, err := fetch.Host(env, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return Options{Store: st, Fetch: fetch.New(st, set, nil), Env: env}
}

func image(requirements ...string) *recipes.Image {
	return &recipes.Image{Name: "a", Platform: "linux/amd64", Debian: &recipes.Debian{Suite: "trixie"}, Python: recipes.Python{Requirements: requirements}}
}

func chosenBy(t *testing.T, im *recipes.Image, before *lock.Image, o Options) []lock.Wheel {
	t.Helper()
	r, err := Python(context.Background(), im, before, o)
	if err != nil {
		t.Fatal(err)
	}
	return r.Wheels
}

func brief(wheels []lock.Wheel) []string {
	var out []string
	for _, w := range wheels {
		s := w.Name + " " + w.Version
		if w.Requested {
			s += " requested"
		}
		if len(w.RequiredBy) > 0 {
			s += " by " + strings.Join(w.RequiredBy, ",")
		}
		out = append(out, s)
	}
	return out
}

func TestTransitiveNamesAreChosenAndSayWhoAsked(t *testing.T) {
	s := newShelf(t)
	s.add("alpha", "1.0", "beta>=1", `gamma; sys_platform == "win32"`, `delta; extra == "more"`)
	s.add("beta", "1.5")
	s.add("gamma", "1.0")
	s.add("delta", "1.0")
	got := chosenBy(t, image("alpha"), nil, options(t, s))
	if d := cmp.Diff([]string{"alpha 1.0 requested", "beta 1.5 by alpha"}, brief(got)); d != "" {
		t.Error(d)
	}
	if w := got[1]; w.Index != "default" || w.File != "beta-1.5-py3-none-any.whl" || w.SHA256 != sum(s.files["beta"][w.File]) || w.Size != int64(len(s.files["beta"][w.File])) {
		t.Errorf("%+v", w)
	}
	if s.asked["gamma"]+s.asked["delta"] > 0 {
		t.Error("a name was asked for that nothing needs")
	}
}

func TestWhatIsLockedStaysUntilItIsUpgraded(t *testing.T) {
	s := newShelf(t)
	s.add("alpha", "1.0", "beta")
	s.add("beta", "1.0")
	o := options(t, s)
	before := &lock.Image{Wheels: chosenBy(t, image("alpha"), nil, o)}
	s.add("alpha", "2.0", "beta")
	s.add("beta", "2.0")
	for _, row := range []struct {
		name string
		o    func(*Options)
		reqs string
		want []string
	}{
		{"nothing changed", func(*Options) {}, "alpha", []string{"alpha 1.0 requested", "beta 1.0 by alpha"}},
		{"one name", func(o *Options) { o.Upgrade = []string{"beta"} }, "alpha", []string{"alpha 1.0 requested", "beta 2.0 by alpha"}},
		{"everything", func(o *Options) { o.UpgradeAll = true }, "alpha", []string{"alpha 2.0 requested", "beta 2.0 by alpha"}},
		{"the recipe says otherwise", func(*Options) {}, "alpha>=2", []string{"alpha 2.0 requested", "beta 1.0 by alpha"}},
	} {
		o := options(t, s)
		row.o(&o)
		if d := cmp.Diff(row.want, brief(chosenBy(t, image(row.reqs), before, o))); d != "" {
			t.Errorf("%s: %s", row.name, d)
		}
	}
}

func TestOnlyASourceDistributionIsAnErrorThatNamesIt(t *testing.T) {
	s := newShelf(t)
	s.add("alpha", "1.0", "sourceonly")
	s.put("sourceonly", "sourceonly-1.0.tar.gz", []byte("x"))
	_, err := Python(context.Background(), image("alpha"), nil, options(t, s))
	var input *InputError
	if !errors.As(err, &input) || !strings.Contains(err.Error(), "sourceonly has only source distributions") {
		t.Error(err)
	}
	if strings.Contains(err.Error(), "127.0.0.1") {
		t.Errorf("forge's own address is in the message: %v", err)
	}
}

func TestWhatDoesNotFitIsSaid(t *testing.T) {
	s := newShelf(t)
	s.add("alpha", "1.0", "beta>=2")
	s.add("beta", "1.0")
	_, err := Python(context.Background(), image("alpha"), nil, options(t, s))
	var input *InputError
	if !errors.As(err, &input) || !strings.Contains(err.Error(), "beta") {
		t.Error(err)
	}
}

func TestAnIndexThatContradictsTheBytesIsRefusedUnlessAccepted(t *testing.T) {
	s := newShelf(t)
	s.add("alpha", "1.1")
	file := "alpha-1.1-py3-none-any.whl"
	s.lies[file] = strings.Repeat("a", 64)
	var wrong *fetch.HashError
	if _, err := Python(context.Background(), image("alpha"), nil, options(t, s)); !errors.As(err, &wrong) {
		t.Errorf("%v", err)
	}
	im := image("alpha")
	im.Python.Accepts = []recipes.Accept{{File: file, SHA256: sum(s.files["alpha"][file]), Reason: "the mirror's page is old"}}
	got := chosenBy(t, im, nil, options(t, s))
	if len(got) != 1 || len(got[0].Notes) != 1 || !strings.Contains(got[0].Notes[0], "the mirror's page is old") {
		t.Errorf("%+v", got)
	}
}

// remade is a wheel in which some bytes are others of the same length, and the ZIP is right.
func remade(t *testing.T, content []byte, old, new string) []byte {
	t.Helper()
	if !bytes.Contains(content, []byte(old)) || len(old) != len(new) {
		t.Fatalf("no %q", old)
	}
	b := bytes.ReplaceAll(content, []byte(old), []byte(new))
	z, err := zip.NewReader(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	w := zip.NewWriter(&out)
	for _, f := range z.File {
		r, err := f.OpenRaw()
		if err != nil {
			t.Fatal(err)
		}
		text, _ := io.ReadAll(r)
		h := f.FileHeader
		h.CRC32, h.Extra = crc32.ChecksumIEEE(text), nil
		to, err := w.CreateRaw(&h)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = to.Write(text)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// The newest vision breaks a rule and does not fit, and the index has no METADATA beside its
// wheels: it is looked at, never taken, and where the server sends parts not even downloaded.
func TestABrokenWheelThatIsNotChosenEndsNothing(t *testing.T) {
	for _, parts := range []bool{true, false} {
		s := newShelf(t)
		s.parts = parts
		s.add("vision", "1.0", "torch==1.0")
		s.add("vision", "2.0", "torch==2.0")
		s.add("torch", "1.0")
		s.add("torch", "2.0")
		const broken = "vision-2.0-py3-none-any.whl"
		s.files["vision"][broken] = padded(t, remade(t, s.files["vision"][broken], "Tag: py3-none-any", "Tag: py2-none-any"), fmt.Sprint(parts))
		got := brief(chosenBy(t, image("vision", "torch==1.0"), nil, options(t, s)))
		if d := cmp.Diff([]string{"torch 1.0 requested by vision", "vision 1.0 requested"}, got); d != "" {
			t.Errorf("parts %v: %s", parts, d)
		}
		if whole := s.sent[broken] >= len(s.files["vision"][broken]); whole == parts {
			t.Errorf("parts %v: %d of %d bytes were sent", parts, s.sent[broken], len(s.files["vision"][broken]))
		}
		var refused *RefusedError
		_, err := Python(context.Background(), image("vision"), nil, options(t, s))
		if !errors.As(err, &refused) || refused.Err.ID != "WHL-02" || refused.Version != "2.0" {
			t.Errorf("parts %v, chosen: %v", parts, err)
		}
	}
}

// padded is a wheel with a megabyte of text more at its start.
func padded(t *testing.T, content []byte, text string) []byte {
	t.Helper()
	z, err := zip.NewReader(bytes.NewReader(content), int64(len(content)))
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	w := zip.NewWriter(&out)
	large := bytes.Repeat([]byte(text), 1<<20)[:1<<20]
	h := &zip.FileHeader{Name: "large", Method: zip.Store, CRC32: crc32.ChecksumIEEE(large), CompressedSize64: 1 << 20, UncompressedSize64: 1 << 20}
	to, err := w.CreateRaw(h)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = to.Write(large)
	for _, f := range z.File {
		if err := w.Copy(f); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// A server whose parts are of another file than the whole has lied to uv: IDX-03.
func TestPartsOfAnotherFileAreNotBelieved(t *testing.T) {
	s := newShelf(t)
	s.parts = true
	s.add("alpha", "1.0", "beta")
	s.add("beta", "1.0")
	const file = "alpha-1.0-py3-none-any.whl"
	s.other[file] = s.files["alpha"][file]
	s.add("alpha", "1.0", "beta>=1")
	var contradiction *MetadataError
	if _, err := Python(context.Background(), image("alpha"), nil, options(t, s)); !errors.As(err, &contradiction) || contradiction.Field != "Requires-Dist" {
		t.Error(err)
	}
}

// uv asks nobody but forge's own index, whatever a candidate's METADATA refers to.
func TestDirectReferencesOfCandidatesAreNotFollowed(t *testing.T) {
	asked := false
	elsewhere := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { asked = true }))
	defer elsewhere.Close()
	for _, parts := range []bool{true, false} {
		s := newShelf(t)
		s.parts = parts
		s.add("alpha", "1.0", "beta @ "+elsewhere.URL+"/beta-1.0-py3-none-any.whl")
		s.add("beta", "1.0")
		if r, err := Python(context.Background(), image("alpha"), nil, options(t, s)); err == nil {
			t.Errorf("%+v", r.Wheels)
		} else {
			t.Log(err)
		}
	}
	if asked {
		t.Error("uv has asked another server")
	}
}

// A chosen wheel that contradicts itself is refused with what a recipe can do, which then works.
func TestAChosenWheelThatIsRefusedNamesTheWaysOn(t *testing.T) {
	s := newShelf(t)
	s.add("alpha", "1.0")
	s.add("alpha", "1.1")
	file := "alpha-1.1-py3-none-any.whl"
	broken := func(old, new string) {
		s.files["alpha"][file] = remade(t, s.files["alpha"][file], old, new)
	}
	broken("Tag: py3-none-any", "Tag: py2-none-any")
	var refused *RefusedError
	_, err := Python(context.Background(), image("alpha"), nil, options(t, s))
	if !errors.As(err, &refused) || !refused.CanAccept || refused.Err.ID != "WHL-02" {
		t.Fatal(err)
	}
	accept := fmt.Sprintf("accept %q { sha256 = %q", file, sum(s.files["alpha"][file]))
	for _, want := range []string{`"alpha != 1.1" among the requirements`, accept} {
		if !strings.Contains(refused.Hint(), want) {
			t.Errorf("no %s in: %s", want, refused.Hint())
		}
	}
	if got := brief(chosenBy(t, image("alpha", "alpha != 1.1"), nil, options(t, s))); got[0] != "alpha 1.0 requested" {
		t.Error(got)
	}
	im := image("alpha")
	im.Python.Accepts = []recipes.Accept{{File: file, SHA256: sum(s.files["alpha"][file]), Reason: "its maker renamed it"}}
	got := chosenBy(t, im, nil, options(t, s))
	if got[0].Version != "1.1" || len(got[0].Notes) != 1 || !strings.Contains(got[0].Notes[0], "its maker renamed it") || !strings.Contains(got[0].Notes[0], "WHL-02") {
		t.Errorf("%+v", got)
	}
	broken("alpha.py", "/lpha.py") // nobody can accept a path
	im.Python.Accepts[0].SHA256 = sum(s.files["alpha"][file])
	_, err = Python(context.Background(), im, nil, options(t, s))
	if !errors.As(err, &refused) || refused.CanAccept || refused.Err.ID != "ZIP-01" || !strings.Contains(refused.Hint(), `wheel "dist/`+file+`" {}`) {
		t.Error(err, refused.Hint())
	}
}

func TestNamesAreBoundToOneIndex(t *testing.T) {
	im := image()
	im.PyTorch = &recipes.PyTorch{Version: "2.9.1", CUDA: "12.6"}
	x := newIndex(im, Options{})
	for name, want := range map[string]string{"torch": "pytorch-cu126", "torchvision": "pytorch-cu126", "triton": "pytorch-cu126", "numpy": "default", "nvidia-cublas-cu12": "default"} {
		if got, err := x.bound(name); err != nil || got != want {
			t.Errorf("%s comes from %s, want %s", name, got, want)
		}
	}
	im.PyTorch.CUDA = "cpu"
	if got, _ := x.bound("torch"); got != "pytorch-cpu" {
		t.Error(got)
	}
	im.PyTorch.CUDA = "12.8" // what the default index serves
	if got, _ := x.bound("torch"); got != "default" {
		t.Error(got)
	}
}

func TestTheLoopbackIndexAnswersNobodyElse(t *testing.T) {
	s := newShelf(t)
	s.add("alpha", "1.0")
	x := newIndex(image("alpha"), options(t, s))
	url, stop, err := x.serve()
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	root := url[:strings.Index(url, x.secret)]
	for path, want := range map[string]int{"simple/alpha/": 404, "": 404, x.secret + "/simple/alpha/": 200, x.secret + "/simple/nothing/": 404, x.secret + "/files/alpha/../../x": 404} {
		r, err := http.Get(root + path)
		if err != nil {
			t.Fatal(err)
		}
		r.Body.Close()
		if r.StatusCode != want {
			t.Errorf("%s: %d, want %d", path, r.StatusCode, want)
		}
	}
}

func TestDerive(t *testing.T) {
	im := image()
	im.PyTorch = &recipes.PyTorch{Driver: "525.60.13"}
	made := []convert.Made{{Torch: "2.9.1+cu128", CUDA: "12.8", GLIBC: "2.27", Layer: lock.Layer{Kind: "wheels", Unpacked: 10}}, {GLIBC: "2.4", Layer: lock.Layer{Kind: "wheels", Unpacked: 5}}}
	got, err := Derive(im, &lock.Image{Wheels: []lock.Wheel{{Size: 7}}}, made)
	want := lock.Derived{CUDA: "12.8", Driver: "525.60.13", Recommended: "570.124.06", Torch: "2.9.1+cu128", GLIBC: "2.27", Compressed: 7, Unpacked: 15,
		SM: []string{"7.0", "7.5", "8.0", "8.6", "9.0", "10.0", "12.0"}}
	if err != nil || cmp.Diff(want, got) != "" {
		t.Errorf("%v %s", err, cmp.Diff(want, got))
	}
	made[1].CUDA = "13.0" // one wheel of a newer major release raises the floor
	var input *InputError
	if _, err := Derive(im, &lock.Image{}, made); !errors.As(err, &input) || !strings.Contains(err.Error(), "CUDA 13.0 needs driver 580.65.06 or newer on Linux; this fleet floor is 525.60.13") {
		t.Error(err)
	}
	made[1].CUDA, made[1].GPUs = "", []convert.GPU{{Wheel: "onnxruntime-gpu 1.31.1", Linked: []string{"13"}}} // and one that is made for it
	if _, err := Derive(im, &lock.Image{}, made); !errors.As(err, &input) || !strings.Contains(err.Error(), "this fleet floor is 525.60.13 (onnxruntime-gpu 1.31.1: made for CUDA 13.0)") {
		t.Error(err)
	}
	made[1].GPUs[0].Linked = []string{"19"}
	if _, err := Derive(im, &lock.Image{}, made); !errors.As(err, &input) || !strings.Contains(err.Error(), "CUDA 19.0 (onnxruntime-gpu 1.31.1: made for CUDA 19.0), and forge's table") {
		t.Error(err)
	}
}
