package assets

import "sync/atomic"

// Stats are counts since a [Cache] was made. Each request below /npm/ is one of
// Hits, Stale, Shared and Misses.
type Stats struct {
	Hits    uint64 // answered from the store
	Stale   uint64 // likewise, with what was no longer fresh
	Shared  uint64 // answered by the fetch of another request
	Misses  uint64 // all others: answered by a fetch of its own, or passed on
	Entries int    // in the store
	Bytes   int64  // taken by the store and by fetches under way
}

// Stats returns what has been counted so far.
func (c *Cache) Stats() Stats {
	c.mu.Lock()
	entries, bytes := c.store.probation.list.Len()+c.store.protected.list.Len(), c.store.bytes()
	c.mu.Unlock()
	return Stats{
		Hits:    c.counts.hits.Load(),
		Stale:   c.counts.stale.Load(),
		Shared:  c.counts.shared.Load(),
		Misses:  c.counts.misses.Load(),
		Entries: entries,
		Bytes:   bytes,
	}
}

type counts struct{ hits, stale, shared, misses atomic.Uint64 }

// fromStore is the count of answers from the store with a detail of Cache-Status.
func (c *counts) fromStore(detail string) *atomic.Uint64 {
	if detail == "" {
		return &c.hits
	}
	return &c.stale
}

// fromFetch is the count of answers by a fetch, another's or one's own.
func (c *counts) fromFetch(collapsed bool) *atomic.Uint64 {
	if collapsed {
		return &c.shared
	}
	return &c.misses
}
