package auth

import (
	"context"
	"errors"
	"net/http"
	"strings"
)

// A refreshRequest asks the Backend API for the cookies of a session whose token
// has expired.
type refreshRequest struct {
	Format         string              `json:"format"`
	ExpiredToken   string              `json:"expired_token"`
	RefreshToken   string              `json:"refresh_token"`
	RequestOrigin  string              `json:"request_origin"`
	RequestHeaders map[string][]string `json:"request_headers"`
}

// refreshSession replaces an expired session token without the detour of a
// handshake. When that fails, why is not empty: a handshake can say more.
func (x *exam) refreshSession() (state State, why string) {
	expired := x.session()
	if expired.raw == "" {
		p := x.present(x.bearer, x.now)
		expired = &p
	}
	if expired.token == nil {
		return State{}, refreshInvalidToken
	}
	id := expired.token.text("sid")
	if !isObjectID(id) {
		return State{}, refreshNoSession
	}
	public := x.public()
	if public == nil {
		return State{}, refreshUnexpectedSDK
	}

	lines, err := x.fetchRefresh(x.request.Context(), id, x.suffixed, refreshRequest{
		Format:         "cookie",
		ExpiredToken:   expired.raw,
		RefreshToken:   x.refresh,
		RequestOrigin:  origin(public),
		RequestHeaders: headersOf(x.request),
	})
	if err != nil {
		x.log.Debug("a session could not be refreshed", "error", err)
		return State{}, refreshFailure(err)
	}
	if len(lines) == 0 {
		return State{}, refreshUnexpectedSDK
	}
	h := make(http.Header, 1)
	p := x.present(x.setCookies(h, lines), x.now)
	if p.token != nil && !p.token.isSession() {
		return State{}, refreshInvalidToken
	}
	session, failed := x.verify(x.request.Context(), &p, x.skew, x.now)
	if failed != nil {
		return State{}, refreshInvalidToken
	}
	return State{Status: SignedIn, Session: session, Header: h}, ""
}

func (a *Authenticator) fetchRefresh(ctx context.Context, id string, suffixed bool, in refreshRequest) ([]string, error) {
	path := "/v1/sessions/" + id + "/refresh"
	if suffixed {
		path += "?suffixed_cookies=true"
	}
	var out struct {
		Cookies []string `json:"cookies"`
	}
	err := a.backend.call(ctx, http.MethodPost, path, in, &out)
	return out.Cookies, err
}

// refreshFailure is the failure as it is passed on in a handshake's reason.
func refreshFailure(err error) string {
	e, ok := errors.AsType[*backendError](err)
	switch {
	case !ok:
		return refreshFetchError
	case e.code == "unexpected_error":
		return refreshFetchError
	case e.code == "" || len(e.code) > 64 || strings.Trim(e.code, "abcdefghijklmnopqrstuvwxyz0123456789_-") != "":
		return refreshUnexpectedBackend
	}
	return e.code
}

// headersOf are the request's headers for the Backend API, which tells by them
// whether the browser is the one that the session was given to.
func headersOf(r *http.Request) map[string][]string {
	h := make(map[string][]string, len(r.Header)+1)
	for name, values := range r.Header {
		separator := ", "
		if name == "Cookie" {
			separator = "; "
		}
		h[strings.ToLower(name)] = []string{strings.Join(values, separator)}
	}
	h["host"] = []string{r.Host}
	return h
}

// isObjectID accepts the identifiers that Clerk gives, which go into a path.
func isObjectID(s string) bool {
	return s != "" && len(s) <= 128 &&
		strings.Trim(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-") == ""
}
