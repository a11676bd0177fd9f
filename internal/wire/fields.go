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
		name, ok := parseName(line)
		if !ok {
			return nil, false
		}
		value := TrimSpace(line[len(name)+1:])
		if !IsValue(value) {
			return nil, false
		}
		fields = append(fields, Field{canonical(name), value})
	}
	return fields, true
}

// parseName returns what is before the colon of a line, if it is a token.
func parseName(line string) (name string, ok bool) {
	for i := range len(line) {
		if c := line[i]; !tokenChar[c] {
			return line[:i], c == ':' && i > 0
		}
	}
	return "", false
}

// canonical is textproto's, for a token. Most names are canonical as they come.
func canonical(name string) string {
	upper := true
	for i := range len(name) {
		c := name[i]
		if upper && 'a' <= c && c <= 'z' || !upper && 'A' <= c && c <= 'Z' {
			return textproto.CanonicalMIMEHeaderKey(name)
		}
		upper = c == '-'
	}
	return name
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

// IsValue follows RFC 9110 §5.5: no control characters but tabs.
func IsValue(s string) bool {
	for i := range len(s) {
		if c := s[i]; c < ' ' && c != '\t' || c == 0x7f {
			return false
		}
	}
	return true
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
