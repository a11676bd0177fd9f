package emulator

import (
	"crypto/subtle"
	"net/http"
	"net/url"
)

// newRefreshToken gives the session another refresh token for the browser that
// reaches the Frontend API at frontendAPI, in place of the one that it had there.
func (s *session) newRefreshToken(frontendAPI string) string {
	if s.refreshTokens == nil {
		s.refreshTokens = map[string]string{}
	}
	s.refreshTokens[frontendAPI] = randomText(32)
	return s.refreshTokens[frontendAPI]
}

type refreshRequest struct {
	ExpiredToken         string              `json:"expired_token"`
	RefreshToken         string              `json:"refresh_token"`
	RequestOrigin        string              `json:"request_origin"`
	RequestHeaders       map[string][]string `json:"request_headers"`
	RequestOriginatingIP *string             `json:"request_originating_ip"`
	Format               *string             `json:"format"`
}

// refreshSession makes a new session token out of an expired one and a refresh
// token. Where cookies are wanted the refresh token is replaced by another one.
// Whatever is wrong with either is answered 401, so that the server falls back to
// a handshake.
func (s *Server) refreshSession(_ http.ResponseWriter, r *http.Request) (any, error) {
	var in refreshRequest
	if err := readJSON(r, &in); err != nil {
		return nil, err
	}
	format := "token"
	if in.Format != nil {
		format = *in.Format
	}
	if format != "token" && format != "cookie" {
		return nil, errParameterValue.about("format")
	}

	s.mu.Lock()
	defer s.mu.Unlock()
	c, found, err := s.refreshCall(r, in)
	if err != nil {
		return nil, err
	}
	found.lastActiveAt = c.now
	if format == "token" {
		token, err := c.sessionToken(found)
		return tokenJSON(token), err
	}
	cookies, err := c.sessionCookies(found, r.URL.Query().Get("suffixed_cookies") == "true")
	if err != nil {
		return nil, err
	}
	cookies = append(cookies, c.refreshCookie(found.newRefreshToken(c.proxyURL)))
	return object{"object": "cookies", "cookies": directives(cookies)}, nil
}

// refreshCall checks what a refresh brings, and answers the session together
// with the call that the browser would have made itself.
func (s *Server) refreshCall(r *http.Request, in refreshRequest) (*call, *session, error) {
	expired, ok := s.readSessionToken(in.ExpiredToken)
	found := s.sessionByID(r.PathValue("session"))
	if !ok || found == nil || expired.SessionID != found.id {
		return nil, nil, errRefreshExpired
	}
	d := s.domainByFrontendAPI(expired.Issuer)
	from, err := url.Parse(in.RequestOrigin)
	if err != nil || d == nil || !d.hosts(from) || in.RequestOrigin != origin(from) {
		return nil, nil, errRefreshOrigin
	}
	now := s.config.Now()
	c := &call{server: s, request: r, now: now, domain: d, proxyURL: expired.Issuer, pageAt: in.RequestOrigin}
	if !found.active(now) {
		return nil, nil, errRefreshInactive
	}
	want := found.refreshTokens[expired.Issuer]
	if want == "" || subtle.ConstantTimeCompare([]byte(in.RefreshToken), []byte(want)) != 1 {
		return nil, nil, errRefreshToken
	}
	return c, found, nil
}
