package assets

import (
	"container/list"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/clerkproxy/clerkproxy/internal/wire"
)

// An entry is one answer. Nothing of it changes once it is in the store but what
// is said to be guarded, so it is read without a lock.
type entry struct {
	key  key
	vary []field
	freshness

	code   int
	reason string
	// header is as it came, but for what is for one connection only. Its Age is
	// a placeholder, so that a copy has the room.
	header    http.Header
	fields    wire.Fields // the header's, but for Age and Cache-Status
	status    []string    // Cache-Status of the caches before
	hitStatus []string
	leadsTo   string // of a redirect, the path of what may be kept
	// followedStatus is that of a hit by way of a redirect.
	followedStatus []string
	etag           string
	modified       time.Time // Last-Modified, or zero
	body           []byte
	size           int64

	// Guarded by Cache.mu.
	retry   time.Time // when to ask again after the Frontend API was down
	segment *segment
	element *list.Element
}

// keepable are the statuses of answers that may be for everybody. What else
// there is tells of one client (401, 403, 429), of a part (206), or of a trouble
// that another client's request need not meet (5xx).
var keepable = [...]int{
	http.StatusOK, http.StatusMovedPermanently, http.StatusFound, http.StatusTemporaryRedirect,
	http.StatusPermanentRedirect, http.StatusNotFound, http.StatusGone,
}

// newEntry makes an entry of the headers of an answer to a fetch, or returns
// false if it is not for everybody, RFC 9111 §3.
func newEntry(f *fetch, code int, reason string, header http.Header, answered time.Time) (*entry, bool) {
	if !slices.Contains(keepable[:], code) || header["Set-Cookie"] != nil {
		return nil, false
	}
	fresh, ok := freshnessOf(code, header, f.began, answered)
	if !ok {
		return nil, false
	}
	vary, ok := varyOf(header, f.req.Header, f.dropped)
	if !ok {
		return nil, false
	}
	e := &entry{key: f.key.key.clone(), freshness: fresh, code: code, reason: reason, status: header[cacheStatus], etag: first(header, "Etag")}
	e.header = make(http.Header, len(header)+3)
	for name, values := range header {
		if storedHeader(name, header["Connection"]) {
			e.header[name] = slices.Clip(values)
		}
	}
	if header["Date"] == nil {
		e.header["Date"] = []string{answered.UTC().Format(http.TimeFormat)} // RFC 9110 §6.6.1
	}
	e.header["Age"] = nil
	e.hitStatus = slices.Clip(append(slices.Clone(e.status), hit))
	e.followedStatus = slices.Clip(append(slices.Clone(e.status), hit+"; detail="+detailFollowed))
	e.leadsTo = f.cache.leadsTo(code, first(header, "Location"), f.req)
	e.header[cacheStatus] = e.hitStatus
	if modified, err := http.ParseTime(first(header, "Last-Modified")); err == nil {
		e.modified = modified
	}
	e.size = entryOverhead + int64(e.key.size()) + headerSize(e.header)
	for _, v := range vary {
		values := cloneStrings(v.values)
		e.vary = append(e.vary, field{v.name, values})
		e.size += headerSize(http.Header{v.name: values})
	}
	return e, true
}

// storedHeader reports whether a header is kept, RFC 9111 §3.1. The secret key
// is none of the Frontend API's to send; it is not kept if echoed.
func storedHeader(name string, connection []string) bool {
	switch name {
	case "Connection", "Keep-Alive", "Proxy-Authenticate", "Proxy-Authentication-Info", "Proxy-Authorization",
		"Proxy-Connection", "Te", "Trailer", "Transfer-Encoding", "Upgrade",
		"Age", cacheStatus, "Clerk-Secret-Key":
		return false
	}
	for _, line := range connection {
		for option := range strings.SplitSeq(line, ",") {
			if strings.EqualFold(strings.Trim(option, " \t"), name) {
				return false
			}
		}
	}
	return true
}

// with is the entry with its body.
func (e *entry) with(body []byte) *entry {
	whole := *e
	if cap(body) > len(body)+len(body)/8 {
		body = slices.Clone(body)
	}
	whole.body = slices.Clip(body)
	whole.size += int64(cap(whole.body))
	whole.header = maps.Clone(e.header)
	whole.header["Content-Length"] = []string{strconv.Itoa(len(body))}
	for _, name := range slices.Sorted(maps.Keys(whole.header)) {
		if name == "Age" || name == cacheStatus {
			continue
		}
		for _, value := range whole.header[name] {
			whole.fields = append(whole.fields, wire.Field{Name: name, Value: value})
		}
	}
	return &whole
}

// validated is the entry after a 304, RFC 9111 §4.3.4 and §3.2, or false if the
// answer cannot be one about it, or ends what it is about.
func (e *entry) validated(f *fetch, header http.Header, answered time.Time) (*entry, bool) {
	if e.etag == "" && e.modified.IsZero() {
		return nil, false // nothing was asked
	}
	if tag := first(header, "Etag"); tag != "" && strings.TrimPrefix(tag, "W/") != strings.TrimPrefix(e.etag, "W/") {
		return nil, false
	}
	merged := maps.Clone(e.header)
	delete(merged, "Date") // of the older answer: its age is not the newer one's
	delete(merged, "Age")
	delete(merged, cacheStatus)
	for name, values := range header {
		switch name {
		case "Content-Length", "Content-Encoding", "Content-Type", "Content-Range":
		default:
			merged[name] = values
		}
	}
	v, ok := newEntry(f, e.code, e.reason, merged, answered)
	if !ok {
		return nil, false
	}
	return v.with(e.body), true
}

// conditions adds what asks whether the entry is still good.
func (e *entry) conditions(h http.Header) {
	if e.etag != "" {
		h["If-None-Match"] = []string{e.etag}
	}
	if modified := e.header["Last-Modified"]; len(modified) == 1 && !e.modified.IsZero() {
		h["If-Modified-Since"] = modified
	}
}

// matches reports whether the entry answers a request with these headers, as far
// as its Vary is concerned, RFC 9111 §4.1.
func (e *entry) matches(h wire.Header) bool {
	for _, f := range e.vary {
		if !slices.Equal(h.Values(f.name), f.values) {
			return false
		}
	}
	return true
}
