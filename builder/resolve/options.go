package resolve

import (
	"crypto/sha256"
	"encoding/hex"
	"time"

	"github.com/forge-build/forge/builder/fetch"
	"github.com/forge-build/forge/builder/store"
)

type Options struct {
	Store      *store.Store
	Fetch      *fetch.Fetcher
	Dir        string
	AsOf       time.Time
	UpgradeAll bool
	Upgrade    []string
	Env        func(string) string
	Home       string
	Progress   func(string)
}

func sum(b []byte) string { s := sha256.Sum256(b); return hex.EncodeToString(s[:]) }
