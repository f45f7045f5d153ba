package finding

import (
	"fmt"
	"slices"
	"strings"
)

// Severity is how bad a finding is. Its text, in recipes and JSON alike, is lower case.
type Severity int

// The severities, rising. Unknown is what a source says that says nothing.
const (
	Unknown Severity = iota
	Negligible
	Low
	Medium
	High
	Critical
	// Never is no severity of a finding: as a limit it lets everything pass, for those who want the list alone.
	Never
)

var severities = []string{"unknown", "negligible", "low", "medium", "high", "critical", "never"}

// Severities are the words of a limit, rising.
func Severities() []string {
	return slices.Clone(severities[Negligible:])
}

func (s Severity) String() string {
	if s < 0 || int(s) >= len(severities) {
		return fmt.Sprintf("severity(%d)", int(s))
	}
	return severities[s]
}

// ParseSeverity reads a severity in any case: databases write HIGH, High and high. An empty
// one is Unknown; a word that is none is an error, since it could be a worse one misspelt.
func ParseSeverity(s string) (Severity, error) {
	word := strings.ToLower(strings.TrimSpace(s))
	switch word {
	case "", "none":
		return Unknown, nil
	case "unimportant", "info":
		return Negligible, nil
	case "moderate":
		return Medium, nil
	case "important":
		return High, nil
	}
	for i, name := range severities[:Never] {
		if word == name {
			return Severity(i), nil
		}
	}
	return Unknown, fmt.Errorf("reading severity %q: not one of %s", s, strings.Join(severities[:Never], ", "))
}

// ParseLimit reads the limit from which findings fail, exactly as Severities lists it.
func ParseLimit(s string) (Severity, error) {
	if i := slices.Index(severities, s); i > int(Unknown) {
		return Severity(i), nil
	}
	return Unknown, fmt.Errorf("reading limit %q: not one of %s", s, strings.Join(Severities(), ", "))
}

// MarshalText writes the lower-case word.
func (s Severity) MarshalText() ([]byte, error) {
	if s < 0 || int(s) >= len(severities) {
		return nil, fmt.Errorf("writing severity %d: there is none of this number", int(s))
	}
	return []byte(s.String()), nil
}

// UnmarshalText reads the lower-case word that MarshalText writes, and nothing else.
func (s *Severity) UnmarshalText(text []byte) error {
	for i, name := range severities {
		if string(text) == name {
			*s = Severity(i)
			return nil
		}
	}
	return fmt.Errorf("reading severity %q: not one of %s", text, strings.Join(severities, ", "))
}
