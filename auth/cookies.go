package auth

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	cookieSession       = "__session"
	cookieRefresh       = "__refresh"
	cookieClientUAT     = "__client_uat"
	cookieDevBrowser    = "__clerk_db_jwt"
	cookieHandshake     = "__clerk_handshake"
	cookieNonce         = "__clerk_handshake_nonce"
	cookieRedirectCount = "__clerk_redirect_count"
)

// maxCookieBytes is how much of a request's cookies is read, in whole lines.
// Browsers keep 4 KB a cookie, and servers in front rarely pass on more than
// 32 KB of headers: what is beyond was put there to be in the way.
const maxCookieBytes = 64 << 10

// cookies are those of Clerk's cookies that a request has. Empty: absent.
type cookies struct {
	session, suffixedSession       string
	clientUAT, suffixedClientUAT   string
	devBrowser, suffixedDevBrowser string
	suffixedRefresh                string
	handshake, nonce               string
	redirectCount                  string
}

// readCookies finds Clerk's cookies, RFC 6265 §5.4. Of several with one name the
// first counts: browsers put the one with the longest path first.
func readCookies(h http.Header, suffix string) cookies {
	lines := h["Cookie"]
	total := 0
	for i, line := range lines {
		if total += len(line); total > maxCookieBytes {
			lines = lines[:i]
			break
		}
	}
	var c cookies
	for _, line := range slices.Backward(lines) {
		for end := len(line); end >= 0; {
			from := strings.LastIndexByte(line[:end], ';')
			c.set(line[from+1:end], suffix)
			end = from
		}
	}
	return c
}

func (c *cookies) set(pair, suffix string) {
	name, value, ok := strings.Cut(pair, "=")
	if !ok {
		return
	}
	if field := c.field(strings.Trim(name, " \t"), suffix); field != nil {
		*field = cookieValue(value)
	}
}

// field is where the cookie of that name is kept, or nil.
func (c *cookies) field(name, suffix string) *string {
	if !strings.HasPrefix(name, "__") {
		return nil
	}
	switch name {
	case cookieSession:
		return &c.session
	case cookieClientUAT:
		return &c.clientUAT
	case cookieDevBrowser:
		return &c.devBrowser
	case cookieHandshake:
		return &c.handshake
	case cookieNonce:
		return &c.nonce
	case cookieRedirectCount:
		return &c.redirectCount
	}
	base, ok := strings.CutSuffix(name, suffix)
	if !ok {
		return nil
	}
	switch base {
	case cookieSession + "_":
		return &c.suffixedSession
	case cookieClientUAT + "_":
		return &c.suffixedClientUAT
	case cookieDevBrowser + "_":
		return &c.suffixedDevBrowser
	case cookieRefresh + "_":
		return &c.suffixedRefresh
	}
	return nil
}

// cookieValue is the value without what percent-encoding ClerkJS may have put
// around it.
func cookieValue(s string) string {
	s = strings.Trim(s, " \t")
	if !strings.Contains(s, "%") {
		return s
	}
	if decoded, err := url.PathUnescape(s); err == nil {
		return decoded
	}
	return s
}

// parseUAT reads a time from the cookie __client_uat: the digits that it begins
// with. 0 means signed out.
func parseUAT(s string) int64 {
	s = strings.TrimLeft(s, " \t")
	end := 0
	for end < len(s) && end < 18 && (s[end] >= '0' && s[end] <= '9' || end == 0 && (s[0] == '-' || s[0] == '+')) {
		end++
	}
	n, _ := strconv.ParseInt(s[:end], 10, 64)
	return n
}

// parseCount reads the number of redirects so far. What is not a number of
// ours counts as none.
func parseCount(s string) int {
	n, err := strconv.ParseUint(s, 10, 8)
	if err != nil {
		return 0
	}
	return int(n)
}

// usesSuffixed decides which cookies speak for this instance: those that carry
// its suffix, or the plain ones, which an older ClerkJS sets and which any other
// instance on the same domain sets too. The rules and their order are those of
// Clerk's JavaScript SDK.
func (a *Authenticator) usesSuffixed(c *cookies, plain, suffixed *presented, now time.Time) bool {
	if c.session != "" {
		switch {
		case plain.token == nil || isFalsy(plain.token.claims["iss"]):
			return false
		case plain.token.issuer() != a.issuer:
			return true
		}
	}
	if c.suffixedClientUAT == "" && c.suffixedSession == "" {
		return false
	}
	// Both say signed in: the newer one counts.
	bothIn := c.suffixedClientUAT != "0" && c.clientUAT != "0"
	if bothIn && plain.issuedAt() > suffixed.issuedAt() {
		return false
	}
	// Every ClerkJS sets the plain cookies, only a new one sets both; so when
	// the plain ones alone say signed in, they are newer.
	if c.suffixedClientUAT == "0" && c.clientUAT != "0" {
		return false
	}
	// In development the suffixed time is set by ClerkJS alone. One that was
	// downgraded no longer does, which shows once the suffixed token is old.
	if !a.instance.Live && c.suffixedClientUAT != "0" && c.clientUAT == "0" && suffixed.expired(now) {
		return false
	}
	// A suffixed token without a suffixed time: Clerk has turned suffixes off.
	return c.suffixedClientUAT != "" || c.suffixedSession == ""
}

func (p *presented) issuedAt() float64 {
	if p.token == nil {
		return 0
	}
	return p.token.number("iat")
}

func (p *presented) expired(now time.Time) bool {
	if p.token == nil {
		return false
	}
	exp, ok := p.token.claims["exp"].(float64)
	return ok && exp <= float64(now.Unix())
}

func isFalsy(claim any) bool {
	return claim == nil || claim == "" || claim == false || claim == 0.0
}

// allowedCookies are the cookies that Clerk sets in a handshake or a refresh,
// each with or without a suffix.
var allowedCookies = []string{
	cookieSession, cookieRefresh, cookieClientUAT, "__client",
	cookieDevBrowser, cookieHandshake, cookieNonce, cookieRedirectCount,
	"__clerk_active_context", "clerk_active_context",
}

const (
	maxDirectives     = 64
	maxDirectiveBytes = 8 << 10
)

// allowedDirective reports whether a Set-Cookie line from Clerk is one that we
// pass on. Clerk has signed or served it; but a token that should not have been
// taken for a handshake, or a line that is two, must not plant the
// application's own cookies.
func allowedDirective(line string) bool {
	if len(line) > maxDirectiveBytes {
		return false
	}
	for i := range len(line) {
		if line[i] < ' ' || line[i] >= 0x7f {
			return false
		}
	}
	pair, attributes, _ := strings.Cut(line, ";")
	name, _, ok := strings.Cut(pair, "=")
	if !ok || !allowedCookie(name) {
		return false
	}
	for attribute := range strings.SplitSeq(attributes, ";") {
		key, _, _ := strings.Cut(attribute, "=")
		switch strings.ToLower(strings.TrimSpace(key)) {
		case "", "path", "domain", "expires", "max-age", "secure", "httponly", "samesite", "partitioned", "priority":
		default:
			return false
		}
	}
	return true
}

func allowedCookie(name string) bool {
	for _, base := range allowedCookies {
		suffix, ok := strings.CutPrefix(name, base)
		if ok && (suffix == "" || suffix[0] == '_' && isSuffix(suffix[1:])) {
			return true
		}
	}
	return false
}

// isSuffix accepts what [instance.Instance.CookieSuffix] makes: eight
// characters of base64url.
func isSuffix(s string) bool {
	return len(s) == 8 && strings.Trim(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_") == ""
}

// setCookies takes Clerk's Set-Cookie lines into the answer's headers, and finds
// the session token among them. Lines that are not allowed are left out.
func (a *Authenticator) setCookies(h http.Header, lines []string) (session string) {
	if len(lines) > maxDirectives {
		lines = lines[:maxDirectives]
	}
	for _, line := range lines {
		if !allowedDirective(line) {
			a.log.Warn("a cookie was left out of Clerk's answer: Clerk sets no cookie of that name or form")
			continue
		}
		h.Add("Set-Cookie", line)
		pair, _, _ := strings.Cut(line, ";")
		name, value, _ := strings.Cut(pair, "=")
		if strings.HasPrefix(name, cookieSession) {
			session, _, _ = strings.Cut(value, "=")
		}
	}
	return session
}
