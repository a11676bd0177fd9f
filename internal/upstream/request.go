package upstream

import (
	"fmt"
	"net/http"
	"strconv"
)

// appendRequest appends a valid request in wire format, RFC 9112 §3.
func appendRequest(b []byte, req *http.Request, body []byte) []byte {
	b = append(b, req.Method...)
	b = append(b, ' ')
	b = append(b, req.URL.RequestURI()...)
	b = append(b, " HTTP/1.1\r\nHost: "...)
	if req.Host != "" {
		b = append(b, req.Host...)
	} else {
		b = append(b, req.URL.Host...)
	}
	b = append(b, "\r\n"...)
	for name, values := range req.Header {
		if isFraming(name) {
			continue
		}
		for _, value := range values {
			b = append(b, name...)
			b = append(b, ": "...)
			b = append(b, value...)
			b = append(b, "\r\n"...)
		}
	}
	if len(body) > 0 || req.Method == http.MethodPost || req.Method == http.MethodPut || req.Method == http.MethodPatch {
		b = append(b, "Content-Length: "...)
		b = strconv.AppendInt(b, int64(len(body)), 10)
		b = append(b, "\r\n"...)
	}
	if req.Close {
		b = append(b, "Connection: close\r\n"...)
	}
	b = append(b, "\r\n"...)
	return append(b, body...)
}

// isFraming reports whether a header is said by other fields of the request:
// a second word on where a request ends is how requests are smuggled.
func isFraming(name string) bool {
	switch name {
	case "Host", "Content-Length", "Transfer-Encoding", "Trailer":
		return true
	}
	return false
}

// validate refuses what would not be one request on the wire.
func validate(req *http.Request) error {
	if !isToken(req.Method) {
		return fmt.Errorf("upstream: invalid method %q", req.Method)
	}
	for _, c := range []byte(req.URL.RequestURI()) {
		if c <= ' ' || c == 0x7f {
			return fmt.Errorf("upstream: invalid request target")
		}
	}
	if !isValue(req.Host) {
		return fmt.Errorf("upstream: invalid host")
	}
	for name, values := range req.Header {
		if !isToken(name) {
			return fmt.Errorf("upstream: invalid header name %q", name)
		}
		for _, value := range values {
			if !isValue(value) {
				return fmt.Errorf("upstream: invalid value of header %s", name)
			}
		}
	}
	return nil
}

// isToken follows RFC 9110 §5.6.2.
func isToken(s string) bool {
	for i := range len(s) {
		if !tokenChar[s[i]] {
			return false
		}
	}
	return s != ""
}

var tokenChar = func() (set [256]bool) {
	for c := range 256 {
		set[c] = 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
	}
	for _, c := range []byte("!#$%&'*+-.^_`|~") {
		set[c] = true
	}
	return set
}()

// isValue follows RFC 9110 §5.5: no control characters but tabs.
func isValue(s string) bool {
	for i := range len(s) {
		if c := s[i]; c < ' ' && c != '\t' || c == 0x7f {
			return false
		}
	}
	return true
}
