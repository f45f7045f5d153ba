package convert

import (
	"context"

	"github.com/forge-build/forge/builder/layer"
)

// readIndex notes what the layer's ELF files need.
func (made *Made) readIndex(ix *layer.Index, platform string, members []*member) error {
	return nil
}

func (m *maker) packages(ctx context.Context, j *job) (*Made, error) { return nil, nil }
