package front

import (
	"net/textproto"
	"strconv"

	"github.com/clerkproxy/clerkproxy/internal/wire"
)

// Fields are sent as literals that no table remembers, RFC 7541 §6.2.2, so that
// a header can be written without regard to any other. What is written most of
// an answer is not worth remembering, and cookies should not be.

// names are the numbers in HPACK's static table, RFC 7541 Appendix A.
var names = map[string]byte{
	"Accept-Ranges": 18, "Access-Control-Allow-Origin": 20, "Age": 21, "Allow": 22, "Cache-Control": 24,
	"Content-Disposition": 25, "Content-Encoding": 26, "Content-Language": 27, "Content-Length": 28,
	"Content-Location": 29, "Content-Range": 30, "Content-Type": 31, "Date": 33, "Etag": 34, "Expires": 36,
	"Last-Modified": 44, "Link": 45, "Location": 46, "Proxy-Authenticate": 48, "Refresh": 52, "Retry-After": 53,
	"Server": 54, "Set-Cookie": 55, "Strict-Transport-Security": 56, "Vary": 59, "Via": 60, "Www-Authenticate": 61,
}

// statuses are those that the static table has as a whole.
var statuses = map[int]byte{200: 8, 204: 9, 206: 10, 304: 11, 400: 12, 404: 13, 500: 14}

// appendStatus appends the beginning of an answer's header. A table size of zero
// is allowed whatever the client's is, and has to be said if that is smaller than
// at first, RFC 7541 §4.2.
func appendStatus(b []byte, status int) []byte {
	b = append(b, 0x20)
	if n, ok := statuses[status]; ok {
		return append(b, 0x80|n)
	}
	b = append(b, 8, 3)
	return strconv.AppendInt(b, int64(status), 10)
}

// appendField2 appends a field.
func appendField2(b []byte, name, value string) []byte {
	if n := names[name]; n == 0 {
		b = appendLower(append(b, 0), name)
	} else {
		b = appendInteger(b, 0, 4, int(n))
	}
	return append(appendInteger(b, 0, 7, len(value)), value...)
}

func appendLower(b []byte, name string) []byte {
	b = appendInteger(b, 0, 7, len(name))
	for i := range len(name) {
		c := name[i]
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		b = append(b, c)
	}
	return b
}

// appendInteger follows RFC 7541 §5.1.
func appendInteger(b []byte, first byte, bits, n int) []byte {
	limit := 1<<bits - 1
	if n < limit {
		return append(b, first|byte(n))
	}
	b = append(b, first|byte(limit))
	for n -= limit; n >= 128; n >>= 7 {
		b = append(b, byte(n)|0x80)
	}
	return append(b, byte(n))
}

// appendFields2 appends the fields that HTTP/2 has.
func appendFields2(b []byte, fields wire.Fields) []byte {
	for i := range fields {
		if !wire.IsConnections(fields[i].Name) {
			b = appendField2(b, fields[i].Name, fields[i].Value)
		}
	}
	return b
}

// canonical is the name of a field as HTTP/1.1 writes it.
func canonical(lower string) string {
	if name, ok := canonicalNames[lower]; ok {
		return name
	}
	return textproto.CanonicalMIMEHeaderKey(lower)
}

// canonicalNames are those that browsers send, so that no copy has to be made.
var canonicalNames = func() map[string]string {
	names := map[string]string{}
	for _, name := range []string{
		"Accept", "Accept-Encoding", "Accept-Language", "Authorization", "Cache-Control", "Content-Length", "Content-Type",
		"Cookie", "Dnt", "Host", "If-Modified-Since", "If-None-Match", "Origin", "Pragma", "Priority", "Range", "Referer",
		"Sec-Ch-Ua", "Sec-Ch-Ua-Mobile", "Sec-Ch-Ua-Platform", "Sec-Fetch-Dest", "Sec-Fetch-Mode", "Sec-Fetch-Site",
		"Sec-Fetch-User", "Sec-Gpc", "Te", "Upgrade-Insecure-Requests", "User-Agent", "X-Requested-With",
	} {
		lower := []byte(name)
		for i, c := range lower {
			if 'A' <= c && c <= 'Z' {
				lower[i] = c + 'a' - 'A'
			}
		}
		names[string(lower)] = name
	}
	return names
}()
