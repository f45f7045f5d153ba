package fetch

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
)

// maxDepth is how deep JSON may nest.
const maxDepth = 100

// pageKeys are the keys that mean something to forge. Go's decoder would take others for
// them that differ in case, or by a letter that folds to an ASCII one.
var pageKeys = []string{"meta", "api-version", "name", "files", "filename", "url", "hashes", "sha256", "requires-python",
	"yanked", "size", "upload-time", "core-metadata", "dist-info-metadata"}

// strictJSON looks at the raw tokens: one value and nothing after it, no key twice in one
// object, no key that only looks like a known one, no deep nesting.
func strictJSON(body []byte) error {
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber()
	type level struct {
		keys  map[string]bool // nil in an array
		value bool            // the next token is a value
	}
	var open []level
	for {
		tok, err := d.Token()
		if err == io.EOF && len(open) == 0 {
			return fmt.Errorf("is empty")
		}
		if err != nil {
			return fmt.Errorf("is not JSON at byte %d: %s", d.InputOffset(), bytesEscaped(err.Error()))
		}
		top := len(open) - 1
		if top >= 0 && open[top].keys != nil && !open[top].value && tok != json.Delim('}') {
			key := tok.(string) // the decoder has checked it
			if open[top].keys[key] {
				return fmt.Errorf("key %s is there twice, at byte %d", q(key), d.InputOffset())
			}
			for _, k := range pageKeys {
				if key != k && strings.EqualFold(key, k) {
					return fmt.Errorf("key %s is not the key %q, at byte %d", q(key), k, d.InputOffset())
				}
			}
			open[top].keys[key], open[top].value = true, true
			continue
		}
		if top >= 0 {
			open[top].value = false
		}
		switch tok {
		case json.Delim('{'):
			open = append(open, level{keys: map[string]bool{}})
		case json.Delim('['):
			open = append(open, level{})
		case json.Delim('}'), json.Delim(']'):
			open = open[:top]
		}
		if len(open) > maxDepth {
			return fmt.Errorf("nests deeper than %d", maxDepth)
		}
		if len(open) == 0 {
			break
		}
	}
	if _, err := d.Token(); err != io.EOF {
		return fmt.Errorf("goes on after its end, at byte %d", d.InputOffset())
	}
	return nil
}

// bytesEscaped writes what is not ASCII in an error of Go's decoder as the byte that it
// stands for: the decoder shows a byte as if it were a rune ('Ã' for the first byte of é).
func bytesEscaped(message string) string {
	var b strings.Builder
	for _, r := range message {
		if r > '~' {
			fmt.Fprintf(&b, `\x%02x`, r)
		} else {
			b.WriteRune(r)
		}
	}
	return b.String()
}

// jsonFile is a row as PEP 691, 700, 714 define it.
type jsonFile struct {
	Filename         string            `json:"filename"`
	URL              string            `json:"url"`
	Hashes           map[string]string `json:"hashes"`
	RequiresPython   *string           `json:"requires-python"`
	Yanked           json.RawMessage   `json:"yanked"`
	Size             json.RawMessage   `json:"size"`
	UploadTime       *string           `json:"upload-time"`
	CoreMetadata     json.RawMessage   `json:"core-metadata"`
	DistInfoMetadata json.RawMessage   `json:"dist-info-metadata"`
}

func (b *rows) json(body []byte) error {
	if err := strictJSON(body); err != nil {
		return b.bad("IDX-04", "", "%v", err)
	}
	var doc struct {
		Meta struct {
			Version string `json:"api-version"`
		} `json:"meta"`
		Name  *string     `json:"name"`
		Files *[]jsonFile `json:"files"`
	}
	if err := json.Unmarshal(body, &doc); err != nil {
		return b.bad("IDX-04", "", "is no page of an index: %s", q(err.Error()))
	}
	if err := b.version("IDX-04", doc.Meta.Version); err != nil {
		return err
	}
	switch {
	case doc.Name == nil || doc.Files == nil:
		return b.bad("IDX-04", "", `lacks "name" or "files"`)
	case normalize(*doc.Name) != b.page.Project:
		return b.bad("IDX-04", "", `"name" is %s, asked was %s`, q(*doc.Name), q(b.page.Project))
	}
	for _, jf := range *doc.Files {
		file, err := jf.file()
		if err != nil {
			return b.bad("IDX-04", jf.Filename, "file %s: %v", q(jf.Filename), err)
		}
		if err := b.add("IDX-04", file, jf.URL); err != nil {
			return err
		}
	}
	return nil
}

// file judges the values of a row. Errors name the key.
func (jf jsonFile) file() (PageFile, error) {
	file := PageFile{Name: jf.Filename, Size: -1}
	if jf.URL == "" {
		return file, fmt.Errorf(`"url" is missing`)
	}
	strong := false
	for alg, digest := range jf.Hashes {
		n := map[string]int{"sha256": 64, "sha384": 96, "sha512": 128}[alg]
		if n == 0 {
			continue
		}
		if len(digest) != n || strings.Trim(digest, "0123456789abcdef") != "" {
			return file, fmt.Errorf(`"hashes": %s is not a lower-case %s`, q(digest), alg)
		}
		strong = true
	}
	if !strong {
		return file, fmt.Errorf(`"hashes" holds no sha256, sha384 or sha512`)
	}
	file.SHA256 = jf.Hashes["sha256"]
	if jf.RequiresPython != nil {
		file.RequiresPython = *jf.RequiresPython
	}
	if size := string(jf.Size); size != "" && size != "null" {
		n, err := strconv.ParseInt(size, 10, 64)
		if err != nil || n < 0 {
			return file, fmt.Errorf(`"size" is %s`, q(size))
		}
		file.Size = n
	}
	if y := string(jf.Yanked); y != "" {
		switch err := json.Unmarshal(jf.Yanked, &file.YankedReason); {
		case y == "true":
			file.Yanked = true
		case y == "false" || y == "null":
		case err != nil || file.YankedReason == "":
			return file, fmt.Errorf(`"yanked" is %s; it must be a boolean or a reason`, q(y))
		default:
			file.Yanked = true
		}
	}
	if jf.UploadTime != nil {
		t, err := time.Parse(time.RFC3339Nano, *jf.UploadTime)
		if err != nil {
			return file, fmt.Errorf(`"upload-time" is %s`, q(*jf.UploadTime))
		}
		file.Uploaded = t
	}
	for _, m := range []struct {
		key string
		raw json.RawMessage
	}{{"dist-info-metadata", jf.DistInfoMetadata}, {"core-metadata", jf.CoreMetadata}} { // the second wins (PEP 714)
		if err := file.metadata(m.key, m.raw); err != nil {
			return file, err
		}
	}
	return file, nil
}

// metadata reads PEP 658's key: a boolean, or hashes of the metadata file.
func (file *PageFile) metadata(key string, raw json.RawMessage) error {
	switch s := string(raw); s {
	case "", "null":
	case "false", "true":
		file.HasMetadata, file.MetadataSHA256 = s == "true", ""
	default:
		var hashes map[string]string
		if err := json.Unmarshal(raw, &hashes); err != nil {
			return fmt.Errorf("%q is neither a boolean nor hashes", key)
		}
		sum, ok := hashes["sha256"]
		if ok && !sha256ok.MatchString(sum) {
			return fmt.Errorf("%q: %s is not a lower-case sha256", key, q(sum))
		}
		file.HasMetadata, file.MetadataSHA256 = true, sum
	}
	return nil
}
