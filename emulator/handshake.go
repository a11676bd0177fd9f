package emulator

import (
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/go-jose/go-jose/v4/jwt"
)

// handshakeLifetime is how long the result of a handshake waits for the server
// that asked for it: a redirect takes no longer.
const handshakeLifetime = time.Minute

// once is something that is given out under a name that cannot be guessed, may
// be taken one time, and spoils.
type once[T any] map[string]onceEntry[T]

type onceEntry[T any] struct {
	value   T
	expires time.Time
}

func (o once[T]) put(value T, now time.Time, lifetime time.Duration) (name string) {
	for old, entry := range o {
		if !now.Before(entry.expires) {
			delete(o, old)
		}
	}
	name = randomText(32)
	o[name] = onceEntry[T]{value, now.Add(lifetime)}
	return name
}

func (o once[T]) take(name string, now time.Time) (value T, ok bool) {
	entry, found := o[name]
	delete(o, name)
	if !found || !now.Before(entry.expires) {
		return value, false
	}
	return entry.value, true
}

// handshake tells a server whether its visitor is signed in. The server has sent
// the browser here, and it goes back with a cookie that holds the answer, or a
// nonce to fetch it with: the cookies that the server shall set.
func (c *call) handshake() (any, error) {
	back, err := c.redirectURL()
	if err != nil {
		return nil, err
	}
	format := c.request.Form.Get("format")
	if !slices.Contains([]string{"", "token", "nonce"}, format) {
		return nil, errParameterValue.about("format")
	}
	if c.mustSync(back) {
		return c.syncAndReturn()
	}
	if c.synced() {
		// The satellite would otherwise ask again.
		back = with(back, paramSynced, syncDone)
	}

	c.pageAt = origin(back)
	cookies, err := c.handshakeCookies()
	if err != nil {
		return nil, err
	}
	carrier := c.newCookie(cookieHandshake, "")
	if format == "nonce" {
		carrier.Name = cookieNonce
	}
	carrier.Domain, carrier.HttpOnly = c.cookieDomain(), true
	lines := directives(append(cookies, expired(*carrier)))

	carrier.MaxAge = int(handshakeLifetime / time.Second)
	if format == "nonce" {
		carrier.Value = c.server.state.handshakes.put(lines, c.now, handshakeLifetime)
	} else {
		claims := object{"handshake": lines}
		carrier.Value, err = jwt.Signed(c.server.keys.current().session).Claims(claims).Serialize()
	}
	return redirect{to: back, cookie: carrier}, err
}

// handshakeCookies say whether the browser is signed in. On the way the
// organization becomes the active one that the server's page belongs to.
func (c *call) handshakeCookies() ([]*http.Cookie, error) {
	// A server that does not know of suffixes does not say whether it uses them.
	suffixed := c.request.Form.Has("suffixed_cookies")
	cookies := c.uatCookies(suffixed)
	s := c.handshakeSession()
	if s == nil {
		return append(cookies, c.signedOutCookies(suffixed)...), nil
	}
	if c.request.Form.Has("organization_id") {
		// It stays as it was where the person is not a member; the page tells.
		_ = s.activate(c.request.Form.Get("organization_id"))
	}
	s.lastActiveAt = c.now
	session, err := c.sessionCookies(s, suffixed)
	if suffixed {
		session = append(session, c.refreshCookie(s.newRefreshToken(c.proxyURL)))
	}
	return append(cookies, session...), err
}

// handshakeSession is the browser's session: the one that the token belongs to
// that the server found, if that is still active, or else the last active one.
// It is nil when there is none.
func (c *call) handshakeSession() *session {
	if c.client == nil {
		return nil
	}
	presented, _ := c.server.readSessionToken(c.request.Form.Get(cookieSession))
	active := c.client.active(c.now)
	for _, id := range []string{presented.SessionID, c.client.lastActiveID} {
		for _, s := range active {
			if s.id == id {
				return s
			}
		}
	}
	return nil
}

// uatCookies are __client_uat in each of its names.
func (c *call) uatCookies(suffixed bool) []*http.Cookie {
	var cookies []*http.Cookie
	for _, name := range c.names(cookieClientUAT, suffixed) {
		set := c.newCookie(name, strconv.FormatInt(c.client.uat(c.now), 10))
		set.Domain = c.cookieDomain()
		cookies = append(cookies, set)
	}
	return cookies
}

// sessionCookies are a new session token in each of its names. They are the
// host's own: another application on a subdomain has no business with them.
func (c *call) sessionCookies(s *session, suffixed bool) ([]*http.Cookie, error) {
	token, err := c.sessionToken(s)
	if err != nil {
		return nil, err
	}
	var cookies []*http.Cookie
	for _, name := range c.names(cookieSession, suffixed) {
		cookies = append(cookies, c.newCookie(name, token))
	}
	return cookies, nil
}

func (c *call) signedOutCookies(suffixed bool) []*http.Cookie {
	var cookies []*http.Cookie
	for _, name := range c.names(cookieSession, suffixed) {
		cookies = append(cookies, expired(*c.newCookie(name, "")))
	}
	if suffixed {
		cookies = append(cookies, expired(*c.refreshCookie("")))
	}
	return cookies
}

// refreshCookie has the suffixed name alone: it is younger than suffixes are.
func (c *call) refreshCookie(token string) *http.Cookie {
	set := c.newCookie(cookieRefresh+"_"+c.server.instance.CookieSuffix(), token)
	set.HttpOnly = true
	return set
}

// names are a cookie's plain name and, if wanted, the one that tells this
// instance from others on the domain.
func (c *call) names(name string, suffixed bool) []string {
	if !suffixed {
		return []string{name}
	}
	return []string{name, name + "_" + c.server.instance.CookieSuffix()}
}

func directives(cookies []*http.Cookie) []string {
	var lines []string
	for _, cookie := range cookies {
		lines = append(lines, cookie.String())
	}
	return lines
}

// backendHandshake gives the result of a handshake to the server, once.
func (s *Server) backendHandshake(_ http.ResponseWriter, r *http.Request) (any, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	lines, ok := s.state.handshakes.take(r.URL.Query().Get("nonce"), s.config.Now())
	if !ok {
		return nil, errNotFound
	}
	return object{"directives": lines}, nil
}
