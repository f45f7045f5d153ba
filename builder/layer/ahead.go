package layer

import (
	"hash"
	"io"
)

// ahead reads from another reader in a goroutine of its own, a few chunks before they are
// asked for, and hashes each chunk in a second one: inflating, hashing and what is done with
// the content then take one core each. What is read, and the error after it, are the same.
type ahead struct {
	full chan filled // hashed, in order; closed after the last
	free chan []byte
	stop chan struct{}
	cur  filled
	at   int // of cur, what was read
}

// filled is a chunk, and the error that came after it.
type filled struct {
	b   []byte
	err error
}

// newAhead begins to read r. Until close nobody else may use r; what sum has is whole once
// Read has returned an error.
func newAhead(r io.Reader, sum hash.Hash) *ahead {
	a := &ahead{full: make(chan filled, chunks), free: make(chan []byte, chunks), stop: make(chan struct{})}
	for range chunks {
		a.free <- make([]byte, chunkSize)
	}
	read := make(chan filled, chunks)
	go func() {
		defer close(read)
		for {
			select {
			case <-a.stop:
				return
			case b := <-a.free:
				n, err := fillUp(r, b)
				read <- filled{b[:n], err} // there is room for each chunk
				if err != nil {
					return
				}
			}
		}
	}()
	go func() {
		defer close(a.full)
		for x := range read {
			_, _ = sum.Write(x.b) // a hash never fails
			a.full <- x
		}
	}()
	return a
}

// fillUp reads until b is full, or to an error.
func fillUp(r io.Reader, b []byte) (n int, err error) {
	for empty := 0; n < len(b) && err == nil; {
		var m int
		m, err = r.Read(b[n:])
		n += m
		if empty++; m > 0 {
			empty = 0
		} else if err == nil && empty > 100 {
			err = io.ErrNoProgress
		}
	}
	return n, err
}

func (a *ahead) Read(p []byte) (int, error) {
	for a.at == len(a.cur.b) {
		if a.cur.err != nil {
			return 0, a.cur.err
		}
		if a.cur.b != nil {
			a.free <- a.cur.b[:chunkSize]
		}
		a.cur, a.at = <-a.full, 0
	}
	n := copy(p, a.cur.b[a.at:])
	a.at += n
	return n, nil
}

// close ends the reading. Afterwards nobody uses r any more.
func (a *ahead) close() {
	close(a.stop)
	for range a.full {
	}
}
