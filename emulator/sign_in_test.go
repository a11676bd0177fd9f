package emulator

import (
	"net/http"
	"net/url"
	"testing"
	"time"
)

func signInServer(t *testing.T) (*Server, *browser, *clock) {
	clock := newClock()
	s := start(t, Config{
		ProxyURLs: []string{testProxyURL},
		Users:     []User{ada, {Email: "code-only@example.com"}},
		Now:       clock.Now,
	})
	return s, newBrowser(t, s), clock
}

// begin starts a sign-in and answers its path.
func (b *browser) begin(identifier string) string {
	b.t.Helper()
	a := b.post("/v1/client/sign_ins", url.Values{"identifier": {identifier}})
	id, ok := a.at("response.id").(string)
	if !ok {
		b.t.Fatalf("beginning to sign in: %d %s", a.status, a.body)
	}
	return "/v1/client/sign_ins/" + id
}

func TestSigningInByPassword(t *testing.T) {
	s, b, _ := signInServer(t)
	a := b.post("/v1/client/sign_ins", url.Values{"identifier": {"ADA@example.com"}})
	if a.at("response.status") != "needs_first_factor" || a.at("response.supported_first_factors.0.strategy") != "password" {
		t.Fatalf("got %s", a.body)
	}
	if a.at("client.sign_in.id") != a.at("response.id") {
		t.Errorf("the client does not have the sign-in: %s", a.body)
	}
	a = b.post("/v1/client/sign_ins/"+a.at("response.id").(string)+"/attempt_first_factor", url.Values{"strategy": {"password"}, "password": {ada.Password}})
	if a.at("response.status") != "complete" || a.at("response.first_factor_verification.status") != "verified" {
		t.Fatalf("got %d %s", a.status, a.body)
	}
	id := a.at("response.created_session_id")
	for path, want := range map[string]any{
		"client.sign_in":                             nil,
		"client.sessions.0.id":                       id,
		"client.sessions.0.status":                   "active",
		"client.sessions.0.user.first_name":          "Ada",
		"client.sessions.0.user.image_url":           testProxyURL + "/avatars/" + s.Users()[0].ID + ".svg",
		"client.sessions.0.public_user_data.user_id": s.Users()[0].ID,
		"client.last_active_session_id":              id,
		"client.last_authentication_strategy":        "password",
	} {
		if got := a.at(path); got != want {
			t.Errorf("%s is %v, want %v", path, got, want)
		}
	}
	session := s.Sessions()[0]
	if session.ID != id || session.Address != "203.0.113.7" || session.Status != "active" {
		t.Errorf("session %+v", session)
	}
}

func TestSigningInByEmailCode(t *testing.T) {
	_, b, _ := signInServer(t)
	path := b.begin("code-only@example.com")
	a := b.post(path+"/prepare_first_factor", url.Values{"strategy": {"email_code"}})
	if a.at("response.first_factor_verification.strategy") != "email_code" {
		t.Fatalf("got %d %s", a.status, a.body)
	}
	a = b.post(path+"/attempt_first_factor", url.Values{"strategy": {"email_code"}, "code": {Code}})
	if a.at("response.status") != "complete" || len(a.at("client.sessions").([]any)) != 1 {
		t.Errorf("got %d %s", a.status, a.body)
	}
}

func TestSigningInWithOneRequest(t *testing.T) {
	_, b, _ := signInServer(t)
	if a := b.post("/v1/client/sign_ins", url.Values{"identifier": {ada.Email}, "password": {ada.Password}}); a.at("response.status") != "complete" {
		t.Errorf("by password: %d %s", a.status, a.body)
	}
	_, b, _ = signInServer(t)
	a := b.post("/v1/client/sign_ins", url.Values{"identifier": {ada.Email}, "strategy": {"email_code"}})
	if a.at("response.first_factor_verification.status") != "unverified" {
		t.Errorf("by code: %d %s", a.status, a.body)
	}
}

func TestSignInsThatFail(t *testing.T) {
	tests := []struct {
		name   string
		try    func(*browser, *clock) answer
		status int
		code   string
		param  any
	}{
		{"an unknown identifier", func(b *browser, _ *clock) answer {
			return b.post("/v1/client/sign_ins", url.Values{"identifier": {"nobody@example.com"}})
		}, 422, "form_identifier_not_found", "identifier"},
		{"a strategy without an identifier", func(b *browser, _ *clock) answer {
			return b.post("/v1/client/sign_ins", url.Values{"strategy": {"password"}, "password": {"x"}})
		}, 422, "form_param_missing", "identifier"},
		{"a strategy that is not here", func(b *browser, _ *clock) answer {
			return b.post("/v1/client/sign_ins", url.Values{"strategy": {"oauth_google"}, "identifier": {ada.Email}})
		}, 422, "form_param_value_invalid", "strategy"},
		{"a wrong password", func(b *browser, _ *clock) answer {
			return b.post(b.begin(ada.Email)+"/attempt_first_factor", url.Values{"strategy": {"password"}, "password": {"wrong"}})
		}, 422, "form_password_incorrect", "password"},
		{"a password for someone who has none", func(b *browser, _ *clock) answer {
			return b.post(b.begin("code-only@example.com")+"/attempt_first_factor", url.Values{"strategy": {"password"}, "password": {""}})
		}, 400, "strategy_for_user_invalid", nil},
		{"a code that was not asked for", func(b *browser, _ *clock) answer {
			return b.post(b.begin(ada.Email)+"/attempt_first_factor", url.Values{"strategy": {"email_code"}, "code": {Code}})
		}, 400, "verification_missing", nil},
		{"a wrong code", func(b *browser, _ *clock) answer {
			path := b.begin(ada.Email)
			b.post(path+"/prepare_first_factor", url.Values{"strategy": {"email_code"}})
			return b.post(path+"/attempt_first_factor", url.Values{"strategy": {"email_code"}, "code": {"111111"}})
		}, 422, "form_code_incorrect", "code"},
		{"the right code after too many wrong ones", func(b *browser, _ *clock) answer {
			path := b.begin(ada.Email)
			b.post(path+"/prepare_first_factor", url.Values{"strategy": {"email_code"}})
			for range codeAttempts {
				b.post(path+"/attempt_first_factor", url.Values{"strategy": {"email_code"}, "code": {"111111"}})
			}
			return b.post(path+"/attempt_first_factor", url.Values{"strategy": {"email_code"}, "code": {Code}})
		}, 400, "verification_failed", nil},
		{"a code that has expired", func(b *browser, c *clock) answer {
			path := b.begin(ada.Email)
			b.post(path+"/prepare_first_factor", url.Values{"strategy": {"email_code"}})
			c.advance(codeLifetime)
			return b.post(path+"/attempt_first_factor", url.Values{"strategy": {"email_code"}, "code": {Code}})
		}, 400, "verification_expired", nil},
		{"a code to someone else's address", func(b *browser, _ *clock) answer {
			return b.post(b.begin(ada.Email)+"/prepare_first_factor", url.Values{"strategy": {"email_code"}, "email_address_id": {"idn_other"}})
		}, 422, "form_param_value_invalid", "email_address_id"},
		{"a second sign-in while signed in", func(b *browser, _ *clock) answer {
			b.signIn(ada)
			return b.post("/v1/client/sign_ins", url.Values{"identifier": {ada.Email}})
		}, 400, "session_exists", nil},
		{"a sign-in that was given up long ago", func(b *browser, c *clock) answer {
			path := b.begin(ada.Email)
			c.advance(attemptLifetime)
			return b.get(path)
		}, 404, "resource_not_found", nil},
		{"a sign-in that is not there", func(b *browser, _ *clock) answer {
			b.begin(ada.Email)
			return b.get("/v1/client/sign_ins/sia_other")
		}, 404, "resource_not_found", nil},
		{"a sign-in in a browser that has none", func(b *browser, _ *clock) answer {
			return b.get("/v1/client/sign_ins/sia_other")
		}, 401, "signed_out", nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, b, clock := signInServer(t)
			a := tt.try(b, clock)
			if a.status != tt.status || a.code() != tt.code || a.at("errors.0.meta.param_name") != tt.param {
				t.Errorf("got %d %s", a.status, a.body)
			}
		})
	}
}

func TestSessionExistsTellsTheBrowserItsClient(t *testing.T) {
	_, b, _ := signInServer(t)
	id := b.signIn(ada)
	if a := b.post("/v1/client/sign_ins", nil); a.at("meta.client.last_active_session_id") != id {
		t.Errorf("got %s", a.body)
	}
}

func TestASignInBelongsToOneBrowser(t *testing.T) {
	s, b, _ := signInServer(t)
	path := b.begin(ada.Email)
	other := newBrowser(t, s)
	other.begin(ada.Email)
	if a := other.post(path+"/attempt_first_factor", url.Values{"strategy": {"password"}, "password": {ada.Password}}); a.status != http.StatusNotFound {
		t.Errorf("another browser finished the sign-in: %d %s", a.status, a.body)
	}
}

func TestANewCodeCanBeAskedFor(t *testing.T) {
	_, b, clock := signInServer(t)
	path := b.begin(ada.Email)
	b.post(path+"/prepare_first_factor", url.Values{"strategy": {"email_code"}})
	clock.advance(codeLifetime + time.Second)
	b.post(path+"/prepare_first_factor", url.Values{"strategy": {"email_code"}})
	if a := b.post(path+"/attempt_first_factor", url.Values{"strategy": {"email_code"}, "code": {Code}}); a.at("response.status") != "complete" {
		t.Errorf("got %d %s", a.status, a.body)
	}
}
