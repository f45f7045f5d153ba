package registry

import (
	"context"
	"io"
	"sync/atomic"
	"time"
)

// Least is how many bytes must move in the time of a stall: who sends a byte now and then would
// otherwise hold a request for years.
const Least = 64 << 10

// Watch ends a request whose server goes silent, or moves less than Least bytes in a while.
type Watch struct {
	ctx   context.Context
	stop  context.CancelCauseFunc
	timer *time.Timer
	stall time.Duration
	cause error
	fresh atomic.Int64 // bytes since the time began
}

// NewWatch begins to watch. cause is the error of a request that it ends.
func NewWatch(ctx context.Context, stall time.Duration, cause error) *Watch {
	w := &Watch{stall: stall, cause: cause}
	w.ctx, w.stop = context.WithCancelCause(ctx)
	w.timer = time.AfterFunc(stall, func() { w.stop(cause) })
	return w
}

// Context is the request's.
func (w *Watch) Context() context.Context { return w.ctx }

// Answered says that the server has said something: the time begins anew.
func (w *Watch) Answered() {
	w.fresh.Store(0)
	w.timer.Reset(w.stall)
}

func (w *Watch) moved(n int) {
	if n > 0 && w.fresh.Add(int64(n)) >= Least {
		w.Answered()
	}
}

// Reason is why a request failed: what the watch says if it ended it. Addresses, which may hold
// secrets, are taken out of the HTTP client's errors.
func (w *Watch) Reason(err error) error {
	if context.Cause(w.ctx) == w.cause { //nolint:errorlint // it is that very value
		return w.cause
	}
	return WithoutAddress(err)
}

// End lets go of the request.
func (w *Watch) End() {
	w.timer.Stop()
	w.stop(nil)
}

// Reader watches the bytes of r, which are sent or received.
func (w *Watch) Reader(r io.Reader) io.Reader { return watched{r, w} }

type watched struct {
	r io.Reader
	w *Watch
}

func (x watched) Read(b []byte) (int, error) {
	n, err := x.r.Read(b)
	x.w.moved(n)
	if err != nil && err != io.EOF {
		err = x.w.Reason(err)
	}
	return n, err
}
