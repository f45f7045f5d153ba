package builder

import (
	"context"
	"fmt"
	"reflect"

	"github.com/forge-build/forge/builder/base"
	"github.com/forge-build/forge/builder/layer"
	"github.com/forge-build/forge/recipes/lock"
)

// base reads the image that lies below, as lock did: what the lock says of it is a claim, from
// the recipe's digest down to every diffID. It is nil for an image on Debian packages.
func (b *Builder) base(ctx context.Context, p *Plan) (*base.Image, error) {
	if p.Image.Base == nil {
		return nil, nil
	}
	below, err := base.Read(ctx, p.Image, base.Options{Store: b.Store, Fetch: b.Fetch, Dir: b.Dir})
	if err != nil {
		return nil, err
	}
	if !reflect.DeepEqual(below.Lock, *p.Lock.Base) || below.Python != p.Lock.Python {
		return nil, &LockError{fmt.Sprintf("image %q: what the lock says of the base %s is not what its digest leads to", p.Image.Name, p.Image.Base.From)}
	}
	if err := below.Twice(p.Lock.Wheels); err != nil {
		return nil, err
	}
	writes := append([]string{}, p.Image.Writable...)
	for _, c := range p.Image.Copies {
		writes = append(writes, c.To+"/x")
	}
	if w := p.Image.Workdir; w != "" {
		writes = append(writes, w+"/x")
	}
	return below, below.Free(writes)
}

// codecOf is the codec of a layer: the image's, but a base's layer has its own.
func codecOf(l lock.Layer, ours layer.Codec) layer.Codec {
	if l.Kind == "base" {
		for c := range l.Blobs { // one
			return layer.Codec(c)
		}
	}
	return ours
}
