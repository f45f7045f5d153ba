package main

import (
	"testing"
	"time"
)

func TestAgesAreReadAsPeopleWriteThem(t *testing.T) {
	const day = 24 * time.Hour
	for text, want := range map[string]time.Duration{"3d": 3 * day, "2w": 14 * day, "1d12h": 36 * time.Hour, "720h": 30 * day, "90m": 90 * time.Minute, "0s": 0, "0": 0, "1ns": 1} {
		var got time.Duration
		if err := (age{&got}).Set(text); err != nil || got != want {
			t.Errorf("%q is %s (%v), want %s", text, got, err, want)
		}
	}
	for _, text := range []string{"", "3", "3 days", "d", "-3d", "3y", "1e3d", "99999999999999999999d", "9999999w"} {
		got := time.Duration(7)
		if err := (age{&got}).Set(text); err == nil || got != 7 {
			t.Errorf("%q is %s", text, got)
		}
	}
}

func TestSizesAreReadAsPeopleWriteThem(t *testing.T) {
	for text, want := range map[string]int64{"20000": 20e9, "10GB": 10e9, "10gb": 10e9, "10 GB": 10e9, "10G": 10e9, "1.5GB": 15e8, "512MiB": 512 << 20, "1KiB": 1024, "1kB": 1000, "7B": 7, "2TB": 2e12, "1TiB": 1 << 40} {
		var got int64
		if err := (bytesFlag{&got}).Set(text); err != nil || got != want {
			t.Errorf("%q is %d (%v), want %d", text, got, err, want)
		}
	}
	for _, text := range []string{"", "GB", "-1GB", "10XB", "10 G B", "1e3GB", "9999999999TB", "0x10", "1,5GB"} {
		got := int64(7)
		if err := (bytesFlag{&got}).Set(text); err == nil || got != 7 {
			t.Errorf("%q is %d", text, got)
		}
	}
}
