package auth

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"testing"

	"github.com/clerk/clerk-sdk-go/v2"
	"github.com/clerkproxy/clerkproxy"
)

// serve sends a request through a handler.
func serve(h http.Handler, r *http.Request) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func TestMiddlewareShowsTheSession(t *testing.T) {
	type custom struct {
		Plan string `json:"plan"`
	}
	a := newAuthenticator(t, newFakeClerk(t), func(c *Config) { c.CustomClaims = func() any { return &custom{} } })
	token := sessionToken(claims{"plan": "gold", "fva": []int{3, -1}, "fea": "o:a", "o": claims{"id": "org_1", "slg": "acme", "rol": "admin", "per": "read,write", "fpm": "2"}})
	h := a.Middleware(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s, ok := FromContext(r.Context())
		if !ok || s.ID != "sess_1" || s.UserID != "user_1" || s.OrgSlug != "acme" || s.Status != "active" || s.ExpiresAt.Unix() != now.Unix()+50 {
			t.Errorf("session %+v, %v", s, ok)
		}
		var own custom
		if err := s.Decode(&own); err != nil || own.Plan != "gold" {
			t.Errorf("decoded %+v, %v", own, err)
		}
		c, ok := clerk.SessionClaimsFromContext(r.Context())
		if !ok || c.Subject != "user_1" || c.SessionID != "sess_1" || !c.HasRole("org:admin") || !c.HasPermission("org:a:write") || c.HasPermission("org:a:read") ||
			c.Version != 2 || c.NeedsReverification(clerk.SessionReverificationStrict) || c.Custom.(*custom).Plan != "gold" {
			t.Errorf("Clerk's SDK sees %+v", c)
		}
		if err := c.ValidateWithLeeway(now, 0); err != nil {
			t.Errorf("Clerk's SDK finds: %v", err)
		}
		state, ok := StateFromContext(r.Context())
		if !ok || state.Status != SignedIn || state.Session != s {
			t.Errorf("state %+v", state)
		}
		w.WriteHeader(http.StatusNoContent)
	}))
	if w := serve(h, bearer(token)); w.Code != http.StatusNoContent || len(w.Header()) != 0 {
		t.Errorf("%d %v", w.Code, w.Header())
	}
}

func TestMiddlewarePassesStrangersOn(t *testing.T) {
	a := newAuthenticator(t, newFakeClerk(t), nil)
	h := a.Middleware(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if s, ok := FromContext(r.Context()); ok || s != nil {
			t.Errorf("session %v", s)
		}
		if c, ok := clerk.SessionClaimsFromContext(r.Context()); ok {
			t.Errorf("claims %v", c)
		}
		state, ok := StateFromContext(r.Context())
		if !ok || state.Reason != reasonNothing {
			t.Errorf("state %+v", state)
		}
		w.WriteHeader(http.StatusNoContent)
	}))
	w := serve(h, page("https://app.dev/"))
	if w.Code != http.StatusNoContent || w.Header().Get("X-Clerk-Auth-Reason") != reasonNothing {
		t.Errorf("%d %v", w.Code, w.Header())
	}
	if _, ok := FromContext(t.Context()); ok {
		t.Error("a session without the middleware")
	}
	if _, ok := StateFromContext(t.Context()); ok {
		t.Error("a state without the middleware")
	}
}

func TestMiddlewareRedirects(t *testing.T) {
	clerk := newFakeClerk(t)
	clerk.payloads["n"] = []string{"__session=" + sessionToken(nil), "__client_uat=1"}
	never := http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("the application is asked") })
	live, dev := newAuthenticator(t, clerk, nil), newAuthenticator(t, clerk, development)
	if w := serve(live.Middleware(never), page("https://app.dev/", "__client_uat=1")); w.Code != http.StatusTemporaryRedirect || w.Header().Get("Location") == "" {
		t.Errorf("handshake: %d %v", w.Code, w.Header())
	}
	if w := serve(dev.Middleware(never), page("https://app.dev/?__clerk_handshake_nonce=n")); w.Code != http.StatusTemporaryRedirect || w.Header().Get("Location") != "https://app.dev/" || len(w.Header()["Set-Cookie"]) != 2 {
		t.Errorf("after a handshake in development: %d %v", w.Code, w.Header())
	}
	w := serve(dev.Middleware(never), page("https://app.dev/?__clerk_handshake=x.y.z"))
	if w.Code != http.StatusInternalServerError || errorCode(t, w) != "handshake_failed" {
		t.Errorf("bad handshake in development: %d %s", w.Code, w.Body)
	}
}

// Whoever counts decisions learns of those that the application never sees.
func TestMiddlewareTellsItsDecisions(t *testing.T) {
	var decisions []string
	a := newAuthenticator(t, newFakeClerk(t), func(c *Config) {
		c.OnDecision = func(r *http.Request, s State) {
			decisions = append(decisions, r.URL.Path+" "+string(s.Status)+" "+s.Reason)
		}
	})
	h := a.Middleware(a.Middleware(http.NotFoundHandler())) // the inner one has nothing to decide
	serve(h, page("https://app.dev/handshake", "__client_uat=1"))
	serve(h, bearer(sessionToken(nil)))
	want := []string{"/handshake handshake client-uat-but-no-session-token", "/ signed-in "}
	if !slices.Equal(decisions, want) {
		t.Errorf("got %q, want %q", decisions, want)
	}
}

// Cookies that others have set stay.
func TestMiddlewareAddsCookies(t *testing.T) {
	clerk := newFakeClerk(t)
	clerk.payloads["n"] = []string{"__session=" + sessionToken(nil)}
	a := newAuthenticator(t, clerk, nil)
	w := httptest.NewRecorder()
	w.Header().Set("Set-Cookie", "own=1")
	a.Middleware(http.NotFoundHandler()).ServeHTTP(w, page("https://app.dev/", "__clerk_handshake_nonce=n"))
	if got := w.Header()["Set-Cookie"]; len(got) != 2 || got[0] != "own=1" {
		t.Errorf("cookies %q", got)
	}
}

func errorCode(t *testing.T, w *httptest.ResponseRecorder) string {
	t.Helper()
	var body struct {
		Errors []struct{ Code, Message string }
	}
	if err := json.Unmarshal(w.Body.Bytes(), &body); err != nil || len(body.Errors) != 1 || body.Errors[0].Message == "" {
		t.Fatalf("body %s: %v", w.Body, err)
	}
	if got := w.Header().Get("Content-Type"); got != "application/json" {
		t.Errorf("Content-Type %s", got)
	}
	return body.Errors[0].Code
}

func TestRequire(t *testing.T) {
	clerk := newFakeClerk(t)
	a := newAuthenticator(t, clerk, func(c *Config) { c.SignInURL, c.SignUpURL = "/sign-in?from=app", "https://accounts.example.com/up" })
	in := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, ok := FromContext(r.Context()); !ok {
			t.Error("a stranger comes in")
		}
	})
	for name, h := range map[string]http.Handler{"alone": a.Require(in), "inside Middleware": a.Middleware(a.Require(in))} {
		t.Run(name, func(t *testing.T) {
			if w := serve(h, bearer(sessionToken(nil))); w.Code != http.StatusOK {
				t.Errorf("signed in: %d", w.Code)
			}
			w := serve(h, page("https://app.dev/account?a=b%20c"))
			if want := "https://app.dev/sign-in?from=app&redirect_url=https%3A%2F%2Fapp.dev%2Faccount%3Fa%3Db%2520c"; w.Code != http.StatusTemporaryRedirect || w.Header().Get("Location") != want {
				t.Errorf("page: %d %s, want %s", w.Code, w.Header().Get("Location"), want)
			}
			if w.Header().Get("Cache-Control") != "no-store" {
				t.Errorf("headers %v", w.Header())
			}
			for kind, r := range map[string]*http.Request{
				"call": withHeader(page("https://app.dev/api"), "Sec-Fetch-Dest", "empty"),
				"curl": httptest.NewRequest(http.MethodGet, "https://app.dev/api", nil),
				"form": httptest.NewRequest(http.MethodPost, "https://app.dev/api", nil),
				// Redirecting the sign-in page to itself would never end.
				"sign-in page": page("https://app.dev/sign-in?redirect_url=x"),
			} {
				if w := serve(h, r); w.Code != http.StatusUnauthorized || errorCode(t, w) != "authentication_invalid" || w.Header().Get("Location") != "" {
					t.Errorf("%s: %d %s", kind, w.Code, w.Body)
				}
			}
			// What a handshake can repair is repaired first.
			if w := serve(h, page("https://app.dev/account", "__client_uat=1")); w.Code != http.StatusTemporaryRedirect || w.Header().Get("X-Clerk-Auth-Status") != "handshake" {
				t.Errorf("expired: %d %v", w.Code, w.Header())
			}
			w = serve(h, withHeader(page("https://app.dev/account"), "Authorization", "Bearer "+sessionToken(claims{"sts": "pending"})))
			if u, _ := url.Parse(w.Header().Get("Location")); w.Code != http.StatusTemporaryRedirect || u.Path != "/sign-in/tasks" {
				t.Errorf("pending: %d %s", w.Code, w.Header().Get("Location"))
			}
		})
	}
}

func TestPageURLs(t *testing.T) {
	tests := map[string]struct {
		change         func(*Config)
		signIn, signUp string
	}{
		"the account portal": {nil,
			"https://accounts.app.dev/sign-in?redirect_url=https%3A%2F%2Fapp.dev%2Fx", "https://accounts.app.dev/sign-up?redirect_url=https%3A%2F%2Fapp.dev%2Fx"},
		"a satellite": {func(c *Config) { satellite(c); c.SignInURL, c.SignUpURL = "https://primary.dev/sign-in", "/up" },
			"https://primary.dev/sign-in?redirect_url=https%3A%2F%2Fapp.dev%2Fx%3F__clerk_synced%3Dfalse", "https://app.dev/up?redirect_url=https%3A%2F%2Fapp.dev%2Fx"},
		"development": {development,
			"https://foo-bar-13.accounts.dev/sign-in?__clerk_db_jwt=dvb_1&redirect_url=https%3A%2F%2Fapp.dev%2Fx", "https://foo-bar-13.accounts.dev/sign-up?__clerk_db_jwt=dvb_1&redirect_url=https%3A%2F%2Fapp.dev%2Fx"},
		"a host that is not accepted": {func(c *Config) { c.Hosts = []string{"other.dev"}; c.SignInURL = "/in" }, "/in", "/in/create"},
		"sign-up below the sign-in page, as Clerk's component has it": {func(c *Config) { c.SignInURL = "https://app.dev/in/?a=b" },
			"https://app.dev/in/?a=b&redirect_url=https%3A%2F%2Fapp.dev%2Fx", "https://app.dev/in/create?a=b&redirect_url=https%3A%2F%2Fapp.dev%2Fx"},
	}
	for name, tt := range tests {
		a := newAuthenticator(t, newFakeClerk(t), tt.change)
		r := page("https://app.dev/x", "__clerk_db_jwt=dvb_1")
		if in, up := a.SignInURL(r), a.SignUpURL(r); in != tt.signIn || up != tt.signUp {
			t.Errorf("%s:\n%s\n%s", name, in, up)
		}
	}
}

func TestARotatedSecretKeyOfTheProxyIsUsed(t *testing.T) {
	proxy, err := clerkproxy.New(clerkproxy.Config{PublishableKey: livePK, SecretKey: "sk_live_former", ProxyURL: "/__clerk"})
	if err != nil {
		t.Fatal(err)
	}
	a := newAuthenticator(t, newFakeClerk(t), func(c *Config) { c.Proxy, c.PublishableKey, c.SecretKey = proxy, "", "" })
	if err := proxy.SetSecretKey(liveSK); err != nil {
		t.Fatal(err)
	}
	if state, _ := a.Authenticate(bearer(sessionToken(nil))); state.Status != SignedIn { // its key comes from the Backend API
		t.Errorf("got %s %s", state.Status, state.Reason)
	}
}

func TestWithProxy(t *testing.T) {
	proxy, err := clerkproxy.New(clerkproxy.Config{PublishableKey: livePK, SecretKey: liveSK, ProxyURL: "/__clerk", Hosts: []string{"app.dev", "*.app.dev"}})
	if err != nil {
		t.Fatal(err)
	}
	a := newAuthenticator(t, newFakeClerk(t), func(c *Config) { c.Proxy, c.PublishableKey, c.SecretKey = proxy, "", "" })
	for host, want := range map[string]string{
		"app.dev": "https://app.dev/__clerk/v1/client/handshake", "www.app.dev:8443": "https://www.app.dev:8443/__clerk/v1/client/handshake", "evil.dev": "",
	} {
		r := page("https://"+host+"/", "__client_uat=1")
		state, _ := a.Authenticate(r)
		if u, _ := url.Parse(state.Location); u.Host == "" && want != "" || u.Host != "" && u.Scheme+"://"+u.Host+u.Path != want {
			t.Errorf("%s: handshake at %s", host, state.Location)
		}
	}
	if w := serve(a.Middleware(http.NotFoundHandler()), bearer(sessionToken(nil))); w.Code != http.StatusNotFound {
		t.Errorf("signed in: %d", w.Code)
	}
}
