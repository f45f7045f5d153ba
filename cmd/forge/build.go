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
	"github.com/forge-build/forge/sbom"
)

type buildOptions struct {
	selection
	lock     bool
	offline  bool
	output   string
	builder  string
	load     string
	noTest   bool
	noExec   bool
	noScan   bool
	syftJSON bool
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
		Short: "Build the images of a recipe from its lock",
		Long: `Build fetches what the lock names, turns it into layers, assembles the images and
writes an OCI layout to dist/<image>. It prints one line for each image:
oci:DIR@sha256:…. With --json it prints a document: digest, folder, layers, what slim
left out, tests and seconds of each image. Where a test of the recipe fails, nothing is
written, and an image of before stays.

Next to each layout lie IMAGE.spdx.json and IMAGE.cdx.json, which say what is in it.
A package or file that is there and that neither lock nor recipe explains, or one that
is locked and not there, fails the build (exit 3).

Each image is looked up in a database of vulnerabilities; see forge scan. What the
recipe does not tolerate ends the build with exit code 3: the layout stays, and is
neither loaded nor published. The verdict is IMAGE.scan.json, and IMAGE.vex.json states
what the recipe's waivers accept. A recipe without a vulnerabilities block is built
without a database, too, with a warning.

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
	o.selection.flags(c)
	f.BoolVar(&o.lock, "lock", false, "write the lock first when it is missing or no longer fits")
	f.BoolVar(&o.offline, "offline", false, "open no socket; say what is missing")
	f.StringVar(&o.output, "output", "dist", "folder `DIR` for the OCI layouts, one below it for each image; or docker-archive:FILE")
	f.StringVar(&o.load, "load", "", "bring the images into this host's `ENGINE`: "+engines)
	f.StringVar(&o.builder, "builder", "auto", "the `BUILDER` that executes the recipe's steps: auto, embedded, none, unix:///PATH, tcp://HOST:PORT, docker-container://NAME, podman-container://NAME, kube-pod://NAME")
	f.BoolVar(&o.noTest, "no-test", false, "do not run the recipe's tests")
	f.BoolVar(&o.check, "check", false, "build twice more from nothing, and explain the first difference (exit 2)")
	addSummary(c, &o.summary)
	f.BoolVar(&publishes, "publish", false, "publish what was built, as forge publish does; then the lines are repository@sha256:…")
	f.BoolVar(&o.syftJSON, "syft-json", false, "write IMAGE.syft.json, Syft's own list, besides the two SBOMs")
	f.BoolVar(&o.noScan, "no-scan", false, "do not look for vulnerabilities")
	o.database.flags(c)
	f.BoolVar(&o.noExec, "no-exec", false, "execute nothing: refuse a recipe that needs it, and name its words")
	return c
}

// formats are those in which what is in the image is written beside it.
func (o buildOptions) formats() []sbom.Format {
	if o.syftJSON {
		return sbom.Formats
	}
	return []sbom.Format{sbom.SPDX, sbom.CycloneDX}
}

// runBuild reads the recipe and its lock, makes one image after another, and publishes them,
// if that is asked for, once all of them have passed. What can be refused is refused before
// anything is made: flags, lock, destination, signer, database.
func runBuild(ctx context.Context, t *terminal, o buildOptions, path string) error {
	if err := builder.CheckAddress(o.builder); err != nil {
		return usageError{err}
	}
	if err := errors.Join(checkLoad(o.load), checkSummary(o.summary)); err != nil {
		return err
	}
	file, images, err := o.selection.load(path)
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
	keeper, err := newGatekeeper(ctx, t, o, file, images)
	if err != nil {
		return err
	}
	defer keeper.close()
	a := &assembly{workshop: w, o: o, lock: l, out: out, keeper: keeper, maker: w.builder(o.builder)}
	a.maker.Output, a.maker.NoTest, a.maker.NoExec = out.dir, o.noTest, o.noExec
	var done []builtImage
	for _, im := range images {
		one, err := a.image(ctx, im)
		if err != nil {
			return err
		}
		done = append(done, *one)
	}
	if err := a.publish(ctx, ships, images, done); err != nil {
		return err
	}
	if t.json {
		return t.document(done)
	}
	return nil
}

// assembly is the building of a recipe's images.
type assembly struct {
	*workshop
	o      buildOptions
	lock   *lock.Lock
	out    destination
	keeper *gatekeeper
	maker  *builder.Builder
}

// image makes one image: plan, layers, layout and tests, then what is in it, the gate and the
// report.
func (a *assembly) image(ctx context.Context, im *recipes.Image) (*builtImage, error) {
	start := time.Now()
	plan, err := builder.New(im, a.lock.Images[im.Name])
	if err != nil {
		return nil, err
	}
	result, err := a.maker.Build(ctx, plan)
	if err != nil {
		return nil, fmt.Errorf("building image %q: %w", im.Name, a.allMissing(err, plan.Lock))
	}
	if a.o.check {
		if err := a.again(ctx, plan, result); err != nil {
			return nil, errors.Join(err, a.unsaid(im))
		}
	}
	if err := a.finish(ctx, built{plan: plan, result: result, vars: a.o.vars, noTest: a.o.noTest}); err != nil {
		return nil, err
	}
	reference := a.out.reference(result)
	a.t.built(im.Name, reference, result, a.o.publish == nil)
	return &builtImage{im.Name, reference, a.out.siblings(im).html(), time.Since(start).Seconds(), result, nil}, nil
}

// again is a differenceError when an image is not the same each time.
func (a *assembly) again(ctx context.Context, p *builder.Plan, r *builder.Result) error {
	difference, err := a.maker.Check(ctx, p, r, a.fetcherFor)
	if err != nil {
		return fmt.Errorf("checking image %q: %w", p.Image.Name, err)
	}
	if difference != "" {
		return differenceError{fmt.Errorf("image %q is not the same each time: %s", p.Image.Name, difference)}
	}
	a.t.say("%s: built from nothing twice, the same each time", p.Image.Name)
	return nil
}

// finish lists what is in an image, judges it, and only then hands it on: to an archive, to an
// engine. The report says what came of it in any case.
func (a *assembly) finish(ctx context.Context, b built) error {
	im, at := b.plan.Image, a.out.siblings(b.plan.Image)
	if err := at.removeVerdict(); err != nil {
		return err
	}
	a.t.progress("%s: listing what is in it", im.Name)
	var err error
	if b.inventory, err = a.inventory(ctx, b.plan, b.result, at, a.o.formats()); err != nil {
		return errors.Join(err, a.unsaid(im))
	}
	var failed error
	if b.scan, failed = a.keeper.judge(ctx, b, at); b.scan == nil {
		return errors.Join(failed, a.unsaid(im))
	}
	if failed == nil {
		failed = a.out.write(im, b.result)
	}
	if failed == nil {
		failed = load(ctx, a.t, a.o.load, im, b.result)
	}
	rep, err := a.writeReport(b, at)
	if err == nil {
		a.t.say("%s: report: %s", im.Name, at.html())
		err = summarize(a.t, a.o.summary, at, rep.WriteMarkdown)
	}
	return errors.Join(failed, err)
}

// unsaid removes what lies beside a layout that nothing is said of: it is about the image that
// lay there before. An archive is not written then, and keeps what is said of it.
func (a *assembly) unsaid(im *recipes.Image) error {
	if a.out.archive != "" {
		return nil
	}
	at := a.out.siblings(im)
	return errors.Join(at.removeVerdict(), at.removeReport(), at.removeLists())
}

// publish brings images to their repositories; done has one for each of images.
func (a *assembly) publish(ctx context.Context, ships []*shipment, images []*recipes.Image, done []builtImage) error {
	of := func(im *recipes.Image) *builtImage { return &done[slices.Index(images, im)] }
	for _, s := range ships {
		p, err := s.built(ctx, a.t, a.file, a.lock, a.o.builder, func(im *recipes.Image) made { return made{result: of(im).Result, at: a.out.siblings(im)} })
		if err != nil {
			return err
		}
		for _, im := range s.images {
			of(im).Published = p
		}
	}
	return nil
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
	t.say("%s: %s, %s%s", name, count(len(r.Layers), "layer"), megabytes(size), left)
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
	l, err := readLock(path, o.selection)
	for i := 0; err == nil && i < len(images); i++ {
		_, err = fitting(o.selection, l, file, images[i])
	}
	var stale staleError
	if err == nil || !o.lock || !errors.As(err, &stale) {
		return l, err
	}
	if _, err := writeLock(ctx, t, lockOptions{selection: o.selection, builder: o.builder}, path); err != nil {
		return nil, err
	}
	return readLock(path, o.selection)
}
