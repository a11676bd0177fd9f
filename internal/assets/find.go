package assets

import (
	"cmp"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/clerkproxy/clerkproxy/internal/wire"
)

// A Hit is an answer from the store. Its body and fields are the store's.
type Hit struct {
	Status int
	Fields wire.Fields
	Body   []byte
}

// Find returns what is kept for a request that is there as a whole, and appends
// its fields. It does what RoundTrip does, at less cost, for what is fresh and
// wanted whole. kept is true for any other request as well that is for the
// cache: that one is RoundTrip's.
func (c *Cache) Find(req *wire.Request, fields wire.Fields) (hit Hit, found, kept bool) {
	path, query, hasQuery := strings.Cut(req.Target, "?")
	if !c.holds(path) {
		return hit, false, false
	}
	if req.Method != http.MethodGet || len(req.Body) > 0 || isConditional(req.Fields) {
		return hit, false, true
	}
	k, ok := keyOf(&req.Fields, path, query, hasQuery && query == "")
	a := askOf(&req.Fields)
	if !ok || a.noStore {
		return hit, false, true
	}
	now := c.now()
	c.mu.Lock()
	e := c.store.find(k, &req.Fields)
	u := a.judge(e, now)
	to := e
	if found = u.serve && u.detail == ""; found {
		c.store.touch(e)
		to = cmp.Or(c.follow(e, a, &req.Fields, now), e)
	}
	c.mu.Unlock()
	if !found {
		return hit, false, true
	}
	c.counts.hits.Add(1)
	fields = to.appendInPlaceOf(e, fields)
	fields = append(fields, wire.Field{Name: "Age", Value: strconv.FormatInt(int64(e.age(now)/time.Second), 10)})
	for _, status := range u.status(e, to, now) {
		fields = append(fields, wire.Field{Name: cacheStatus, Value: status})
	}
	return Hit{to.code, fields, to.body}, true, true
}

// isConditional reports whether a request may want less than the whole answer.
func isConditional(fields wire.Fields) bool {
	for i := range fields {
		switch fields[i].Name {
		case "Range", "If-Range", "If-Match", "If-None-Match", "If-Modified-Since", "If-Unmodified-Since":
			return true
		}
	}
	return false
}
