package manifests

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const deployment = `apiVersion: apps/v1
kind: Deployment
metadata:
  name: train
spec:
  template:
    spec:
      initContainers:
        - {name: init, image: "r.example/init:1"}
      containers:
        - name: a
          image: r.example/a:1 # the trainer
        - name: b
          image: r.example/a:1
      volumes:
        - name: m
          image:
            reference: r.example/model@sha256:00
            pullPolicy: Always
---
apiVersion: batch/v1
kind: CronJob
metadata: {name: scan}
spec: {jobTemplate: {spec: {template: {spec: {containers: [{image: r.example/scan:2}]}}}}}
`

func TestImagesOfAListAreFound(t *testing.T) {
	for name, row := range map[string]struct {
		list string
		want []Image
	}{
		"lines":    {"# what runs\nr.example/a:1\n\n  r.example/b@sha256:00  # pinned\nr.example:5000/a:1\nr.example/a:1\n", []Image{{"r.example/a:1", "line 2"}, {"r.example/b@sha256:00", "line 4"}, {"r.example:5000/a:1", "line 5"}}},
		"YAML":     {deployment, []Image{{"r.example/init:1", "Deployment train, line 9"}, {"r.example/a:1", "Deployment train, line 12"}, {"r.example/model@sha256:00", "Deployment train, line 18"}, {"r.example/scan:2", "CronJob scan, line 24"}}},
		"JSON":     {`{"kind":"List","items":[{"kind":"Pod","metadata":{"name":"x"},"spec":{"containers":[{"image":"r.example/a:1"}]}}]}`, []Image{{"r.example/a:1", "Pod x, line 1"}}},
		"one line": {"r.example/a:1", []Image{{"r.example/a:1", "line 1"}}},
	} {
		got, err := Read([]byte(row.list))
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if d := cmp.Diff(row.want, got); d != "" {
			t.Errorf("%s: %s", name, d)
		}
	}
}

// What cannot be read is an error, never an empty list.
func TestWhatCannotBeReadIsAnError(t *testing.T) {
	for name, row := range map[string][2]string{
		"empty":             {"", "names no image"},
		"comments":          {"# nothing\n", "names no image"},
		"no image":          {"kind: Service\nmetadata: {name: x}\n", "names no image"},
		"broken YAML":       {"kind: Pod\n  spec: [\n", "document 1"},
		"second is broken":  {"image: a\n---\n: : [\n", "document 2"},
		"an alias":          {"a: &x {image: r.example/a:1}\nb: *x\n", "an alias"},
		"a bomb":            {"a: &a [x, x]\n" + "b: &b [*a, *a]\nc: [*b, *b]\nimage: r.example/a\n", "an alias"},
		"deep":              {"x: " + strings.Repeat("[", 2000) + strings.Repeat("]", 2000), ""},
		"a blank in a name": {"kind: Pod\nimage: \"a b\"\n", "is no image"},
		"an escape":         {"kind: Pod\nimage: \"a\\u001b[2J\"\n", "is no image"},
		"a text":            {"--- \"just text: here\"\n", "neither a manifest"},
		"not UTF-8":         {"\xff", "UTF-8"},
		"large":             {strings.Repeat("x", MaxBytes+1), "larger"},
	} {
		if got, err := Read([]byte(row[0])); err == nil || !strings.Contains(err.Error(), row[1]) {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
}

func FuzzRead(f *testing.F) {
	for _, s := range []string{deployment, "r.example/a:1\n", `{"image":"a"}`, "a: &x [*x]", "--- !!binary x\n"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		images, err := Read(raw)
		if err == nil && len(images) == 0 {
			t.Fatal("no image, and no error")
		}
		for _, im := range images {
			if im.Name == "" || strings.ContainsAny(im.Name, " \n\x1b") {
				t.Fatalf("%q", im.Name)
			}
		}
	})
}
