package convert

import (
	"context"
	"errors"
	"fmt"
	"sort"
	"sync"
)

// downloads is how many members are fetched at a time.
const downloads = 4

// run makes all jobs. Fetchers bring members in, those of the layer with the most work first; a
// layer whose members are all there is converted, the one with the most work first, so that no
// long one is left for one processor at the end. The first error ends everything.
func (m *maker) run(ctx context.Context, jobs []*job) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	q := &queue{}
	q.cond = sync.NewCond(&q.mu)
	stop := context.AfterFunc(ctx, q.wake)
	defer stop()

	var errs []error
	for _, j := range jobs {
		made, err := m.checked(j)
		if err != nil {
			return err
		}
		if made != nil {
			j.made = made
			m.report(Event{Layer: j.layer.Name, Step: Reused, Bytes: j.size, Total: j.size})
			continue
		}
		q.add(j)
	}
	release, err := m.hold(q)
	if err != nil {
		return err
	}
	defer release()
	var mu sync.Mutex
	fail := func(err error) {
		if err == nil {
			return
		}
		mu.Lock()
		defer mu.Unlock()
		errs = append(errs, err)
		cancel(err)
	}
	var wg sync.WaitGroup
	for range downloads {
		wg.Go(func() { fail(m.fetchAll(ctx, q)) })
	}
	for range m.o.Jobs {
		wg.Go(func() { fail(m.convertAll(ctx, q)) })
	}
	wg.Wait()
	for _, err := range errs {
		if !errors.Is(err, context.Canceled) {
			return err
		}
	}
	if len(errs) > 0 {
		return errs[0]
	}
	return nil
}

// hold keeps a pruning forge away from the members that will be read.
func (m *maker) hold(q *queue) (release func(), err error) {
	var sums []string
	for _, t := range q.tasks {
		sums = append(sums, t.part.sum())
	}
	return m.o.Store.Hold(sums...)
}

// queue holds the layers that wait for members, and those that have them all.
type queue struct {
	mu      sync.Mutex
	cond    *sync.Cond
	tasks   []task // to fetch, the layer with the most work first
	missing map[*job]int
	ready   []*job
	left    int // layers nobody converts yet
}

// task is one member to fetch.
type task struct {
	job  *job
	part *part
}

func (q *queue) add(j *job) {
	if q.missing == nil {
		q.missing = map[*job]int{}
	}
	for i := range j.parts {
		q.tasks = append(q.tasks, task{j, &j.parts[i]})
	}
	q.missing[j] = len(j.parts)
	q.left++
	sort.SliceStable(q.tasks, func(a, b int) bool { return q.tasks[a].job.work() > q.tasks[b].job.work() })
}

func (q *queue) wake() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.cond.Broadcast()
}

// next returns a member to fetch.
func (q *queue) next() (task, bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.tasks) == 0 {
		return task{}, false
	}
	t := q.tasks[0]
	q.tasks = q.tasks[1:]
	return t, true
}

// arrived notes that a member is there, and says whether its layer now has all.
func (q *queue) arrived(t task) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.missing[t.job]--
	if q.missing[t.job] > 0 {
		return false
	}
	q.ready = append(q.ready, t.job)
	q.cond.Broadcast()
	return true
}

// take waits for a layer with all its members and returns the one with the most work.
func (q *queue) take(ctx context.Context) *job {
	q.mu.Lock()
	defer q.mu.Unlock()
	for len(q.ready) == 0 && q.left > 0 && ctx.Err() == nil {
		q.cond.Wait()
	}
	if len(q.ready) == 0 || ctx.Err() != nil {
		return nil
	}
	best := 0
	for i, j := range q.ready {
		if j.work() > q.ready[best].work() {
			best = i
		}
	}
	j := q.ready[best]
	q.ready = append(q.ready[:best], q.ready[best+1:]...)
	q.left--
	if q.left == 0 {
		q.cond.Broadcast()
	}
	return j
}

// fetchAll brings members into the store until there are no more.
func (m *maker) fetchAll(ctx context.Context, q *queue) error {
	for ctx.Err() == nil {
		t, ok := q.next()
		if !ok {
			return nil
		}
		if err := m.fetch(ctx, *t.part); err != nil {
			return err
		}
		if q.arrived(t) {
			m.report(Event{Layer: t.job.layer.Name, Step: Fetched, Total: t.job.size})
		}
	}
	return ctx.Err()
}

func (m *maker) fetch(ctx context.Context, p part) error {
	var err error
	if p.wheel != nil {
		_, err = m.o.Fetch.Wheel(ctx, *p.wheel, m.im, m.o.Dir)
	} else {
		_, err = m.o.Fetch.Deb(ctx, *p.deb, m.im, m.li)
	}
	return err
}

// convertAll makes layers until there are no more.
func (m *maker) convertAll(ctx context.Context, q *queue) error {
	for {
		j := q.take(ctx)
		if j == nil {
			return ctx.Err()
		}
		if err := m.convert(ctx, j); err != nil {
			return fmt.Errorf("making layer %q: %w", j.layer.Name, err)
		}
	}
}

// convert makes one layer, unless another forge has made it meanwhile.
func (m *maker) convert(ctx context.Context, j *job) error {
	unlock, err := m.o.Store.Lock(ctx, "layer "+j.key)
	if err != nil {
		return err
	}
	defer unlock()
	if j.made, err = m.checked(j); err != nil || j.made != nil {
		return err
	}
	if j.layer.Kind == "debian" {
		j.made, err = m.packages(ctx, j)
	} else {
		j.made, err = m.wheels(ctx, j)
	}
	if err != nil {
		return err
	}
	if err := m.remember(j, j.made); err != nil {
		return err
	}
	m.report(Event{Layer: j.layer.Name, Step: Done, Bytes: j.size, Total: j.size})
	return nil
}

func (m *maker) report(e Event) {
	if m.o.Progress == nil {
		return
	}
	m.reporting.Lock()
	defer m.reporting.Unlock()
	m.o.Progress(e)
}
