package auth

import (
	"net/http"
	"strings"
)

// Require passes on requests that are signed in and answers all others: pages
// are redirected to the sign-in page, and come back once the person has signed
// in; anything else, such as a call of an API, gets 401 with an error in
// Clerk's shape. A person whose session is pending is sent to what is left to
// do.
//
// Require decides by itself where [Authenticator.Middleware] has not.
func (a *Authenticator) Require(next http.Handler) http.Handler {
	return a.Middleware(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, ok := FromContext(r.Context()); ok {
			next.ServeHTTP(w, r)
			return
		}
		// What is answered to a stranger is not for anyone else.
		w.Header().Set("Cache-Control", "no-store")
		if to := a.signInFor(r); to != "" && isDocument(r) {
			http.Redirect(w, r, to, http.StatusTemporaryRedirect)
			return
		}
		writeError(w, http.StatusUnauthorized, "authentication_invalid", "Sign in to make this request.")
	}))
}

// signInFor is the page where the person who makes a request can sign in, or
// empty when the request is for that page or cannot be come back to.
func (a *Authenticator) signInFor(r *http.Request) string {
	public := a.publicURLOf(r)
	if public == nil {
		return ""
	}
	below := ""
	if d := decisionFrom(r.Context()); d != nil && d.state.Session != nil && d.state.Session.pending() {
		below = "/tasks"
	}
	to, err := public.Parse(a.signIn)
	if err != nil || to.Host == public.Host && isUnder(public.Path, to.Path) {
		return ""
	}
	return a.pageURL(r, a.signIn, below)
}

// isUnder reports whether a path is the other one, or below it.
func isUnder(path, of string) bool {
	path, of = strings.TrimRight(path, "/"), strings.TrimRight(of, "/")
	return path == of || of != "" && strings.HasPrefix(path, of+"/")
}

// SignInURL is the sign-in page for the person who makes a request, with the way
// back to the request's URL. On a satellite the way back makes the satellite
// learn about the new session.
func (a *Authenticator) SignInURL(r *http.Request) string { return a.pageURL(r, a.signIn, "") }

// SignUpURL is the sign-up page, as SignInURL is the sign-in page.
func (a *Authenticator) SignUpURL(r *http.Request) string { return a.pageURL(r, a.signUp, "") }

// pageURL is a page, or one below it, with the way back to the request's URL.
// The way back is left out when the request names no host that is accepted.
func (a *Authenticator) pageURL(r *http.Request, page, below string) string {
	public := a.publicURLOf(r)
	if public == nil {
		return page
	}
	to, err := public.Parse(page)
	if err != nil {
		return page
	}
	if below != "" {
		to = to.JoinPath(below)
	}
	elsewhere := to.Host != public.Host
	back := *public
	back.RawQuery = escapeQuery(back.RawQuery)
	if elsewhere && a.satellite {
		query := back.Query()
		query.Set(paramSynced, syncNeeded)
		back.RawQuery = query.Encode()
	}
	query := to.Query()
	query.Set("redirect_url", back.String())
	if elsewhere && !a.instance.Live {
		if token := a.devBrowserOf(r); token != "" {
			query.Set(cookieDevBrowser, token)
		}
	}
	to.RawQuery = query.Encode()
	return to.String()
}

// devBrowserOf is the token that stands for the browser in a development
// instance.
func (a *Authenticator) devBrowserOf(r *http.Request) string {
	x := exam{Authenticator: a, request: r, now: a.now()}
	x.readCookies()
	return x.devBrowser
}
