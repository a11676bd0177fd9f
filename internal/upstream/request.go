package upstream

import (
	"fmt"
	"net/http"
	"strconv"

	"github.com/clerkproxy/clerkproxy/internal/wire"
)

// appendRequest appends a valid request in wire format, RFC 9112 §3.
func appendRequest(b []byte, req *http.Request, body []byte) []byte {
	return appendBody(appendHeader(b, req), req.Method, body)
}

func appendHeader(b []byte, req *http.Request) []byte {
	host := req.Host
	if host == "" {
		host = req.URL.Host
	}
	b = appendRequestLine(b, req.Method, req.URL.RequestURI(), host)
	for name, values := range req.Header {
		if isFraming(name) {
			continue
		}
		for _, value := range values {
			b = wire.AppendField(b, name, value)
		}
	}
	if req.Close {
		b = append(b, "Connection: close\r\n"...)
	}
	return b
}

// appendUpload appends a request whose body is still to come.
func appendUpload(b []byte, req *http.Request) []byte {
	b = appendHeader(b, req)
	b = append(b, "Content-Length: "...)
	b = strconv.AppendInt(b, req.ContentLength, 10)
	return append(b, "\r\n\r\n"...)
}

// appendExchange appends a request as a list of fields.
func appendExchange(b []byte, req *wire.Request) []byte {
	b = appendRequestLine(b, req.Method, req.Target, req.Host)
	for i := range req.Fields {
		b = wire.AppendField(b, req.Fields[i].Name, req.Fields[i].Value)
	}
	return appendBody(b, req.Method, req.Body)
}

func appendRequestLine(b []byte, method, target, host string) []byte {
	b = append(b, method...)
	b = append(b, ' ')
	b = append(b, target...)
	b = append(b, " HTTP/1.1\r\nHost: "...)
	b = append(b, host...)
	return append(b, "\r\n"...)
}

// appendBody appends the end of the header and the body.
func appendBody(b []byte, method string, body []byte) []byte {
	if len(body) > 0 || method == http.MethodPost || method == http.MethodPut || method == http.MethodPatch {
		b = append(b, "Content-Length: "...)
		b = strconv.AppendInt(b, int64(len(body)), 10)
		b = append(b, "\r\n"...)
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
	if !wire.IsToken(req.Method) {
		return fmt.Errorf("upstream: invalid method %q", req.Method)
	}
	for _, c := range []byte(req.URL.RequestURI()) {
		if c <= ' ' || c == 0x7f {
			return fmt.Errorf("upstream: invalid request target")
		}
	}
	if !wire.IsValue(req.Host) {
		return fmt.Errorf("upstream: invalid host")
	}
	for name, values := range req.Header {
		if !wire.IsToken(name) {
			return fmt.Errorf("upstream: invalid header name %q", name)
		}
		for _, value := range values {
			if !wire.IsValue(value) {
				return fmt.Errorf("upstream: invalid value of header %s", name)
			}
		}
	}
	return nil
}
