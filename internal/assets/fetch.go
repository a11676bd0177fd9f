package assets

import (
	"context"
	"io"
	"net/http"
	"sync"
	"time"
)

const (
	// fetchIdle is how long a fetch waits for the next byte of the answer.
	fetchIdle = time.Minute
	// fetchOverhead is the allowance for what a fetch takes besides the body.
	fetchOverhead = 8 << 10
	// fetchChunk is the room for an answer whose length is not known yet.
	fetchChunk = 32 << 10
	// window is how far a fetch is ahead of the slowest reader once its answer
	// is too large to be kept.
	window = 256 << 10
	// maxDrain is how much of an unwanted body is read so that the connection
	// can be used again.
	maxDrain = 4 << 10
)

// errSilent ends a fetch of which nothing came for fetchIdle.
var errSilent error = silence{}

type silence struct{}

func (silence) Error() string   { return "assets: the Frontend API was silent for too long" }
func (silence) Timeout() bool   { return true }
func (silence) Temporary() bool { return true }

// A fetch gets one answer for the store and for all who wait for it. It belongs
// to no client: it goes on when those that asked have gone.
type fetch struct {
	cache   *Cache
	key     fetchKey
	req     *http.Request
	dropped []string // names of the headers that it does not carry
	stale   *entry   // that it asks about, or nil
	began   time.Time

	decided chan struct{}
	verdict verdict // once decided is closed
	length  int64   // of the body, likewise; -1: unknown

	held    int64 // of the store's room; guarded by Cache.mu
	keeping bool  // only changed by run

	mu      sync.Mutex
	moved   sync.Cond
	readers map[*reader]struct{}
	base    int64  // of the body, where buf begins
	buf     []byte // what there is of it; bytes once written do not change
	full    bool   // and no more is read before the readers have moved
	over    bool
	err     error // once over: io.EOF if the body is whole
}

// A verdict is what a fetch came to. Without an entry and an error, the answer
// is not for everybody.
type verdict struct {
	entry   *entry
	streams bool // the entry's body is the fetch's
	stale   bool // the entry is the old one: the fetch failed
	code    int  // of the answer, if there was one
	err     error
}

func newFetch(c *Cache, req *http.Request, fk fetchKey, stale *entry, now time.Time) *fetch {
	f := &fetch{cache: c, key: fk, stale: stale, began: now, decided: make(chan struct{}), held: fetchOverhead, readers: map[*reader]struct{}{}}
	f.moved.L = &f.mu
	u := *req.URL
	f.req = &http.Request{Method: http.MethodGet, URL: &u, Host: req.Host, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1}
	f.req.Header, f.dropped = fetchHeader(req.Header, fk.encodings)
	if stale != nil {
		stale.conditions(f.req.Header)
	}
	// The values stay, for traces and informational answers; the end of the
	// client's request is not the fetch's.
	f.req = f.req.WithContext(context.WithoutCancel(req.Context()))
	return f
}

// run makes the request and sees to its answer.
func (f *fetch) run() {
	ctx, cancel := context.WithCancelCause(f.req.Context())
	defer cancel(nil)
	guard := time.AfterFunc(fetchIdle, func() { cancel(errSilent) })
	defer guard.Stop()

	resp, err := f.cache.next.RoundTrip(f.req.WithContext(ctx))
	if err != nil {
		if context.Cause(ctx) == errSilent {
			err = errSilent
		}
		f.failed(verdict{err: err})
		return
	}
	defer resp.Body.Close()
	guard.Reset(fetchIdle)

	now := f.cache.now()
	switch {
	case f.stale != nil && resp.StatusCode == http.StatusNotModified:
		e, ok := f.stale.validated(f, resp.Header, now)
		f.replaced(e, ok)
	case isFailure(resp.StatusCode):
		f.failed(verdict{code: resp.StatusCode})
	default:
		e, ok := newEntry(f, resp.StatusCode, resp.Status, resp.Header, now)
		if !ok || endsUnseen(resp) || len(resp.Trailer) > 0 || resp.Uncompressed || e.size+max(0, resp.ContentLength) > f.cache.store.maxEntry() {
			f.decide(verdict{}, nil)
			break
		}
		if resp.ContentLength < 0 {
			delete(e.header, "Content-Length")
		}
		f.stream(resp, e, guard)
		if context.Cause(ctx) == errSilent && f.err != io.EOF {
			f.err = errSilent
		}
		f.finish(e)
		return
	}
	_, _ = io.CopyN(io.Discard, resp.Body, maxDrain)
}

// isFailure reports whether a status says that the server is in trouble, RFC
// 5861 §4.
func isFailure(code int) bool {
	switch code {
	case http.StatusInternalServerError, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true
	}
	return false
}

// endsUnseen reports whether the end of a body is that of its connection, so that a
// file which was cut short looks like a whole one, RFC 9112 §8.
func endsUnseen(resp *http.Response) bool {
	return resp.ProtoMajor == 1 && resp.ContentLength < 0 && len(resp.TransferEncoding) == 0
}

// failed decides by the old entry, if there is one that may still be served.
func (f *fetch) failed(v verdict) {
	c := f.cache
	now := c.now()
	if e := f.stale; e != nil {
		c.mu.Lock()
		e.retry = now.Add(retryAfter)
		c.mu.Unlock()
		if e.age(now)-e.lifetime <= e.staleIfError {
			v.entry, v.stale = e, true
		}
	}
	f.decide(v, nil)
}

// replaced decides by the old entry as the answer about it brought it up to
// date. If it could not, the old entry is of no more use.
func (f *fetch) replaced(e *entry, ok bool) {
	if !ok {
		f.decide(verdict{}, func(s *store) { s.remove(f.stale) })
		return
	}
	f.decide(verdict{entry: e, code: http.StatusNotModified}, func(s *store) { s.add(e, f.req.Header) })
}

// decide ends a fetch that has no body for anybody.
func (f *fetch) decide(v verdict, store func(*store)) {
	c := f.cache
	c.mu.Lock()
	f.leave()
	if store != nil {
		store(&c.store)
	}
	if v.entry == nil && v.err == nil {
		c.rememberUnshared(f.key, c.now())
	}
	c.mu.Unlock()
	f.verdict = v
	close(f.decided)
}

// leave lets nobody join any more and gives the room back. Cache.mu is held.
func (f *fetch) leave() {
	if f.cache.fetches[f.key] == f {
		delete(f.cache.fetches, f.key)
	}
	f.cache.store.release(f.held)
	f.held = 0
}

// stream reads the body, for the readers and to be kept.
func (f *fetch) stream(resp *http.Response, e *entry, guard *time.Timer) {
	f.keeping = true
	f.verdict, f.length = verdict{entry: e, streams: true}, max(-1, resp.ContentLength)
	close(f.decided)
	var total int64
	for {
		room, ok := f.room(e, resp.ContentLength, guard)
		if !ok {
			f.err = context.Canceled // nobody is left
			return
		}
		n, err := resp.Body.Read(room)
		guard.Reset(fetchIdle)
		total += int64(n)
		switch {
		case resp.ContentLength >= 0 && (total > resp.ContentLength || err == io.EOF && total < resp.ContentLength):
			f.err = io.ErrUnexpectedEOF // whatever it is, it is not what was announced
			return
		case err == io.EOF && len(resp.Trailer) > 0:
			f.keeping = f.keeping && f.drop() // not announced, and not for the store
		}
		f.mu.Lock()
		f.buf = f.buf[:len(f.buf)+n]
		f.moved.Broadcast()
		f.mu.Unlock()
		if err != nil {
			f.err = err
			return
		}
	}
}

// room returns where the next bytes of the body go, behind those that are there.
// It waits for the readers if the body is too large to be kept, and returns false
// if there are none.
func (f *fetch) room(e *entry, length int64, guard *time.Timer) ([]byte, bool) {
	if len(f.buf) == cap(f.buf) && f.keeping {
		grown := max(2*int64(cap(f.buf)), fetchChunk)
		if length >= 0 {
			// A length is only a claim: room is made as the bytes come. One byte
			// more shows their end, and that there are not more of them.
			grown = min(grown, length+1)
		}
		f.keeping = f.hold(grown, e) || f.drop()
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.keeping {
		for {
			if len(f.readers) == 0 {
				return nil, false
			}
			f.trim()
			if len(f.buf) < window {
				break
			}
			// Their clients are slow. How slow they may be is not for a fetch
			// to say.
			guard.Stop()
			f.full = true
			f.moved.Wait()
			f.full = false
			guard.Reset(fetchIdle)
		}
	}
	if len(f.buf) == cap(f.buf) {
		grown := int64(len(f.buf) + fetchChunk)
		if f.keeping {
			grown = f.held - fetchOverhead
		}
		buf := make([]byte, len(f.buf), grown)
		copy(buf, f.buf)
		f.buf = buf
	}
	return f.buf[len(f.buf):cap(f.buf)], true
}

// hold takes room in the store for a body of n bytes.
func (f *fetch) hold(n int64, e *entry) bool {
	c := f.cache
	c.mu.Lock()
	defer c.mu.Unlock()
	more := n + fetchOverhead - f.held
	if e.size+int64(cap(f.buf)) >= c.store.maxEntry() || !c.store.reserve(more) {
		return false
	}
	f.held += more
	return true
}

// drop gives up keeping the answer. Those who have joined still get it; what
// they have not read of it yet stays accounted for. It returns false.
func (f *fetch) drop() bool {
	c := f.cache
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.fetches, f.key)
	c.rememberUnshared(f.key, c.now())
	return false
}

// trim forgets what all readers have read. f.mu is held.
func (f *fetch) trim() {
	least := f.base + int64(len(f.buf))
	for r := range f.readers {
		least = min(least, r.offset)
	}
	f.buf = f.buf[least-f.base:]
	f.base = least
}

// finish keeps the answer if it is whole, then tells the readers: who has read
// all of it finds it in the store.
func (f *fetch) finish(e *entry) {
	c := f.cache
	c.mu.Lock()
	f.leave()
	if f.keeping && f.err == io.EOF {
		c.store.add(e.with(f.buf), f.req.Header)
	}
	c.mu.Unlock()

	f.mu.Lock()
	defer f.mu.Unlock()
	f.over = true
	f.moved.Broadcast()
}

// join adds a reader that has read nothing yet. Cache.mu is held, so that the
// fetch has not forgotten a byte.
func (f *fetch) join(ctx context.Context) *reader {
	r := &reader{fetch: f, ctx: ctx}
	f.mu.Lock()
	f.readers[r] = struct{}{}
	f.mu.Unlock()
	r.stop = context.AfterFunc(ctx, r.leave)
	return r
}

// A reader reads the body of a fetch as it arrives.
type reader struct {
	fetch  *fetch
	ctx    context.Context
	stop   func() bool
	offset int64 // guarded by fetch.mu
	closed bool  // likewise
}

// Read returns what has arrived, and waits if that is nothing.
func (r *reader) Read(p []byte) (int, error) {
	f := r.fetch
	f.mu.Lock()
	for r.offset == f.base+int64(len(f.buf)) && !f.over && !r.closed {
		f.moved.Wait()
	}
	switch {
	case r.ctx.Err() != nil:
		f.mu.Unlock()
		return 0, r.ctx.Err()
	case r.closed:
		f.mu.Unlock()
		return 0, http.ErrBodyReadAfterClose
	}
	arrived := f.buf[r.offset-f.base:]
	n := min(len(p), len(arrived))
	r.offset += int64(n)
	var err error
	if f.over && n == len(arrived) {
		err = f.err
	}
	if f.full {
		f.moved.Broadcast()
	}
	f.mu.Unlock()
	copy(p, arrived[:n]) // bytes that are there do not change
	return n, err
}

// Buffered is how many bytes have arrived and wait to be read.
func (r *reader) Buffered() int {
	f := r.fetch
	f.mu.Lock()
	defer f.mu.Unlock()
	if r.closed {
		return 0
	}
	return int(f.base + int64(len(f.buf)) - r.offset)
}

// Close lets the fetch go on without this reader.
func (r *reader) Close() error {
	r.stop()
	r.leave()
	return nil
}

func (r *reader) leave() {
	f := r.fetch
	f.mu.Lock()
	defer f.mu.Unlock()
	r.closed = true
	delete(f.readers, r)
	f.moved.Broadcast()
}
