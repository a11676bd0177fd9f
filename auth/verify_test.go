package auth

import (
	"strings"
	"testing"
	"time"
)

func TestClaims(t *testing.T) {
	strict := func(c *Config) {
		c.AuthorizedParties, c.Audiences = []string{"https://app.dev", "https://www.app.dev"}, []string{"web", "api"}
	}
	tests := []struct {
		name   string
		change claims
		reason string // empty: accepted
	}{
		{"as usual", nil, ""},
		{"the other party", claims{"azp": "https://www.app.dev"}, ""},
		{"a party in other letters", claims{"azp": "https://APP.dev"}, "token-invalid-authorized-parties"},
		{"an empty party", claims{"azp": ""}, "token-invalid-authorized-parties"},
		{"an audience", claims{"aud": "api"}, ""},
		{"several audiences", claims{"aud": []string{"x", "web"}}, ""},
		{"an empty audience", claims{"aud": ""}, ""},
		{"no audiences", claims{"aud": []string{}}, ""},
		{"another audience", claims{"aud": "x"}, "token-verification-failed"},
		{"other audiences", claims{"aud": []string{"x", "y"}}, "token-verification-failed"},
		{"an audience that is a number", claims{"aud": 5}, "token-verification-failed"},
		{"a subject that is a number", claims{"sub": 5}, "token-verification-failed"},
		{"no expiry", claims{"exp": nil}, "token-verification-failed"},
		{"an expiry that is text", claims{"exp": "soon"}, "token-verification-failed"},
		{"an expiry in the far future", claims{"exp": 1e300}, ""},
		{"an expiry before time began", claims{"exp": -1e300}, "session-token-expired-refresh-non-eligible-no-refresh-cookie"},
		{"a beginning that is text", claims{"nbf": "now"}, "token-verification-failed"},
		{"an issue that is text", claims{"iat": "now"}, "token-verification-failed"},
		{"neither beginning nor issue", claims{"nbf": nil, "iat": nil}, ""},
		{"expired within the skew", claims{"exp": now.Unix() - 4}, ""},
		{"expired at the skew", claims{"exp": now.Unix() - 5}, "session-token-expired-refresh-non-eligible-no-refresh-cookie"},
		{"early within the skew", claims{"nbf": now.Unix() + 5}, ""},
		{"early beyond the skew", claims{"nbf": now.Unix() + 6}, reasonTokenNBF},
		{"issued beyond the skew", claims{"iat": now.Unix() + 6}, reasonTokenInFuture},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a := newAuthenticator(t, newFakeClerk(t), strict)
			for range 2 { // the second time, it may be remembered
				if state, _ := a.Authenticate(bearer(sessionToken(tt.change))); state.Reason != tt.reason {
					t.Errorf("got %s (%s), want %q", state.Reason, state.Message, tt.reason)
				}
			}
		})
	}
}

// A token that is remembered still expires.
func TestRememberedTokenExpires(t *testing.T) {
	c := &clock{t: now}
	a := newAuthenticator(t, newFakeClerk(t), func(config *Config) { config.Now = c.Now })
	token := sessionToken(nil) // for 50 seconds more
	for _, tt := range []struct {
		after  time.Duration
		status Status
	}{{0, SignedIn}, {54 * time.Second, SignedIn}, {55 * time.Second, SignedOut}} {
		c.mu.Lock()
		c.t = now.Add(tt.after)
		c.mu.Unlock()
		if state, _ := a.Authenticate(bearer(token)); state.Status != tt.status {
			t.Errorf("after %v: %+v", tt.after, state)
		}
	}
}

func TestMessagesThatAreNoHeaders(t *testing.T) {
	a := newAuthenticator(t, newFakeClerk(t), nil)
	for name, kid := range map[string]string{"line break": "a\r\nSet-Cookie: evil=1", "text outside ASCII": "é", "long": strings.Repeat("x", 2000)} {
		state, _ := a.Authenticate(bearer(sign(signingKeys()[1], header(claims{"kid": kid}), sessionClaims(nil))))
		if got, ok := state.Header["X-Clerk-Auth-Message"]; ok || state.Reason != "jwk-kid-mismatch" {
			t.Errorf("%s: %s, %q", name, state.Reason, got)
		}
	}
}

func TestIsDevelopmentPortal(t *testing.T) {
	for host, want := range map[string]bool{
		"foo-bar-13.accounts.dev": true, "foo-bar-13.clerk.accounts.dev": false, "accounts.dev": false, "evil-accounts.dev": false,
		"foo.accountsstage.dev": true, "accounts.foo.lcl.dev": true, "foo.lcl.dev": false, "accounts.app.dev": false,
	} {
		if got := isDevelopmentPortal(host); got != want {
			t.Errorf("%s: %v", host, got)
		}
	}
}
