package emulator

import (
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

// claims verifies a token with a key and answers its header and its claims.
func claims(t *testing.T, token string, key any) (map[jose.HeaderKey]any, map[string]any) {
	t.Helper()
	parsed, err := jwt.ParseSigned(token, []jose.SignatureAlgorithm{jose.RS256})
	if err != nil {
		t.Fatal(err)
	}
	var claims map[string]any
	if err := parsed.Claims(key, &claims); err != nil {
		t.Fatal(err)
	}
	header := parsed.Headers[0]
	header.ExtraHeaders["kid"] = header.KeyID
	return header.ExtraHeaders, claims
}

func TestTheSessionToken(t *testing.T) {
	s, b, clock := signInServer(t)
	id := b.signIn(ada)
	clock.advance(90 * time.Second)
	a := b.post("/v1/client/sessions/"+id+"/tokens", nil)
	if a.status != http.StatusOK || a.at("object") != "token" {
		t.Fatalf("got %d %s", a.status, a.body)
	}

	var keys jose.JSONWebKeySet
	if err := json.Unmarshal(b.get("/.well-known/jwks.json").body, &keys); err != nil || len(keys.Keys) != 1 {
		t.Fatalf("keys %+v, %v", keys, err)
	}
	header, got := claims(t, a.at("jwt").(string), keys.Keys[0])
	if header["kid"] != keys.Keys[0].KeyID || header["typ"] != "JWT" || header["cat"] != "cl_B7d4PD111AAA" {
		t.Errorf("header %v", header)
	}
	now := float64(clock.Now().Unix())
	for claim, want := range map[string]any{
		"azp": "https://example.com", "iss": testProxyURL, "sid": id, "sub": s.Users()[0].ID, "sts": "active", "v": 2.0,
		"iat": now, "exp": now + 60, "nbf": now - 10,
	} {
		if got[claim] != want {
			t.Errorf("%s is %v, want %v", claim, got[claim], want)
		}
	}
	if fva := got["fva"].([]any); fva[0] != 1.0 || fva[1] != -1.0 {
		t.Errorf("fva is %v", fva)
	}

	block, _ := pem.Decode([]byte(s.keys.current().publicPEM()))
	key, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	claims(t, a.at("jwt").(string), key)
}

func TestEveryTokenIsAnother(t *testing.T) {
	_, b, _ := signInServer(t)
	id := b.signIn(ada)
	first, second := b.post("/v1/client/sessions/"+id+"/tokens", nil), b.post("/v1/client/sessions/"+id+"/tokens", nil)
	if first.at("jwt") == second.at("jwt") {
		t.Error("the same token came twice")
	}
}

func TestATokenOfAGetNamesThePageAllTheSame(t *testing.T) {
	s, b, _ := signInServer(t)
	b.signIn(ada)
	a := b.get("/v1/client") // without an Origin, as browsers send it
	_, got := claims(t, a.at("response.sessions.0.last_active_token.jwt").(string), s.keys.current().private.Public())
	if got["azp"] != "https://example.com" {
		t.Errorf("azp is %v", got["azp"])
	}
}

func TestTemplateTokens(t *testing.T) {
	s := start(t, Config{
		ProxyURLs: []string{testProxyURL}, Users: []User{ada},
		JWTTemplates: map[string]map[string]any{"hasura": {"role": "user", "sub": "overruled"}, "plain": nil},
	})
	b := newBrowser(t, s)
	id := b.signIn(ada)
	for _, template := range []string{"hasura", "plain"} {
		a := b.post("/v1/client/sessions/"+id+"/tokens/"+template, nil)
		header, got := claims(t, a.at("jwt").(string), s.keys.current().private.Public())
		if header["cat"] != "cl_B7d4PD222AAA" || got["sub"] != s.Users()[0].ID || got["sid"] != nil {
			t.Errorf("%s: header %v, claims %v", template, header, got)
		}
		if template == "hasura" && got["role"] != "user" {
			t.Errorf("claims %v", got)
		}
	}
	if a := b.post("/v1/client/sessions/"+id+"/tokens/other", nil); a.status != http.StatusNotFound {
		t.Errorf("an unknown template: %d %s", a.status, a.body)
	}
}

func TestSessionsEnd(t *testing.T) {
	for name, end := range map[string]func(b *browser, id string, c *clock) answer{
		"ended":   func(b *browser, id string, _ *clock) answer { return b.post("/v1/client/sessions/"+id+"/end", nil) },
		"removed": func(b *browser, id string, _ *clock) answer { return b.post("/v1/client/sessions/"+id+"/remove", nil) },
		"expired": func(b *browser, _ string, c *clock) answer { c.advance(sessionLifetime); return b.get("/v1/client") },
	} {
		t.Run(name, func(t *testing.T) {
			s, b, clock := signInServer(t)
			id := b.signIn(ada)
			if a := end(b, id, clock); a.status != http.StatusOK {
				t.Fatalf("ending: %d %s", a.status, a.body)
			}
			if got := s.Sessions()[0].Status; got != name {
				t.Errorf("it is %s", got)
			}
			if a := b.get("/v1/client"); a.at("response.id") == nil || len(a.at("response.sessions").([]any)) != 0 {
				t.Errorf("the client: %s", a.body)
			}
			for path, code := range map[string]string{
				"/v1/client/sessions/" + id + "/tokens": "signed_out",
				"/v1/client/sessions/" + id + "/touch":  "signed_out",
				"/v1/client/sessions/" + id + "/end":    "signed_out",
			} {
				if a := b.post(path, nil); a.status != http.StatusUnauthorized || a.code() != code {
					t.Errorf("%s: %d %s", path, a.status, a.body)
				}
			}
			if a := b.get("/v1/me"); a.status != http.StatusUnauthorized || a.code() != "authentication_invalid" {
				t.Errorf("me: %d %s", a.status, a.body)
			}
			if a := b.get("/v1/client/sessions/" + id); a.at("response.status") != name || a.at("response.last_active_token") != nil {
				t.Errorf("the session: %d %s", a.status, a.body)
			}
			b.signIn(ada)
		})
	}
}

func TestSigningOutOfEverything(t *testing.T) {
	t.Run("and going on as the same client", func(t *testing.T) {
		_, b, _ := signInServer(t)
		b.signIn(ada)
		before := b.get("/v1/client").at("response.id")
		a := b.post("/v1/client/sessions?_method=DELETE", nil)
		if a.status != http.StatusOK || a.at("response.id") != before || len(a.at("response.sessions").([]any)) != 0 {
			t.Errorf("got %d %s", a.status, a.body)
		}
	})
	t.Run("and being forgotten", func(t *testing.T) {
		_, b, _ := signInServer(t)
		b.signIn(ada)
		if a := b.post("/v1/client?_method=DELETE", nil); a.status != http.StatusOK || a.at("response") != nil {
			t.Errorf("got %d %s", a.status, a.body)
		}
		if a := b.get("/v1/client"); a.status != http.StatusOK || a.at("response") != nil {
			t.Errorf("the client: %d %s", a.status, a.body)
		}
	})
}

func TestASessionBelongsToOneBrowser(t *testing.T) {
	s, b, _ := signInServer(t)
	id := b.signIn(ada)
	other := newBrowser(t, s)
	if a := other.post("/v1/client/sessions/"+id+"/tokens", nil); a.status != http.StatusUnauthorized || a.code() != "signed_out" {
		t.Errorf("a browser without a client: %d %s", a.status, a.body)
	}
	other.signIn(User{Email: ada.Email, Password: ada.Password})
	if a := other.post("/v1/client/sessions/"+id+"/tokens", nil); a.status != http.StatusNotFound || a.code() != "resource_not_found" {
		t.Errorf("another client: %d %s", a.status, a.body)
	}
}

func TestSessionsInOtherBrowsers(t *testing.T) {
	s, b, _ := signInServer(t)
	mine := b.signIn(ada)
	other := newBrowser(t, s)
	theirs := other.signIn(ada)

	var list []map[string]any
	if err := json.Unmarshal(b.get("/v1/me/sessions/active?_clerk_session_id="+mine).body, &list); err != nil || len(list) != 2 {
		t.Fatalf("listed %v, %v", list, err)
	}
	for _, session := range list {
		activity, _ := session["latest_activity"].(map[string]any)
		if activity["ip_address"] != "203.0.113.7" || session["last_active_token"] != nil {
			t.Errorf("session %v", session)
		}
	}
	if a := b.post("/v1/me/sessions/"+theirs+"/revoke", nil); a.at("response.status") != "revoked" {
		t.Errorf("revoking: %d %s", a.status, a.body)
	}
	if a := other.post("/v1/client/sessions/"+theirs+"/tokens", nil); a.code() != "signed_out" {
		t.Errorf("the revoked session: %d %s", a.status, a.body)
	}
	if a := b.get("/v1/me?_clerk_session_id=" + theirs); a.status != http.StatusUnauthorized {
		t.Errorf("acting for another browser's session: %d %s", a.status, a.body)
	}
}

func TestTouchingASession(t *testing.T) {
	s, b, clock := signInServer(t)
	id := b.signIn(ada)
	clock.advance(time.Hour)
	if a := b.post("/v1/client/sessions/"+id+"/touch", url.Values{"intent": {"focus"}}); a.at("response.id") != id || a.at("client.id") == nil {
		t.Errorf("got %d %s", a.status, a.body)
	}
	if got := s.Sessions()[0].LastActiveAt; !got.Equal(clock.Now()) {
		t.Errorf("last active at %v", got)
	}
}

func TestMe(t *testing.T) {
	_, b, _ := signInServer(t)
	b.signIn(ada)
	if a := b.get("/v1/me"); a.at("response.email_addresses.0.email_address") != ada.Email || a.at("response.password_enabled") != true {
		t.Errorf("got %d %s", a.status, a.body)
	}
	if a := b.post("/v1/me?_method=PATCH", url.Values{"first_name": {"Augusta"}}); a.at("response.first_name") != "Augusta" || a.at("client.sessions.0.user.last_name") != "Lovelace" {
		t.Errorf("updating: %d %s", a.status, a.body)
	}
	for _, path := range []string{"/v1/me/organization_memberships", "/v1/me/organization_invitations", "/v1/me/organization_suggestions"} {
		if a := b.get(path); a.at("response.total_count") != 0.0 {
			t.Errorf("%s: %d %s", path, a.status, a.body)
		}
	}
}

func TestChangingThePassword(t *testing.T) {
	s, b, _ := signInServer(t)
	b.signIn(ada)
	other := newBrowser(t, s)
	other.signIn(ada)
	change := func(current, next string) answer {
		return b.post("/v1/me/change_password", url.Values{"current_password": {current}, "new_password": {next}, "sign_out_of_other_sessions": {"true"}})
	}
	if a := change("wrong", "difference engine"); a.code() != "form_password_incorrect" {
		t.Errorf("a wrong password: %d %s", a.status, a.body)
	}
	if a := change(ada.Password, "short"); a.code() != "form_password_length_too_short" {
		t.Errorf("a short password: %d %s", a.status, a.body)
	}
	if a := change(ada.Password, "difference engine"); a.status != http.StatusOK {
		t.Errorf("got %d %s", a.status, a.body)
	}
	if a := other.get("/v1/me"); a.status != http.StatusUnauthorized {
		t.Errorf("the other browser: %d %s", a.status, a.body)
	}
	other.signIn(User{Email: ada.Email, Password: "difference engine"})
}
