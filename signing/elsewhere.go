package signing

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"runtime/debug"
	"strings"
	"sync"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/klauspost/compress/zstd"

	"github.com/forge-build/forge/signing/evidence"
	"github.com/forge-build/forge/signing/statement"
	"github.com/forge-build/forge/signing/strictjson"
)

// MaxDocument bounds a document that lies beside its statement, in bytes.
const MaxDocument = 128 << 20

// elsewhere is a document that a statement names by its digest: it is too large to lie in it.
type elsewhere struct {
	Type   string // the predicate type that it would have
	Digest v1.Hash
	Size   int64
}

// readReference reads a statement that names one document, as forge writes it; nil: it is another
// kind of reference, and a statement like any other. Source: in-toto attestation framework,
// predicates, Reference v0.1.
func readReference(predicate json.RawMessage) *elsewhere {
	var p struct {
		References []struct {
			Digest      map[string]string `json:"digest"`
			Annotations struct {
				Type string `json:"predicateType"`
				Size int64  `json:"size"`
			} `json:"annotations"`
		} `json:"references"`
	}
	if json.Unmarshal(predicate, &p) != nil || len(p.References) != 1 {
		return nil
	}
	r := p.References[0]
	h, err := v1.NewHash("sha256:" + r.Digest["sha256"])
	if err != nil || r.Annotations.Type == "" || r.Annotations.Type == statement.TypeReference || r.Annotations.Size <= 0 {
		return nil
	}
	return &elsewhere{r.Annotations.Type, h, r.Annotations.Size}
}

// document is a verified document, kept small: lists of packages shrink to a tenth and less.
type document struct {
	packed []byte // zstd
	size   int64
}

var packer = sync.OnceValues(func() (*zstd.Encoder, error) {
	return zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithLowerEncoderMem(true), zstd.WithWindowSize(1<<20))
})
var unpacker = sync.OnceValues(func() (*zstd.Decoder, error) { return zstd.NewReader(nil, zstd.WithDecoderConcurrency(0)) })

// fetch brings a document in. Only those are asked for that a verified statement names, so their
// number and size are trusted signers' doing. found.Failures says what could not be read.
func (e *elsewhere) fetch(ctx context.Context, src evidence.Source) (*document, error) {
	if e.Size > MaxDocument {
		return nil, fmt.Errorf("it has %d bytes; at most %d are read", e.Size, MaxDocument)
	}
	makeRoom(e.Size)
	d, err := e.pack(ctx, src)
	makeRoom(e.Size)
	return d, err
}

func (e *elsewhere) pack(ctx context.Context, src evidence.Source) (*document, error) {
	raw, err := src.Blob(ctx, e.Digest, e.Size)
	if err != nil {
		return nil, err
	}
	if err := strictjson.Check(raw); err != nil {
		return nil, err
	}
	z, err := packer()
	if err != nil {
		return nil, fmt.Errorf("internal error: %w", err)
	}
	return &document{z.EncodeAll(raw, make([]byte, 0, len(raw)/8)), e.Size}, nil // what is not written to takes no memory
}

func (d *document) bytes() []byte {
	makeRoom(d.size)
	z, err := unpacker()
	if err != nil {
		return nil // it has no options that can be wrong
	}
	raw, err := z.DecodeAll(d.packed, make([]byte, 0, d.size))
	if err != nil {
		return nil // these are bytes of this process
	}
	return raw
}

func (d *document) open() io.Reader {
	z, err := zstd.NewReader(bytes.NewReader(d.packed), zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true))
	if err != nil {
		return strings.NewReader("") // it has no options that can be wrong
	}
	return z
}

// makeRoom gives back what is garbage before and after a large document is made: it would else lie
// beside the next one, since the collector sees a large allocation too late.
func makeRoom(size int64) {
	if size > 8<<20 {
		debug.FreeOSMemory()
	}
}
