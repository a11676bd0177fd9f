package auth

import (
	"net/http"
	"net/url"
	"strings"
)

// Reasons of a decision, as Clerk's JavaScript SDK names them.
const (
	reasonDevBrowserMissing  = "dev-browser-missing"
	reasonDevBrowserSync     = "dev-browser-sync"
	reasonPrimaryResponds    = "primary-responds-to-syncing"
	reasonCrossOriginSync    = "primary-domain-cross-origin-sync"
	reasonSatelliteSync      = "satellite-needs-syncing"
	reasonNothing            = "session-token-and-uat-missing"
	reasonTokenMissing       = "session-token-missing"
	reasonTokenWithoutUAT    = "session-token-but-no-client-uat"
	reasonUATWithoutToken    = "client-uat-but-no-session-token"
	reasonTokenBeforeUAT     = "session-token-iat-before-client-uat"
	reasonTokenExpired       = "session-token-expired"
	reasonTokenNBF           = "session-token-nbf"
	reasonTokenInFuture      = "session-token-iat-in-the-future"
	reasonOrganization       = "active-organization-mismatch"
	reasonTokenTypeMismatch  = "token-type-mismatch"
	messageCrossOriginSync   = "Cross-origin request from satellite domain requires handshake"
	carrierHeader            = "header"
	carrierCookie            = "cookie"
	refreshNonGet            = "non-eligible-non-get"
	refreshNoCookie          = "non-eligible-no-refresh-cookie"
	refreshInvalidToken      = "invalid-session-token"
	refreshNoSession         = "expired-session-token-missing-sid-claim"
	refreshFetchError        = "fetch-error"
	refreshUnexpectedSDK     = "unexpected-sdk-error"
	refreshUnexpectedBackend = "unexpected-bapi-error"
)

// Authenticate decides who makes a request. It changes neither the request nor
// a response; [Authenticator.Middleware] carries out what it decides.
//
// Most decisions are made from the request alone. Clerk's Backend API is asked
// for keys, every five minutes, and where a handshake or an expired token makes
// it necessary.
//
// The error is [ErrHandshake], or nil.
func (a *Authenticator) Authenticate(r *http.Request) (State, error) {
	x := exam{Authenticator: a, request: r, now: a.now()}
	if x.bearer = bearerToken(r.Header); x.bearer != "" {
		return x.fromHeader(), nil
	}
	x.readCookies()
	return x.fromCookies()
}

// fromHeader decides by a session token in the header Authorization.
func (x *exam) fromHeader() State {
	p := x.present(x.bearer, x.now)
	if isOpaqueMachineToken(x.bearer) || p.token != nil && !p.token.isSession() {
		return signedOut(reasonTokenTypeMismatch, "")
	}
	session, err := x.verify(x.request.Context(), &p, x.skew, x.now)
	if err != nil {
		x.readCookies() // for a refresh or a handshake
		return x.notVerified(err, carrierHeader)
	}
	return State{Status: SignedIn, Session: session}
}

// fromCookies decides by the browser's cookies. The order of the steps is that
// of Clerk's JavaScript SDK: each may rely on those before it.
func (x *exam) fromCookies() (State, error) {
	if x.nonce != "" || x.handshake != "" {
		if state, ok, err := x.resolveHandshake(); ok || err != nil {
			return state, err
		}
	}
	if state, ok := x.syncSatellite(); ok {
		return state, nil
	}
	if state, ok := x.answerSatellite(); ok {
		return state, nil
	}
	if state, ok := x.ensureDevBrowser(); ok {
		return state, nil
	}

	hasToken, hasUAT := x.session().raw != "", x.clientUAT != 0
	switch {
	case !hasToken && !hasUAT:
		return signedOut(reasonNothing, ""), nil
	case !hasUAT:
		return x.handshakeOrSignedOut(reasonTokenWithoutUAT, ""), nil
	case !hasToken:
		return x.handshakeOrSignedOut(reasonUATWithoutToken, ""), nil
	}

	token := x.session().token
	switch {
	case token == nil:
		return x.notVerified(x.session().err, carrierCookie), nil
	case !token.isSession():
		return signedOut(reasonTokenTypeMismatch, ""), nil
	case token.claims["iat"] != nil && token.number("iat") < float64(x.clientUAT):
		// Somebody signed in or out since the token was issued.
		return x.handshakeOrSignedOut(reasonTokenBeforeUAT, ""), nil
	}

	session, err := x.verify(x.request.Context(), x.session(), x.skew, x.now)
	if err != nil {
		return x.notVerified(err, carrierCookie), nil
	}
	if token.text("azp") == "" {
		x.warnNoParty.Do(func() {
			x.log.Warn("a session token in a cookie names no authorized party (azp); Clerk is going to refuse such tokens")
		})
	}
	if x.comesFromSatellite() {
		return x.handshakeOrSignedOut(reasonCrossOriginSync, messageCrossOriginSync), nil
	}
	if state, ok := x.syncOrganization(session); ok {
		return state, nil
	}
	return State{Status: SignedIn, Session: session}, nil
}

// notVerified goes on after a token that was not accepted. One that is merely
// out of its time may belong to a session that is alive.
func (x *exam) notVerified(err *tokenError, carrier string) State {
	var why string // it cannot be refreshed
	switch {
	case x.request.Method != http.MethodGet:
		why = refreshNonGet
	case x.cookies.suffixedRefresh == "":
		why = refreshNoCookie
	case err.reason == reasonExpired:
		var state State
		if state, why = x.refreshSession(); why == "" {
			return state
		}
	}
	switch err.reason {
	case reasonExpired:
		return x.handshakeOrSignedOut(reasonTokenExpired+"-refresh-"+why, err.full(carrier))
	case reasonNotActiveYet:
		return x.handshakeOrSignedOut(reasonTokenNBF, err.full(carrier))
	case reasonIATInFuture:
		return x.handshakeOrSignedOut(reasonTokenInFuture, err.full(carrier))
	}
	return signedOut(err.reason, err.full(carrier))
}

// ensureDevBrowser makes sure that a browser of a development instance has a
// token that stands for the cookies which it cannot have across sites.
func (x *exam) ensureDevBrowser() (State, bool) {
	switch {
	case x.instance.Live:
		return State{}, false
	case x.query().Has(cookieDevBrowser):
		return x.handshakeOrSignedOut(reasonDevBrowserSync, ""), true
	case x.devBrowser == "":
		return x.handshakeOrSignedOut(reasonDevBrowserMissing, ""), true
	}
	return State{}, false
}

// comesFromSatellite reports whether the browser was on another site before: a
// satellite where the session may have changed. Clerk's own pages do not count.
func (x *exam) comesFromSatellite() bool {
	r := x.request
	if x.satellite || r.Method != http.MethodGet || r.Header.Get("Sec-Fetch-Dest") != "document" || x.redirects != 0 {
		return false
	}
	referer := r.Header.Get("Referer")
	if referer == "" {
		return false
	}
	from, err := url.Parse(referer)
	if err != nil || from.Scheme == "" || from.Host == "" && strings.HasPrefix(from.Scheme, "http") {
		return false
	}
	public := x.public()
	return public != nil && origin(from) != origin(public) && !x.isClerks(from, public)
}

// isClerks reports whether a URL is of the instance's Frontend API, as this
// browser reaches it, or of its account portal.
func (x *exam) isClerks(u, public *url.URL) bool {
	host := strings.ToLower(u.Hostname())
	if api, err := url.Parse(x.frontendAPIOf(public)); err == nil && host == api.Hostname() {
		return true
	}
	// Anyone can have an account portal of a development instance.
	return origin(u) == x.accounts || !x.instance.Live && isDevelopmentPortal(host)
}

// isDevelopmentPortal knows the account portals of development instances, of
// today and of before.
func isDevelopmentPortal(host string) bool {
	for _, domain := range []string{".accounts.dev", ".accountsstage.dev", ".accounts.lclclerk.com"} {
		if strings.HasSuffix(host, domain) && !strings.HasSuffix(host, ".clerk"+domain) {
			return true
		}
	}
	for _, domain := range []string{".lcl.dev", ".lclstage.dev", ".lclclerk.com"} {
		if strings.HasPrefix(host, "accounts.") && strings.HasSuffix(host, domain) {
			return true
		}
	}
	return false
}

// syncOrganization activates the organization that the URL names, when another
// is active. An organization that does not exist, or that the person is not a
// member of, cannot be activated: three attempts, and the page decides.
func (x *exam) syncOrganization(s *Session) (State, bool) {
	if x.organizations.empty() || s.pending() || s.UserID == "" {
		return State{}, false
	}
	public := x.public()
	if public == nil {
		return State{}, false
	}
	target, ok := x.organizations.target(public.EscapedPath())
	if !ok || !target.differs(s) {
		return State{}, false
	}
	if x.redirects >= maxRedirects {
		x.log.Warn("an organization could not be activated; it may not exist, or the person is not a member")
		return State{}, false
	}
	state := x.handshakeOrSignedOut(reasonOrganization, "")
	return state, state.Status == Handshake
}

// signedOut is the state of a request that is not signed in.
func signedOut(reason, message string) State {
	return withDebugHeaders(State{Status: SignedOut, Reason: reason, Message: message})
}

// withDebugHeaders adds the headers that say what was decided and why, as
// Clerk's SDKs do; ClerkJS and people who debug read them.
func withDebugHeaders(s State) State {
	if s.Header == nil {
		s.Header = make(http.Header, 3)
	}
	s.Header.Set("X-Clerk-Auth-Status", string(s.Status))
	s.Header.Set("X-Clerk-Auth-Reason", s.Reason)
	if message := strings.TrimSpace(s.Message); message != "" && isHeaderText(message) {
		s.Header.Set("X-Clerk-Auth-Message", message)
	}
	return s
}

// maxMessageBytes bounds a message, which can quote from a token.
const maxMessageBytes = 1 << 10

// isHeaderText reports whether a message can be a header: parts of it are quoted
// from tokens that nobody has signed.
func isHeaderText(s string) bool {
	if len(s) > maxMessageBytes {
		return false
	}
	for i := range len(s) {
		if s[i] < ' ' || s[i] >= 0x7f {
			return false
		}
	}
	return true
}
