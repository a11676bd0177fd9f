package auth

import (
	"crypto/sha256"
	"sync"
	"time"
)

// maxVerified is how many verified tokens are remembered, at most.
const maxVerified = 8192

// A tokenCache remembers tokens that have been verified, so that the signature
// of a token is checked once and not once a request: a page and all that it
// loads come with the same one. It holds digests, not tokens, and only tokens
// that Clerk signed for this instance, so no stranger can fill it.
//
// It has two generations. When the young one is full it becomes the old one and
// what was in that is forgotten, except what is asked for in between, which is
// young again. Nothing has to be counted, sorted or swept.
type tokenCache struct {
	mu         sync.RWMutex
	young, old map[[sha256.Size]byte]*verified
}

func (c *tokenCache) get(digest [sha256.Size]byte) *verified {
	c.mu.RLock()
	v, ok := c.young[digest]
	if !ok {
		v = c.old[digest]
	}
	c.mu.RUnlock()
	if v != nil && !ok {
		c.add(digest, v)
	}
	return v
}

// put remembers a token until it expires or is crowded out.
func (c *tokenCache) put(digest [sha256.Size]byte, v *verified, now time.Time) {
	if v.exp.After(now) {
		c.add(digest, v)
	}
}

func (c *tokenCache) add(digest [sha256.Size]byte, v *verified) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.young) >= maxVerified/2 || c.young == nil {
		c.young, c.old = make(map[[sha256.Size]byte]*verified), c.young
	}
	c.young[digest] = v
}
