package auth

import (
	"net/http"
	"net/url"

	"github.com/clerkproxy/clerkproxy/internal/forwarded"
)

// What the parameter __clerk_synced says on a satellite. See
// https://clerk.com/docs/guides/dashboard/dns-domains/satellite-domains
const (
	paramSynced   = "__clerk_synced"
	paramRedirect = "__clerk_redirect_url"
	syncNeeded    = "false" // the person has just signed in on the primary domain
	syncDone      = "true"
)

// syncSatellite lets a satellite learn about the session of the primary domain.
// A stranger is not sent there and back on their first visit, unless
// Config.SatelliteAutoSync says so: most strangers are not signed in.
func (x *exam) syncSatellite() (State, bool) {
	r := x.request
	if !x.satellite || r.Method != http.MethodGet || r.Header.Get("Sec-Fetch-Dest") != "document" {
		return State{}, false
	}
	synced := x.query().Get(paramSynced)
	hasCookies := x.session().raw != "" || x.clientUAT != 0
	switch {
	case synced == syncDone, hasCookies && synced != syncNeeded:
		return State{}, false
	case synced != syncNeeded && !x.autoSync:
		return signedOut(reasonNothing, ""), true
	case x.instance.Live:
		return x.handshakeOrSignedOut(reasonSatelliteSync, ""), true
	}
	// In development the sites share no cookies, so the primary domain's
	// sign-in page is asked, and answers as answerSatellite does.
	location := ""
	if public := x.public(); public != nil {
		location = withParam(x.signIn, paramRedirect, public.String())
	}
	return x.redirectOrSignedOut(location, reasonSatelliteSync, ""), true
}

// answerSatellite sends a browser back to the satellite that asked, in
// development, with the token that stands for its cookies.
func (x *exam) answerSatellite() (State, bool) {
	if x.instance.Live || x.satellite {
		return State{}, false
	}
	to := x.query().Get(paramRedirect)
	if to == "" {
		return State{}, false
	}
	back, err := url.Parse(to)
	if err != nil || !x.mayReturnTo(back) {
		x.log.Warn("a satellite was not answered: its origin is not this machine's and not among Config.AllowedRedirectOrigins")
		return State{}, false
	}
	query := back.Query()
	if x.devBrowser != "" {
		query.Add(cookieDevBrowser, x.devBrowser)
	}
	query.Set(paramSynced, syncDone)
	back.RawQuery = query.Encode()
	return x.redirectOrSignedOut(back.String(), reasonPrimaryResponds, ""), true
}

// mayReturnTo reports whether a browser may be sent to a URL, with a token, that
// stood in a link. Anyone can write a link.
func (a *Authenticator) mayReturnTo(u *url.URL) bool {
	if u.Scheme != "http" && u.Scheme != "https" || u.User != nil || u.Opaque != "" {
		return false
	}
	return forwarded.IsLoopback(u.Hostname()) || a.redirectsTo[origin(u)]
}

// withParam is an absolute URL with one more parameter.
func withParam(to, name, value string) string {
	u, err := url.Parse(to)
	if err != nil || u.Host == "" {
		return ""
	}
	query := u.Query()
	query.Add(name, value)
	u.RawQuery = query.Encode()
	return u.String()
}
