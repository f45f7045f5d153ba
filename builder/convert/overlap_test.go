package convert

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/forge-build/forge/builder/fetch"
	"github.com/forge-build/forge/recipes"
	"github.com/forge-build/forge/recipes/lock"
)

// index serves wheels by PEP 691. before is called ahead of each file.
func index(t *testing.T, wheels map[string][]byte, before func(file string)) *httptest.Server {
	t.Helper()
	var s *httptest.Server
	s = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		parts := strings.Split(strings.Trim(r.URL.Path, "/"), "/")
		switch {
		case parts[0] == "files":
			before(parts[1])
			_, _ = w.Write(wheels[parts[1]]) // the client tells
		case parts[0] == "simple" && len(parts) == 2:
			w.Header().Set("Content-Type", "application/vnd.pypi.simple.v1+json")
			var files []string
			for name, data := range wheels {
				if strings.HasPrefix(name, parts[1]+"-") {
					files = append(files, fmt.Sprintf(`{"filename":%q,"url":"%s/files/%s","hashes":{"sha256":%q},"size":%d}`, name, s.URL, name, hexSum(data), len(data)))
				}
			}
			_, _ = fmt.Fprintf(w, `{"meta":{"api-version":"1.1"},"name":%q,"files":[%s]}`, parts[1], strings.Join(files, ","))
		default:
			http.NotFound(w, r)
		}
	}))
	t.Cleanup(s.Close)
	return s
}

// A wheel is converted while another still downloads: the server sends the small one only
// when the large one's layer is done.
func TestConversionOverlapsTheDownload(t *testing.T) {
	b := newBench(t)
	wheels := map[string][]byte{}
	for _, name := range []string{"large", "small"} {
		content := "x"
		if name == "large" {
			content = strings.Repeat("forge", 1000)
		}
		file, data := makeWheel(t, name, "1.0", file{name: name + ".py", content: content})
		wheels[file] = data
		b.li.Wheels = append(b.li.Wheels, lock.Wheel{Name: name, Version: "1.0", File: file, Index: "test", Size: int64(len(data)), SHA256: hexSum(data)})
	}
	done := make(chan struct{})
	s := index(t, wheels, func(file string) {
		if strings.HasPrefix(file, "small") {
			select {
			case <-done:
			case <-time.After(20 * time.Second):
				t.Error("the large layer waits for the small wheel")
			}
		}
	})
	b.im.Python.Indexes = []recipes.Index{{Name: "test", URL: s.URL + "/simple", Packages: []string{"*"}}}
	b.o.Fetch = fetch.New(b.st, fetch.Settings{}, nil)
	var steps []string
	b.o.Progress = func(e Event) {
		if e.Step != Converting {
			steps = append(steps, e.Layer+" "+string(e.Step))
		}
		if e.Layer == "large" && e.Step == Done {
			close(done)
		}
	}
	b.must(b.apart())
	if got := strings.Join(steps, ", "); got != "large fetched, large done, small fetched, small done" {
		t.Error(got)
	}
}

// A wheel that does not come ends everything, and says which.
func TestMissingWheelEndsAll(t *testing.T) {
	b := newBench(t)
	for i := range 5 {
		b.add(fmt.Sprint("demo", i), "1.0", file{name: fmt.Sprintf("demo%d.py", i), content: strings.Repeat("x", 1<<20)})
	}
	remove(t, b.st.Path(b.li.Wheels[3].SHA256))
	b.fails(b.apart(), "demo3-1.0")
	if len(b.partials()) != 0 {
		t.Error(b.partials())
	}
}

// The layers with the most work come first, those that have all members before those that wait.
func TestMostWorkFirst(t *testing.T) {
	q := &queue{}
	q.cond = sync.NewCond(&q.mu)
	var jobs []*job
	for i, l := range []struct {
		kind string
		size int64
	}{{"wheels", 3}, {"wheels", 30}, {"debian", 2}} {
		j := &job{layer: lock.Layer{Name: fmt.Sprint(i), Kind: l.kind}, size: l.size, parts: make([]part, 2)}
		jobs = append(jobs, j)
		q.add(j)
	}
	var order []*job
	for {
		task, ok := q.next()
		if !ok {
			break
		}
		order = append(order, task.job)
		q.arrived(task)
	}
	if order[0] != jobs[1] || order[2] != jobs[2] || order[4] != jobs[0] {
		t.Error("members are not fetched by work")
	}
	for _, want := range []int{1, 2, 0} {
		if got := q.take(context.Background()); got != jobs[want] {
			t.Errorf("got %v, want %v", got.layer.Name, want)
		}
	}
	if q.take(context.Background()) != nil {
		t.Error("a layer out of nothing")
	}
}

// A process that is killed leaves nothing wrong, and the next one goes on.
func TestKilled(t *testing.T) {
	if dir := os.Getenv("FORGE_TEST_KILLED"); dir != "" {
		b := benchIn(t, dir)
		for i := range 4 {
			b.add(fmt.Sprint("demo", i), "1.0", file{name: fmt.Sprintf("demo%d/x", i), content: strings.Repeat("forge", 2<<20)})
		}
		b.o.Progress = func(e Event) {
			if e.Step == Converting || e.Step == Done {
				fmt.Println("now")
			}
		}
		b.must(b.apart())
		return
	}
	dir := filepath.Join(t.TempDir(), "store")
	for range 3 {
		cmd := exec.Command(os.Args[0], "-test.run", "^TestKilled$")
		cmd.Env = append(os.Environ(), "FORGE_TEST_KILLED="+dir)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		_, _ = out.Read(make([]byte, 1)) // the first sign of work
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = cmd.Wait() // killed
	}
	b := benchIn(t, dir)
	for i := range 4 {
		b.add(fmt.Sprint("demo", i), "1.0", file{name: fmt.Sprintf("demo%d/x", i), content: strings.Repeat("forge", 2<<20)})
	}
	for _, m := range b.must(b.apart()) {
		b.unpack(m.Layer, "gzip")
		b.unpack(m.Layer, "zstd")
	}
	for sum := range b.blobs() {
		data, err := os.ReadFile(b.st.Path(sum))
		if err != nil || hexSum(data) != sum {
			t.Errorf("a wrong blob %s: %v", sum, err)
		}
	}
	if len(b.partials()) != 0 {
		t.Error(b.partials())
	}
}
