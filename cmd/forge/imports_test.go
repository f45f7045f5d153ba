package main

import (
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/forge-build/forge/"

// rooms is the table of docs/architecture.md, section 5: which packages of
// forge a folder may import, and which heavy libraries it owns.
var rooms = map[string]struct{ forge, owns []string }{
	"cmd/forge": {[]string{"builder", "builder/base", "builder/convert", "builder/fetch", "builder/layer", "builder/resolve", "builder/start", "builder/store",
		"recipes", "recipes/cuda", "recipes/draft", "recipes/finding", "recipes/lock", "recipes/registry", "recipes/requirements", "recipes/trust",
		"sbom", "sbom/licence", "sbom/saved", "sbom/report", "sbom/vex", "sbom/vuln",
		"signing", "signing/admission", "signing/ambient", "signing/evidence", "signing/judge", "signing/login", "signing/publish", "signing/push", "signing/statement", "signing/strictjson", "recipes/manifests"}, []string{"github.com/spf13/"}},
	"cmd/forge-init":       {[]string{"builder/start"}, nil},
	"recipes":              {[]string{"recipes/cuda", "recipes/finding", "recipes/requirements", "recipes/trust"}, []string{"github.com/hashicorp/hcl/", "github.com/zclconf/"}},
	"recipes/finding":      {nil, nil},
	"recipes/lock":         {nil, nil},
	"recipes/requirements": {nil, nil},
	"recipes/trust":        {nil, nil},
	"signing/admission":    {[]string{"recipes/trust", "signing/statement"}, nil},
	"signing/judge":        {[]string{"recipes/cuda", "recipes/finding", "recipes/trust", "signing/statement", "signing/strictjson"}, nil},
	"recipes/manifests":    {nil, nil},
	"recipes/cuda":         {nil, nil},
	"recipes/draft":        {[]string{"recipes/cuda", "recipes/requirements"}, []string{"github.com/moby/buildkit/frontend/dockerfile/"}},
	"builder": {[]string{"recipes", "recipes/cuda", "recipes/lock", "builder/base", "builder/convert", "builder/debian", "builder/fetch", "builder/layer", "builder/start", "builder/store"},
		[]string{"github.com/moby/", "github.com/containerd/"}},
	"builder/resolve": {[]string{"recipes", "recipes/cuda", "recipes/lock", "recipes/requirements", "builder/base", "builder/convert", "builder/debian", "builder/fetch", "builder/layer", "builder/store", "builder/wheel"},
		[]string{"github.com/ProtonMail/"}},
	"builder/convert":    {[]string{"recipes", "recipes/cuda", "recipes/lock", "builder/debian", "builder/fetch", "builder/layer", "builder/store", "builder/wheel"}, nil},
	"builder/base":       {[]string{"recipes", "recipes/lock", "builder/fetch", "builder/layer", "builder/store"}, nil},
	"builder/fetch":      {[]string{"recipes", "recipes/lock", "builder/store", "recipes/registry"}, nil},
	"builder/store":      {nil, nil},
	"builder/wheel":      {[]string{"builder/inflate"}, nil},
	"builder/debian":     {nil, nil},
	"builder/layer":      {[]string{"builder/inflate"}, nil},
	"builder/inflate":    {nil, nil},
	"recipes/registry":   {nil, []string{"github.com/google/go-containerregistry/pkg/v1/remote", "github.com/google/go-containerregistry/pkg/authn"}},
	"signing":            {[]string{"recipes/registry", "recipes/trust", "signing/evidence", "signing/statement", "signing/strictjson"}, []string{"github.com/sigstore/", "github.com/in-toto/", "github.com/secure-systems-lab/"}},
	"signing/evidence":   {[]string{"recipes/registry", "signing/strictjson"}, nil},
	"signing/strictjson": {nil, nil},
	"signing/signtest":   {nil, nil},
	"signing/push":       {[]string{"recipes/registry"}, nil},
	"signing/ambient":    {nil, nil},
	"signing/login":      {[]string{"recipes/registry"}, []string{"github.com/coreos/go-oidc/", "golang.org/x/oauth2"}},
	"signing/publish":    {[]string{"signing", "signing/evidence", "signing/push", "signing/statement"}, nil},
	"signing/statement":  {[]string{"recipes/finding", "recipes/lock"}, nil},
	"builder/start":      {[]string{"recipes/cuda"}, nil},
	"sbom":               {[]string{"sbom/licence", "sbom/requirement"}, []string{"github.com/anchore/syft/", "github.com/anchore/stereoscope/", "github.com/google/licensecheck"}},
	"sbom/licence":       {nil, []string{"github.com/github/go-spdx/"}},
	"sbom/requirement":   {nil, nil},
	"sbom/saved":         {nil, nil},
	"sbom/report":        {[]string{"recipes/cuda", "recipes/finding"}, nil},
	"sbom/vuln":          {[]string{"recipes/finding", "recipes/registry", "sbom"}, []string{"github.com/anchore/grype/"}},
	"sbom/vex":           {[]string{"recipes/finding"}, []string{"github.com/openvex/"}},
}

// testsOnly are rooms that only tests may use; they may use what tests use.
var testsOnly = []string{"signing/signtest"}

// parsers read hostile bytes: the standard library and a decompressor only.
var parsers = []string{"builder/wheel", "builder/debian", "builder/layer", "builder/inflate"}

func TestEachRoomImportsOnlyWhatItMay(t *testing.T) {
	owners := map[string]string{}
	for room, r := range rooms {
		for _, prefix := range r.owns {
			owners[prefix] = room
		}
	}
	seen := map[string]bool{}
	for _, top := range []string{"cmd", "builder", "recipes", "signing", "sbom"} {
		err := filepath.WalkDir(filepath.Join("../..", top), func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.Contains(path, "testdata") {
				return err
			}
			rel, err := filepath.Rel("../..", filepath.Dir(path))
			if err != nil {
				return err
			}
			dir := filepath.ToSlash(rel)
			seen[dir] = true
			room, ok := rooms[dir]
			if !ok {
				t.Errorf("%s has no row in the table of rooms", dir)
				return nil
			}
			f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
			if err != nil {
				return err
			}
			test := strings.HasSuffix(path, "_test.go") || slices.Contains(testsOnly, dir)
			for _, spec := range f.Imports {
				imported, err := strconv.Unquote(spec.Path.Value)
				if err != nil {
					return err
				}
				if own, ok := strings.CutPrefix(imported, module); ok {
					if !test && !slices.Contains(room.forge, own) {
						t.Errorf("%s imports %s; the table of rooms does not allow it", path, own)
					}
					continue
				}
				if owner := ownerOf(owners, imported); owner != "" && owner != dir && !test {
					t.Errorf("%s imports %s, which %s owns", path, imported, owner)
				}
				if !test && slices.Contains(parsers, dir) && strings.Contains(strings.SplitN(imported, "/", 2)[0], ".") &&
					!strings.HasPrefix(imported, "github.com/klauspost/compress/") && !strings.HasPrefix(imported, "github.com/ulikunitz/xz") {
					t.Errorf("%s reads hostile bytes and imports %s", path, imported)
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	for room := range rooms {
		if !seen[room] {
			t.Errorf("the table of rooms names %s, which holds no Go file", room)
		}
	}
}

// ownerOf is the room whose longest prefix fits, or "".
func ownerOf(owners map[string]string, imported string) string {
	longest, owner := "", ""
	for prefix, room := range owners {
		if strings.HasPrefix(imported, prefix) && len(prefix) > len(longest) {
			longest, owner = prefix, room
		}
	}
	return owner
}
