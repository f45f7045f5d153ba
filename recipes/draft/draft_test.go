package draft

import (
	"io/fs"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
)

func folder(files map[string]string) fs.FS {
	m := fstest.MapFS{}
	for name, text := range files {
		m[name] = &fstest.MapFile{Data: []byte(text), Mode: 0o644}
	}
	return m
}

// draftOf reads one file of a folder and settles what it says.
func draftOf(t *testing.T, read func(*Draft, fs.FS) error, files map[string]string) *Draft {
	t.Helper()
	d := &Draft{Pythons: map[string]string{"trixie": "3.13", "bookworm": "3.11"}}
	if err := read(d, folder(files)); err != nil {
		t.Fatal(err)
	}
	d.settle()
	return d
}

func dockerfileOf(t *testing.T, text string, more map[string]string) *Draft {
	t.Helper()
	files := map[string]string{"Dockerfile": text}
	for k, v := range more {
		files[k] = v
	}
	return draftOf(t, func(d *Draft, f fs.FS) error { return d.Dockerfile(f, "Dockerfile") }, files)
}

func noted(t *testing.T, d *Draft, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if !strings.Contains(strings.Join(d.Notes, "\n"), part) {
			t.Errorf("no note says %q; notes:\n%s", part, strings.Join(d.Notes, "\n"))
		}
	}
	if len(d.Notes) != len(parts) {
		t.Errorf("%d notes, want %d:\n%s", len(d.Notes), len(parts), strings.Join(d.Notes, "\n"))
	}
}

var values = cmp.Options{cmpopts.IgnoreFields(Draft{}, "Notes", "Pythons"), cmpopts.IgnoreUnexported(Draft{}), cmpopts.EquateEmpty()}

func TestADockerfileOfTheUsualKind(t *testing.T) {
	d := dockerfileOf(t, `# syntax=docker/dockerfile:1
ARG CUDA=12.8.1
FROM node:20 AS web
RUN npm ci
FROM nvidia/cuda:${CUDA}-cudnn-runtime-ubuntu22.04 AS base
ENV DEBIAN_FRONTEND=noninteractive OMP_NUM_THREADS="8" \
    API_TOKEN=x
LABEL team="ml platform"
RUN apt-get update && apt-get install -y --no-install-recommends -t stable \
    # in the middle
    python3-pip libgomp1 cuda-toolkit-12-8 libgl1-mesa-glx=1.0 && rm -rf /var/lib/apt/lists/*
WORKDIR /work
WORKDIR app
COPY requirements.txt /tmp/
RUN --mount=type=cache,target=/root/.cache PIP_NO_INPUT=1 python3 -m pip --quiet install --no-cache-dir -r /tmp/requirements.txt; pip3 install "torch==2.9.1+cu128" 'idna>=3,<4' --index-url=https://download.pytorch.org/whl/cu128
FROM base
RUN pip install git+https://user:pw@git.example/x.git -e . || echo "a && b"
RUN useradd -m -u 1234 ml && chown -R ml /work
USER ml
COPY --from=web /dist /static
COPY --chown=ml src/a.py src/b.py ./
COPY pkg .
COPY *.cfg /etc/app/
COPY gone /gone
EXPOSE 8080/tcp 53/udp 8000-8002 9000-9001/tcp 8000-8002/udp 7-5 0-3 1000-1100
VOLUME /data
ENTRYPOINT ["python3", "-u"]
CMD ["-m", "serve"]
`, map[string]string{"requirements.txt": "numpy>=2\n-r more/other.txt\n", "more/other.txt": "six # a comment\n-r ../requirements.txt\n",
		"src/a.py": "", "src/b.py": "", "pkg/x.py": "", "one.cfg": "", "two.cfg": ""})
	want := &Draft{
		Torch: "2.9.1", WantsTorch: true, CUDA: "12.8", Requirements: []string{"numpy>=2", "six", "idna>=3,<4"}, Packages: []string{"libgomp1", "libgl1"},
		User: "ml", UID: 1234, Env: map[string]string{"OMP_NUM_THREADS": "8"}, Labels: map[string]string{"team": "ml platform"}, Workdir: "/work/app",
		Entrypoint: []string{"python3", "-u"}, Command: []string{"-m", "serve"}, Ports: []int{8000, 8001, 8002, 8080, 9000, 9001}, Writable: []string{"/data"},
		Copies: []Copy{{"src/a.py", "/work/app/a.py"}, {"src/b.py", "/work/app/b.py"}, {"pkg", "/work/app"}, {"one.cfg", "/etc/app/one.cfg"}, {"two.cfg", "/etc/app/two.cfg"}},
	}
	if diff := cmp.Diff(want, d, values); diff != "" {
		t.Error(diff)
	}
	noted(t, d, "the base nvidia/cuda:12.8.1-cudnn", "ENV API_TOKEN (give it", "python3-pip cuda-toolkit-12-8", "git+https://git.example/x.git", "not built: .",
		"does not run: chown -R ml /work", "--from=web", "COPY gone", "EXPOSE 53/udp", "EXPOSE 8000-8002/udp", "EXPOSE 7-5", "EXPOSE 0-3", "EXPOSE 1000-1100 (more than 100")
}

func TestADockerfileFromPyTorchWithAHereDocument(t *testing.T) {
	d := dockerfileOf(t, "FROM docker.io/pytorch/pytorch:2.9.1-cuda12.8-cudnn9-runtime\nARG V=4.57.1\nRUN <<EOF\napt-get update\napt-get install -y libgomp1\npip install transformers==${V} idna\nEOF\n"+
		"RUN conda install -y faiss-gpu\nADD https://host.example/model.bin /m/\nCMD python serve.py --lr=0.1\n", nil)
	want := &Draft{WantsTorch: true, Torch: "2.9.1", CUDA: "12.8", Requirements: []string{"transformers==4.57.1", "idna"}, Packages: []string{"libgomp1"},
		Command: []string{"python", "serve.py", "--lr=0.1"}}
	if diff := cmp.Diff(want, d, values); diff != "" {
		t.Error(diff)
	}
	noted(t, d, "pytorch/pytorch:2.9.1", "conda install -y faiss-gpu", "model.bin")
}

func TestWhatTheBaseSaysOfCUDA(t *testing.T) {
	for _, row := range []struct{ name, base, pip, cuda, note string }{
		{"torch has wheels for it", "nvidia/cuda:12.6.3-base-ubuntu24.04", "torch==2.9.1", "12.6", ""},
		{"torch has no wheels for it", "nvidia/cuda:12.2.0-base-ubuntu22.04", "torch==2.9.1", "", "CUDA 12.2 of the base is left out: torch 2.9.1 comes for"},
		{"the wheels say another", "nvidia/cuda:12.6.3-base-ubuntu24.04", "torch==2.9.1+cu128", "12.8", "the base had 12.6"},
		{"nothing asks for torch", "nvidia/cuda:12.6.3-base-ubuntu24.04", "onnxruntime-gpu", "", "nothing asks for torch"},
	} {
		d := dockerfileOf(t, "FROM "+row.base+"\nRUN pip install "+row.pip+"\n", nil)
		if d.CUDA != row.cuda || !strings.Contains(strings.Join(d.Notes, "\n"), row.note) {
			t.Errorf("%s: CUDA %q, want %q; notes %q", row.name, d.CUDA, row.cuda, d.Notes)
		}
	}
}

func TestADockerfileThatIsNone(t *testing.T) {
	for _, text := range []string{"", "RUN x\n", "FROM a\nNONSENSE x\n", "FROM a\nCOPY x\n", "FROM a b c\n"} {
		if err := new(Draft).Dockerfile(folder(map[string]string{"Dockerfile": text}), "Dockerfile"); err == nil {
			t.Errorf("%q was accepted", text)
		}
	}
}

func TestACondaEnvironment(t *testing.T) {
	d := draftOf(t, func(d *Draft, f fs.FS) error { return d.EnvironmentFile(f, "environment.yml") }, map[string]string{
		"environment.yml": "name: My Env\nchannels: [conda-forge]\ndependencies:\n  - python=3.11.9\n  - pytorch::pytorch=2.9.1=py311_0\n  - pytorch-cuda=12.8\n  - numpy>=1.2\n  - pip\n" +
			"  - pip:\n    - pandas==2.*\n    - \"six; python_version > '3'\"\n    - -r more.txt\nvariables:\n  OMP_NUM_THREADS: 4\n  HF_TOKEN: x\n",
		"more.txt": "idna\n"})
	want := &Draft{Name: "my-env", Torch: "2.9.1", WantsTorch: true, CUDA: "12.8", Python: "3.11", Suite: "bookworm",
		Requirements: []string{"pandas==2.*", "six; python_version > '3'", "idna"}, Env: map[string]string{"OMP_NUM_THREADS": "4"}}
	if diff := cmp.Diff(want, d, values); diff != "" {
		t.Error(diff)
	}
	noted(t, d, "numpy>=1.2", "HF_TOKEN")
	if err := new(Draft).EnvironmentFile(folder(map[string]string{"e.yml": "a: [b"}), "e.yml"); err == nil {
		t.Error("broken YAML was accepted")
	}
}

func TestRequirementLines(t *testing.T) {
	for _, row := range []struct {
		line  string
		torch string
		cuda  string
		reqs  []string
		note  string // "" when nothing is lost
	}{
		{"torch==2.9.1+cu126", "2.9.1", "12.6", nil, ""},
		{`torch==2.9.1 ; sys_platform == "linux"`, "2.9.1", "", nil, ""},
		{"torch>=2.4,<3", "", "", []string{"torch>=2.4,<3"}, ""},
		{"torchvision==0.24.1+cu128", "", "12.8", []string{"torchvision==0.24.1"}, ""},
		{"other==1.0+cu128", "", "", []string{"other==1.0+cu128"}, ""},
		{"numpy==2.1 \\\n  --hash=sha256:00 \\\n  --hash=sha256:11\n", "", "", []string{"numpy==2.1"}, "hashes"},
		{"requests[socks] ~= 2.32 ; python_version>'3' # why", "", "", []string{"requests[socks]~= 2.32; python_version>'3'"}, ""},
		{"\ufeffsix\r\n\r\n# all\r\n", "", "", []string{"six"}, ""},
		{"x @ https://h.example/x.whl", "", "", nil, "no name with versions"},
		{"./local", "", "", nil, "no name with versions"},
		{"local-1.0-py3-none-any.whl", "", "", nil, "no name with versions"},
		{"-e git+https://u:p@h.example/x#egg=x", "", "", nil, "not built: git+https://h.example/x#egg=x"},
		{"--extra-index-url https://download.pytorch.org/whl/cu128", "", "12.8", nil, ""},
		{"-i https://pypi.acme.example/simple", "", "", nil, "index \"NAME\" { url = \"https://pypi.acme.example/simple\", packages"},
		{"--extra-index-url=https://user:secret@pypi.acme.example/simple", "", "", nil, "index \"NAME\" { url = \"https://pypi.acme.example/simple\", packages"},
		{"-c limits.txt", "", "", nil, "constraints are not carried over: limits.txt"},
		{"-rgone.txt", "", "", nil, "gone.txt, which is not there"},
	} {
		d := draftOf(t, func(d *Draft, f fs.FS) error { return d.RequirementsFile(f, "r.txt") }, map[string]string{"r.txt": row.line})
		if d.Torch != row.torch || d.CUDA != row.cuda || cmp.Diff(row.reqs, d.Requirements, cmpopts.EquateEmpty()) != "" {
			t.Errorf("%q: got torch %q, CUDA %q, %q", row.line, d.Torch, d.CUDA, d.Requirements)
		}
		if notes := strings.Join(d.Notes, "\n"); !strings.Contains(notes, row.note) || (row.note == "") != (notes == "") || strings.Contains(notes, "secret") {
			t.Errorf("%q: notes %q, want %q", row.line, notes, row.note)
		}
	}
}

func TestScriptsAreCutAtOperatorsOutsideOfQuotes(t *testing.T) {
	got := lists("a 'x && y' && b \"; c\" ; d \\\n e # f && g\nh | i 2>&1 || j\\;k")
	want := []string{"a 'x && y'", `b "; c"`, "d   e", "h", "i 2>&1", `j\;k`}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestHostileValuesStayLiterals(t *testing.T) {
	evil := "${file(\"/etc/passwd\")}%{ if true }\\\"\u202e\n}"
	d := &Draft{Name: "x\n}", Command: []string{evil}}
	d.note("a\nimage \"evil\" {}\u2028image \"evil\" {}")
	text := d.HCL()
	f, diags := hclsyntax.ParseConfig([]byte(text), "recipe.hcl", hcl.InitialPos)
	if diags.HasErrors() {
		t.Fatalf("%s\n%s", diags, text)
	}
	blocks := f.Body.(*hclsyntax.Body).Blocks
	if len(blocks) != 1 {
		t.Fatalf("%d blocks:\n%s", len(blocks), text)
	}
	v, diags := blocks[0].Body.Attributes["command"].Expr.Value(nil) // no variables, no functions
	if diags.HasErrors() {
		t.Fatalf("%s\n%s", diags, text)
	}
	if got := v.AsValueSlice()[0].AsString(); got != evil {
		t.Errorf("got %q, want %q", got, evil)
	}
}
