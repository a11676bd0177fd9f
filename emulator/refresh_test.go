package emulator

import (
	"encoding/json"
	"maps"
	"net/http"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4/jwt"
)

// expiredSession is a browser whose session token has expired, and what a server then
// sends to refresh it.
func expiredSession(t *testing.T) (s *Server, b *browser, clock *clock, id string, body object) {
	s, b, clock = signInServer(t)
	id = b.signIn(ada)
	cookies := payload(t, s, b.shake(testPage, nil))
	clock.advance(time.Hour)
	return s, b, clock, id, object{
		"format":          "cookie",
		"expired_token":   cookies["__session"].Value,
		"refresh_token":   cookies["__refresh_"+s.instance.CookieSuffix()].Value,
		"request_origin":  "https://example.com",
		"request_headers": map[string][]string{"user-agent": {"test"}},
	}
}

func refresh(t *testing.T, s *Server, id, query string, body object) answer {
	t.Helper()
	encoded, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	return backendCall(t, s, http.MethodPost, "/v1/sessions/"+id+"/refresh"+query, string(encoded))
}

func refreshed(t *testing.T, a answer) map[string]*http.Cookie {
	t.Helper()
	var result struct {
		Object  string
		Cookies []string
	}
	if err := json.Unmarshal(a.body, &result); err != nil || a.status != http.StatusOK || result.Object != "cookies" {
		t.Fatalf("got %d %s", a.status, a.body)
	}
	return cookiesOf(t, result.Cookies)
}

func TestRefreshingASession(t *testing.T) {
	s, _, clock, id, body := expiredSession(t)
	suffix := s.instance.CookieSuffix()
	for query, names := range map[string][]string{
		"":                        {"__session", "__refresh_" + suffix},
		"?suffixed_cookies=false": {"__session", "__refresh_" + suffix},
		"?suffixed_cookies=true":  {"__session", "__session_" + suffix, "__refresh_" + suffix},
	} {
		cookies := refreshed(t, refresh(t, s, id, query, body))
		if len(cookies) != len(names) {
			t.Errorf("%s: it sets %v", query, cookies)
		}
		for _, name := range names {
			if c := cookies[name]; c == nil || c.Value == "" || c.Domain != "" || !c.Secure || c.HttpOnly != (name == "__refresh_"+suffix) {
				t.Errorf("%s: %s is %v", query, name, c)
			}
		}
		_, got := claims(t, cookies["__session"].Value, s.keys.current().private.Public())
		if got["sid"] != id || got["iat"] != float64(clock.Now().Unix()) || got["azp"] != "https://example.com" || got["iss"] != testProxyURL {
			t.Errorf("%s: claims %v", query, got)
		}

		if a := refresh(t, s, id, query, body); a.status != http.StatusUnauthorized || a.code() != "refresh_token_invalid" {
			t.Errorf("%s: the same refresh token again: %d %s", query, a.status, a.body)
		}
		body["refresh_token"] = cookies["__refresh_"+suffix].Value
	}
	if got := s.Sessions()[0].LastActiveAt; !got.Equal(clock.Now()) {
		t.Errorf("last active at %v", got)
	}
}

func TestRefreshingForATokenAlone(t *testing.T) {
	s, _, _, id, body := expiredSession(t)
	for _, format := range []any{"token", nil} {
		body["format"] = format
		a := refresh(t, s, id, "", body)
		if a.status != http.StatusOK || a.at("object") != "token" || sessionClaims(t, a.at("jwt").(string))["sid"] != id {
			t.Errorf("got %d %s", a.status, a.body)
		}
	}
}

func TestRefreshesThatAreRefused(t *testing.T) {
	tests := []struct {
		name   string
		change func(t *testing.T, s *Server, b *browser, c *clock, body object) (id string)
		status int
		code   string
	}{
		{"another refresh token", func(_ *testing.T, _ *Server, _ *browser, _ *clock, body object) string {
			body["refresh_token"] = "x"
			return ""
		}, 401, "refresh_token_invalid"},
		{"no refresh token", func(_ *testing.T, _ *Server, _ *browser, _ *clock, body object) string {
			delete(body, "refresh_token")
			return ""
		}, 401, "refresh_token_invalid"},
		{"no refresh token, where none was given", func(_ *testing.T, s *Server, b *browser, _ *clock, body object) string {
			delete(body, "refresh_token")
			b.send(http.MethodDelete, "/v1/client/sessions", nil)
			id := b.signIn(ada)
			body["expired_token"] = b.post("/v1/client/sessions/"+id+"/tokens", nil).at("jwt")
			return id
		}, 401, "refresh_token_invalid"},
		{"a refresh token that a later handshake has replaced", func(t *testing.T, s *Server, b *browser, _ *clock, _ object) string {
			payload(t, s, b.shake(testPage, nil))
			return ""
		}, 401, "refresh_token_invalid"},
		{"the client cookie in its place", func(_ *testing.T, _ *Server, b *browser, _ *clock, body object) string {
			body["refresh_token"] = b.cookies["__client"].Value
			return ""
		}, 401, "refresh_token_invalid"},
		{"no expired token", func(_ *testing.T, _ *Server, _ *browser, _ *clock, body object) string {
			delete(body, "expired_token")
			return ""
		}, 401, "expired_token_invalid"},
		{"a token that nobody signed", func(_ *testing.T, _ *Server, _ *browser, _ *clock, body object) string {
			body["expired_token"] = body["expired_token"].(string)[:300]
			return ""
		}, 401, "expired_token_invalid"},
		{"a template's token", func(t *testing.T, s *Server, _ *browser, _ *clock, body object) string {
			claims := sessionClaims(t, body["expired_token"].(string))
			body["expired_token"], _ = jwt.Signed(s.keys.current().template).Claims(claims).Serialize()
			return ""
		}, 401, "expired_token_invalid"},
		{"a token of a key that was dropped", func(t *testing.T, s *Server, _ *browser, _ *clock, _ object) string {
			if err := s.RotateKeys(); err != nil {
				t.Fatal(err)
			}
			s.DropOldKeys()
			return ""
		}, 401, "expired_token_invalid"},
		{"another session's id", func(t *testing.T, s *Server, _ *browser, _ *clock, _ object) string {
			return newBrowser(t, s).signIn(ada)
		}, 401, "expired_token_invalid"},
		{"an unknown session", func(*testing.T, *Server, *browser, *clock, object) string { return "sess_x" }, 401, "expired_token_invalid"},
		{"a foreign origin", func(_ *testing.T, _ *Server, _ *browser, _ *clock, body object) string {
			body["request_origin"] = "https://evil.test"
			return ""
		}, 401, "request_origin_invalid"},
		{"an origin that is a page", func(_ *testing.T, _ *Server, _ *browser, _ *clock, body object) string {
			body["request_origin"] = testPage
			return ""
		}, 401, "request_origin_invalid"},
		{"no origin", func(_ *testing.T, _ *Server, _ *browser, _ *clock, body object) string {
			delete(body, "request_origin")
			return ""
		}, 401, "request_origin_invalid"},
		{"a proxy URL that the domain no longer has", func(t *testing.T, s *Server, _ *browser, _ *clock, _ object) string {
			backendCall(t, s, http.MethodPatch, "/v1/domains/"+s.Domains()[0].ID, `{"proxy_url":null}`)
			return ""
		}, 401, "request_origin_invalid"},
		{"a person who signed out", func(_ *testing.T, _ *Server, b *browser, _ *clock, _ object) string {
			b.send(http.MethodDelete, "/v1/client/sessions", nil)
			return ""
		}, 401, "session_inactive"},
		{"a session that has expired", func(_ *testing.T, _ *Server, _ *browser, c *clock, _ object) string {
			c.advance(sessionLifetime)
			return ""
		}, 401, "session_inactive"},
		{"an unknown format", func(_ *testing.T, _ *Server, _ *browser, _ *clock, body object) string {
			body["format"] = "jwt"
			return ""
		}, 422, "form_param_value_invalid"},
		{"an unknown field", func(_ *testing.T, _ *Server, _ *browser, _ *clock, body object) string {
			body["suffixed_cookies"] = true
			return ""
		}, 400, "request_body_invalid"},
		{"headers that are no lists", func(_ *testing.T, _ *Server, _ *browser, _ *clock, body object) string {
			body["request_headers"] = map[string]string{"host": "example.com"}
			return ""
		}, 400, "request_body_invalid"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s, b, clock, id, body := expiredSession(t)
			body = maps.Clone(body)
			if other := tt.change(t, s, b, clock, body); other != "" {
				id = other
			}
			if a := refresh(t, s, id, "", body); a.status != tt.status || a.code() != tt.code {
				t.Errorf("got %d %s, want %d %s", a.status, a.body, tt.status, tt.code)
			}
		})
	}
}

func TestEachHostOfADomainRefreshesByItself(t *testing.T) {
	s, b, _, id, body := expiredSession(t)
	const second = "https://www.example.com/__clerk"
	if err := s.RegisterProxyURL(second); err != nil {
		t.Fatal(err)
	}
	b.proxyURL = second // its cookies, the host's own, would be others
	payload(t, s, b.shake("https://www.example.com/", nil))
	refreshed(t, refresh(t, s, id, "", body))
}

func TestRevokingASession(t *testing.T) {
	s, b, _, id, body := expiredSession(t)
	for range 2 { // the second one changes nothing
		if a := backendCall(t, s, http.MethodPost, "/v1/sessions/"+id+"/revoke", ""); a.status != http.StatusOK || a.at("id") != id || a.at("status") != "revoked" {
			t.Errorf("got %d %s", a.status, a.body)
		}
	}
	if a := refresh(t, s, id, "", body); a.code() != "session_inactive" {
		t.Errorf("refreshing: %d %s", a.status, a.body)
	}
	if c := payload(t, s, b.shake(testPage, nil))["__session"]; c.Value != "" {
		t.Errorf("a handshake sets %v", c)
	}
	if a := backendCall(t, s, http.MethodPost, "/v1/sessions/sess_x/revoke", ""); a.status != http.StatusNotFound {
		t.Errorf("an unknown session: %d %s", a.status, a.body)
	}
}
