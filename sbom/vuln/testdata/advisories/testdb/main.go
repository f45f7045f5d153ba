// Command testdb writes the test database to a folder, and as an archive beside it:
//
//	go run ./sbom/vuln/testdata/advisories/testdb DIR
//	forge scan --db DIR …
//	forge scan --db DIR/vulnerability-db.tar.zst …
package main

import (
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/forge-build/forge/sbom/vuln/testdata/advisories"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: testdb DIR")
		os.Exit(2)
	}
	if err := run(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "testdb:", err)
		os.Exit(1)
	}
}

func run(dir string) error {
	records, err := advisories.All()
	if err != nil {
		return err
	}
	if err := advisories.Build(records, dir, time.Now().UTC().Truncate(time.Second)); err != nil {
		return err
	}
	return advisories.Pack(dir, filepath.Join(dir, "vulnerability-db.tar.zst"))
}
