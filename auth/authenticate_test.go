package auth

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
)

// The comparison with @clerk/express, in test/conformance/auth, goes through
// every step with everything that can happen in it. These tests need no Node,
// and say what each step is for.

func TestDecisions(t *testing.T) {
	uat, old := "__client_uat=1769900000", claims{"exp": now.Unix() - 60}
	tests := []struct {
		name    string
		request *http.Request
		change  func(*Config)
		status  Status
		reason  string
	}{
		{"a stranger", page("https://app.dev/"), nil, SignedOut, reasonNothing},
		{"signed in by cookie", page("https://app.dev/", uat, "__session="+sessionToken(nil)), nil, SignedIn, ""},
		{"signed in by header", bearer(sessionToken(nil)), nil, SignedIn, ""},
		{"header before cookies", withHeader(page("https://app.dev/", uat, "__session="+sessionToken(nil)), "Authorization", "Bearer x.y.z"), nil, SignedOut, "token-invalid"},
		{"another scheme", withHeader(page("https://app.dev/", uat, "__session="+sessionToken(nil)), "Authorization", "Basic x"), nil, SignedIn, ""},
		{"an API key", bearer("ak_123"), nil, SignedOut, reasonTokenTypeMismatch},
		{"a token without the client's time", page("https://app.dev/", "__session="+sessionToken(nil)), nil, Handshake, reasonTokenWithoutUAT},
		{"the client's time without a token", page("https://app.dev/", uat), nil, Handshake, reasonUATWithoutToken},
		{"a token from before the last sign-in", page("https://app.dev/", "__client_uat=1770091505", "__session="+sessionToken(nil)), nil, Handshake, reasonTokenBeforeUAT},
		{"an expired token", page("https://app.dev/", uat, "__session="+sessionToken(old)), nil, Handshake, "session-token-expired-refresh-non-eligible-no-refresh-cookie"},
		{"an expired token of a call", withHeader(page("https://app.dev/", uat, "__session="+sessionToken(old)), "Sec-Fetch-Dest", "empty"), nil, SignedOut, "session-token-expired-refresh-non-eligible-no-refresh-cookie"},
		{"not yet active", page("https://app.dev/", uat, "__session="+sessionToken(claims{"nbf": now.Unix() + 60})), nil, Handshake, reasonTokenNBF},
		{"issued in the future", page("https://app.dev/", uat, "__session="+sessionToken(claims{"iat": now.Unix() + 60})), nil, Handshake, reasonTokenInFuture},
		{"from a satellite", withHeader(page("https://app.dev/", uat, "__session="+sessionToken(nil)), "Referer", "https://satellite.dev/"), nil, Handshake, reasonCrossOriginSync},
		{"from the account portal", withHeader(page("https://app.dev/", uat, "__session="+sessionToken(nil)), "Referer", "https://accounts.app.dev/sign-in"), nil, SignedIn, ""},
		{"another organization", page("https://app.dev/orgs/acme", uat, "__session="+sessionToken(nil)), acme, Handshake, reasonOrganization},
		{"another organization, three times", page("https://app.dev/orgs/acme", uat, "__session="+sessionToken(nil), "__clerk_redirect_count=3"), acme, SignedIn, ""},
		{"going round in circles", page("https://app.dev/", uat, "__clerk_redirect_count=3"), nil, SignedOut, reasonUATWithoutToken},
		{"first visit to a satellite", page("https://satellite.dev/"), satellite, SignedOut, reasonNothing},
		{"back on a satellite after signing in", page("https://satellite.dev/?__clerk_synced=false"), satellite, Handshake, reasonSatelliteSync},
		{"synced satellite", page("https://satellite.dev/?__clerk_synced=true"), satellite, SignedOut, reasonNothing},
		{"first visit to a satellite that syncs", page("https://satellite.dev/"), func(c *Config) { satellite(c); c.SatelliteAutoSync = true }, Handshake, reasonSatelliteSync},
		{"first visit in development", page("https://app.dev/"), development, Handshake, reasonDevBrowserMissing},
		{"browser known in development", page("https://app.dev/", "__clerk_db_jwt=dvb_1"), development, SignedOut, reasonNothing},
		{"browser in the URL in development", page("https://app.dev/?__clerk_db_jwt=dvb_1"), development, Handshake, reasonDevBrowserSync},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a := newAuthenticator(t, newFakeClerk(t), tt.change)
			state, err := a.Authenticate(tt.request)
			if err != nil || state.Status != tt.status || state.Reason != tt.reason {
				t.Fatalf("got %s %s, %v; want %s %s", state.Status, state.Reason, err, tt.status, tt.reason)
			}
			if (state.Session != nil) != (tt.status == SignedIn) || (state.Location != "") != (tt.status == Handshake) {
				t.Errorf("session %v, location %q", state.Session, state.Location)
			}
			h := state.Header
			if tt.status == SignedIn {
				if h != nil {
					t.Errorf("headers %v for a request that is simply signed in", h)
				}
				return
			}
			if h.Get("X-Clerk-Auth-Status") != string(tt.status) || h.Get("X-Clerk-Auth-Reason") != tt.reason || h.Get("Location") != state.Location {
				t.Errorf("headers %v", h)
			}
		})
	}
}

func withHeader(r *http.Request, name, value string) *http.Request {
	r.Header.Set(name, value)
	return r
}

func acme(c *Config) { c.OrganizationSync.OrganizationPatterns = []string{"/orgs/:slug"} }

func satellite(c *Config) { c.IsSatellite, c.ProxyURL = true, "https://satellite.dev/__clerk" }

func TestHandshakeURL(t *testing.T) {
	a := newAuthenticator(t, newFakeClerk(t), func(c *Config) { acme(c); c.ProxyURL = "/__clerk" })
	token := sessionToken(claims{"exp": now.Unix() - 60})
	state, _ := a.Authenticate(page("https://app.dev:8443/orgs/acme?a=b%20c&__clerk_db_jwt=x&__dev_session=y&d", "__client_uat=1", "__session="+token, "__clerk_redirect_count=1"))
	u, err := url.Parse(state.Location)
	if err != nil {
		t.Fatal(err)
	}
	if got := u.Scheme + "://" + u.Host + u.Path; got != "https://app.dev:8443/__clerk/v1/client/handshake" {
		t.Errorf("goes to %s", got)
	}
	for name, want := range map[string]string{
		"redirect_url":        "https://app.dev:8443/orgs/acme?a=b%20c&d",
		"__clerk_api_version": apiVersion, "suffixed_cookies": "false", "format": "nonce",
		"__clerk_hs_reason": "session-token-expired-refresh-non-eligible-no-refresh-cookie",
		"__session":         token, "organization_id": "acme",
	} {
		if got := u.Query().Get(name); got != want {
			t.Errorf("%s=%s, want %s", name, got, want)
		}
	}
	if len(u.Query()) != 7 {
		t.Errorf("parameters %v", u.Query())
	}
	if got := state.Header["Set-Cookie"]; len(got) != 1 || got[0] != "__clerk_redirect_count=2; SameSite=Lax; HttpOnly; Max-Age=2" {
		t.Errorf("cookies %q", got)
	}
	if got := state.Header.Get("Cache-Control"); got != "no-store" {
		t.Errorf("Cache-Control: %s", got)
	}
}

// What the browser sent is what it comes back to, wherever the middleware is
// mounted.
func TestHandshakeComesBackToTheURLBeforeStripping(t *testing.T) {
	a := newAuthenticator(t, newFakeClerk(t), nil)
	var location string
	h := http.StripPrefix("/app", http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		state, _ := a.Authenticate(r)
		location = state.Location
	}))
	h.ServeHTTP(nil, page("https://app.dev/app/x%2Fy?z", "__client_uat=1"))
	u, _ := url.Parse(location)
	if got := u.Query().Get("redirect_url"); got != "https://app.dev/app/x%2Fy?z" {
		t.Errorf("comes back to %s", got)
	}
}

func TestResolvesHandshakes(t *testing.T) {
	lines := func(token string) []string {
		return []string{"__session=" + token + "; Path=/", "__client_uat=1; Path=/"}
	}
	fresh := lines(sessionToken(nil))
	clerk := newFakeClerk(t)
	clerk.payloads["in"] = fresh
	clerk.payloads["out"] = []string{"__session=; Path=/; Max-Age=0", "__client_uat=0; Path=/"}
	clerk.payloads["skewed"] = lines(sessionToken(claims{"exp": now.Unix() - 3600}))
	live, dev := newAuthenticator(t, clerk, nil), newAuthenticator(t, clerk, development)

	for name, r := range map[string]*http.Request{
		"nonce": page("https://app.dev/", "__clerk_handshake_nonce=in"),
		"token": page("https://app.dev/", "__clerk_handshake="+sign(signingKeys()[0], header(nil), claims{"handshake": fresh})),
	} {
		state, err := live.Authenticate(r)
		if err != nil || state.Status != SignedIn || state.Location != "" || !slices.Equal(state.Header["Set-Cookie"], fresh) {
			t.Errorf("%s: %+v, %v", name, state, err)
		}
	}
	state, err := live.Authenticate(page("https://app.dev/", "__clerk_handshake_nonce=out"))
	if err != nil || state.Status != SignedOut || state.Reason != reasonTokenMissing || len(state.Header["Set-Cookie"]) != 2 {
		t.Errorf("signed out: %+v, %v", state, err)
	}
	state, err = dev.Authenticate(page("https://app.dev/x?a=b&__clerk_handshake_nonce=in&__clerk_help=1", "__clerk_db_jwt=dvb_1"))
	if err != nil || state.Status != SignedIn || state.Location != "https://app.dev/x?a=b" || state.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("in development: %+v, %v", state, err)
	}
	// A developer's clock may be wrong; a server's may not.
	if state, err = dev.Authenticate(page("https://app.dev/?__clerk_handshake_nonce=skewed")); err != nil || state.Status != SignedIn {
		t.Errorf("with a wrong clock in development: %+v, %v", state, err)
	}
	if state, err = live.Authenticate(page("https://app.dev/", "__clerk_handshake_nonce=skewed")); err != nil || state.Status != SignedOut {
		t.Errorf("with a wrong clock in production: %+v, %v", state, err)
	}
}

func TestRefreshes(t *testing.T) {
	clerk := newFakeClerk(t)
	fresh := []string{"__session=" + sessionToken(nil) + "; Path=/"}
	clerk.refreshes["good"], clerk.refreshes["revoked"] = fresh, "session_revoked"
	a := newAuthenticator(t, clerk, nil)
	expired := sessionToken(claims{"exp": now.Unix() - 60})
	request := func(refresh string) *http.Request {
		return page("https://app.dev/x?y", "__client_uat=1", "__session="+expired, "__refresh_"+a.suffix+"="+refresh)
	}
	state, err := a.Authenticate(request("good"))
	if err != nil || state.Status != SignedIn || !slices.Equal(state.Header["Set-Cookie"], fresh) {
		t.Fatalf("%+v, %v", state, err)
	}
	asked := clerk.refreshed[0]
	if asked.ExpiredToken != expired || asked.RefreshToken != "good" || asked.RequestOrigin != "https://app.dev" || asked.Format != "cookie" ||
		!slices.Equal(asked.RequestHeaders["host"], []string{"app.dev"}) || asked.RequestHeaders["sec-fetch-dest"] == nil {
		t.Errorf("asked %+v", asked)
	}
	if got := clerk.paths[len(clerk.paths)-1]; got != "/v1/sessions/sess_1/refresh" {
		t.Errorf("asked at %s", got)
	}
	for refresh, why := range map[string]string{"revoked": "session_revoked", "unheard of": refreshUnexpectedBackend} {
		state, err := a.Authenticate(request(refresh))
		if err != nil || state.Status != Handshake || state.Reason != "session-token-expired-refresh-"+why {
			t.Errorf("%s: %+v, %v", refresh, state, err)
		}
	}
	clerk.Close()
	if state, _ := a.Authenticate(request("good")); state.Reason != "session-token-expired-refresh-fetch-error" {
		t.Errorf("unreachable: %+v", state)
	}
}

// The identifier of a session goes into a path.
func TestRefreshWithAHostileSessionID(t *testing.T) {
	clerk := newFakeClerk(t)
	a := newAuthenticator(t, clerk, nil)
	for _, id := range []string{"../users", "a/b", "a?b", "", "a b", strings.Repeat("x", 1000)} {
		token := sessionToken(claims{"exp": now.Unix() - 60, "sid": id})
		state, _ := a.Authenticate(page("https://app.dev/", "__client_uat=1", "__session="+token, "__refresh_"+a.suffix+"=good"))
		if state.Reason != "session-token-expired-refresh-"+refreshNoSession {
			t.Errorf("%q: %+v", id, state)
		}
	}
	if len(clerk.refreshed) > 0 {
		t.Errorf("asked %v", clerk.refreshed)
	}
}

func TestSatelliteInDevelopment(t *testing.T) {
	clerk := newFakeClerk(t)
	primary := newAuthenticator(t, clerk, development)
	sat := newAuthenticator(t, clerk, func(c *Config) {
		development(c)
		c.IsSatellite, c.Domain, c.SignInURL = true, "satellite.dev", "http://localhost:3000/sign-in?x=y"
	})
	state, _ := sat.Authenticate(page("http://localhost:3001/a?__clerk_synced=false", "__clerk_db_jwt=dvb_1"))
	if want := "http://localhost:3000/sign-in?__clerk_redirect_url=http%3A%2F%2Flocalhost%3A3001%2Fa%3F__clerk_synced%3Dfalse&x=y"; state.Location != want {
		t.Fatalf("asks at %s, want %s", state.Location, want)
	}
	state, _ = primary.Authenticate(page(state.Location, "__clerk_db_jwt=dvb_primary"))
	if want := "http://localhost:3001/a?__clerk_db_jwt=dvb_primary&__clerk_synced=true"; state.Location != want || state.Reason != reasonPrimaryResponds {
		t.Fatalf("is answered %s, want %s", state.Location, want)
	}
	state, _ = sat.Authenticate(page(state.Location, "__clerk_db_jwt=dvb_1"))
	u, _ := url.Parse(state.Location)
	if state.Reason != reasonDevBrowserSync || u.Host != "foo-bar-13.clerk.accounts.dev" || u.Query().Get("__clerk_db_jwt") != "dvb_primary" {
		t.Errorf("goes on with %+v", state)
	}
}

func TestSuffixes(t *testing.T) {
	a := newAuthenticator(t, newFakeClerk(t), nil)
	own := sessionToken(claims{"sub": "user_own"})
	neighbour := sessionToken(claims{"sub": "user_of_neighbour", "iss": "https://clerk.neighbour.dev"})
	// Another application on the domain has overwritten the plain cookies.
	state, _ := a.Authenticate(page("https://app.dev/", "__session="+neighbour, "__client_uat=5", "__session_"+a.suffix+"="+own, "__client_uat_"+a.suffix+"=5"))
	if state.Session == nil || state.Session.UserID != "user_own" {
		t.Errorf("%+v", state)
	}
	// It is signed in there, and not here.
	state, _ = a.Authenticate(page("https://app.dev/", "__session="+neighbour, "__client_uat=5", "__client_uat_"+a.suffix+"=0"))
	if state.Status != SignedOut || state.Reason != reasonNothing {
		t.Errorf("%+v", state)
	}
}

func TestReadCookies(t *testing.T) {
	for name, tt := range map[string]struct {
		lines []string
		want  string
	}{
		"alone":                {[]string{"__session=x"}, "x"},
		"among others":         {[]string{"a=b; __session=x; c=d"}, "x"},
		"the first counts":     {[]string{"__session=x; __session=y"}, "x"},
		"the first is empty":   {[]string{"__session=; __session=y"}, ""},
		"several lines":        {[]string{"a=b", "__session=x", "__session=y"}, "x"},
		"spaces":               {[]string{"  __session = x  ;"}, "x"},
		"percent-encoded":      {[]string{"__session=a%2Eb"}, "a.b"},
		"badly encoded":        {[]string{"__session=a%zz"}, "a%zz"},
		"encoded separator":    {[]string{"a=%3B__session%3Dx"}, ""},
		"with an equals sign":  {[]string{"__session=a=b"}, "a=b"},
		"no value":             {[]string{"__session"}, ""},
		"no name":              {[]string{"=x"}, ""},
		"other case":           {[]string{"__SESSION=x"}, ""},
		"suffix of another":    {[]string{"__session_AAAAAAAA=x"}, ""},
		"beyond what is read":  {[]string{"a=" + strings.Repeat("x", maxCookieBytes), "__session=x"}, ""},
		"separators and dirt":  {[]string{";;; ; = ; ==;__session=x;"}, "x"},
		"nothing":              {nil, ""},
		"a prefix of the name": {[]string{"__sessio=x; __sessionx=y"}, ""},
	} {
		if got := readCookies(http.Header{"Cookie": tt.lines}, "SUFFIX12").session; got != tt.want {
			t.Errorf("%s: %q, want %q", name, got, tt.want)
		}
	}
	c := readCookies(http.Header{"Cookie": {"__session_SUFFIX12=1; __client_uat_SUFFIX12=2; __clerk_db_jwt_SUFFIX12=3; __refresh_SUFFIX12=4; __refresh=x; __clerk_handshake_SUFFIX12=x"}}, "SUFFIX12")
	if c.suffixedSession != "1" || c.suffixedClientUAT != "2" || c.suffixedDevBrowser != "3" || c.suffixedRefresh != "4" || c.handshake != "" {
		t.Errorf("%+v", c)
	}
}

func TestWithout(t *testing.T) {
	for in, want := range map[string]string{
		"https://app.dev/":                          "https://app.dev/",
		"https://app.dev/?":                         "https://app.dev/",
		"https://app.dev/?a=b":                      "https://app.dev/?a=b",
		"https://app.dev/?x=1":                      "https://app.dev/",
		"https://app.dev/?a=%20+&x=1&b&&c=&y=2&x=3": "https://app.dev/?a=%20+&b&c=",
		"https://app.dev/?%78=1&xx=2":               "https://app.dev/?xx=2",
		"https://app.dev/a%2Fb?é=\"":                "https://app.dev/a%2Fb?%C3%A9=%22",
	} {
		u, err := url.Parse(in)
		if err != nil {
			t.Fatal(err)
		}
		if got := without(u, "x", "y"); got != want {
			t.Errorf("%s: %s, want %s", in, got, want)
		}
	}
}
