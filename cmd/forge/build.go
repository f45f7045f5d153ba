package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/forge-build/forge/builder"
	"github.com/forge-build/forge/builder/fetch"
	"github.com/forge-build/forge/recipes"
	"github.com/forge-build/forge/recipes/lock"
)

type buildOptions struct {
	vars     []string
	image    string
	lock     bool
	offline  bool
	output   string
	builder  string
	load     string
	noTest   bool
	noExec   bool
	noScan   bool
	check    bool
	summary  string
	database databaseOptions
	publish  *publishOptions // nil: nothing leaves this host
}

func newBuild(t *terminal) *cobra.Command {
	var o buildOptions
	var publishes bool
	c := &cobra.Command{
		Use:   "build RECIPE",
		Short: "Make the images of a recipe from its lock",
		Long: `Build fetches what the lock names, turns it into layers, assembles the images and
writes an OCI layout to dist/<image>. It prints one line for each image:
oci:DIR@sha256:…. With --json it prints a document: digest, folder, layers, what slim
left out, tests and seconds of each image.

Next to each layout lie IMAGE.spdx.json and IMAGE.cdx.json, which say what is in it.
A package or file that is there and that neither lock nor recipe explains, or one that
is locked and not there, fails the build (exit 3).

Each image is looked up in a database of vulnerabilities; see forge scan. What the
recipe does not tolerate ends the build with exit code 3: the layout stays, and is
neither loaded nor published. The verdict is IMAGE.scan.json, and IMAGE.vex.json states
what the recipe's waivers accept. A recipe without a vulnerabilities block is built
without a database, too, and says so loudly.

Beside each layout lie IMAGE.report.html, a page that says what is in the image for
somebody who does not know forge, and IMAGE.report.json, the same for programs. They
also say what changed since the image whose report lay there before.

The digest depends on the recipe, its lock and the copied files, and on nothing
else: not on the machine, the builder, the time or the user.`,
		Example: `  forge build recipe.hcl
  forge build --lock recipe.hcl                # lock first, for a first try
  forge build --offline --image train recipe.hcl
  forge build --load podman recipe.hcl         # podman run localhost/IMAGE:latest
  forge build --output docker-archive:train.tar --image train recipe.hcl
  forge build --builder tcp://build.example:1234 recipe.hcl   # keys in the folder FORGE_BUILDER_TLS`,
		Args: exactly("RECIPE"),
		RunE: func(c *cobra.Command, args []string) error {
			if publishes {
				o.publish = new(publishOptions)
			}
			return runBuild(c.Context(), t, o, args[0])
		},
	}
	f := c.Flags()
	f.StringArrayVar(&o.vars, "var", nil, "a variable of the recipe, name=value")
	f.StringVar(&o.image, "image", "", "only this image of the recipe")
	f.BoolVar(&o.lock, "lock", false, "write the lock first when it is missing or no longer fits")
	f.BoolVar(&o.offline, "offline", false, "open no socket; say what is missing")
	f.StringVar(&o.output, "output", "dist", "folder for the OCI layouts, one below it for each image (DIR or oci:DIR), or docker-archive:FILE")
	f.StringVar(&o.load, "load", "", "bring the images into an engine of this host: "+engines)
	f.StringVar(&o.builder, "builder", "auto", "who executes the recipe's steps: auto, embedded, none, unix:///PATH, tcp://HOST:PORT, docker-container://NAME, kube-pod://NAME")
	f.BoolVar(&o.noTest, "no-test", false, "do not run the recipe's tests")
	f.BoolVar(&o.check, "check", false, "build twice more from nothing, and explain the first difference (exit 2)")
	addSummary(c, &o.summary)
	f.BoolVar(&publishes, "publish", false, "publish what was built, as forge publish does; then the lines are repository@sha256:…")
	f.BoolVar(&o.noScan, "no-scan", false, "do not look for vulnerabilities")
	o.database.flags(c)
	f.BoolVar(&o.noExec, "no-exec", false, "execute nothing: refuse a recipe that needs it, and name its words")
	return c
}

func runBuild(ctx context.Context, t *terminal, o buildOptions, path string) error {
	if err := builder.CheckAddress(o.builder); err != nil {
		return usageError{err}
	}
	if err := errors.Join(checkLoad(o.load), checkSummary(o.summary)); err != nil {
		return err
	}
	file, err := loadRecipe(path, o.vars)
	if err != nil {
		return err
	}
	images, err := chosen(file, o.image)
	if err != nil {
		return err
	}
	l, err := lockFor(ctx, t, o, path, file, images)
	if err != nil {
		return err
	}
	w, err := newWorkshop(t, file, o.offline)
	if err != nil {
		return err
	}
	out, err := readOutput(o.output, len(images))
	if err != nil {
		return err
	}
	defer out.remove()
	ships, err := shipments(ctx, t, o.publish, file, images)
	if err != nil {
		return err
	}
	b := w.builder(o.builder)
	b.Output, b.NoTest, b.NoExec = out.dir, o.noTest, o.noExec
	keeper, err := newGatekeeper(ctx, t, o, file, images)
	if err != nil {
		return err
	}
	defer keeper.close()
	var done []builtImage
	for _, im := range images {
		start := time.Now()
		plan, err := builder.New(im, l.Images[im.Name])
		if err != nil {
			return err
		}
		result, err := b.Build(ctx, plan)
		if err != nil {
			return fmt.Errorf("building image %q: %w", im.Name, w.allMissing(err, l.Images[im.Name]))
		}
		if o.check {
			if err := same(ctx, b, w, plan, result); err != nil {
				return err
			}
		}
		if err := finish(ctx, w, o, built{plan: plan, result: result, vars: o.vars, noTest: o.noTest}, out, keeper); err != nil {
			return err
		}
		t.built(im.Name, out.reference(result), result, o.publish == nil)
		done = append(done, builtImage{im.Name, out.reference(result), out.siblings(im).html(), time.Since(start).Seconds(), result, nil})
	}
	of := func(im *recipes.Image) *builtImage { return &done[slices.Index(images, im)] }
	for _, s := range ships { // once all have passed
		p, err := s.built(ctx, t, file, l, o.builder, func(im *recipes.Image) made { return made{result: of(im).Result, at: out.siblings(im)} })
		if err != nil {
			return err
		}
		for _, im := range s.images {
			of(im).Published = p
		}
	}
	if t.json {
		return t.document(done)
	}
	return nil
}

// finish judges an image, and only then hands it on: to an archive, to an engine. The report
// says what came of it in any case.
func finish(ctx context.Context, w *workshop, o buildOptions, b built, out destination, keeper *gatekeeper) error {
	im, at := b.plan.Image, out.siblings(b.plan.Image)
	if err := at.removeVerdict(); err != nil {
		return err
	}
	var err error
	if b.inventory, err = w.inventory(ctx, b.plan, b.result, at); err != nil {
		return err
	}
	var failed error
	if b.scan, failed = keeper.judge(ctx, b, at); b.scan == nil {
		return failed
	}
	if failed == nil {
		failed = out.write(im, b.result)
	}
	if failed == nil {
		failed = load(ctx, w.t, o.load, im, b.result)
	}
	rep, err := w.writeReport(b, at)
	if err == nil {
		w.t.say("%s: what is in it, and all that is known of it: %s", im.Name, at.html())
		err = summarize(w.t, o.summary, at, rep.WriteMarkdown)
	}
	return errors.Join(failed, err)
}

// builtImage is one image in the document of build --json.
type builtImage struct {
	Image     string  `json:"image"`
	Reference string  `json:"reference"` // oci:DIR@sha256:… or docker-archive:FILE@sha256:…
	Report    string  `json:"report"`    // path of the page
	Seconds   float64 `json:"seconds"`   // fetch, conversion, assembly and tests together
	*builder.Result
	Published *published `json:"published,omitempty"`
}

// built prints an image's reference, and says how big it is and what slim left out.
func (t *terminal) built(name, reference string, r *builder.Result, result bool) {
	if !t.json && result {
		t.result("%s", reference)
	}
	for _, x := range r.Runs {
		t.say("%s: note: run %q executed code of the recipe, and what it made is a layer", name, x)
	}
	var size, removed int64
	for _, l := range r.Layers {
		size += l.Size
	}
	var rules []string
	for _, x := range r.Removed {
		removed += x.Bytes
		rules = append(rules, fmt.Sprintf("%s %s", x.Rule, megabytes(x.Bytes)))
	}
	left := ""
	if removed > 0 {
		left = fmt.Sprintf("; slim left out %s (%s)", megabytes(removed), strings.Join(rules, ", "))
	}
	t.say("%s: %d layers, %s%s", name, len(r.Layers), megabytes(size), left)
}

// same is a differenceError when an image is not the same each time.
func same(ctx context.Context, b *builder.Builder, w *workshop, p *builder.Plan, r *builder.Result) error {
	difference, err := b.Check(ctx, p, r, w.fetcherFor)
	if err != nil {
		return fmt.Errorf("checking image %q: %w", p.Image.Name, err)
	}
	if difference != "" {
		return differenceError{fmt.Errorf("image %q is not the same each time: %s", p.Image.Name, difference)}
	}
	w.t.say("%s: built from nothing twice, the same each time", p.Image.Name)
	return nil
}

// allMissing makes an error about the first file that is missing offline one about all.
func (w *workshop) allMissing(err error, li *lock.Image) error {
	var first, all *fetch.OfflineError
	if errors.As(err, &first) && errors.As(w.fetcher.Held(li), &all) {
		return all
	}
	return err
}

// lockFor reads the lock of the images; with --lock it is made where it does not fit.
func lockFor(ctx context.Context, t *terminal, o buildOptions, path string, file *recipes.File, images []*recipes.Image) (*lock.Lock, error) {
	l, err := readLock(path)
	for i := 0; err == nil && i < len(images); i++ {
		_, err = fitting(l, file, images[i])
	}
	var stale staleError
	if err == nil || !o.lock || !errors.As(err, &stale) {
		return l, err
	}
	if _, err := writeLock(ctx, t, lockOptions{vars: o.vars, image: o.image, builder: o.builder}, path); err != nil {
		return nil, err
	}
	return readLock(path)
}
