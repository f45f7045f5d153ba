package sbom

import (
	"context"
	"sync"

	"github.com/anchore/syft/syft"
	"github.com/anchore/syft/syft/cataloging"
)

// scanner is a context with Syft's scanner of licence texts. Making it takes most of a
// second, and it is the same each time.
var scanner = sync.OnceValues(func() (context.Context, error) {
	return syft.SetContextLicenseScanner(context.Background(), cataloging.DefaultLicenseConfig())
})

// withScanner is ctx that also knows what another context knows.
type withScanner struct {
	context.Context
	scanner context.Context
}

// Value implements context.Context.
func (c withScanner) Value(key any) any {
	if v := c.Context.Value(key); v != nil {
		return v
	}
	return c.scanner.Value(key)
}
