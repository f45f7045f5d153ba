package layer

import (
	"sync"
	"sync/atomic"
)

const (
	chunkSize = 256 << 10
	chunks    = 6
	parallel  = 1 << 20 // contents from this size on are passed to several goroutines
)

// A sink takes bytes in order. It keeps none of them.
type sink func(p []byte) error

// fan passes what is written to it to each of its sinks: one after another, or, once
// started, each in its own goroutine, through a ring of chunks.
type fan struct {
	sinks []sink
	free  chan *chunk // nil: not started
	in    []chan *chunk
	cur   *chunk
	wg    sync.WaitGroup
	err   error // first error of a sink
	mu    sync.Mutex
	bad   atomic.Bool
}

type chunk struct {
	b    []byte
	refs atomic.Int32
}

// ring is the memory of a fan, kept for the next file.
type ring struct{ all []*chunk }

// start begins to work in parallel. After it, close must be called.
func (f *fan) start(r *ring) {
	if r.all == nil {
		for range chunks {
			r.all = append(r.all, &chunk{b: make([]byte, 0, chunkSize)})
		}
	}
	f.free = make(chan *chunk, chunks)
	for _, c := range r.all {
		c.b = c.b[:0]
		f.free <- c
	}
	for _, s := range f.sinks {
		in := make(chan *chunk, chunks)
		f.in = append(f.in, in)
		f.wg.Go(func() {
			for c := range in {
				if !f.bad.Load() {
					f.note(s(c.b))
				}
				f.release(c)
			}
		})
	}
}

func (f *fan) note(err error) {
	if err == nil {
		return
	}
	f.mu.Lock()
	if f.err == nil {
		f.err = err
	}
	f.mu.Unlock()
	f.bad.Store(true)
}

func (f *fan) release(c *chunk) {
	if c.refs.Add(-1) == 0 {
		c.b = c.b[:0]
		f.free <- c
	}
}

// Write passes p on. In parallel, an error may be told by a later Write or by close.
func (f *fan) Write(p []byte) (int, error) {
	if f.free == nil {
		for _, s := range f.sinks {
			if err := s(p); err != nil {
				return 0, err
			}
		}
		return len(p), nil
	}
	n := len(p)
	for len(p) > 0 {
		if f.bad.Load() {
			return 0, f.first()
		}
		if f.cur == nil {
			f.cur = <-f.free
		}
		m := min(len(p), chunkSize-len(f.cur.b))
		f.cur.b = append(f.cur.b, p[:m]...)
		p = p[m:]
		if len(f.cur.b) == chunkSize {
			f.send()
		}
	}
	return n, nil
}

func (f *fan) send() {
	c := f.cur
	f.cur = nil
	c.refs.Store(int32(len(f.in)))
	for _, in := range f.in {
		in <- c
	}
}

func (f *fan) first() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.err
}

// close waits for the sinks and returns their first error.
func (f *fan) close() error {
	if f.free == nil {
		return nil
	}
	if f.cur != nil && len(f.cur.b) > 0 {
		f.send()
	}
	for _, in := range f.in {
		close(in)
	}
	f.wg.Wait()
	f.free, f.in, f.cur = nil, nil, nil
	return f.first()
}
