// Package wire holds HTTP messages the way HTTP/1.1 writes them: a start line
// and a list of fields, in order, each with the value it came with.
//
// net/http's Header is a map, which costs a dozen allocations a message. Most
// requests and answers pass through a proxy so nearly unchanged that a list,
// whose names and values are parts of one string, is all that they need.
package wire

import (
	"net/http"
	"net/textproto"
	"net/url"
	"strings"
)

// A Field is one line of a header. Its name is in canonical form.
type Field struct{ Name, Value string }

// Fields are the lines of a header.
type Fields []Field

// A Header gives the values of a header by its name in canonical form: Fields,
// or net/http's.
type Header interface{ Values(name string) []string }

// Values returns the values of the fields with a name in canonical form.
func (f Fields) Values(name string) []string {
	var values []string
	for i := range f {
		if f[i].Name == name {
			values = append(values, f[i].Value)
		}
	}
	return values
}

// Has reports whether there is a field with a name in canonical form.
func (f Fields) Has(name string) bool {
	for i := range f {
		if f[i].Name == name {
			return true
		}
	}
	return false
}

// Get is the value of the first field with a name in canonical form, or empty.
func (f Fields) Get(name string) string {
	for i := range f {
		if f[i].Name == name {
			return f[i].Value
		}
	}
	return ""
}

// Header is the fields as net/http has them.
func (f Fields) Header() http.Header {
	h := make(http.Header, len(f))
	values := make([]string, len(f))
	for i := range f {
		name := f[i].Name
		if h[name] != nil {
			h[name] = append(h[name], f[i].Value)
			continue
		}
		values[i] = f[i].Value
		h[name] = values[i : i+1 : i+1]
	}
	return h
}

// ParseFields appends the fields of a header: lines that each end in CRLF. It
// returns false for what is not written the way that everybody reads alike, RFC
// 9112 §5: nothing in front of the name or between it and the colon, no line
// folded, no control characters.
func ParseFields(fields Fields, header string) (Fields, bool) {
	for header != "" {
		end := strings.IndexByte(header, '\n')
		if end < 1 || header[end-1] != '\r' {
			return nil, false
		}
		line := header[:end-1]
		header = header[end+1:]
		name, canonical, ok := parseName(line)
		if !ok {
			return nil, false
		}
		value := TrimSpace(line[len(name)+1:])
		if !IsValue(value) {
			return nil, false
		}
		if !canonical {
			name = textproto.CanonicalMIMEHeaderKey(name)
		}
		fields = append(fields, Field{name, value})
	}
	return fields, true
}

// parseName returns what is before the colon of a line, if it is a token, and
// whether that is in canonical form, as most names are.
func parseName(line string) (name string, canonical, ok bool) {
	canonical, upper := true, true
	for i := range len(line) {
		c := line[i]
		if !tokenChar[c] {
			return line[:i], canonical, c == ':' && i > 0
		}
		if upper && 'a' <= c && c <= 'z' || !upper && 'A' <= c && c <= 'Z' {
			canonical = false
		}
		upper = c == '-'
	}
	return "", false, false
}

// AppendField appends a field as a line.
func AppendField(b []byte, name, value string) []byte {
	b = append(b, name...)
	b = append(b, ": "...)
	b = append(b, value...)
	return append(b, "\r\n"...)
}

// TrimSpace trims what is optional around a field's value, RFC 9110 §5.6.3.
func TrimSpace(s string) string {
	for s != "" && (s[0] == ' ' || s[0] == '\t') {
		s = s[1:]
	}
	for s != "" && (s[len(s)-1] == ' ' || s[len(s)-1] == '\t') {
		s = s[:len(s)-1]
	}
	return s
}

// IsToken follows RFC 9110 §5.6.2.
func IsToken(s string) bool {
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

// IsTarget reports whether a request target is a path, and perhaps a query, that
// can stand in the first line of HTTP/1.1: one word, with no escape in its path that
// is none, RFC 9112 §3.2.1. A hash sign has no place there, nor in RFC 9113 §8.3.1:
// some take it for the beginning of a fragment, others for a part of the path, so
// that what one lets pass is another thing to the next.
func IsTarget(s string) bool {
	if s == "" || s[0] != '/' {
		return false
	}
	inPath := true
	for i := range len(s) {
		switch c := s[i]; {
		case c <= ' ' || c == 0x7f || c == '#':
			return false
		case c == '?':
			inPath = false
		case c == '%' && inPath && (i+2 >= len(s) || !isHex(s[i+1]) || !isHex(s[i+2])):
			return false
		}
	}
	return true
}

// IsAuthority reports whether a request target is that of a CONNECT, RFC 9112
// §3.2.3.
func IsAuthority(s string) bool {
	u, err := url.ParseRequestURI("http://" + s)
	return err == nil && s != "" && u.Host == s
}

func isHex(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F'
}

// IsASCII reports whether s is ASCII.
func IsASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= 0x80 {
			return false
		}
	}
	return true
}

// IsValue follows RFC 9110 §5.5: no control characters but tabs.
func IsValue(s string) bool {
	for len(s) >= 8 && !mayHoldControl(s) {
		s = s[8:]
	}
	return isValue(s)
}

// mayHoldControl reports whether there is a control character, a tab included, in
// the first eight bytes of s. They are looked at together: the top bit of each is
// set by a subtraction if it was less than that, and not set before.
func mayHoldControl(s string) bool {
	const ones, tops = 0x0101010101010101, 0x8080808080808080
	x := uint64(s[0]) | uint64(s[1])<<8 | uint64(s[2])<<16 | uint64(s[3])<<24 |
		uint64(s[4])<<32 | uint64(s[5])<<40 | uint64(s[6])<<48 | uint64(s[7])<<56
	del := x ^ ones*0x7f // zero where there is one
	return ((x-ones*' ')&^x|(del-ones)&^del)&tops != 0
}

func isValue(s string) bool {
	for i := range len(s) {
		if c := s[i]; c < ' ' && c != '\t' || c == 0x7f {
			return false
		}
	}
	return true
}

// OneLine makes spaces of what a value cannot have, RFC 9110 §5.5.
func OneLine(value string) string {
	if IsValue(value) {
		return value
	}
	b := []byte(value)
	for i, c := range b {
		if c < ' ' && c != '\t' || c == 0x7f {
			b[i] = ' '
		}
	}
	return string(b)
}

// IsConnections reports whether a field is for a connection of HTTP/1.1, and has no
// place in HTTP/2 and HTTP/3, RFC 9113 §8.2.2 and RFC 9114 §4.2. The name is in
// canonical form.
func IsConnections(name string) bool {
	switch name {
	case "Connection", "Keep-Alive", "Proxy-Connection", "Transfer-Encoding", "Upgrade":
		return true
	}
	return false
}

// AllowsBody reports whether an answer with a status may have a body, RFC 9110
// §6.4.1.
func AllowsBody(status int) bool {
	return status >= 200 && status != http.StatusNoContent && status != http.StatusNotModified
}

// IsDigits reports whether s is a number as Content-Length has it.
func IsDigits(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return s != ""
}
