package trust

import (
	"fmt"
	"regexp"
	"strings"
)

// Scope is a set of repositories: one ("host/name"), all below a path ("host/path/*"), or all
// that no other scope holds ("*").
type Scope string

var (
	host       = regexp.MustCompile(`^[a-z0-9]([a-z0-9.-]*[a-z0-9])?(:[0-9]{1,5})?$`)
	component  = regexp.MustCompile(`^[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*$`)
	digest     = regexp.MustCompile(`^sha256:[0-9a-f]{64}$`)
	dottedHost = regexp.MustCompile(`[.:]|^localhost$`)
)

// ParseScope reads a scope.
func ParseScope(s string) (Scope, error) {
	if s == "*" {
		return Scope(s), nil
	}
	s = canonical(s)
	parts := strings.Split(s, "/")
	if len(s) > 255 || !host.MatchString(parts[0]) || !dottedHost.MatchString(parts[0]) {
		return "", fmt.Errorf("%+q: the registry's host comes first, as in registry.example/team/*", s[:min(len(s), 120)])
	}
	if len(parts) < 2 {
		return "", fmt.Errorf("%+q: a repository or /* is missing after the host", s)
	}
	for i, p := range parts[1:] {
		if p == "*" && i == len(parts)-2 {
			continue
		}
		if !component.MatchString(p) {
			return "", fmt.Errorf("%+q: %+q is no part of a repository's name; * may only be its last part", s, p)
		}
	}
	return Scope(s), nil
}

// Holds says whether a repository ("host/name") is in the scope.
func (s Scope) Holds(repository string) bool {
	if s == "*" {
		return true
	}
	if below, ok := strings.CutSuffix(string(s), "*"); ok {
		return strings.HasPrefix(repository, below) && len(repository) > len(below)
	}
	return string(s) == repository
}

// rank orders scopes: the more of a name one says, the more it counts.
func (s Scope) rank() int {
	if below, ok := strings.CutSuffix(string(s), "*"); ok {
		return 2 * len(below)
	}
	return 2*len(s) + 1
}

// Mirror says that repositories hold copies of others, signatures included.
type Mirror struct {
	At Scope // where the copies lie
	Of Scope // what they are copies of
}

// Original is the repository that a mirrored one is a copy of.
func (m Mirror) Original(repository string) (string, bool) {
	if !m.At.Holds(repository) {
		return "", false
	}
	at, prefix := strings.CutSuffix(string(m.At), "*")
	of, both := strings.CutSuffix(string(m.Of), "*")
	if !prefix || !both {
		return string(m.Of), !prefix && !both
	}
	return of + strings.TrimPrefix(repository, at), true
}

// canonical gives a repository's registry its one name: a host is the same in capitals, with a
// dot at its end, and with the port that https has anyway. Else a stricter rule could be walked
// around by spelling its host differently.
func canonical(repository string) string {
	h, rest, ok := strings.Cut(repository, "/")
	h = strings.ToLower(h)
	h = strings.TrimSuffix(strings.TrimSuffix(strings.TrimSuffix(h, ":443"), "."), ":443")
	switch h {
	case "docker.io", "registry-1.docker.io", "registry.hub.docker.com":
		h = "index.docker.io" // as every client calls it
	}
	if !ok {
		return h
	}
	return h + "/" + rest
}

// For is the one rule that applies to a repository ("host/name"), and the repository whose
// name its statements must carry: its own, or that of which it is a mirror. nil: no rule
// applies, and nothing of it is taken.
func (p *Policy) For(repository string) (*Rule, string) {
	var rule *Rule
	repository = canonical(repository)
	original, rank := "", -1
	for i := range p.Rules {
		r := &p.Rules[i]
		for _, s := range r.Repositories {
			if s.Holds(repository) && s.rank() > rank {
				rule, original, rank = r, repository, s.rank()
			}
		}
		for _, m := range r.Mirrors {
			if of, ok := m.Original(repository); ok && m.At.rank() > rank {
				rule, original, rank = r, of, m.At.rank()
			}
		}
	}
	return rule, original
}

// IsBase says whether a text names images that may lie below others: a digest, a repository
// with or without a digest, or all repositories below a path.
func IsBase(s string) bool {
	repository, sum, pinned := strings.Cut(s, "@")
	if !pinned && digest.MatchString(s) {
		return true
	}
	scope, err := ParseScope(repository)
	return err == nil && scope != "*" && (!pinned || digest.MatchString(sum) && !strings.HasSuffix(repository, "*"))
}

// BaseFits says whether a base ("debian trixie", or "host/name@sha256:…") is one that a rule
// names.
func BaseFits(want, base string) bool {
	repository, sum, _ := strings.Cut(base, "@")
	if want == base || want == sum && sum != "" {
		return true
	}
	if strings.Contains(want, "@") || strings.HasPrefix(want, "debian ") || strings.HasPrefix(base, "debian ") {
		return false
	}
	scope, err := ParseScope(want)
	return err == nil && scope.Holds(repository)
}
