package fetch

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strings"

	"github.com/BurntSushi/toml"
)

// readSetting reads a small file of another program; an absent one is empty.
func (s *Settings) readSetting(path string) string {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) {
		return "" // the program itself could not read it either
	}
	if err == nil {
		defer f.Close()
		var b []byte
		if b, err = io.ReadAll(io.LimitReader(f, 1<<20+1)); err == nil && len(b) > 1<<20 {
			err = errors.New("larger than 1 MiB")
		}
		if err == nil {
			return string(b)
		}
	}
	s.spoil(path, "%v", err)
	return ""
}

// readPip reads pip.conf, as Python's RawConfigParser would: sections, "key = value" or
// "key: value", indented lines go on, # and ; begin comments.
func (s *Settings) readPip(path string) {
	index, indexLine := "", 0
	section, key := "", ""
	for i, line := range strings.Split(s.readSetting(path), "\n") {
		line = strings.TrimRight(line, "\r")
		text := strings.TrimSpace(line)
		if text == "" || text[0] == '#' || text[0] == ';' {
			continue
		}
		value := text
		switch {
		case line[0] == '[':
			section, key = strings.Trim(text, "[]"), ""
			continue
		case line[0] == ' ' || line[0] == '\t':
			if key == "" {
				continue
			}
		default:
			at := strings.IndexAny(text, "=:")
			if at < 0 {
				s.spoil(fmt.Sprintf("%s:%d", path, i+1), "is neither a section nor a setting")
				return
			}
			key = strings.TrimPrefix(strings.ReplaceAll(strings.ToLower(strings.TrimSpace(text[:at])), "_", "-"), "--")
			value = strings.TrimSpace(text[at+1:])
		}
		if value == "" || (section != "global" && section != "install" && section != "download") {
			continue
		}
		where := fmt.Sprintf("%s:%d", path, i+1)
		switch key {
		case "index-url":
			if index == "" || section != "global" { // a command's own section wins
				index, indexLine = value, i+1
			}
		case "extra-index-url":
			s.forbid(where, "extra-index")
		case "find-links":
			s.forbid(where, "find-links")
		}
	}
	if index != "" {
		s.offer(index, fmt.Sprintf("%s:%d", path, indexLine))
	}
}

// uvFile is the part of uv.toml that names places.
type uvFile struct {
	IndexURL      string   `toml:"index-url"`
	ExtraIndexURL []string `toml:"extra-index-url"`
	FindLinks     []string `toml:"find-links"`
	Index         []struct {
		URL      string `toml:"url"`
		Default  bool   `toml:"default"`
		Explicit bool   `toml:"explicit"`
	} `toml:"index"`
	Pip struct {
		IndexURL      string   `toml:"index-url"`
		ExtraIndexURL []string `toml:"extra-index-url"`
		FindLinks     []string `toml:"find-links"`
	} `toml:"pip"`
}

func (s *Settings) readUV(path string) {
	text := s.readSetting(path)
	var f uvFile
	if _, err := toml.Decode(text, &f); err != nil {
		var pe toml.ParseError
		if errors.As(err, &pe) {
			s.spoil(fmt.Sprintf("%s:%d", path, pe.Position.Line), "%s", pe.Message)
		} else {
			s.spoil(path, "is not the TOML that uv reads")
		}
		return
	}
	// at finds the line of a key: the decoder does not keep it.
	at := func(key string) string {
		for i, line := range strings.Split(text, "\n") {
			if strings.HasPrefix(strings.TrimSpace(line), key) {
				return fmt.Sprintf("%s:%d", path, i+1)
			}
		}
		return path
	}
	for _, ix := range f.Index {
		switch {
		case ix.Default:
			s.offer(ix.URL, at("[[index]]"))
		case !ix.Explicit: // an explicit one serves only names that a project binds to it
			s.forbid(at("[[index]]"), "extra-index")
		}
	}
	for _, u := range []string{f.Pip.IndexURL, f.IndexURL} {
		if u != "" {
			s.offer(u, at("index-url"))
		}
	}
	if len(f.ExtraIndexURL)+len(f.Pip.ExtraIndexURL) > 0 {
		s.forbid(at("extra-index-url"), "extra-index")
	}
	if len(f.FindLinks)+len(f.Pip.FindLinks) > 0 {
		s.forbid(at("find-links"), "find-links")
	}
}

// readApt reads sources.list, *.list and *.sources as sources.list(5) describes them.
func (s *Settings) readApt(root string) {
	dir := filepath.Join(root, "etc", "apt")
	s.readAptList(filepath.Join(dir, "sources.list"))
	for _, glob := range []string{"*.list", "*.sources"} {
		files, err := filepath.Glob(filepath.Join(dir, "sources.list.d", glob))
		if err != nil {
			continue // only a malformed pattern, and it is not
		}
		sort.Strings(files)
		for _, f := range files {
			if glob == "*.list" {
				s.readAptList(f)
			} else {
				s.readAptSources(f)
			}
		}
	}
}

// readAptList reads lines like: deb [arch=amd64 signed-by=…] https://host/debian trixie main
func (s *Settings) readAptList(path string) {
	for i, line := range strings.Split(s.readSetting(path), "\n") {
		line, _, _ = strings.Cut(line, "#")
		fields := strings.Fields(line)
		if len(fields) < 3 || fields[0] != "deb" {
			continue
		}
		fields = fields[1:]
		if strings.HasPrefix(fields[0], "[") {
			for len(fields) > 0 && !strings.HasSuffix(fields[0], "]") {
				fields = fields[1:]
			}
			if len(fields) < 3 {
				continue
			}
			fields = fields[1:]
		}
		s.addArchive(fields[0], fields[1:2], fmt.Sprintf("%s:%d", path, i+1))
	}
}

// readAptSources reads deb822 paragraphs.
func (s *Settings) readAptSources(path string) {
	fields, key, begin := map[string]string{}, "", 0
	flush := func() {
		if slices.Contains(strings.Fields(fields["types"]), "deb") && !strings.EqualFold(strings.TrimSpace(fields["enabled"]), "no") {
			for _, u := range strings.Fields(fields["uris"]) {
				s.addArchive(u, strings.Fields(fields["suites"]), fmt.Sprintf("%s:%d", path, begin))
			}
		}
		fields, key = map[string]string{}, ""
	}
	for i, line := range strings.Split(s.readSetting(path), "\n") {
		switch {
		case strings.TrimSpace(line) == "":
			flush()
		case line[0] == '#':
		case line[0] == ' ' || line[0] == '\t':
			fields[key] += " " + strings.TrimSpace(line)
		default:
			name, value, ok := strings.Cut(line, ":")
			if !ok {
				continue
			}
			key = strings.ToLower(strings.TrimSpace(name))
			fields[key] = strings.TrimSpace(value)
			if key == "uris" {
				begin = i + 1
			}
		}
	}
	flush()
}

// addArchive keeps an address of apt when its last folder says which archive it is.
func (s *Settings) addArchive(address string, suites []string, where string) {
	if !strings.HasPrefix(address, "http://") && !strings.HasPrefix(address, "https://") {
		return // cdrom:, file:, mirror+…: not a place to ask
	}
	address = strings.TrimRight(address, "/")
	name := address[strings.LastIndex(address, "/")+1:]
	if name != "debian" && name != "debian-security" {
		return
	}
	for i, a := range s.archives[name] {
		if a.url == address {
			s.archives[name][i].suites = append(a.suites, suites...)
			return
		}
	}
	if s.archives == nil {
		s.archives = map[string][]source{}
	}
	s.archives[name] = append(s.archives[name], source{url: address, where: where, suites: suites})
}

// machine is one entry of netrc.
type machine struct{ host, login, password string }

// readNetrc reads "machine HOST login NAME password SECRET" in any layout. The entry
// "default" is not used: it would give its password to every host that a page names.
func (s *Settings) readNetrc(path string) {
	var words []string
	macro := false
	for _, line := range strings.Split(s.readSetting(path), "\n") {
		fields := strings.Fields(line)
		if macro = macro && len(fields) > 0; macro {
			continue // a macro ends with an empty line
		}
		if len(fields) > 0 && fields[0][0] == '#' {
			continue
		}
		for _, w := range fields {
			if macro = w == "macdef"; macro {
				break
			}
			words = append(words, w)
		}
	}
	var m *machine
	for i := 0; i < len(words); i++ {
		next := ""
		if i+1 < len(words) {
			next = words[i+1]
		}
		switch words[i] {
		case "default":
			m = nil
			continue
		case "machine":
			s.netrc = append(s.netrc, machine{host: strings.ToLower(next)})
			m = &s.netrc[len(s.netrc)-1]
		case "login":
			if m != nil {
				m.login = next
			}
		case "password":
			if m != nil {
				m.password = next
			}
		}
		i++ // every other word has a value
	}
}
