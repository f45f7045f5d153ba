package fetch

import (
	"bytes"
	"io"
	"net/url"
	"path"
	"strings"

	"golang.org/x/net/html"
)

// maxTag is how long one tag or text of a page may be, in bytes.
const maxTag = 64 << 10

// html reads a page of PEP 503: every <a> that leads to a file is a row.
func (b *rows) html(body []byte) error {
	z := html.NewTokenizer(bytes.NewReader(body))
	z.SetMaxBuf(maxTag)
	var attrs map[string]string // of the open <a>, or nil
	var text strings.Builder
	flush := func() error {
		if attrs == nil {
			return nil
		}
		a := attrs
		attrs = nil
		return b.anchor(a, strings.TrimSpace(text.String()))
	}
	for {
		switch z.Next() {
		case html.ErrorToken:
			if z.Err() != io.EOF {
				return b.bad("IDX-03", "", "is not HTML: %s", q(z.Err().Error()))
			}
			if len(bytes.TrimSpace(body)) == 0 {
				return b.bad("IDX-03", "", "is empty")
			}
			if c := bytes.TrimLeft(body, " \t\r\n\ufeff"); c[0] == '{' || c[0] == '[' {
				return b.bad("IDX-03", "", "is sent as HTML and looks like JSON")
			}
			return flush()
		case html.TextToken:
			if attrs != nil && text.Len() < maxTag {
				text.Write(z.Text())
			}
		case html.EndTagToken:
			if name, _ := z.TagName(); string(name) == "a" {
				if err := flush(); err != nil {
					return err
				}
			}
		case html.StartTagToken, html.SelfClosingTagToken:
			raw := string(z.Raw())
			name, _ := z.TagName()
			tag := string(name)
			if tag != "a" && tag != "meta" && tag != "base" {
				continue
			}
			kept, err := b.attributes(tag, raw[min(1+len(tag), len(raw)):])
			if err != nil {
				return err
			}
			switch tag {
			case "base":
				return b.bad("IDX-02", "", "holds <base href=%s>, which would turn all its addresses", q(kept["href"]))
			case "meta":
				if kept["name"] == "pypi:repository-version" {
					if err := b.version("IDX-03", kept["content"]); err != nil {
						return err
					}
				}
			case "a":
				if err := flush(); err != nil {
					return err
				}
				attrs = kept
				text.Reset()
			}
		}
	}
}

// attributes reads what stands between a tag's name and its end. The tokenizer's own
// reading is not used: it takes the first of two attributes with one name, others take the
// last, and what a forgotten quote leaves behind it takes for names.
func (b *rows) attributes(tag, raw string) (map[string]string, error) {
	kept := map[string]string{}
	stray := func(near string) error {
		return b.bad("IDX-03", "", "a stray quote in <%s>, near %s", tag, q(near))
	}
	for {
		if raw = strings.TrimLeft(raw, htmlSpace+"/"); raw == "" || raw[0] == '>' {
			return kept, nil
		}
		key, value := raw, ""
		if end := strings.IndexAny(raw[1:], htmlSpace+"/>="); end >= 0 {
			key, raw = raw[:1+end], raw[1+end:]
		} else {
			raw = ""
		}
		if strings.ContainsAny(key, "\"'<=") {
			return nil, stray(key)
		}
		if after := strings.TrimLeft(raw, htmlSpace); strings.HasPrefix(after, "=") {
			raw = strings.TrimLeft(after[1:], htmlSpace)
			if raw != "" && (raw[0] == '"' || raw[0] == '\'') {
				end := strings.IndexByte(raw[1:], raw[0])
				if end < 0 {
					return nil, stray(raw)
				}
				value, raw = raw[1:1+end], raw[2+end:]
				if raw != "" && !strings.ContainsRune(htmlSpace+"/>", rune(raw[0])) {
					return nil, stray(raw)
				}
			} else {
				end := strings.IndexAny(raw+">", htmlSpace+">")
				value, raw = raw[:end], raw[end:]
				if strings.ContainsAny(value, "\"'<`") {
					return nil, stray(value)
				}
			}
		}
		key = strings.ToLower(key)
		if _, ok := kept[key]; ok {
			return nil, b.bad("IDX-03", "", "attribute %s of <%s> is there twice", q(key), tag)
		}
		kept[key] = html.UnescapeString(value)
	}
}

const htmlSpace = " \t\r\n\f"

// anchor turns one link into a row, if it leads to a file.
func (b *rows) anchor(attrs map[string]string, text string) error {
	href, ok := attrs["href"]
	if !ok {
		return nil
	}
	u, err := url.Parse(strings.TrimSpace(href))
	if err != nil {
		if distFile.MatchString(text) {
			return b.bad("IDX-03", text, "the address of %s cannot be parsed", q(text))
		}
		return nil
	}
	last := path.Base(u.Path)
	name := last
	switch {
	case distFile.MatchString(last) && distFile.MatchString(text) && last != text:
		return b.bad("IDX-03", text, "the link %s leads to %s", q(text), q(last))
	case !distFile.MatchString(last) && !distFile.MatchString(text):
		return nil // "parent folder" and the like
	case !distFile.MatchString(last):
		name = text
	}
	file := PageFile{Name: name, Size: -1, RequiresPython: attrs["data-requires-python"]}
	if file.SHA256, err = b.fragment(name, u.Fragment); err != nil {
		return err
	}
	if reason, ok := attrs["data-yanked"]; ok {
		file.Yanked, file.YankedReason = true, reason
	}
	for _, key := range []string{"data-dist-info-metadata", "data-core-metadata"} { // the second wins (PEP 714)
		v, ok := attrs[key]
		switch sum, hashed := strings.CutPrefix(v, "sha256="); {
		case !ok || v == "false":
		case v == "true":
			file.HasMetadata, file.MetadataSHA256 = true, ""
		case hashed && sha256ok.MatchString(sum):
			file.HasMetadata, file.MetadataSHA256 = true, sum
		case hashed:
			return b.bad("IDX-03", name, "file %s: %s: %s is not a lower-case sha256", q(name), key, q(sum))
		default: // another algorithm: there is a file, and no hash that counts
			file.HasMetadata, file.MetadataSHA256 = true, ""
		}
	}
	return b.add("IDX-03", file, href)
}

// fragment reads "#sha256=…". A weaker algorithm counts as not published.
func (b *rows) fragment(name, fragment string) (string, error) {
	found := ""
	for _, part := range strings.Split(fragment, "&") {
		sum, ok := strings.CutPrefix(part, "sha256=")
		switch {
		case !ok:
		case !sha256ok.MatchString(sum):
			return "", b.bad("IDX-03", name, "file %s: %s is not a lower-case sha256", q(name), q(sum))
		case found != "" && found != sum:
			return "", b.bad("IDX-03", name, "file %s has two sha256", q(name))
		default:
			found = sum
		}
	}
	return found, nil
}
