package assets

import (
	"io"
	"maps"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// An answer is a response with what it is made of, in one piece of memory.
type answer struct {
	resp http.Response
	body stored
	age  [1]string
}

// answer makes a response of an entry and its body.
func (e *entry) answer(req *http.Request, status []string, now time.Time) *http.Response {
	return e.answerInPlaceOf(e, req, status, now)
}

// answerInPlaceOf makes one in place of a redirect.
func (e *entry) answerInPlaceOf(redirect *entry, req *http.Request, status []string, now time.Time) *http.Response {
	a := e.head(req, status, redirect.age(now))
	e.inPlaceOf(redirect, a.resp.Header)
	if e.code == http.StatusOK && e.notModified(req.Header) {
		return a.notModified()
	}
	a.resp.ContentLength = int64(len(e.body))
	a.body.rest = e.body
	if ranges := req.Header["Range"]; ranges != nil && e.code == http.StatusOK && req.Method == http.MethodGet && e.ifRange(req.Header["If-Range"]) {
		a.part(ranges, e.body)
	}
	a.resp.Body = &a.body
	if req.Method == http.MethodHead || len(a.body.rest) == 0 {
		a.resp.Body = http.NoBody
	}
	return &a.resp
}

// stream makes a response of an entry whose body is still on its way.
func (e *entry) stream(req *http.Request, body *reader, status []string, now time.Time) *http.Response {
	a := e.head(req, status, e.age(now))
	if e.code == http.StatusOK && e.notModified(req.Header) {
		body.Close()
		return a.notModified()
	}
	a.resp.ContentLength = body.fetch.length
	a.resp.Body = body
	return &a.resp
}

func (e *entry) head(req *http.Request, status []string, age time.Duration) *answer {
	a := &answer{resp: http.Response{
		Status: e.reason, StatusCode: e.code,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: maps.Clone(e.header), Request: req,
	}}
	a.age[0] = strconv.FormatInt(int64(age/time.Second), 10)
	a.resp.Header["Age"] = a.age[:]
	a.resp.Header[cacheStatus] = status
	return a
}

// notModified makes the answer a 304. What described the body goes, RFC 9110
// §15.4.5.
func (a *answer) notModified() *http.Response {
	a.resp.Status, a.resp.StatusCode = "304 Not Modified", http.StatusNotModified
	a.withoutContent()
	a.resp.Body = http.NoBody
	return &a.resp
}

func (a *answer) withoutContent() {
	for _, name := range [...]string{"Content-Type", "Content-Encoding", "Content-Language", "Content-Length"} {
		delete(a.resp.Header, name)
	}
}

// notModified evaluates the conditions that are for caches, RFC 9111 §4.3.2.
func (e *entry) notModified(h http.Header) bool {
	if lines := h["If-None-Match"]; lines != nil {
		for _, line := range lines {
			if tagListed(line, e.etag) {
				return true
			}
		}
		return false
	}
	since := h["If-Modified-Since"]
	if len(since) != 1 || e.modified.IsZero() {
		return false
	}
	t, err := http.ParseTime(since[0])
	return err == nil && !e.modified.After(t)
}

// tagListed reports whether an entity tag is in a list, by the weak comparison
// of RFC 9110 §8.8.3.2.
func tagListed(list, tag string) bool {
	if strings.Trim(list, " \t") == "*" {
		return true
	}
	tag = strings.TrimPrefix(tag, "W/")
	if tag == "" {
		return false
	}
	for {
		list = strings.TrimPrefix(strings.TrimLeft(list, " \t,"), "W/")
		if len(list) < 2 || list[0] != '"' {
			return false
		}
		end := strings.IndexByte(list[1:], '"')
		if end < 0 {
			return false
		}
		if list[:end+2] == tag {
			return true
		}
		list = list[end+2:]
	}
}

// stored reads a body that is all there. Its bytes are the store's.
type stored struct{ rest []byte }

func (s *stored) Read(p []byte) (int, error) {
	if len(s.rest) == 0 {
		return 0, io.EOF
	}
	n := copy(p, s.rest)
	s.rest = s.rest[n:]
	return n, nil
}

// Buffered is how many bytes wait to be read.
func (s *stored) Buffered() int { return len(s.rest) }

func (s *stored) Close() error {
	s.rest = nil
	return nil
}
