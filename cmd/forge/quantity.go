package main

import (
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// age is a flag's length of time: what time.ParseDuration reads, and days and weeks ("3d", "2w", "1d12h").
type age struct{ *time.Duration }

// newAge is an age that has a value already.
func newAge(to *time.Duration, value time.Duration) age {
	*to = value
	return age{to}
}

func (a age) Type() string { return "AGE" }

func (a age) String() string {
	if a.Duration == nil || *a.Duration == 0 {
		return ""
	}
	const day = 24 * time.Hour
	if d := *a.Duration; d%day == 0 {
		return fmt.Sprintf("%dd", d/day)
	}
	return a.Duration.String()
}

var longUnits = regexp.MustCompile(`([0-9]+)([dw])`)

func (a age) Set(text string) error {
	hours := longUnits.ReplaceAllStringFunc(text, func(s string) string {
		n, err := strconv.ParseInt(s[:len(s)-1], 10, 32)
		if err != nil {
			return s // which is then no duration
		}
		return strconv.FormatInt(n*map[byte]int64{'d': 24, 'w': 7 * 24}[s[len(s)-1]], 10) + "h"
	})
	d, err := time.ParseDuration(hours)
	if err != nil || d < 0 {
		return fmt.Errorf("it must be a length of time, as 30d, 2w, 12h or 90m")
	}
	*a.Duration = d
	return nil
}

// bytesFlag is a flag's size in bytes: a number with a unit, or of MB without one.
type bytesFlag struct{ *int64 }

func (b bytesFlag) Type() string { return "SIZE" }

func (b bytesFlag) String() string {
	if b.int64 == nil || *b.int64 == 0 {
		return ""
	}
	return megabytes(*b.int64)
}

var (
	sizeForm  = regexp.MustCompile(`^([0-9]+(?:\.[0-9]+)?) ?([A-Za-z]*)$`)
	sizeUnits = map[string]float64{"": 1e6, "b": 1, "k": 1e3, "kb": 1e3, "m": 1e6, "mb": 1e6, "g": 1e9, "gb": 1e9, "t": 1e12, "tb": 1e12,
		"kib": 1 << 10, "mib": 1 << 20, "gib": 1 << 30, "tib": 1 << 40}
)

func (b bytesFlag) Set(text string) error {
	m := sizeForm.FindStringSubmatch(text)
	if m != nil {
		n, err := strconv.ParseFloat(m[1], 64)
		if unit, ok := sizeUnits[strings.ToLower(m[2])]; ok && err == nil && n*unit < math.MaxInt64/2 {
			*b.int64 = int64(n * unit)
			return nil
		}
	}
	return fmt.Errorf("it must be a size, as 500MB, 20GB or 10GiB (without a unit: MB)")
}
