// Package assets keeps the files that ClerkJS is made of, in memory.
//
// They are what Clerk's Frontend API answers below /npm/: public, the same for
// everybody, and immutable under their exact version. A [Cache] is a shared HTTP
// cache (RFC 9111) for that path and nothing else. It stands where the transport
// to the Frontend API stands, behind the proxy: it sees requests as they would
// be sent, with the secret key, and gives answers as they would have come.
//
// Two things differ from what a request on its own would do, so that no client
// can choose what another one gets:
//
//   - A fetch that fills the cache is the cache's own. It carries what Clerk asks
//     of a proxy (Clerk-Secret-Key, Clerk-Proxy-Url, X-Forwarded-*) and what a
//     public answer may fairly depend on, and drops everything else: Cookie,
//     Authorization, conditions, and whatever odd header a client made up.
//   - When its answer turns out not to be for everybody, nobody gets it. Each
//     request then goes on alone and whole, as if there were no cache.
//
// Stale answers are served for [staleWhileRevalidate] while one fetch in the
// background asks for a newer one, and for [staleIfError] when the Frontend API
// cannot be reached or answers 500, 502, 503 or 504, unless the answer's own
// directives (RFC 5861, or must-revalidate, proxy-revalidate and s-maxage) say
// otherwise. That this is wanted is the out-of-band agreement of RFC 9111
// §4.2.4: which version a major version stands for may lag by a minute.
package assets

import (
	"cmp"
	"net/http"
	"sync"
	"time"
)

// Config configures a [Cache].
type Config struct {
	// MaxBytes bounds the memory of what is kept and of what is being fetched:
	// bodies, headers and an allowance for the rest. No answer larger than an
	// eighth of it is kept. Zero or less: nothing is.
	MaxBytes int64

	// BasePath is the path of the Frontend API that precedes /npm/, escaped.
	// Empty for Clerk's own.
	BasePath string

	// Now is the clock that freshness is measured with. Nil: [time.Now].
	Now func() time.Time
}

// A Cache is an [http.RoundTripper] that keeps answers of the next one. It is
// safe for concurrent use. Make one with [New].
type Cache struct {
	next http.RoundTripper
	root string // of all that is cached, with a slash at both ends
	now  func() time.Time

	counts counts

	mu       sync.Mutex
	store    store
	fetches  map[fetchKey]*fetch
	unshared map[fetchKey]time.Time // until when a fetch is not worth trying
}

const (
	// maxFetches is how many fetches may be under way: they outlive the clients
	// that asked. Requests beyond it go on alone.
	maxFetches = 256
	// unsharedFor is how long requests for an answer that was not for everybody
	// go on alone at once, rather than after a fetch in vain.
	unsharedFor = 10 * time.Second
	// maxUnshared is of how many such answers that is known.
	maxUnshared = 1024
)

// New returns a cache in front of next.
func New(next http.RoundTripper, c Config) *Cache {
	if c.Now == nil {
		c.Now = time.Now
	}
	return &Cache{
		next:     next,
		root:     root(c.BasePath),
		now:      c.Now,
		store:    newStore(c.MaxBytes),
		fetches:  map[fetchKey]*fetch{},
		unshared: map[fetchKey]time.Time{},
	}
}

// RoundTrip answers from what is kept, or from a fetch that all who ask for the
// same share, or else with the next transport's own answer.
func (c *Cache) RoundTrip(req *http.Request) (*http.Response, error) {
	path := escapedPath(req.URL)
	if !c.holds(path) {
		return c.next.RoundTrip(req)
	}
	k, ok := keyOf(req.Header, path, req.URL.RawQuery, req.URL.ForceQuery)
	switch {
	case req.Method != http.MethodGet && req.Method != http.MethodHead:
		return c.otherMethod(req, k)
	case !ok || !ordinary(req):
		return c.alone(req, fwdBypass)
	}
	a := askOf(req.Header)
	if a.noStore {
		return c.alone(req, fwdRequest)
	}

	now := c.now()
	c.mu.Lock()
	e := c.store.find(k, req.Header)
	u := a.judge(e, now)
	if u.serve {
		c.store.touch(e)
		if u.refresh {
			c.fetch(req, k, e, now)
		}
		to := cmp.Or(c.follow(e, a, req.Header, now), e)
		c.mu.Unlock()
		c.counts.fromStore(u.detail).Add(1)
		return to.answerInPlaceOf(e, req, u.status(e, to, now), now), nil
	}
	if e == nil && c.store.knows(k) {
		u.fwd = fwdVaryMiss
	}
	switch {
	case a.onlyIfCached:
		c.mu.Unlock()
		c.counts.misses.Add(1)
		return notCached(req), nil
	case !joins(req):
		c.mu.Unlock()
		return c.alone(req, u.fwd)
	}
	f, collapsed := c.fetch(req, k, e, now)
	if f == nil {
		c.mu.Unlock()
		return c.alone(req, u.fwd)
	}
	r := f.join(req.Context())
	c.mu.Unlock()
	return c.await(req, a, r, u.fwd, collapsed)
}

// await answers a request by a fetch.
func (c *Cache) await(req *http.Request, a ask, r *reader, fwd string, collapsed bool) (*http.Response, error) {
	f := r.fetch
	select {
	case <-f.decided:
	case <-req.Context().Done():
		r.Close()
		c.counts.misses.Add(1)
		return nil, req.Context().Err()
	}
	v := f.verdict
	s := outcome{fwd: fwd, collapsed: collapsed, code: v.code}
	switch {
	case v.err != nil && (v.entry == nil || !a.toleratesStale()):
		r.Close()
		c.counts.misses.Add(1)
		return nil, v.err
	case v.entry == nil, !v.entry.matches(req.Header), v.stale && !a.toleratesStale():
		r.Close()
		return c.alone(req, fwd)
	case v.stale:
		r.Close()
		s.detail = detailStaleIfError
		c.counts.fromStore(s.detail).Add(1)
		return v.entry.answer(req, s.append(v.entry.status), c.now()), nil
	case v.streams:
		s.stored, s.code = !collapsed, 0
		c.counts.fromFetch(collapsed).Add(1)
		return v.entry.stream(req, r, s.append(v.entry.status), c.now()), nil
	default:
		r.Close()
		s.stored = !collapsed
		c.counts.fromFetch(collapsed).Add(1)
		return v.entry.answer(req, s.append(v.entry.status), c.now()), nil
	}
}

// alone sends a request on as it is; nothing of its answer is kept.
func (c *Cache) alone(req *http.Request, fwd string) (*http.Response, error) {
	c.counts.misses.Add(1)
	resp, err := c.next.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	if resp.Header == nil {
		resp.Header = http.Header{}
	}
	resp.Header[cacheStatus] = outcome{fwd: fwd}.append(resp.Header[cacheStatus])
	return resp, nil
}

// otherMethod sends a request on that is neither GET nor HEAD. One that may have
// changed what it names puts an end to what is kept of it, RFC 9111 §4.4.
func (c *Cache) otherMethod(req *http.Request, k key) (*http.Response, error) {
	safe := req.Method == http.MethodOptions || req.Method == http.MethodTrace
	resp, err := c.alone(req, fwdMethod)
	if err == nil && !safe && 200 <= resp.StatusCode && resp.StatusCode < 400 {
		c.mu.Lock()
		c.store.invalidate(k)
		c.mu.Unlock()
	}
	return resp, err
}

// fetch returns the fetch that answers a request, and whether it was under way
// already; nil if the request has to go on alone. c.mu is held.
func (c *Cache) fetch(req *http.Request, k key, stale *entry, now time.Time) (f *fetch, collapsed bool) {
	fk := fetchKey{key: k, origin: first(req.Header, "Origin")}
	if f := c.fetches[fk]; f != nil {
		return f, true
	}
	if until, ok := c.unshared[fk]; ok {
		if now.Before(until) {
			return nil, false
		}
		delete(c.unshared, fk)
	}
	if len(c.fetches) >= maxFetches || !c.store.reserve(fetchOverhead) {
		return nil, false
	}
	f = newFetch(c, req, fk, stale, now)
	c.fetches[fk] = f
	go f.run() // ends with the answer, or after fetchIdle without a byte of it
	return f, false
}

// rememberUnshared notes that the answer to a fetch was not for everybody.
// c.mu is held.
func (c *Cache) rememberUnshared(fk fetchKey, now time.Time) {
	if len(c.unshared) >= maxUnshared {
		for k, until := range c.unshared {
			if !now.Before(until) {
				delete(c.unshared, k)
			}
		}
	}
	if len(c.unshared) < maxUnshared {
		c.unshared[fk.clone()] = now.Add(unsharedFor)
	}
}
