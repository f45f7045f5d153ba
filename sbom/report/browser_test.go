package report

import (
	"bytes"
	"context"
	"flag"
	"image"
	_ "image/png" // what a screenshot is
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

var pages = flag.String("pages", "", "glob of pages that the browser test renders too")

// browser renders pages in headless Chromium. All its requests go through a proxy of the
// test's, which serves one page and nothing else, and remembers who was asked for.
type browser struct {
	path string
	page []byte
	mu   sync.Mutex
	seen []string
}

func findBrowser(t *testing.T) string {
	t.Helper()
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	const missing = "Chromium is not on this host, so the page is rendered by nobody"
	if os.Getenv("FORGE_TEST_ALL") == "1" {
		t.Fatal(missing)
	}
	t.Skip(missing)
	return ""
}

const address = "http://report.test/"

func (b *browser) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodGet && r.URL.String() == address {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = w.Write(b.page)
		return
	}
	host := r.URL.Hostname()
	if r.Method == http.MethodConnect {
		host, _, _ = strings.Cut(r.Host, ":")
	}
	// The browser's own: updates, safe browsing. Everything else the page has asked for.
	if !strings.HasSuffix(host, ".googleapis.com") && !strings.HasSuffix(host, ".google.com") && !strings.HasSuffix(host, ".gvt1.com") {
		b.mu.Lock()
		b.seen = append(b.seen, r.Method+" "+r.URL.String()+" "+r.Host)
		b.mu.Unlock()
	}
	http.Error(w, "not here", http.StatusNotFound)
}

// open renders a page with further flags and returns what Chromium prints.
func (b *browser) open(t *testing.T, page []byte, flags ...string) string {
	t.Helper()
	b.page, b.seen = page, nil
	proxy := httptest.NewServer(b)
	defer proxy.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	args := append([]string{"--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync",
		"--disable-default-apps", "--disable-extensions", "--hide-scrollbars", "--virtual-time-budget=2000", "--user-data-dir=" + t.TempDir(),
		"--proxy-server=" + proxy.URL, "--proxy-bypass-list=<-loopback>"}, flags...)
	cmd := exec.CommandContext(ctx, b.path, append(args, address)...)
	var out, messages bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &messages
	if err := cmd.Run(); err != nil {
		t.Fatalf("%s: %v\n%s", b.path, err, messages.String())
	}
	return out.String()
}

// quiet renders a page and fails if it asked for something or ran something.
func (b *browser) quiet(t *testing.T, what string, page []byte) {
	t.Helper()
	dom := b.open(t, page, "--dump-dom")
	if len(b.seen) > 0 {
		t.Errorf("%s: the page asked for %q", what, b.seen)
	}
	if !strings.Contains(dom, ": image report</title>") || strings.Contains(dom, "pwned</title>") || strings.Contains(dom, `id="pwned"`) {
		t.Errorf("%s: something ran: %.600s", what, dom)
	}
	checkPage(t, what, []byte(dom))
}

const attacker = `<script>document.title='pwned'</script><img src="http://hostile.test/i.png"><img src=x onerror="document.body.id='pwned'"><link rel=stylesheet href="http://hostile.test/c.css">` +
	`<iframe src="http://hostile.test/f"></iframe><style>body{background:url(http://hostile.test/b.png)}</style>`

func TestBrowserIsAWitness(t *testing.T) {
	b := &browser{path: findBrowser(t)}
	dom := b.open(t, []byte("<!DOCTYPE html><title>x: image report</title><body>"+attacker), "--dump-dom")
	if !strings.Contains(dom, "<title>pwned") || !strings.Contains(dom, `id="pwned"`) || len(b.seen) < 3 {
		t.Fatalf("an attacker's page neither ran nor asked for anything, so this test would see nothing: %q, %.300s", b.seen, dom)
	}
	// What html/template let through, by a mistake of ours, the policy stops.
	page := bytes.Replace(render(t, sample()), []byte("<main"), []byte(attacker+"<main"), 1)
	dom = b.open(t, page, "--dump-dom")
	if strings.Contains(dom, "<title>pwned") || strings.Contains(dom, `id="pwned"`) || len(b.seen) > 0 {
		t.Errorf("the page's policy lets an attacker in: %q, %.300s", b.seen, dom)
	}
}

func TestBrowserRunsAndLoadsNothing(t *testing.T) {
	b := &browser{path: findBrowser(t)}
	b.quiet(t, "sample", render(t, sample()))
	r := crowd(2000)
	for i, attack := range attacks { // all of them in one page
		r.Packages = append(r.Packages, poisoned(attack).Packages...)
		r.Scan.Findings = append(slices.Clone(poisoned(attack).Scan.Findings), r.Scan.Findings...)
		r.Layers[i%len(r.Layers)].Name = attack
		r.Slim = append(r.Slim, Removed{Rule: attack, What: attack, Why: attack})
		r.Signature.Facts = append(r.Signature.Facts, Fact{attack, attack})
	}
	b.quiet(t, "hostile", render(t, r))
	if *pages == "" {
		return
	}
	files, err := filepath.Glob(*pages)
	if err != nil || len(files) == 0 {
		t.Fatalf("-pages %q: no file, %v", *pages, err)
	}
	for _, f := range files {
		page, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		if len(page) > 1<<20 {
			t.Errorf("%s has %d bytes", f, len(page))
		}
		b.quiet(t, f, page)
	}
}

func TestBrowserDrawsThePageInLightAndDark(t *testing.T) {
	b := &browser{path: findBrowser(t)}
	page := render(t, sample())
	light, dark := b.picture(t, page, 1200, "1"), b.picture(t, page, 1200, "0")
	if l, d := brightness(light), brightness(dark); l < 0.75 || d > 0.35 {
		t.Errorf("the light page has brightness %.2f, the dark one %.2f", l, d)
	}
	narrow := b.picture(t, page, 500, "1")
	if w := narrow.Bounds().Dx(); w != 500 {
		t.Errorf("the narrow picture is %d wide", w)
	}
	for name, p := range map[string]image.Image{"light": light, "dark": dark, "narrow": narrow} {
		if n := colours(p); n < 50 {
			t.Errorf("%s: %d colours: the page is empty", name, n)
		}
	}
}

func (b *browser) picture(t *testing.T, page []byte, width int, scheme string) image.Image {
	t.Helper()
	path := filepath.Join(t.TempDir(), "page.png")
	size := map[int]string{1200: "1200,1600", 500: "500,1600"}[width]
	b.open(t, page, "--window-size="+size, "--screenshot="+path, "--blink-settings=preferredColorScheme="+scheme)
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	im, _, err := image.Decode(f)
	if err != nil {
		t.Fatal(err)
	}
	return im
}

func brightness(im image.Image) float64 {
	var sum, n float64
	for y := im.Bounds().Min.Y; y < im.Bounds().Max.Y; y += 7 {
		for x := im.Bounds().Min.X; x < im.Bounds().Max.X; x += 7 {
			r, g, b, _ := im.At(x, y).RGBA()
			sum += float64(r+g+b) / 3 / 0xffff
			n++
		}
	}
	return sum / n
}

func colours(im image.Image) int {
	seen := map[[3]uint32]bool{}
	for y := im.Bounds().Min.Y; y < im.Bounds().Max.Y; y += 2 {
		for x := im.Bounds().Min.X; x < im.Bounds().Max.X; x += 2 {
			r, g, b, _ := im.At(x, y).RGBA()
			seen[[3]uint32{r >> 8, g >> 8, b >> 8}] = true
		}
	}
	return len(seen)
}
