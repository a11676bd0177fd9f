package conformance

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// Fields are an observation, or what is wanted of one: what the upstream
// received and what the client received, normalised so that only what matters
// is left. A field that is not there has the value absent.
//
//	upstream.requests        how many requests the upstream received
//	upstream.line            method and target of the first
//	upstream.header.<name>   its values, one a line, in order; names in lower case
//	upstream.length          how its body was delimited: none, chunked, or a number
//	upstream.body            its body; a long one as length and SHA-256
//	upstream.trailer.<name>  what came after a body in chunks
//	upstream.end             "cut": the body did not arrive whole; "aborted": the
//	                         proxy gave the request up; "left running"; or absent
//	client.status            of the final answer
//	client.interim           1xx answers before it
//	client.header.<name>     as above
//	client.body              as above
//	client.trailer.<name>    as above
//	client.end               "whole", "cut", "no end", "nothing", "no answer" or "gone"; see answered
//	client.more              answers that nobody asked for
//
// What is normalised, and why:
//
//   - the case of header names and the order of different names (RFC 9110 §5.1,
//     §5.3); the order within a name is kept, and so is the split into lines;
//   - Connection: close and keep-alive, Node's Keep-Alive: timeout=5, and
//     Transfer-Encoding: each is about one connection (RFC 9110 §7.6.1);
//   - Content-Length of an answer whose upstream gave none: that is framing too;
//   - the order of the names in Trailer, which are a set;
//   - Date, which a server adds where it is missing;
//   - reason phrases, which nobody may depend on (RFC 9112 §4);
//   - X-Powered-By: Express, which is about the framework and not the proxy;
//   - of answers of the application, or of the HTTP server or framework itself
//     (errors that never reached the proxy), all but the status and the
//     application's body: they are not the proxy's;
//   - of errors of the proxy's own, the message and the length: the contract
//     fixes the code and leaves the words free.
type fields map[string]string

const absent = "(absent)"

func (f fields) get(name string) string {
	if v, ok := f[name]; ok {
		return v
	}
	return absent
}

func observe(x *exchange, got answered, u *upstream) fields {
	f := fields{}
	x.mu.Lock()
	defer x.mu.Unlock()
	f["upstream.requests"] = strconv.Itoa(len(x.received))
	asked := len(x.received) > 0
	if x.torn {
		f.torn(x.received)
	} else if asked {
		f.upstream(x.received[0])
	}
	f.client(got, asked)
	if asked && !strings.Contains(strings.ToLower(x.received[0].answer), "\r\ncontent-length:") {
		delete(f, "client.header.content-length")
	}
	for name, value := range f {
		f[name] = strings.ReplaceAll(value, u.Addr().String(), "{upstream}")
	}
	return f
}

// torn is for a request that becomes invalid in the middle of its body. Whether
// the upstream sees its beginning, none, one or, as clients of HTTP try again,
// several times, is a race. It must not see an end.
func (f fields) torn(seen []*received) {
	f["upstream.requests"] = "none that is whole"
	for _, r := range seen {
		if r.whole {
			f["upstream.requests"] = "one that is whole"
		}
	}
}

func (f fields) upstream(r *received) {
	line, _ := strings.CutSuffix(r.start, " HTTP/1.1")
	f["upstream.line"] = line
	f.headers("upstream.header.", r.headers)
	f["upstream.length"] = r.length
	switch {
	case r.length == "": // it was not read
		delete(f, "upstream.length")
	case !r.whole:
		f["upstream.end"] = "cut"
	case r.body != "":
		f["upstream.body"] = abbreviate(r.body)
	}
	for _, h := range r.trailers {
		f.add("upstream.trailer."+h.name, h.value)
	}
	if r.ended != "" {
		f["upstream.end"] = r.ended
	}
}

func (f fields) client(a answered, asked bool) {
	f["client.end"] = a.ended
	for _, m := range a.interim {
		line := m.status()
		for _, h := range m.headers {
			line += " " + h.name + ": " + h.value
		}
		f.add("client.interim", line)
	}
	if a.message == nil {
		return
	}
	f["client.status"] = a.status()
	for _, line := range a.more {
		f.add("client.more", line)
	}
	if !asked && a.body == "app" {
		f["client.body"] = "app"
		return
	}
	contentType, _ := a.get("content-type")
	if !asked && contentType != "application/json" && a.status() >= "400" {
		return
	}
	f.headers("client.header.", a.headers)
	if names, ok := f["client.header.trailer"]; ok {
		sorted := strings.Split(names, "\n")
		slices.Sort(sorted)
		f["client.header.trailer"] = strings.Join(sorted, "\n")
	}
	for _, h := range a.trailers {
		f.add("client.trailer."+h.name, h.value)
	}
	if length, ok := a.get("content-length"); ok {
		f["client.header.content-length"] = length
	}
	if a.ended != "whole" || a.body == "" {
		return
	}
	f["client.body"] = abbreviate(a.body)
	if code, ok := ownError(a.body); ok {
		f["client.body"] = code
		delete(f, "client.header.content-length")
	}
}

func (f fields) headers(prefix string, headers []header) {
	for _, h := range headers {
		switch h.name {
		case "connection":
			if v := strings.ToLower(h.value); v == "close" || v == "keep-alive" {
				continue
			}
		case "keep-alive":
			if h.value == "timeout=5" {
				continue
			}
		case "x-powered-by":
			if h.value == "Express" {
				continue
			}
		case "transfer-encoding", "content-length", "date":
			continue
		}
		f.add(prefix+h.name, h.value)
	}
}

func (f fields) add(name, value string) {
	if before, ok := f[name]; ok {
		value = before + "\n" + value
	}
	f[name] = value
}

func abbreviate(body string) string {
	if len(body) <= 200 {
		return body
	}
	return fmt.Sprintf("%d bytes, SHA-256 %.8x", len(body), sha256.Sum256([]byte(body)))
}

// ownError recognises an error of a proxy's own by its shape, which it checks
// to the last brace, and returns it without its message.
func ownError(body string) (string, bool) {
	var e struct {
		Errors []struct{ Code, Message string }
	}
	if json.Unmarshal([]byte(body), &e) != nil || len(e.Errors) != 1 || e.Errors[0].Message == "" {
		return "", false
	}
	message, err := json.Marshal(e.Errors[0].Message)
	if err != nil {
		return "", false
	}
	shape := `{"errors":[{"code":"` + e.Errors[0].Code + `","message":%s}]}`
	if !strings.HasPrefix(e.Errors[0].Code, "proxy_") || !equalJSON(body, fmt.Sprintf(shape, message)) {
		return "", false
	}
	return fmt.Sprintf(shape, `"…"`), true
}

// equalJSON allows for the characters that one side escapes and the other does
// not.
func equalJSON(a, b string) bool {
	unescape := strings.NewReplacer(`\u003c`, "<", `\u003e`, ">", `\u0026`, "&")
	return unescape.Replace(a) == unescape.Replace(b)
}

// compare returns the names of the fields in which two observations differ.
// Where one was forwarded and the other was not, or their statuses differ, the
// rest of what the upstream or the client received cannot be equal and says
// nothing more; nor do the headers where only one is an error of the proxy's.
func compare(a, b fields) []string {
	differ := func(name string) bool { return a.get(name) != b.get(name) }
	ownError := func(f fields) bool { return strings.Contains(f["client.body"], `"message":"…"`) }
	skip := func(name string) bool {
		in := func(prefix, but string) bool { return strings.HasPrefix(name, prefix) && name != but }
		return differ("upstream.requests") && (in("upstream.", "upstream.requests") || in("client.", "client.status")) ||
			differ("client.status") && in("client.", "client.status") ||
			differ("client.end") && name == "client.body" ||
			ownError(a) != ownError(b) && in("client.header.", "")
	}
	names := maps.Clone(a)
	maps.Copy(names, b)
	var different []string
	for _, name := range slices.Sorted(maps.Keys(names)) {
		if differ(name) && !skip(name) {
			different = append(different, name)
		}
	}
	return different
}
