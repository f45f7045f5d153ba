package fetch

import (
	"context"
	"errors"
	"fmt"
	"mime"
	"net/url"
	"regexp"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/forge-build/forge/recipes"
)

// Page is an index's answer about one project.
type Page struct {
	URL     string // where it was read, without userinfo and query
	Project string // normalised
	Files   []PageFile
}

// PageFile is one row of a page. Everything in it is the index's word.
type PageFile struct {
	Name           string // file name
	URL            string // absolute; may hold a query, which can be secret: print Shown
	Shown          string // URL without what may be secret
	SHA256         string // or empty: not published
	Size           int64  // or -1: not published
	RequiresPython string
	Yanked         bool
	YankedReason   string
	Uploaded       time.Time // zero: not published
	HasMetadata    bool      // PEP 658
	MetadataSHA256 string    // or empty: not published
	page           *url.URL
}

// Limits of a page. The largest real ones are near 20 MB and 20 000 files.
const (
	maxPage     = 64 << 20
	maxFiles    = 200_000
	maxMetadata = 1 << 20
)

const acceptPage = "application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html;q=0.2, text/html;q=0.01"

// IndexURL is the root (PEP 503) of an index: "default", "pytorch-<variant>", or a name
// that the recipe declares. What the recipe says comes first, then forge's settings, then
// those of uv and pip; last, PyTorch's own index and the one that uv uses by itself. im may
// be nil. Userinfo is kept inside the Fetcher.
func (f *Fetcher) IndexURL(ctx context.Context, name string, im *recipes.Image) (string, error) {
	if im != nil {
		for _, ix := range im.Python.Indexes {
			if ix.Name == name && ix.URL != "" {
				u, user, err := parseSource(source{url: ix.URL, where: fmt.Sprintf("index %q of the recipe", name)}, false)
				if err == nil && user != nil {
					err = &SettingsError{fmt.Sprintf("index %q of the recipe", name), "the address holds a user name; write it into ~/.netrc instead"}
				}
				if err != nil {
					return "", err
				}
				return u.String(), nil
			}
		}
	}
	src, ok := f.set.indexSource(name)
	if variant, torch := strings.CutPrefix(name, "pytorch-"); !ok && torch && variantName.MatchString(variant) {
		src, ok = source{url: "https://download.pytorch.org/whl/" + variant}, true
	}
	if !ok && name == "default" {
		var err error
		if src, err = f.defaultIndex(ctx); err != nil {
			return "", err
		}
		ok = true
	}
	if !ok {
		return "", &SettingsError{fmt.Sprintf("index %q", name), "neither the recipe nor a setting says where it is; FORGE_INDEX_" + notWord.ReplaceAllString(strings.ToUpper(name), "_") + "_URL can"}
	}
	u, user, err := parseSource(src, false)
	if err != nil {
		return "", err
	}
	f.login(u, user)
	return u.String(), nil
}

var variantName = regexp.MustCompile(`^[a-z0-9][a-z0-9.]*$`)

// defaultIndex is the index for names that no other is bound to.
func (f *Fetcher) defaultIndex(ctx context.Context) (source, error) {
	if len(f.set.broken) > 0 {
		return source{}, f.set.broken[0] // it might have named one
	}
	if f.set.index != nil {
		return *f.set.index, nil
	}
	if v, ok, err := f.st.Fact("settings", "uv-default-index"); err != nil || ok {
		return source{url: string(v), where: "uv's own default index"}, err
	}
	if f.Offline || f.AskDefaultIndex == nil {
		return source{}, &SettingsError{"", "no Python index is set: set FORGE_INDEX_URL (or UV_DEFAULT_INDEX, PIP_INDEX_URL, pip.conf), or run forge lock once, which asks uv"}
	}
	v, err := f.AskDefaultIndex(ctx)
	if err != nil {
		return source{}, fmt.Errorf("asking uv for its default index (FORGE_INDEX_URL would say it): %w", err)
	}
	if err := f.st.PutFact("settings", "uv-default-index", []byte(v)); err != nil {
		return source{}, err
	}
	return source{url: v, where: "uv's own default index"}, nil
}

var dashes = regexp.MustCompile(`[-_.]+`)

// normalize is PEP 503's form of a name.
func normalize(name string) string { return strings.ToLower(dashes.ReplaceAllString(name, "-")) }

var projectName = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]*[a-z0-9])?$`)

// Project reads an index's page of one project (PEP 503, PEP 691). The content type decides
// the parser. A page that breaks a rule is an *Error and nothing of it is used; a project
// that the index does not have is a *GoneError.
func (f *Fetcher) Project(ctx context.Context, indexURL, project string) (Page, error) {
	name := normalize(project)
	if !projectName.MatchString(name) {
		return Page{}, refuse("IDX-03", q(project), "", "is no name of a project")
	}
	root, user, err := parseSource(source{url: indexURL, where: "index"}, false)
	if err != nil {
		return Page{}, err
	}
	f.login(root, user)
	u := root.JoinPath(name, "/")
	body, a, err := f.read(ctx, u, nil, maxPage, acceptPage, false)
	if err != nil {
		var gone *GoneError
		if errors.As(err, &gone) {
			gone.Package = name
		}
		return Page{}, err
	}
	return parsePage(body, a.Header.Get("Content-Type"), a.url, name)
}

// parsePage is Project without the network. at is where the page was read.
func parsePage(body []byte, contentType string, at *url.URL, project string) (Page, error) {
	page := Page{URL: show(at), Project: project}
	kind, params, err := mime.ParseMediaType(contentType)
	if err != nil {
		return page, refuse("IDX-03", page.URL, "", "content type %s cannot be parsed", q(contentType))
	}
	if cs := strings.ToLower(params["charset"]); cs != "" && cs != "utf-8" && cs != "us-ascii" && cs != "utf8" {
		return page, refuse("IDX-03", page.URL, "", "charset %s is not UTF-8", q(cs))
	}
	if !utf8.Valid(body) {
		return page, refuse("IDX-03", page.URL, "", "is not UTF-8")
	}
	b := &rows{page: &page, at: at, seen: map[string]int{}}
	switch kind {
	case "application/vnd.pypi.simple.v1+json", "application/vnd.pypi.simple.latest+json":
		err = b.json(body)
	case "application/vnd.pypi.simple.v1+html", "application/vnd.pypi.simple.latest+html", "text/html":
		err = b.html(body)
	default:
		return page, refuse("IDX-03", page.URL, "", "content type %s is no page of an index", q(kind))
	}
	if err != nil {
		return Page{URL: page.URL, Project: project}, err
	}
	return page, nil
}

// rows collects the files of a page, whatever its form, and judges them.
type rows struct {
	page *Page
	at   *url.URL
	seen map[string]int // file name → row
}

func (b *rows) bad(id, entry, format string, args ...any) error {
	return refuse(id, b.page.URL, entry, format, args...)
}

var (
	fileName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._+!-]*$`)
	distFile = regexp.MustCompile(`(?i)\.(whl|tar\.gz|zip|tar\.bz2|tgz|tar\.xz|tar\.z|tar|egg|exe|msi|rpm|deb|dmg)$`)
	sha256ok = regexp.MustCompile(`^[0-9a-f]{64}$`)
)

// add judges one row. href is relative to the page; id is the rule for what only this form
// of page can get wrong.
func (b *rows) add(id string, file PageFile, href string) error {
	name := file.Name
	switch {
	case len(name) > 300 || (strings.HasSuffix(name, ".whl") && !fileName.MatchString(name)):
		return b.bad(id, name, "file name %s is not allowed", q(name))
	case !fileName.MatchString(name):
		return nil // no wheel, and nothing that forge could want
	case strings.HasSuffix(name, ".whl") && normalize(name[:strings.Index(name+"-", "-")]) != b.page.Project:
		return b.bad(id, name, "file %s belongs to another project than %s", q(name), q(b.page.Project))
	}
	u, err := b.at.Parse(href)
	if err != nil {
		return b.bad(id, name, "the address of %s cannot be parsed", q(name))
	}
	u.Fragment, u.RawFragment = "", ""
	if err := allowed(u, b.at, false); err != nil {
		return err
	}
	file.URL, file.Shown, file.page = u.String(), show(u), b.at
	if i, ok := b.seen[name]; ok {
		old := b.page.Files[i]
		if old.SHA256 != file.SHA256 || (old.Size >= 0 && file.Size >= 0 && old.Size != file.Size) {
			return b.bad(id, name, "file %s is listed twice, with sha256 %s and %s", q(name), q(old.SHA256), q(file.SHA256))
		}
		b.page.Files[i].Yanked = old.Yanked || file.Yanked
		return nil
	}
	if len(b.page.Files) == maxFiles {
		return b.bad(id, name, "lists more than %d files", maxFiles)
	}
	b.seen[name] = len(b.page.Files)
	b.page.Files = append(b.page.Files, file)
	return nil
}

// version refuses a page of a major version that this reader does not know (PEP 629).
func (b *rows) version(id, v string) error {
	if major, _, _ := strings.Cut(v, "."); major != "1" {
		return b.bad(id, "", "is of version %s; version 1 is understood", q(v))
	}
	return nil
}
