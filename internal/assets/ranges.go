package assets

import (
	"net/http"
	"strconv"
	"strings"
)

// part makes the answer the part of a body that a request asks for, RFC 9110
// §14.2. Several ranges at once, and what is not one, get the whole.
func (a *answer) part(ranges []string, body []byte) {
	if len(ranges) != 1 {
		return
	}
	start, end, ok := parseRange(ranges[0], int64(len(body)))
	if !ok {
		return
	}
	size := strconv.Itoa(len(body))
	if start >= end {
		a.resp.Status, a.resp.StatusCode = "416 Range Not Satisfiable", http.StatusRequestedRangeNotSatisfiable
		a.withoutContent()
		a.resp.Header["Content-Range"] = []string{"bytes */" + size}
		a.resp.Header["Cache-Control"] = []string{"no-store"} // what is kept was about the file
		delete(a.resp.Header, "Expires")
		body, start, end = nil, 0, 0
	} else {
		a.resp.Status, a.resp.StatusCode = "206 Partial Content", http.StatusPartialContent
		a.resp.Header["Content-Range"] = []string{"bytes " + strconv.FormatInt(start, 10) + "-" + strconv.FormatInt(end-1, 10) + "/" + size}
	}
	a.resp.Header["Content-Length"] = []string{strconv.FormatInt(end-start, 10)}
	a.resp.ContentLength = end - start
	a.body.rest = body[start:end]
}

// parseRange returns the one range of bytes that a Range header asks for, end
// exclusive and empty if there is nothing of it, or false if the header is to be
// disregarded.
func parseRange(s string, size int64) (start, end int64, ok bool) {
	unit, spec, found := strings.Cut(s, "=")
	if !found || !strings.EqualFold(strings.Trim(unit, " \t"), "bytes") {
		return 0, 0, false
	}
	from, to, found := strings.Cut(strings.Trim(spec, " \t"), "-")
	if !found {
		return 0, 0, false
	}
	if from == "" {
		suffix, ok := parsePosition(to)
		return max(0, size-suffix), size, ok
	}
	start, ok = parsePosition(from)
	if !ok {
		return 0, 0, false
	}
	if to == "" {
		return start, max(start, size), true
	}
	last, ok := parsePosition(to)
	if !ok || last < start {
		return 0, 0, false
	}
	if start >= size {
		return start, start, true
	}
	return start, min(last, size-1) + 1, true
}

// parsePosition reads a number of digits alone; one too large for any file is as
// good as another.
func parsePosition(s string) (int64, bool) {
	n := int64(0)
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return 0, false
		}
		n = min(n*10+int64(s[i]-'0'), 1<<53)
	}
	return n, s != ""
}

// ifRange reports whether a part is wanted: If-Range is absent or names what is
// kept by a strong tag, RFC 9110 §13.1.5. Dates are weak; they get the whole.
func (e *entry) ifRange(lines []string) bool {
	if lines == nil {
		return true
	}
	return len(lines) == 1 && strings.HasPrefix(e.etag, `"`) && strings.Trim(lines[0], " \t") == e.etag
}
