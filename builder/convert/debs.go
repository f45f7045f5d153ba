package convert

import (
	"context"
	"errors"
)

// packages makes the layer of Debian packages.
func (m *maker) packages(ctx context.Context, j *job) (*Made, error) {
	return nil, errors.New("internal error: layers of Debian packages are not made yet")
}
