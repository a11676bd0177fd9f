package auth

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
)

// staticKey makes an Authenticator that needs no network.
func staticKey(t testing.TB, change func(*Config)) *Authenticator {
	return newAuthenticator(t, newFakeClerk(t), func(c *Config) {
		c.JWTKey = pemOf(&signingKeys()[0].PublicKey)
		if change != nil {
			change(c)
		}
	})
}

func FuzzToken(f *testing.F) {
	a := staticKey(f, nil)
	good := sessionToken(nil)
	for _, s := range []string{"", "..", "a.b.c", good, good + "=", strings.Replace(good, ".", "..", 1), sign(signingKeys()[1], header(nil), sessionClaims(nil)),
		encode([]byte(`{"alg":"none"}`)) + "." + encode([]byte(`{"sub":"x","exp":1e300}`)) + ".", encode([]byte(`null`)) + "." + encode([]byte(`[]`)) + "."} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		p := a.present(s, now)
		if (p.token == nil) == (p.err == nil) {
			t.Fatalf("token %v, error %v", p.token, p.err)
		}
		session, err := a.verify(t.Context(), &p, a.skew, now)
		if (session == nil) == (err == nil) {
			t.Fatalf("session %v, error %v", session, err)
		}
		// No fuzzer finds a signature: what is accepted was signed above.
		if session != nil && s != good {
			t.Fatalf("accepted %q", s)
		}
		if err != nil && err.reason == "" {
			t.Error("an error without a reason")
		}
	})
}

func FuzzCookieHeader(f *testing.F) {
	live, dev := staticKey(f, nil), staticKey(f, development)
	for _, s := range []string{"", "a=b", "__session=x; __client_uat=1", "__session_" + live.suffix + "=a.b.c", ";;=;", "__session=%", "__clerk_redirect_count=99999999999999999999", "__client_uat=-0x1", "__clerk_handshake=a.b.c"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, line string) {
		for _, a := range []*Authenticator{live, dev} {
			if state, _ := a.Authenticate(page("https://app.dev/", line)); state.Status == SignedIn {
				t.Errorf("signed in by %q", line)
			} else {
				validHeaders(t, state.Header)
			}
		}
	})
}

// validHeaders fails for headers that could be two.
func validHeaders(t *testing.T, h http.Header) {
	t.Helper()
	for name, values := range h {
		for _, v := range values {
			for i := range len(v) {
				if v[i] < ' ' || v[i] >= 0x7f {
					t.Errorf("%s: %q", name, v)
				}
			}
		}
	}
}

func FuzzHandshakePayload(f *testing.F) {
	for _, s := range []string{`{"handshake":["__session=x; Path=/"]}`, `{"handshake":["__session=` + sessionToken(nil) + `","a=b"]}`, `{"handshake":"x"}`, `{"handshake":[1,null,{}]}`, `{}`, `null`} {
		f.Add(s)
	}
	live, dev := staticKey(f, nil), staticKey(f, development)
	f.Fuzz(func(t *testing.T, payload string) {
		if !json.Valid([]byte(payload)) {
			return
		}
		token := sign(signingKeys()[0], header(nil), json.RawMessage(payload))
		for _, a := range []*Authenticator{live, dev} {
			state, err := a.Authenticate(page("https://app.dev/", "__clerk_handshake="+token))
			if err != nil && len(state.Header["Set-Cookie"]) > 0 {
				t.Error("cookies after an error")
			}
			validHeaders(t, state.Header)
			for _, line := range state.Header["Set-Cookie"] {
				c, err := http.ParseSetCookie(line)
				if err != nil || !allowedCookie(c.Name) {
					t.Errorf("%q is set: %v", line, err)
				}
			}
		}
	})
}

func FuzzRequestURL(f *testing.F) {
	a := staticKey(f, nil)
	for _, s := range []string{"/", "//evil.dev", "/?a=b&__clerk_db_jwt=x", "/%2F%2F", "/?é", "https://evil.dev/", `/\evil.dev`, "/a?b;c", "*"} {
		f.Add(s, "app.dev")
	}
	f.Fuzz(func(t *testing.T, target, host string) {
		r := httptest.NewRequest(http.MethodGet, "http://app.dev/", nil)
		u, err := url.ParseRequestURI(target)
		if err != nil {
			return
		}
		r.URL, r.RequestURI, r.Host = u, target, host
		r.Header.Set("Sec-Fetch-Dest", "document")
		r.Header.Set("Cookie", "__client_uat=1")
		state, _ := a.Authenticate(r)
		validHeaders(t, state.Header)
		if state.Location == "" {
			return
		}
		to, err := url.Parse(state.Location)
		if err != nil || to.Host != "clerk.app.dev" {
			t.Fatalf("goes to %s: %v", state.Location, err)
		}
		back, err := url.Parse(to.Query().Get("redirect_url"))
		if err != nil || !strings.EqualFold(strings.TrimSuffix(back.Host, ":80"), strings.TrimSuffix(host, ":80")) {
			t.Fatalf("%q on %q comes back to %s: %v", target, host, to.Query().Get("redirect_url"), err)
		}
	})
}

func FuzzPathPattern(f *testing.F) {
	for _, s := range []string{"/orgs/:slug", "/orgs/:slug/(.*)", "/{a:b(c)d}?", `\`, "/:a-:b", "/:x*", "((", "/a{b}+"} {
		f.Add(s, "/orgs/acme")
	}
	f.Fuzz(func(t *testing.T, pattern, path string) {
		p, err := compilePathPattern(pattern)
		if err != nil {
			return
		}
		params, ok := p.match(path)
		if !ok && params != nil {
			t.Errorf("parameters %v without a match", params)
		}
		for name, value := range params {
			if !strings.Contains(path, value) {
				t.Errorf("%s=%q is not in %q", name, value, path)
			}
		}
	})
}
