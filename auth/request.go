package auth

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// An exam is the examination of one request.
type exam struct {
	*Authenticator
	request *http.Request
	now     time.Time

	bearer string // a session token in the header Authorization

	// From here on: after readCookies.
	cookies    cookies
	suffixed   bool // which of the cookies count
	clientUAT  int64
	refresh    string
	devBrowser string
	nonce      string
	handshake  string
	redirects  int

	plainToken, suffixedToken presented

	// The public URL, once it has been asked for.
	publicURL *url.URL
	hasPublic bool
	params    url.Values
}

// bearerToken is the token in the header Authorization, after the scheme Bearer
// or without a scheme. Another scheme is somebody else's business.
func bearerToken(h http.Header) string {
	value := strings.Trim(h.Get("Authorization"), " \t")
	scheme, token, _ := strings.Cut(value, " ")
	token, _, _ = strings.Cut(token, " ")
	switch {
	case token == "":
		return scheme
	case scheme == "Bearer":
		return token
	default:
		return ""
	}
}

func (x *exam) readCookies() {
	c := readCookies(x.request.Header, x.suffix)
	x.cookies = c
	if c.session != "" {
		x.plainToken = x.present(c.session, x.now)
	}
	switch c.suffixedSession {
	case "":
	case c.session:
		x.suffixedToken = x.plainToken
	default:
		x.suffixedToken = x.present(c.suffixedSession, x.now)
	}
	x.suffixed = x.usesSuffixed(&x.cookies, &x.plainToken, &x.suffixedToken, x.now)

	uat := c.clientUAT
	x.devBrowser = c.devBrowser
	if x.suffixed {
		uat = c.suffixedClientUAT
		x.devBrowser = c.suffixedDevBrowser
	}
	x.clientUAT = parseUAT(uat)
	x.refresh = c.suffixedRefresh
	x.redirects = parseCount(c.redirectCount)
	x.nonce, x.handshake = c.nonce, c.handshake

	// In development the browser comes back from another site, which can set
	// no cookie here, so the parameters count. In production they do not:
	// there, a link could sign the one who follows it in as somebody else.
	if !x.instance.Live {
		query := x.query()
		x.nonce = firstOf(query.Get(cookieNonce), x.nonce)
		x.handshake = firstOf(query.Get(cookieHandshake), x.handshake)
		x.devBrowser = firstOf(query.Get(cookieDevBrowser), x.devBrowser)
	}
}

// session is the session token among the cookies that count.
func (x *exam) session() *presented {
	if x.suffixed {
		return &x.suffixedToken
	}
	return &x.plainToken
}

func firstOf(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

// query are the parameters of the request's URL. It is parsed at most once, and
// not at all for most requests.
func (x *exam) query() url.Values {
	if x.params == nil {
		x.params = x.request.URL.Query()
	}
	return x.params
}

// public is the request's URL as the browser has it, or nil when the request
// names no host that is accepted: then nothing may be redirected.
func (x *exam) public() *url.URL {
	if !x.hasPublic {
		x.publicURL, x.hasPublic = x.publicURLOf(x.request), true
	}
	return x.publicURL
}

func (a *Authenticator) publicURLOf(r *http.Request) *url.URL {
	if a.proxy != nil {
		return a.proxy.PublicURL(r)
	}
	return a.front.PublicURL(r)
}

// origin is the origin of a URL, RFC 6454 §4, or empty.
func origin(u *url.URL) string {
	if u == nil || u.Host == "" {
		return ""
	}
	host := strings.ToLower(u.Host)
	if u.Scheme == "https" {
		host = strings.TrimSuffix(host, ":443")
	} else if u.Scheme == "http" {
		host = strings.TrimSuffix(host, ":80")
	}
	return u.Scheme + "://" + host
}

// isDocument reports whether the request is for a page that the browser is about
// to show, as far as it can be told: only such a request can be redirected to
// another site and come back. Forms posted are for documents too; but the
// Frontend API would answer 405 to them.
func isDocument(r *http.Request) bool {
	if r.Method != http.MethodGet {
		return false
	}
	switch r.Header.Get("Sec-Fetch-Dest") {
	case "document", "iframe":
		return true
	case "":
		return strings.HasPrefix(r.Header.Get("Accept"), "text/html")
	}
	return false
}

// without is the URL without the parameters of those names; what remains of the
// query is as it was sent.
func without(u *url.URL, names ...string) string {
	kept := *u
	kept.RawQuery, kept.ForceQuery = "", false
	separator := ""
	for part := range strings.SplitSeq(u.RawQuery, "&") {
		name, _, _ := strings.Cut(part, "=")
		if decoded, err := url.QueryUnescape(name); err == nil {
			name = decoded
		}
		if part == "" || slices.Contains(names, name) {
			continue
		}
		kept.RawQuery += separator + part
		separator = "&"
	}
	kept.RawQuery = escapeQuery(kept.RawQuery)
	return kept.String()
}

// escapeQuery escapes what a client may send in a query and what cannot stand in
// a header.
func escapeQuery(s string) string {
	const hex = "0123456789ABCDEF"
	var b strings.Builder
	for i := range len(s) {
		if c := s[i]; c <= ' ' || c >= 0x7f || c == '"' || c == '<' || c == '>' {
			b.WriteString("%" + string(hex[c>>4]) + string(hex[c&15]))
			continue
		}
		b.WriteByte(s[i])
	}
	return b.String()
}
