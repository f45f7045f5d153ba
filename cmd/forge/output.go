package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/forge-build/forge/builder"
	"github.com/forge-build/forge/recipes"
)

// destination is a value of --output: a folder for layouts, or an archive.
type destination struct {
	dir     string // of the layouts
	archive string // docker-archive:FILE
	remove  func() // of a folder that only an archive needs
}

// archiveWord is what begins like a kind of output.
var archiveWord = regexp.MustCompile(`^[a-z][a-z0-9+-]*:`)

// readOutput reads DIR, oci:DIR or docker-archive:FILE, for a number of images.
func readOutput(value string, images int) (destination, error) {
	file, archive := strings.CutPrefix(value, "docker-archive:")
	if !archive {
		dir, named := strings.CutPrefix(value, "oci:")
		if kind := archiveWord.FindString(value); kind != "" && !named {
			return destination{}, usageError{fmt.Errorf("--output %q: %s is no kind of output; it must be DIR, oci:DIR or docker-archive:FILE (./%s is a folder)", value, kind, value)}
		}
		if dir == "" {
			return destination{}, usageError{fmt.Errorf("--output %q: a folder is missing", value)}
		}
		return destination{dir: dir, remove: func() {}}, nil
	}
	if file == "" {
		return destination{}, usageError{fmt.Errorf("--output %q: a file is missing", value)}
	}
	if images != 1 {
		return destination{}, usageError{fmt.Errorf("--output %q: an archive holds one image, the recipe has %d; choose with --image", value, images)}
	}
	if info, err := os.Lstat(file); err == nil && !info.Mode().IsRegular() {
		return destination{}, usageError{fmt.Errorf("--output %q: it is there and no regular file (%s)", value, info.Mode().Type())}
	}
	dir, err := os.MkdirTemp(filepath.Dir(file), ".forge-*")
	if err != nil {
		return destination{}, fmt.Errorf("writing %q: %w", file, err)
	}
	return destination{dir: dir, archive: file, remove: func() { _ = os.RemoveAll(dir) }}, nil // a folder of ours
}

// write writes the archive, if there is to be one.
func (o destination) write(im *recipes.Image, r *builder.Result) error {
	if o.archive == "" {
		return nil
	}
	return builder.WriteFile(o.archive, func(w io.Writer) error { return builder.DockerArchive(w, r.Dir, referenceOf(im)) })
}

// siblings is where files about an image are put: dist/train.report.json for dist/train and
// for dist/train.tar.
func (o destination) siblings(im *recipes.Image) siblings {
	if o.archive == "" {
		return siblings(filepath.Join(o.dir, im.Name))
	}
	return siblings(strings.TrimSuffix(o.archive, filepath.Ext(o.archive)))
}

// reference says where the image is: oci:DIR@sha256:… or docker-archive:FILE@sha256:….
func (o destination) reference(r *builder.Result) string {
	if o.archive == "" {
		return "oci:" + r.Dir + "@" + r.Digest
	}
	return "docker-archive:" + o.archive + "@" + r.Digest
}

// referenceOf is the name under which an image is loaded: the recipe's repository and first
// tag, else localhost/NAME:latest.
func referenceOf(im *recipes.Image) string {
	repository, tag := "localhost/"+im.Name, "latest"
	if im.Repository != "" {
		repository = im.Repository
	}
	if len(im.Tags) > 0 {
		tag = im.Tags[0]
	}
	return repository + ":" + tag
}

// engines are the values of --load.
const engines = "podman, docker, containerd or containerd:NAMESPACE"

// checkLoad judges a value of --load before anything is made: its engine's program is there.
func checkLoad(value string) error {
	engine, namespace, named := strings.Cut(value, ":")
	program := map[string]string{"podman": "podman", "docker": "docker", "containerd": "ctr"}[engine]
	switch {
	case value == "":
		return nil
	case program == "", named && (engine != "containerd" || namespace == ""):
		return usageError{fmt.Errorf("--load %q: it must be %s", value, engines)}
	}
	if _, err := exec.LookPath(program); err != nil {
		return fmt.Errorf("loading into %s: its program %s is not on PATH", engine, program)
	}
	return nil
}

// load brings an image into an engine of this host, if one is named, through the engine's
// own program.
func load(ctx context.Context, t *terminal, engine string, im *recipes.Image, r *builder.Result) error {
	if engine == "" {
		return nil
	}
	return loadLayout(ctx, t, engine, r.Dir, referenceOf(im))
}

// loadLayout brings the image of a layout into an engine, under a reference.
func loadLayout(ctx context.Context, t *terminal, engine, dir, reference string) error {
	engine, namespace, _ := strings.Cut(engine, ":")
	var err error
	switch engine {
	case "podman":
		err = feed(ctx, func(w io.Writer) error { return builder.OCIArchive(w, dir, reference) }, "podman", "load", "--quiet")
	case "docker":
		err = feed(ctx, func(w io.Writer) error { return builder.DockerArchive(w, dir, reference) }, "docker", "load", "--quiet")
	case "containerd":
		if namespace == "" {
			namespace = "default"
		}
		err = feed(ctx, func(w io.Writer) error { return builder.OCIArchive(w, dir, reference) }, "ctr", "--namespace", namespace, "images", "import", "-")
	}
	if err != nil {
		return fmt.Errorf("loading into %s: %w", engine, err)
	}
	t.say("loaded %s into %s", reference, engine)
	return nil
}

// feed runs an engine's program and writes an image into its input.
func feed(ctx context.Context, image func(io.Writer) error, name string, args ...string) error {
	cmd := exec.CommandContext(ctx, name, args...)
	var messages bytes.Buffer
	cmd.Stderr = &messages
	in, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	fed := image(in)
	_ = in.Close() // the program says what it makes of it
	if err := cmd.Wait(); err != nil {
		return fmt.Errorf("%s: %w: %s", strings.Join(append([]string{name}, args...), " "), err, strings.TrimSpace(messages.String()))
	}
	return fed
}
