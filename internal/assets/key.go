package assets

import (
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/clerkproxy/clerkproxy/internal/wire"
)

// maxKey is the length of the longest URL, with what else is keyed, that is kept.
const maxKey = 2 << 10

// A key is what one resource is kept under, RFC 9111 §2 and §4.1.
//
// Beside the URL it holds what the proxy says of the public side of the request:
// the Frontend API may build a Location of it, and a Host that one client made
// up must not be in what another one gets. And it holds the accepted codings: an
// answer in a coding is for those who accept it even if Vary forgets to say so.
type key struct {
	path, query    string
	proxyURL       string
	forwardedHost  string
	forwardedProto string
	forceQuery     bool
	encodings      encodings
}

// A fetchKey tells apart the fetches that may be under way at the same time.
// Until the headers are there nobody knows what the answer varies by; requests
// of other origins are what it most likely does.
type fetchKey struct {
	key
	origin string
}

// clone holds no memory of the request that the key was made from.
func (k key) clone() key {
	k.path, k.query = strings.Clone(k.path), strings.Clone(k.query)
	k.proxyURL = strings.Clone(k.proxyURL)
	k.forwardedHost, k.forwardedProto = strings.Clone(k.forwardedHost), strings.Clone(k.forwardedProto)
	return k
}

func (k fetchKey) clone() fetchKey {
	return fetchKey{key: k.key.clone(), origin: strings.Clone(k.origin)}
}

func (k key) size() int {
	return len(k.path) + len(k.query) + len(k.proxyURL) + len(k.forwardedHost) + len(k.forwardedProto)
}

// keyOf returns the key of a request, or false if it has none: nothing is kept
// of requests that say a thing twice, that are very long, or that refuse an
// answer without a coding.
func keyOf(h wire.Header, path, query string, forceQuery bool) (key, bool) {
	accepted, ok := parseAcceptEncoding(h.Values("Accept-Encoding"))
	if !ok {
		return key{}, false
	}
	k := key{path: path, query: query, forceQuery: forceQuery, encodings: accepted}
	origin := ""
	for _, said := range [...]struct {
		name  string
		value *string
	}{
		{"Clerk-Proxy-Url", &k.proxyURL},
		{"X-Forwarded-Host", &k.forwardedHost},
		{"X-Forwarded-Proto", &k.forwardedProto},
		{"Origin", &origin},
	} {
		values := h.Values(said.name)
		if len(values) > 1 {
			return key{}, false
		}
		if len(values) == 1 {
			*said.value = values[0]
		}
	}
	return k, k.size()+len(origin) <= maxKey
}

// root is the path that everything kept is below.
func root(base string) string { return strings.TrimRight(base, "/") + "/npm/" }

// escapedPath is the path as it is sent, or empty if package url does not know:
// an opaque URL holds what could not be parsed.
func escapedPath(u *url.URL) string {
	if u.Opaque != "" {
		return ""
	}
	return u.EscapedPath()
}

// holds reports whether a path is below the root, in the one spelling that means
// no other: without dot segments, empty segments, backslashes and escapes. Names
// of packages and files need none of them, and to whom an encoded slash is a
// slash only the Frontend API knows.
func (c *Cache) holds(path string) bool {
	rest, ok := strings.CutPrefix(path, c.root)
	if !ok || strings.ContainsAny(rest, `%\`) {
		return false
	}
	for segment := range strings.SplitSeq(rest, "/") {
		if segment == "" || segment == "." || segment == ".." {
			return false
		}
	}
	return true
}

// ordinary reports whether a request asks for nothing that only the Frontend API
// can decide: it has no body and no precondition but those for caches, RFC 9111
// §4.3.2.
func ordinary(req *http.Request) bool {
	return (req.Body == nil || req.Body == http.NoBody) && req.ContentLength == 0 &&
		req.Header["If-Match"] == nil && req.Header["If-Unmodified-Since"] == nil
}

// joins reports whether a request that cannot be answered from the store may be
// answered by a fetch. A request with credentials is not, RFC 9111 §3.5: who
// shows them may get something else. Parts, and headers alone, are no reason to
// fetch the whole.
func joins(req *http.Request) bool {
	return req.Method == http.MethodGet && req.Header["Range"] == nil && req.Header["Authorization"] == nil
}

// carried are the client's headers that a fetch carries, each of them either
// keyed, or harmless to whoever else gets the answer as long as Vary is true.
var carried = [...]string{
	"Accept", "Accept-Language", "Origin", "User-Agent",
	"Sec-Fetch-Dest", "Sec-Fetch-Mode", "Sec-Fetch-Site",
	// What Clerk asks of a proxy. The address is that of whoever asked first.
	"Clerk-Proxy-Url", "Clerk-Secret-Key", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto",
}

// fetchHeader returns the headers of a fetch, and the names of those that the
// request had besides.
func fetchHeader(asked http.Header, e encodings) (h http.Header, dropped []string) {
	h = make(http.Header, len(carried)+3)
	for name, values := range asked {
		switch {
		case slices.Contains(carried[:], name):
			h[name] = slices.Clone(values) // nil stays nil: the proxy's way to say none
		case name != "Accept-Encoding":
			dropped = append(dropped, name)
		}
	}
	h["Accept-Encoding"] = []string{e.String()}
	return h, dropped
}

// A field is a request header that an answer varies by, with the values of the
// request that it answers. No values: the header was not there.
type field struct {
	name   string
	values []string
}

// varyOf returns what an answer varies by, or false if that cannot be told or is
// something that the fetch did not carry, RFC 9111 §4.1.
func varyOf(header, fetched http.Header, dropped []string) ([]field, bool) {
	var fields []field
	add := func(name string) {
		if name != "Accept-Encoding" && !slices.ContainsFunc(fields, func(f field) bool { return f.name == name }) {
			fields = append(fields, field{name, fetched[name]})
		}
	}
	for _, line := range header["Vary"] {
		for name := range strings.SplitSeq(line, ",") {
			name = strings.Trim(name, " \t")
			if name == "" {
				continue
			}
			name = http.CanonicalHeaderKey(name)
			if name == "*" || slices.Contains(dropped, name) || len(fields) >= 16 {
				return nil, false
			}
			add(name)
		}
	}
	// An answer that names the one origin it is for would shut out all others.
	if allowed := header["Access-Control-Allow-Origin"]; len(allowed) > 0 && allowed[0] != "*" {
		add("Origin")
	}
	return fields, true
}

// encodings is a set of content codings. There are as many variants of a file as
// sets, not as spellings of Accept-Encoding.
type encodings uint8

const (
	brotli encodings = 1 << iota
	gzip
	zstd
	allEncodings = brotli | gzip | zstd
)

// String is the Accept-Encoding that a fetch for the set is sent with.
func (e encodings) String() string {
	return [...]string{"identity", "br", "gzip", "br, gzip", "zstd", "br, zstd", "gzip, zstd", "br, gzip, zstd"}[e&allEncodings]
}

// parseAcceptEncoding returns the codings that a request accepts, RFC 9110
// §12.5.3. It returns false for one that refuses an answer without a coding,
// which the Frontend API may not have in another way.
func parseAcceptEncoding(lines []string) (accepted encodings, ok bool) {
	var named encodings
	any, identity := false, true
	for _, line := range lines {
		for item := range strings.SplitSeq(line, ",") {
			coding, parameter, weighted := strings.Cut(item, ";")
			positive := !weighted || positiveWeight(parameter)
			coding = strings.Trim(coding, " \t")
			var e encodings
			switch {
			case strings.EqualFold(coding, "br"):
				e = brotli
			case strings.EqualFold(coding, "gzip"), strings.EqualFold(coding, "x-gzip"):
				e = gzip
			case strings.EqualFold(coding, "zstd"):
				e = zstd
			case strings.EqualFold(coding, "identity"):
				identity = positive
			case coding == "*" && positive:
				any = true
			case coding == "*":
				identity = false // or it would have to be named, which is not worth knowing
			}
			named |= e
			if positive {
				accepted |= e
			}
		}
	}
	if any {
		accepted |= allEncodings &^ named
	}
	return accepted, identity
}

// positiveWeight reports whether a parameter is a valid weight above zero, RFC
// 9110 §12.4.2.
func positiveWeight(parameter string) bool {
	q := strings.Trim(parameter, " \t")
	if len(q) < 3 || q[0]|0x20 != 'q' || q[1] != '=' {
		return false
	}
	q = q[2:]
	if len(q) > 5 || q[0] != '0' && q[0] != '1' || len(q) > 1 && q[1] != '.' {
		return false
	}
	nonzero := q[0] == '1'
	for i := 2; i < len(q); i++ {
		if q[i] < '0' || q[i] > '9' || q[0] == '1' && q[i] != '0' {
			return false
		}
		nonzero = nonzero || q[i] != '0'
	}
	return nonzero
}

func first(h http.Header, name string) string {
	if values := h[name]; len(values) > 0 {
		return values[0]
	}
	return ""
}
