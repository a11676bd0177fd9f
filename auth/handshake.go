package auth

import (
	"context"
	"crypto/rsa"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// maxRedirects is how many handshakes follow one another before the loop is
// broken. A browser forgets the count after two seconds.
const maxRedirects = 3

// handshakeOrSignedOut redirects to Clerk where the request can be redirected.
// Otherwise nothing more can be found out: it is signed out for the same reason.
func (x *exam) handshakeOrSignedOut(reason, message string) State {
	location := ""
	if isDocument(x.request) {
		location = x.handshakeURL(reason)
	}
	return x.redirectOrSignedOut(location, reason, message)
}

// redirectOrSignedOut redirects to the location, unless that is empty or the
// browser is going round in circles.
func (x *exam) redirectOrSignedOut(location, reason, message string) State {
	if location == "" || !isDocument(x.request) {
		return signedOut(reason, message)
	}
	if x.redirects >= maxRedirects {
		explanation := "the publishable and the secret key may be of different instances"
		if reason == reasonSatelliteSync {
			explanation = "the request's domain may not be one that is configured in Clerk, as the primary or as a satellite"
		}
		x.log.Warn("redirects for authentication went in circles and were stopped; "+explanation, "reason", reason)
		return signedOut(reason, message)
	}
	h := make(http.Header, 6)
	h.Set("Location", location)
	// Browsers keep redirects of tabs in the background, and would repeat this
	// one without asking.
	h.Set("Cache-Control", "no-store")
	h.Add("Set-Cookie", cookieRedirectCount+"="+strconv.Itoa(x.redirects+1)+"; SameSite=Lax; HttpOnly; Max-Age=2")
	return withDebugHeaders(State{Status: Handshake, Reason: reason, Message: message, Location: location, Header: h})
}

// handshakeURL is where Clerk tells about the browser's session. It is empty
// when the request's own URL is not known, as nothing could come back to it.
func (x *exam) handshakeURL(reason string) string {
	public := x.public()
	if public == nil {
		return ""
	}
	query := url.Values{
		"redirect_url":        {without(public, cookieDevBrowser, "__dev_session")},
		"__clerk_api_version": {apiVersion},
		"suffixed_cookies":    {strconv.FormatBool(x.suffixed)},
		"__clerk_hs_reason":   {reason},
		"format":              {"nonce"},
	}
	if token := firstOf(x.session().raw, x.bearer); token != "" {
		query.Set(cookieSession, token)
	}
	if !x.instance.Live && x.devBrowser != "" {
		query.Set(cookieDevBrowser, x.devBrowser)
	}
	if target, ok := x.organizations.target(public.EscapedPath()); ok {
		query.Set("organization_id", target.param())
	}
	return x.frontendAPIOf(public) + "/v1/client/handshake?" + query.Encode()
}

// frontendAPIOf is where the browser that made the request reaches the Frontend
// API: through the proxy if there is one.
func (x *exam) frontendAPIOf(public *url.URL) string {
	if x.proxy != nil {
		if proxyURL := x.proxy.ProxyURL(x.request); proxyURL != "" {
			return proxyURL
		}
		return x.frontendAPI
	}
	switch {
	case x.proxyPath == "":
		return x.frontendAPI
	case x.proxyOrigin != "":
		return x.proxyOrigin + x.proxyPath
	default:
		return public.Scheme + "://" + public.Host + x.proxyPath
	}
}

// maxNonceBytes bounds what is sent to the Backend API as a nonce.
const maxNonceBytes = 1 << 10

// ErrHandshake is the error of [Authenticator.Authenticate] when the handshake
// of a development instance cannot be verified: going on would repeat it for
// ever. The request is signed out. Most often the Clerk keys were changed, and
// clearing the cookies helps.
var ErrHandshake = errors.New("auth: the handshake of a development instance could not be verified; after a change of Clerk keys, clear the cookies and try again")

// resolveHandshake takes what a browser brings back from a handshake: cookies to
// set, and among them a session token or none. It is not ok when the handshake
// cannot be used; in production the request may then carry another
// application's on the same domain, and is decided without it.
func (x *exam) resolveHandshake() (state State, ok bool, err error) {
	lines, failed := x.handshakeCookies()
	if failed != nil {
		x.log.Debug("a handshake could not be verified", "reason", failed.reason)
		if !x.instance.Live {
			return signedOut(failed.reason, failed.message), false, ErrHandshake
		}
		return State{}, false, nil
	}

	h := http.Header{
		"Access-Control-Allow-Origin":      {"null"},
		"Access-Control-Allow-Credentials": {"true"},
	}
	raw := x.setCookies(h, lines)
	location := ""
	if !x.instance.Live {
		// The parameters must not stay in the URL, to be kept and passed on.
		if public := x.public(); public != nil {
			location = without(public, cookieHandshake, "__clerk_help", cookieDevBrowser, cookieNonce)
			h.Set("Location", location)
			h.Set("Cache-Control", "no-store")
		}
	}
	if raw == "" {
		return withDebugHeaders(State{Status: SignedOut, Reason: reasonTokenMissing, Header: h, Location: location}), true, nil
	}

	p := x.present(raw, x.now)
	session, failed := x.verifyFresh(&p)
	if failed != nil {
		x.log.Debug("the session token of a handshake was refused", "reason", failed.reason)
		return State{}, false, nil
	}
	return State{Status: SignedIn, Session: session, Header: h, Location: location}, true, nil
}

// verifyFresh verifies a token that Clerk has just issued. A developer's
// machine may have the wrong time.
func (x *exam) verifyFresh(p *presented) (*Session, *tokenError) {
	if p.token != nil && !p.token.isSession() {
		return nil, &tokenError{reason: reasonTokenTypeMismatch}
	}
	session, err := x.verify(x.request.Context(), p, x.skew, x.now)
	if err == nil || x.instance.Live {
		return session, err
	}
	switch err.reason {
	case reasonExpired, reasonNotActiveYet, reasonIATInFuture:
		x.log.Warn("this machine's clock is wrong: a token that Clerk has just issued is not in force by it; it is accepted in development only", "reason", err.reason)
		return x.verify(x.request.Context(), p, 24*time.Hour, x.now)
	}
	return nil, err
}

// handshakeCookies are the Set-Cookie lines of a handshake: fetched with a
// nonce, or brought along in a token. A nonce that is not accepted means that
// there are none.
func (x *exam) handshakeCookies() ([]string, *tokenError) {
	if x.nonce != "" {
		lines, err := x.fetchHandshake(x.request.Context(), x.nonce)
		if err != nil {
			x.log.Warn("the cookies of a handshake could not be fetched", "error", err)
		}
		return lines, nil
	}
	return x.verifyHandshake(x.request.Context(), x.handshake, x.now)
}

func (a *Authenticator) fetchHandshake(ctx context.Context, nonce string) ([]string, error) {
	if len(nonce) > maxNonceBytes {
		return nil, errors.New("the nonce is too long")
	}
	var payload struct {
		Directives []string `json:"directives"`
	}
	err := a.backend.call(ctx, http.MethodGet, "/v1/clients/handshake_payload?nonce="+url.QueryEscape(nonce), nil, &payload)
	return payload.Directives, err
}

// verifyHandshake verifies a handshake token and takes the lines out of it. The
// category matters: a token that an application's template has made could hold
// lines of anyone's choice.
func (a *Authenticator) verifyHandshake(ctx context.Context, raw string, now time.Time) ([]string, *tokenError) {
	t, err := decodeToken(raw)
	if err != nil {
		return nil, err
	}
	if !t.hasSessionCategory() {
		return nil, &tokenError{"token-invalid", "Invalid handshake token category.", actionEnsureJWT}
	}
	var key *rsa.PublicKey
	if key, err = a.keys.lookup(ctx, t.kid, now); err != nil {
		return nil, err
	}
	if err := checkSignature(t, key); err != nil {
		return nil, err
	}
	return texts(t.claims["handshake"]), nil
}
