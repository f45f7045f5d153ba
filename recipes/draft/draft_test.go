package draft

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestADockerfileOfTheUsualKind(t *testing.T) {
	var d Draft
	d.AddDockerfile(`# syntax=docker/dockerfile:1
FROM node:20 AS web
RUN npm ci
FROM nvidia/cuda:12.8.1-cudnn-runtime-ubuntu22.04
ENV DEBIAN_FRONTEND=noninteractive OMP_NUM_THREADS="8"
RUN apt-get update && apt-get install -y --no-install-recommends \
    python3-pip libgomp1 cuda-toolkit-12-8 && rm -rf /var/lib/apt/lists/*
WORKDIR /app
COPY requirements.txt .
RUN pip3 install --no-cache-dir -r requirements.txt && pip install torch==2.9.1+cu128 --index-url https://download.pytorch.org/whl/cu128
RUN pip install git+https://git.example/x.git
COPY --from=web /dist /static
COPY src /app
EXPOSE 8080/tcp
CMD ["python", "-m", "serve"]
`, func(name string) (string, bool) { return "numpy>=2\n# a comment\n-e .\n", name == "requirements.txt" })
	want := Draft{
		Torch: "2.9.1", WantsTorch: true, CUDA: "12.8", Requirements: []string{"numpy>=2"}, Packages: []string{"libgomp1"},
		Env: map[string]string{"OMP_NUM_THREADS": "8"}, Workdir: "/app", Command: []string{"python", "-m", "serve"}, Ports: []string{"8080"},
		Copies: [][2]string{{"src", "/app"}},
	}
	notes := d.Notes
	d.Notes = nil
	if diff := cmp.Diff(want, d); diff != "" {
		t.Error(diff)
	}
	for _, part := range []string{"npm ci", "the base nvidia/cuda:12.8.1", "python3-pip", "cuda-toolkit-12-8", "-e .", "git+https", "copied from another stage", "DEBIAN_FRONTEND"} {
		if !strings.Contains(strings.Join(notes, "\n"), part) {
			t.Errorf("no note says %q; notes:\n%s", part, strings.Join(notes, "\n"))
		}
	}
}

func TestACondaEnvironment(t *testing.T) {
	var d Draft
	if err := d.AddEnvironment("name: My Env\nchannels: [conda-forge]\ndependencies:\n  - python=3.13.1\n  - cudatoolkit=11.8\n  - pip\n  - pip:\n    - torch==2.9.1\n    - pandas\n    - -r more.txt\n"); err != nil {
		t.Fatal(err)
	}
	want := Draft{Name: "my-env", Torch: "2.9.1", WantsTorch: true, Python: "3.13", Requirements: []string{"pandas"}, Notes: []string{
		"a conda package; ask for its wheel under requirements: cudatoolkit=11.8",
		"not carried over: -r more.txt (a private index is an index block of python, with the names that come from it)",
	}}
	if diff := cmp.Diff(want, d); diff != "" {
		t.Error(diff)
	}
	if err := new(Draft).AddEnvironment("a: [b"); err == nil {
		t.Error("broken YAML was accepted")
	}
}

func TestRequirementLines(t *testing.T) {
	for _, row := range []struct {
		line  string
		torch string
		reqs  []string
		notes int
	}{
		{"torch==2.9.1+cu126", "2.9.1", nil, 0},
		{"torch>=2", "", nil, 1},
		{"torchvision==0.24.1+cu128", "", []string{"torchvision==0.24.1"}, 0},
		{"numpy>=2 --hash=sha256:00", "", []string{"numpy>=2"}, 0},
		{"x @ https://h.example/x.whl", "", nil, 1},
		{"./local", "", nil, 1},
		{"--extra-index-url https://download.pytorch.org/whl/cu128", "", nil, 0},
		{"--extra-index-url https://pypi.acme.example/simple", "", nil, 1},
	} {
		var d Draft
		d.AddRequirements(row.line)
		if d.Torch != row.torch || cmp.Diff(row.reqs, d.Requirements) != "" || len(d.Notes) != row.notes {
			t.Errorf("%s: got %+v", row.line, d)
		}
	}
}

func TestHostileValuesStayLiterals(t *testing.T) {
	d := Draft{Name: "x\n}", Command: []string{"${file(\"/etc/passwd\")}", "%{for x in y}"}}
	d.note("a\nimage \"evil\" {}")
	text := d.HCL()
	if strings.Contains(strings.ReplaceAll(text, "$${", ""), "${") || strings.Contains(strings.ReplaceAll(text, "%%{", ""), "%{") {
		t.Errorf("a template survived:\n%s", text)
	}
	if strings.Contains(text, "\nimage \"evil\"") {
		t.Errorf("a note left its comment:\n%s", text)
	}
}
