package front

import (
	"bytes"
	"strconv"
	"strings"

	"github.com/clerkproxy/clerkproxy/internal/wire"
)

// endOfHead returns the length of the request head that begins buf, 0 if its
// end has not arrived. It returns false if buf does not begin with a head whose
// lines all end in CRLF.
func endOfHead(buf []byte) (n int, ok bool) {
	for {
		end := bytes.IndexByte(buf[n:], '\n')
		if end < 0 {
			return 0, true
		}
		if end == 0 || buf[n+end-1] != '\r' {
			return 0, false
		}
		empty := end == 1
		if empty && n == 0 {
			return 0, false // RFC 9112 §2.2 would have it ignored
		}
		n += end + 1
		if empty {
			return n, true
		}
	}
}

// parseRequest reads a whole head. It returns false for a request that is not
// plain: one that is not HTTP/1.1, has anything to say about how it is framed or
// forwarded but a length, or is not written in the way that everyone reads
// alike. Of r it sets all but the body; length is the body's, -1 if there is none.
func parseRequest(r *wire.Request, head string) (length int64, closes, ok bool) {
	line, header, _ := strings.Cut(head[:len(head)-2], "\r\n")
	method, rest, ok1 := strings.Cut(line, " ")
	target, version, ok2 := strings.Cut(rest, " ")
	if !ok1 || !ok2 || version != "HTTP/1.1" || !wire.IsToken(method) || method == "CONNECT" || !isPlainTarget(target) {
		return 0, false, false
	}
	fields, ok := wire.ParseFields(r.Fields[:0], header)
	if !ok {
		return 0, false, false
	}
	r.Method, r.Target, r.Host = method, target, ""
	length = -1
	kept, pragma, control := fields[:0], false, false
	for _, f := range fields {
		switch f.Name {
		case "Host":
			if r.Host != "" || !isPlainHost(f.Value) {
				return 0, false, false
			}
			r.Host = f.Value
			continue
		case "Content-Length":
			n, err := strconv.ParseInt(f.Value, 10, 64)
			if length >= 0 || err != nil || strconv.FormatInt(n, 10) != f.Value || n < 0 {
				return 0, false, false
			}
			length = n
			continue
		case "Connection":
			switch {
			case strings.EqualFold(f.Value, "keep-alive"):
			case strings.EqualFold(f.Value, "close"):
				closes = true
			default:
				return 0, false, false
			}
			continue
		case "Transfer-Encoding", "Trailer", "Upgrade", "Expect", "Http2-Settings":
			return 0, false, false
		case "Pragma":
			pragma = true
		case "Cache-Control":
			control = true
		}
		kept = append(kept, f)
	}
	r.Fields = kept
	// net/http has its own idea of a lone Pragma.
	return length, closes, r.Host != "" && (!pragma || control)
}

// isPlainTarget reports whether a request target is one of visible ASCII.
func isPlainTarget(s string) bool { return wire.IsTarget(s) && wire.IsASCII(s) }

// isPlainHost reports whether a host is a name or an address, perhaps with a port.
func isPlainHost(s string) bool {
	for i := range len(s) {
		switch c := s[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '.', c == '-', c == '_', c == ':', c == '[', c == ']':
		default:
			return false
		}
	}
	return s != ""
}
