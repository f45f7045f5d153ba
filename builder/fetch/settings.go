package fetch

import (
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
)

// Settings says where bytes come from on this host. It is decided once; what the recipe
// says comes before it. The zero value knows no index and no mirror.
type Settings struct {
	// CAFile is a PEM file of certificate authorities that are trusted besides the
	// system's. (SSL_CERT_FILE, which Go honours, replaces the system's.)
	CAFile string

	env       func(string) string
	config    Config
	index     *source             // of the standard Python clients
	archives  map[string][]source // of apt, by archive name
	forbidden []*SettingsError    // extra indexes and find-links
	broken    []*SettingsError    // files that cannot be read
	netrc     []machine
}

// Config holds what forge's own settings file says; whoever reads that file fills it in.
type Config struct {
	Where    string              // the file's name, for messages
	Indexes  map[string]string   // index name → URL; "pytorch" is the folder of all its variants
	Archives map[string][]string // archive name ("debian", "debian-security") → URLs of mirrors
	CAFile   string
}

// source is an address and who says so.
type source struct {
	url    string
	where  string   // a variable, or file:line
	suites []string // of apt's entry
}

// Host reads the settings of this host: FORGE_INDEX_URL, FORGE_INDEX_<NAME>_URL,
// FORGE_DEBIAN_MIRROR, FORGE_DEBIAN_SECURITY_MIRROR, FORGE_CA_FILE; then what uv, pip and
// apt are set to; and netrc. It reads files and opens no socket. A setting that is wrong
// is an error only when it is needed.
func Host(env func(string) string, home string) (Settings, error) {
	return hostAt("/", env, home)
}

// hostAt is Host on a file system below root; home is not below it.
func hostAt(root string, env func(string) string, home string) (Settings, error) {
	s := Settings{env: env, CAFile: env("FORGE_CA_FILE")}
	for _, name := range []string{"UV_DEFAULT_INDEX", "UV_INDEX_URL", "PIP_INDEX_URL"} {
		if v := env(name); v != "" {
			s.offer(stripIndexName(v), name)
		}
	}
	for _, name := range []string{"PIP_EXTRA_INDEX_URL", "UV_EXTRA_INDEX_URL", "UV_INDEX"} {
		if env(name) != "" {
			s.forbid(name, "extra-index")
		}
	}
	for _, name := range []string{"PIP_FIND_LINKS", "UV_FIND_LINKS"} {
		if env(name) != "" {
			s.forbid(name, "find-links")
		}
	}
	configHome := env("XDG_CONFIG_HOME")
	if configHome == "" && home != "" {
		configHome = filepath.Join(home, ".config")
	}
	// The last file wins in pip; offer keeps the first.
	for _, path := range pipFiles(root, env, home, configHome) {
		s.readPip(path)
	}
	for _, path := range uvFiles(root, env, configHome) {
		s.readUV(path)
	}
	s.readApt(root)
	netrc := env("NETRC")
	if netrc == "" && home != "" {
		netrc = filepath.Join(home, ".netrc")
	}
	if netrc != "" {
		s.readNetrc(netrc)
	}
	if s.CAFile != "" {
		if _, err := os.Stat(s.CAFile); err != nil {
			return s, &SettingsError{"FORGE_CA_FILE", err.Error()}
		}
	}
	return s, nil
}

// Configure adds the values of forge's own settings file. They come after FORGE_*
// variables and before the settings of other programs.
func (s *Settings) Configure(c Config) {
	s.config = c
	if s.CAFile == "" {
		s.CAFile = c.CAFile
	}
}

// CheckLock is an error, of one or more *SettingsError, when the host's settings of pip or
// uv name further indexes or folders of files: choosing versions from several places at
// once is how torchtriton was replaced in December 2022.
func (s *Settings) CheckLock() error {
	var all []error
	for _, e := range append(append([]*SettingsError(nil), s.forbidden...), s.broken...) {
		all = append(all, e)
	}
	return errors.Join(all...)
}

// offer takes an index unless there is one already.
func (s *Settings) offer(address, where string) {
	if s.index == nil {
		s.index = &source{url: strings.TrimSpace(address), where: where}
	}
}

func (s *Settings) forbid(where, what string) {
	reason := `adds another package index, and a name could then come from either; unset it for forge, and bind the names that need it in the recipe: index "NAME" { url = "…", packages = ["acme-*"] }`
	if what == "find-links" {
		reason = `adds files from outside every index; unset it for forge, and name the files that are needed in the recipe: wheel "FILE.whl" {}`
	}
	s.forbidden = append(s.forbidden, &SettingsError{where, reason})
}

func (s *Settings) spoil(where, format string, args ...any) {
	s.broken = append(s.broken, &SettingsError{where, fmt.Sprintf(format, args...)})
}

// forgeEnv reads a FORGE_ variable.
func (s *Settings) forgeEnv(name string) string {
	if s.env == nil {
		return ""
	}
	return s.env(name)
}

var notWord = regexp.MustCompile(`[^A-Z0-9]+`)

// indexSource is what forge's own settings say about an index.
func (s *Settings) indexSource(name string) (source, bool) {
	word := notWord.ReplaceAllString(strings.ToUpper(name), "_")
	variable := "FORGE_INDEX_" + word + "_URL"
	if v := s.forgeEnv(variable); v != "" {
		return source{url: v, where: variable}, true
	}
	if name == "default" {
		if v := s.forgeEnv("FORGE_INDEX_URL"); v != "" {
			return source{url: v, where: "FORGE_INDEX_URL"}, true
		}
	}
	variant, torch := strings.CutPrefix(name, "pytorch-")
	if v := s.forgeEnv("FORGE_INDEX_PYTORCH_URL"); torch && v != "" {
		return source{url: strings.TrimRight(v, "/") + "/" + variant, where: "FORGE_INDEX_PYTORCH_URL"}, true
	}
	if v := s.config.Indexes[name]; v != "" {
		return source{url: v, where: s.config.Where}, true
	}
	if v := s.config.Indexes["pytorch"]; torch && v != "" {
		return source{url: strings.TrimRight(v, "/") + "/" + variant, where: s.config.Where}, true
	}
	return source{}, false
}

// archiveSources is what forge's own settings, and then apt's, say about a Debian archive.
// Those of apt that list the suite come first.
func (s *Settings) archiveSources(name, suite string) []source {
	var all []source
	variable := map[string]string{"debian": "FORGE_DEBIAN_MIRROR", "debian-security": "FORGE_DEBIAN_SECURITY_MIRROR"}[name]
	if v := s.forgeEnv(variable); variable != "" && v != "" {
		all = append(all, source{url: v, where: variable})
	}
	for _, u := range s.config.Archives[name] {
		all = append(all, source{url: u, where: s.config.Where})
	}
	for _, listed := range []bool{true, false} {
		for _, a := range s.archives[name] {
			if slices.Contains(a.suites, suite) == listed {
				all = append(all, a)
			}
		}
	}
	return all
}

var namedIndex = regexp.MustCompile(`^[A-Za-z0-9._-]+=(https?://.*)$`)

// stripIndexName takes the name off "name=https://…", a form that uv allows.
func stripIndexName(v string) string {
	if m := namedIndex.FindStringSubmatch(v); m != nil {
		return m[1]
	}
	return v
}

// parseSource checks an address of the settings and takes the userinfo off it.
func parseSource(src source, plain bool) (*url.URL, *url.Userinfo, error) {
	u, err := url.Parse(src.url)
	if err != nil {
		return nil, nil, &SettingsError{src.where, "the address cannot be parsed"} // the cause would print it
	}
	user := u.User
	u.User, u.Fragment, u.RawQuery = nil, "", ""
	u.Path, u.RawPath = strings.TrimRight(u.Path, "/"), strings.TrimRight(u.RawPath, "/")
	if err := allowed(u, nil, plain); err != nil {
		return nil, nil, &SettingsError{src.where, err.Error()}
	}
	return u, user, nil
}

func pipFiles(root string, env func(string) string, home, configHome string) []string {
	own := env("PIP_CONFIG_FILE")
	if own == os.DevNull {
		return nil // pip's way to say: no files
	}
	var files []string
	if own != "" {
		files = append(files, own)
	}
	if venv := env("VIRTUAL_ENV"); venv != "" {
		files = append(files, filepath.Join(venv, "pip.conf"))
	}
	if configHome != "" {
		files = append(files, filepath.Join(configHome, "pip", "pip.conf"))
	}
	if home != "" {
		if runtime.GOOS == "darwin" {
			files = append(files, filepath.Join(home, "Library", "Application Support", "pip", "pip.conf"))
		}
		files = append(files, filepath.Join(home, ".pip", "pip.conf"))
	}
	return append(files, filepath.Join(root, "etc", "pip.conf"), filepath.Join(root, "etc", "xdg", "pip", "pip.conf"))
}

func uvFiles(root string, env func(string) string, configHome string) []string {
	if v := env("UV_NO_CONFIG"); v != "" && v != "0" && v != "false" {
		return nil
	}
	if own := env("UV_CONFIG_FILE"); own != "" {
		return []string{own}
	}
	var files []string
	if configHome != "" {
		files = append(files, filepath.Join(configHome, "uv", "uv.toml"))
	}
	return append(files, filepath.Join(root, "etc", "uv", "uv.toml"), filepath.Join(root, "etc", "xdg", "uv", "uv.toml"))
}
