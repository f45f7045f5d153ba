package statement

import (
	"fmt"
	"net/url"
	"sort"
	"strings"

	"github.com/forge-build/forge/recipes/lock"
)

// Home is where forge comes from; versions, types of builds and local builders are named below it.
const Home = "https://github.com/forge-build/forge"

// BuildType says how the parameters of a provenance are to be read; docs/publish.md explains it.
const BuildType = Home + "/build/v1"

// File is a file that a build took in.
type File struct {
	Name   string // base name
	SHA256 string // lower-case hex
}

// Copied is a file of the recipe's folder that is in the image.
type Copied struct {
	File // its name is a slash path relative to the recipe
	To   string
}

// Build is all that a provenance tells.
type Build struct {
	Image     string // the recipe's name for it
	Recipe    File
	Variables map[string]string
	Lock      File
	Locked    *lock.Image
	Base      string // "debian trixie", or repository@sha256:… of an image
	Below     *Below // the verdict about an image below; nil: there is none
	Copied    []Copied
	Version   string // of forge
	Commit    string // of forge
	Mode      string // who executed steps: "embedded", "none", "unix", "tcp", …
	Identity  string // of the certificate that signs; empty: a key or nobody
}

type resource struct {
	Name        string            `json:"name,omitempty"`
	URI         string            `json:"uri,omitempty"`
	Digest      map[string]string `json:"digest"`
	Annotations map[string]string `json:"annotations,omitempty"`
}

func sha(hex string) map[string]string {
	return map[string]string{"sha256": strings.TrimPrefix(hex, "sha256:")}
}

// Provenance is how an image came to be. Source: slsa.dev/spec/v1.0/provenance.
func Provenance(b Build) Statement {
	type definition struct {
		BuildType            string         `json:"buildType"`
		ExternalParameters   map[string]any `json:"externalParameters"`
		InternalParameters   map[string]any `json:"internalParameters"`
		ResolvedDependencies []resource     `json:"resolvedDependencies"`
	}
	type builder struct {
		ID           string            `json:"id"`
		Version      map[string]string `json:"version"`
		Dependencies []resource        `json:"builderDependencies,omitempty"`
	}
	variables := b.Variables
	if variables == nil {
		variables = map[string]string{}
	}
	d := definition{BuildType, map[string]any{
		"recipe":    resource{Name: b.Recipe.Name, Digest: sha(b.Recipe.SHA256)},
		"image":     b.Image,
		"platform":  b.Locked.Platform,
		"variables": variables,
	}, map[string]any{
		"lock":    resource{Name: b.Lock.Name, Digest: sha(b.Lock.SHA256)},
		"forge":   map[string]string{"uri": versionURI(b.Version), "commit": b.Commit},
		"builder": b.Mode,
		"facts":   facts(b.Locked),
	}, materials(b)}
	return Statement{TypeProvenance, struct {
		Definition definition     `json:"buildDefinition"`
		Details    map[string]any `json:"runDetails"`
	}{d, map[string]any{"builder": builder{ID: BuilderID(b.Version, b.Identity), Version: map[string]string{"forge": b.Version}}}}}
}

func versionURI(version string) string { return Home + "@" + url.PathEscape(version) }

// BuilderID is who built: forge of that version, and after a # the identity in the certificate
// that signs, as a URI. A key vouches for no machine: then it is …/local. SLSA wants one URI.
func BuilderID(version, identity string) string {
	if identity == "" {
		return versionURI(version) + "/local"
	}
	return versionURI(version) + "#" + IdentityURI(identity)
}

// IdentityURI writes the name in a certificate as the fragment of a URI: an address stays as it is,
// an e-mail address gets its scheme.
func IdentityURI(identity string) string {
	if !strings.Contains(identity, "://") && strings.Contains(identity, "@") {
		identity = "mailto:" + identity
	}
	return strings.NewReplacer("%", "%25", "#", "%23", " ", "%20", "\"", "%22", "<", "%3C", ">", "%3E").Replace(identity)
}

// Builder takes the id of one of forge's builders apart. identity, in the form of IdentityURI, is
// empty for a local one. ok is false for an id that is not forge's, as provenances had it that
// named the identity alone.
func Builder(id string) (version, identity string, ok bool) {
	rest, ok := strings.CutPrefix(id, Home+"@")
	if !ok {
		return "", "", false
	}
	if version, identity, ok = strings.Cut(rest, "#"); ok {
		return version, identity, identity != "" && !strings.Contains(version, "/")
	}
	version, ok = strings.CutSuffix(rest, "/local")
	return version, "", ok && !strings.Contains(version, "/")
}

// materials are what the build took in, each with its sha256: recipe and lock first, then
// a base image, copied files, and the rest sorted by address.
func materials(b Build) []resource {
	l := b.Locked
	out := []resource{
		{Name: "recipe", Digest: sha(b.Recipe.SHA256), Annotations: map[string]string{"file": b.Recipe.Name}},
		{Name: "lock", Digest: sha(b.Lock.SHA256), Annotations: map[string]string{"file": b.Lock.Name}},
	}
	if l.Base != nil {
		notes := map[string]string{"base": b.Base}
		b.Below.note(notes)
		uri := l.Base.Reference // of a layout: oci:DIR@sha256:…
		if !strings.HasPrefix(uri, "oci:") {
			uri = "docker://" + uri
		}
		out = append(out, resource{Name: "base", URI: uri, Digest: sha(l.Base.Manifest), Annotations: notes})
	}
	var rest []resource
	if l.Debian != nil {
		for _, a := range l.Debian.Archives {
			rest = append(rest, resource{Name: "base", URI: "pkg:generic/" + escape(a.Name) + "@" + escape(a.Suite), Digest: sha(a.InRelease),
				Annotations: map[string]string{"base": b.Base, "date": a.Date}})
		}
		for _, d := range l.Debian.Packages {
			rest = append(rest, resource{Name: d.Name, URI: fmt.Sprintf("pkg:deb/debian/%s@%s?arch=%s", escape(d.Name), escape(d.Version), escape(d.Architecture)), Digest: sha(d.SHA256)})
		}
	}
	for _, w := range l.Wheels {
		rest = append(rest, resource{Name: w.Name, URI: fmt.Sprintf("pkg:pypi/%s@%s?file_name=%s", escape(w.Name), escape(w.Version), escape(w.File)), Digest: sha(w.SHA256)})
	}
	if l.Init.SHA256 != "" {
		rest = append(rest, resource{Name: "forge-init", URI: versionURI(b.Version) + "#forge-init", Digest: sha(l.Init.SHA256)})
	}
	for _, c := range b.Copied {
		out = append(out, resource{Name: "copy", Digest: sha(c.SHA256), Annotations: map[string]string{"file": c.Name, "path": c.To}})
	}
	sort.SliceStable(rest, func(i, j int) bool {
		return rest[i].URI+rest[i].Digest["sha256"] < rest[j].URI+rest[j].Digest["sha256"]
	})
	for i, r := range rest {
		if i == 0 || r.URI != rest[i-1].URI || r.Digest["sha256"] != rest[i-1].Digest["sha256"] {
			out = append(out, r)
		}
	}
	return out
}

// escape writes a part of a package URL. Source: package-url, PURL-SPECIFICATION.
func escape(s string) string {
	s = url.QueryEscape(s)
	return strings.NewReplacer("+", "%20", "%3A", ":").Replace(s)
}
