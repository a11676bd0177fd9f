package assets

import (
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/clerkproxy/clerkproxy/internal/wire"
)

// Pages ask for ClerkJS by its major version, and the Frontend API answers with a
// redirect to the exact one. Who has both can answer with the file at once: the
// client is spared a round trip, and gets what it would have got. It may keep that
// for as long as it might have kept the redirect, and no longer.

// leadsTo is the path that a redirect leads to, if it may be kept, or empty.
func (c *Cache) leadsTo(code int, location string, req *http.Request) string {
	switch code {
	case http.StatusMovedPermanently, http.StatusFound, http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
	default:
		return ""
	}
	u, err := url.Parse(location)
	if err != nil || u.Opaque != "" || u.User != nil || u.RawQuery != "" || u.ForceQuery || u.Fragment != "" || req.URL.RawQuery != "" {
		return ""
	}
	if (u.Scheme != "" || u.Host != "") && (u.Scheme != req.URL.Scheme || u.Host != req.URL.Host) {
		return ""
	}
	path := u.EscapedPath()
	if !c.holds(path) {
		return ""
	}
	return path
}

// follow returns the answer that a redirect leads to, if a request that may have
// the redirect may have that too, and for as long; or nil. c.mu is held.
func (c *Cache) follow(e *entry, a ask, h wire.Header, now time.Time) *entry {
	if e.leadsTo == "" {
		return nil
	}
	k := e.key
	k.path = e.leadsTo
	to := c.store.find(k, h)
	if to == nil || to.code != http.StatusOK || to.left(now) < e.left(now) {
		return nil
	}
	if u := a.judge(to, now); !u.serve || u.detail != "" {
		return nil
	}
	c.store.touch(to)
	return to
}

// about are the headers that say how long an answer is good for. An answer in
// place of a redirect has the redirect's.
var about = [...]string{"Cache-Control", "Cdn-Cache-Control", "Date", "Expires", "Pragma"}

// inPlaceOf makes a header of the entry's, a copy, that of an answer in place of a
// redirect.
func (e *entry) inPlaceOf(redirect *entry, h http.Header) {
	if e == redirect {
		return
	}
	for _, name := range about {
		delete(h, name)
		if values, ok := redirect.header[name]; ok {
			h[name] = values
		}
	}
	if vary := redirect.header["Vary"]; vary != nil {
		h["Vary"] = append(slices.Clip(h["Vary"]), vary...)
	}
}

// appendInPlaceOf appends the same as fields.
func (e *entry) appendInPlaceOf(redirect *entry, fields wire.Fields) wire.Fields {
	if e == redirect {
		return append(fields, e.fields...)
	}
	for _, f := range e.fields {
		if !slices.Contains(about[:], f.Name) {
			fields = append(fields, f)
		}
	}
	for _, f := range redirect.fields {
		if f.Name == "Vary" || slices.Contains(about[:], f.Name) {
			fields = append(fields, f)
		}
	}
	return fields
}
