package auth

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"
)

// refused fails the test when a token is accepted, in a header or a cookie, or
// shows up in what is answered.
func refused(t *testing.T, a *Authenticator, token string) State {
	t.Helper()
	r := httptest.NewRequest(http.MethodGet, "https://app.dev/", nil)
	r.Header.Set("Authorization", "Bearer "+token)
	inHeader, err := a.Authenticate(r)
	if err != nil || inHeader.Status != SignedOut || inHeader.Session != nil {
		t.Errorf("accepted in a header: %+v, %v", inHeader, err)
	}
	inCookie, err := a.Authenticate(page("https://app.dev/", "__client_uat=1; __session="+token))
	if err != nil || inCookie.Status == SignedIn || inCookie.Session != nil {
		t.Errorf("accepted in a cookie: %+v, %v", inCookie, err)
	}
	for _, state := range []State{inHeader, inCookie} {
		h := state.Header.Clone()
		h.Del("Location")
		if signature := token[strings.LastIndexByte(token, '.')+1:]; len(signature) > 20 && strings.Contains(fmt.Sprint(h, state.Message), signature) {
			t.Errorf("the answer holds the token: %v", h)
		}
	}
	return inHeader
}

func TestRefusesTokens(t *testing.T) {
	clerk := newFakeClerk(t)
	own, foreign := signingKeys()[0], signingKeys()[1]
	strict := newAuthenticator(t, clerk, func(c *Config) { c.AuthorizedParties = []string{"https://app.dev"} })
	if _, err := json.Marshal(header(nil)); err != nil {
		t.Fatal(err)
	}
	unsigned := func(h claims) string {
		head, _ := json.Marshal(header(h))
		body, _ := json.Marshal(sessionClaims(nil))
		return encode(head) + "." + encode(body)
	}
	mac := func(input, secret string) string {
		m := hmac.New(sha256.New, []byte(secret))
		m.Write([]byte(input))
		return input + "." + encode(m.Sum(nil))
	}
	good := sessionToken(nil)
	tests := []struct{ name, token, reason string }{
		{"alg none", unsigned(claims{"alg": "none"}) + ".", "token-invalid-algorithm"},
		{"alg none in capitals", unsigned(claims{"alg": "NONE"}) + ".", "token-invalid-algorithm"},
		{"no signature", unsigned(nil) + ".", "token-invalid-signature"},
		{"HS256 with the public key in PEM", mac(unsigned(claims{"alg": "HS256"}), pemOf(&own.PublicKey)), "token-invalid-algorithm"},
		{"HS256 with the modulus", mac(unsigned(claims{"alg": "HS256"}), string(own.N.Bytes())), "token-invalid-algorithm"},
		{"RS256 that is an HMAC", mac(unsigned(nil), pemOf(&own.PublicKey)), "token-invalid-signature"},
		{"key of another instance under our kid", sign(foreign, header(nil), sessionClaims(nil)), "token-invalid-signature"},
		{"key of another instance under its own kid", sign(foreign, header(claims{"kid": "ins_2"}), sessionClaims(nil)), "jwk-kid-mismatch"},
		{"key in the header", sign(foreign, header(claims{"jwk": jwkOf("ins_1", &foreign.PublicKey)}), sessionClaims(nil)), "token-invalid-signature"},
		{"no kid", sign(own, claims{"alg": "RS256"}, sessionClaims(nil)), "jwk-kid-mismatch"},
		{"token of a template", sign(own, header(claims{"cat": "cl_B7d4PD222AAA"}), sessionClaims(nil)), reasonTokenTypeMismatch},
		{"token of a machine", sign(own, header(claims{"cat": categoryMachine}), sessionClaims(nil)), reasonTokenTypeMismatch},
		{"token of an unknown class", sign(own, header(claims{"cat": "cl_new"}), sessionClaims(nil)), reasonTokenTypeMismatch},
		{"token with null as its class", sign(own, header(claims{"cat": nil}), sessionClaims(nil)), reasonTokenTypeMismatch},
		{"OAuth access token", sign(own, header(claims{"typ": "at+jwt"}), sessionClaims(nil)), reasonTokenTypeMismatch},
		{"machine as the subject", sessionToken(claims{"sub": "mch_1"}), reasonTokenTypeMismatch},
		{"missing azp", sessionToken(claims{"azp": nil}), "token-invalid-authorized-parties"},
		{"foreign azp", sessionToken(claims{"azp": "https://evil.dev"}), "token-invalid-authorized-parties"},
		{"azp that is a list", sessionToken(claims{"azp": []string{"https://app.dev"}}), "token-invalid-authorized-parties"},
		{"missing sub", sessionToken(claims{"sub": nil}), "token-verification-failed"},
		{"payload exchanged", strings.Split(good, ".")[0] + "." + strings.Split(sessionToken(claims{"sub": "user_2"}), ".")[1] + "." + strings.Split(good, ".")[2], "token-invalid-signature"},
		{"line break in the signature", good[:len(good)-4] + "\n" + good[len(good)-4:], "token-invalid"},
		{"padding", good + "=", "token-invalid"},
		{"a megabyte", good + strings.Repeat("A", 1<<20), "token-invalid"},
		{"a megabyte of dots", strings.Repeat(".", 1<<20), "token-invalid"},
		{"a megabyte of claims", sessionToken(claims{"x": strings.Repeat("x", 1<<20)}), "token-invalid"},
		{"deeply nested", encode([]byte(strings.Repeat("[", 10000))) + "." + encode([]byte("{}")) + ".AA", "token-invalid"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if state := refused(t, strict, tt.token); state.Reason != tt.reason {
				t.Errorf("reason %s, want %s", state.Reason, tt.reason)
			}
		})
	}
	if state, _ := strict.Authenticate(bearer(good)); state.Status != SignedIn {
		t.Errorf("a good token is refused too: %+v", state)
	}
}

func bearer(token string) *http.Request {
	r := httptest.NewRequest(http.MethodGet, "https://app.dev/", nil)
	r.Header.Set("Authorization", "Bearer "+token)
	return r
}

// A claim whose name differs by case is another claim, and a token that is
// remembered is remembered for what it is.
func TestClaimsThatLookAlike(t *testing.T) {
	a := newAuthenticator(t, newFakeClerk(t), nil)
	for range 2 {
		state, _ := a.Authenticate(bearer(sessionToken(claims{"Sub": "user_evil", "SID": "sess_evil", "aZP": "x", "ORG_ID": "org_evil"})))
		s := state.Session
		if s == nil || s.UserID != "user_1" || s.ID != "sess_1" || s.OrgID != "" {
			t.Fatalf("got %+v", s)
		}
		if c := s.Claims; c.Subject != "user_1" || c.SessionID != "sess_1" || c.ActiveOrganizationID != "" || c.AuthorizedParty != "https://app.dev" {
			t.Errorf("Clerk's SDK sees %+v", c.Claims)
		}
	}
}

func TestForgedHandshakes(t *testing.T) {
	own, foreign := signingKeys()[0], signingKeys()[1]
	lines := claims{"handshake": []string{"__session=" + sessionToken(claims{"sub": "user_evil"}) + "; Path=/"}}
	for name, token := range map[string]string{
		"of another instance": sign(foreign, header(nil), lines),
		"of a template":       sign(own, header(claims{"cat": "cl_B7d4PD222AAA"}), lines),
		"of a machine":        sign(own, header(claims{"cat": categoryMachine}), lines),
		"unsigned":            sign(own, header(claims{"alg": "none"}), lines),
		"malformed":           "x.y.z",
		"too long":            sign(own, header(nil), claims{"handshake": []string{strings.Repeat("x", maxTokenBytes)}}),
	} {
		t.Run(name, func(t *testing.T) {
			a := newAuthenticator(t, newFakeClerk(t), nil)
			state, err := a.Authenticate(page("https://app.dev/", "__clerk_handshake="+token))
			if err != nil || state.Status != SignedOut || len(state.Header["Set-Cookie"]) > 0 {
				t.Errorf("in production: %+v, %v", state, err)
			}
			// The request goes on as if it had none.
			state, err = a.Authenticate(page("https://app.dev/", "__clerk_handshake="+token+"; __client_uat=1; __session="+sessionToken(nil)))
			if err != nil || state.Status != SignedIn || state.Session.UserID != "user_1" {
				t.Errorf("in production, signed in: %+v, %v", state, err)
			}
			dev := newAuthenticator(t, newFakeClerk(t), development)
			state, err = dev.Authenticate(page("https://app.dev/?__clerk_handshake=" + token))
			if err != ErrHandshake || state.Status != SignedOut || state.Location != "" || len(state.Header["Set-Cookie"]) > 0 {
				t.Errorf("in development: %+v, %v", state, err)
			}
		})
	}
}

// A link must not sign the one who follows it in as somebody else.
func TestHandshakeInAProductionURL(t *testing.T) {
	clerk := newFakeClerk(t)
	lines := []string{"__session=" + sessionToken(claims{"sub": "user_evil"}) + "; Path=/"}
	clerk.payloads["nonce"] = lines
	a := newAuthenticator(t, clerk, nil)
	for _, query := range []string{"__clerk_handshake_nonce=nonce", "__clerk_handshake=" + sign(signingKeys()[0], header(nil), claims{"handshake": lines})} {
		state, err := a.Authenticate(page("https://app.dev/?" + query))
		if err != nil || state.Status != SignedOut || len(state.Header["Set-Cookie"]) > 0 {
			t.Errorf("%+v, %v", state, err)
		}
	}
}

func TestHostileCookiesOfAHandshake(t *testing.T) {
	token := sessionToken(nil)
	good := "__session=" + token + "; Path=/; Secure; SameSite=Lax"
	hostile := []string{
		"app_session=evil; Path=/",
		"__sessionevil=1",
		"__session_toolong_suffix=1",
		"__session_AAAAAAA;=1",
		"__Host-session=1",
		"__client_uat\r\nSet-Cookie: evil=1",
		"__client_uat=1\r\nSet-Cookie: evil=1",
		"__client_uat=1\nevil=1",
		"__client_uat=1; Path=/\x00",
		"__client_uat=1; Evil=1",
		"__client_uat=é",
		" __client_uat=1",
		"__client_uat =1",
		"__client_uat",
		"",
		"__client_uat=" + strings.Repeat("1", maxDirectiveBytes),
	}
	clerk := newFakeClerk(t)
	clerk.payloads["n"] = append(append([]string{}, hostile...), good)
	a := newAuthenticator(t, clerk, nil)
	state, err := a.Authenticate(page("https://app.dev/", "__clerk_handshake_nonce=n"))
	if err != nil || state.Status != SignedIn {
		t.Fatalf("%+v, %v", state, err)
	}
	if got := state.Header["Set-Cookie"]; len(got) != 1 || got[0] != good {
		t.Errorf("cookies set: %q", got)
	}
	clerk.payloads["many"] = make([]string, 500)
	for i := range clerk.payloads["many"] {
		clerk.payloads["many"][i] = good
	}
	state, _ = a.Authenticate(page("https://app.dev/", "__clerk_handshake_nonce=many"))
	if n := len(state.Header["Set-Cookie"]); n != maxDirectives {
		t.Errorf("%d cookies set", n)
	}
}

// Whatever the request says, a redirect goes to Clerk, and comes back to a host
// that is accepted.
func TestOpenRedirects(t *testing.T) {
	expired := "__client_uat=1; __session=" + sessionToken(claims{"exp": now.Unix() - 60})
	open := newAuthenticator(t, newFakeClerk(t), nil)
	closed := newAuthenticator(t, newFakeClerk(t), func(c *Config) { c.Hosts = []string{"app.dev"} })
	behind := newAuthenticator(t, newFakeClerk(t), func(c *Config) { c.Hosts = []string{"app.dev"}; c.ProxyURL = "/__clerk" })

	returns := func(state State) (to, back *url.URL) {
		t.Helper()
		if state.Status != Handshake {
			t.Fatalf("no handshake: %+v", state)
		}
		to, err := url.Parse(state.Location)
		if err != nil {
			t.Fatal(err)
		}
		back, err = url.Parse(to.Query().Get("redirect_url"))
		if err != nil {
			t.Fatal(err)
		}
		return to, back
	}

	t.Run("redirect_url in the query", func(t *testing.T) {
		state, _ := open.Authenticate(page("https://app.dev/?redirect_url=https://evil.dev&__clerk_redirect_url=https://evil.dev", expired))
		if to, back := returns(state); to.Host != "clerk.app.dev" || back.Host != "app.dev" {
			t.Errorf("to %s, back to %s", to, back)
		}
	})
	t.Run("path with two slashes", func(t *testing.T) {
		for _, target := range []string{"//evil.dev/", "///evil.dev", `/\evil.dev`, "/%2F/evil.dev", "/@evil.dev"} {
			r := page("https://app.dev/", expired)
			r.RequestURI = target
			state, _ := open.Authenticate(r)
			if _, back := returns(state); back.Host != "app.dev" {
				t.Errorf("%s: back to %s", target, back)
			}
		}
	})
	t.Run("absolute request target", func(t *testing.T) {
		r := page("https://evil.dev/x", expired)
		r.RequestURI, r.Host = "https://evil.dev/x", "app.dev"
		state, _ := closed.Authenticate(r)
		if _, back := returns(state); back.Host != "app.dev" {
			t.Errorf("back to %s", back)
		}
	})
	t.Run("X-Forwarded-Host of a stranger", func(t *testing.T) {
		r := page("https://app.dev/", expired)
		r.Header.Set("X-Forwarded-Host", "evil.dev")
		state, _ := open.Authenticate(r)
		if to, back := returns(state); to.Host != "clerk.app.dev" || back.Host != "app.dev" {
			t.Errorf("to %s, back to %s", to, back)
		}
	})
	t.Run("X-Forwarded-Host through a trusted proxy", func(t *testing.T) {
		for _, a := range []*Authenticator{closed, behind} {
			r := page("https://app.dev/", expired)
			r.RemoteAddr = "127.0.0.1:1"
			r.Header.Set("X-Forwarded-Host", "evil.dev")
			if state, _ := a.Authenticate(r); state.Status != SignedOut || state.Location != "" {
				t.Errorf("%+v", state)
			}
		}
	})
	t.Run("invented hosts", func(t *testing.T) {
		for _, host := range []string{"evil.dev", "app.dev.evil.dev", "evil.dev#app.dev", "app.dev@evil.dev", "app.dev/evil", "", "app.dev:x"} {
			r := page("https://app.dev/", expired)
			r.Host = host
			if state, _ := behind.Authenticate(r); state.Status != SignedOut || state.Location != "" {
				t.Errorf("%q: %+v", host, state)
			}
			w := httptest.NewRecorder()
			behind.Require(http.NotFoundHandler()).ServeHTTP(w, r)
			if w.Code != http.StatusUnauthorized || w.Header().Get("Location") != "" {
				t.Errorf("%q: Require answers %d, %s", host, w.Code, w.Header().Get("Location"))
			}
		}
	})
	t.Run("a satellite that is nobody's, in development", func(t *testing.T) {
		a := newAuthenticator(t, newFakeClerk(t), func(c *Config) { development(c); c.AllowedRedirectOrigins = []string{"https://satellite.dev"} })
		for to, allowed := range map[string]bool{
			"https://evil.dev/": false, "//evil.dev": false, "javascript:alert(1)": false, "https://satellite.dev@evil.dev/": false,
			"https://satellite.dev.evil.dev/": false, "http://satellite.dev/": false, "data:text/html,x": false, `https://evil.dev\.satellite.dev`: false,
			"https://satellite.dev/x": true, "http://localhost:3001/": true, "http://app.localhost:3001/": true, "http://[::1]:3001/": true,
		} {
			state, _ := a.Authenticate(page("https://app.dev/?__clerk_redirect_url="+url.QueryEscape(to), "__clerk_db_jwt=dvb_secret"))
			if answered := state.Reason == reasonPrimaryResponds; answered != allowed {
				t.Errorf("%s: %+v", to, state)
			}
			if !allowed && strings.Contains(state.Location, "dvb_secret") {
				t.Errorf("%s: the browser's token is sent to %s", to, state.Location)
			}
		}
	})
}

func TestCookieBombs(t *testing.T) {
	a := newAuthenticator(t, newFakeClerk(t), nil)
	good := "__client_uat=1; __session=" + sessionToken(nil)
	for name, tt := range map[string]struct {
		cookies []string
		status  Status
	}{
		"below the bound":     {[]string{good + "; a=" + strings.Repeat("x", 40<<10)}, SignedIn},
		"a megabyte":          {[]string{"a=" + strings.Repeat("x", 1<<20) + "; " + good}, SignedOut},
		"a megabyte behind":   {[]string{good, "a=" + strings.Repeat("x", 1<<20)}, SignedIn},
		"many lines":          {append([]string{good}, strings.Split(strings.Repeat("a=b\n", 100000), "\n")...), SignedIn},
		"many cookies":        {[]string{good + strings.Repeat("; a=b", 10000)}, SignedIn},
		"many separators":     {[]string{strings.Repeat(";", 60000)}, SignedOut},
		"many session tokens": {[]string{good + strings.Repeat("; __session=x.y.z", 3000)}, SignedIn},
	} {
		t.Run(name, func(t *testing.T) {
			if state, err := a.Authenticate(page("https://app.dev/", tt.cookies...)); err != nil || state.Status != tt.status {
				t.Errorf("%+v, %v", state, err)
			}
		})
	}
}

// What a client sends does not end up in a log, and no key does.
func TestLogsHoldNoSecrets(t *testing.T) {
	var log strings.Builder
	clerk := newFakeClerk(t)
	clerk.payloads["n"] = []string{"evil=secret_cookie"}
	change := func(c *Config) {
		c.Logger = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	token := sessionToken(claims{"exp": now.Unix() - 60})
	signature := token[strings.LastIndexByte(token, '.')+1:]
	live := newAuthenticator(t, clerk, change)
	dev := newAuthenticator(t, clerk, func(c *Config) { development(c); change(c) })
	for _, a := range []*Authenticator{live, dev} {
		for _, r := range []*http.Request{
			page("https://app.dev/?secret_query=1", "__clerk_handshake_nonce=secret_nonce"),
			page("https://app.dev/", "__clerk_handshake_nonce=n"),
			page("https://app.dev/", "__clerk_handshake=x.secret_handshake.z"),
			page("https://app.dev/", "__clerk_redirect_count=3; __client_uat=1; __session="+token),
			page("https://app.dev/", "__client_uat=1; __session="+token+"; __refresh_"+a.suffix+"=secret_refresh"),
			page("https://app.dev/?__clerk_redirect_url=https://evil.dev", "__clerk_db_jwt=secret_browser"),
		} {
			_, _ = a.Authenticate(r)
		}
	}
	clerk.Close()
	refusedConnection := newAuthenticator(t, clerk, change)
	_, _ = refusedConnection.Authenticate(bearer(token))
	_, _ = refusedConnection.Authenticate(page("https://app.dev/", "__clerk_handshake_nonce=secret_nonce"))
	if log.Len() == 0 {
		t.Error("nothing was logged")
	}
	for _, secret := range []string{"secret_", signature, liveSK, testSK} {
		if strings.Contains(log.String(), secret) {
			t.Errorf("the log holds %q:\n%s", secret, log.String())
		}
	}
}

// The Backend API's redirects are not followed: the secret key would go along.
func TestSecretKeyStays(t *testing.T) {
	var leaked bool
	elsewhere := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { leaked = true }))
	t.Cleanup(elsewhere.Close)
	redirecting := httptest.NewServer(http.RedirectHandler(elsewhere.URL, http.StatusFound))
	t.Cleanup(redirecting.Close)
	a := newAuthenticator(t, newFakeClerk(t), func(c *Config) { c.BackendAPIURL = redirecting.URL; c.Timeout = time.Second })
	if state, _ := a.Authenticate(bearer(sessionToken(nil))); state.Status != SignedOut || leaked {
		t.Errorf("%+v, leaked: %v", state, leaked)
	}
}
