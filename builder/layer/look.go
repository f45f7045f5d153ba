package layer

import (
	"fmt"
	"io"
)

// Look reads the facts of a file that can be read anywhere; nil for one that is not ELF. They
// are those that an index has of the same bytes.
func Look(r io.ReaderAt, size int64) (*ELF, error) {
	var magic [4]byte
	if size < int64(len(magic)) {
		return nil, nil
	}
	if _, err := r.ReadAt(magic[:], 0); err != nil {
		return nil, fmt.Errorf("reading ELF: %w", err)
	}
	if magic != elfMagic {
		return nil, nil
	}
	var held []span
	asked := int64(0)
	for range rounds {
		e, need := parse(size, held)
		if len(need) == 0 {
			return e, nil
		}
		more := merge(need)
		for i := range more {
			asked += more[i].end - more[i].off
		}
		if more == nil || asked > 2*keepMore {
			e.note("what it refers to is spread too widely")
			return e, nil
		}
		for i := range more {
			s := &more[i]
			s.b = make([]byte, s.end-s.off)
			if n, err := r.ReadAt(s.b, s.off); n < len(s.b) {
				return nil, fmt.Errorf("reading ELF: %w", err)
			}
		}
		held = append(held, more...)
	}
	e, _ := parse(size, held)
	e.note("refers on and on")
	return e, nil
}
