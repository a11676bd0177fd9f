package emulator

import (
	"net/http"
	"net/url"
	"testing"
)

var charles = url.Values{"email_address": {"charles@example.com"}, "password": {"difference engine"}, "first_name": {"Charles"}, "unsafe_metadata": {`{"a":1}`}}

// enrol starts a sign-up and answers its path.
func (b *browser) enrol(form url.Values) string {
	b.t.Helper()
	a := b.post("/v1/client/sign_ups", form)
	id, ok := a.at("response.id").(string)
	if !ok {
		b.t.Fatalf("beginning to sign up: %d %s", a.status, a.body)
	}
	return "/v1/client/sign_ups/" + id
}

func TestSigningUp(t *testing.T) {
	s, b, _ := signInServer(t)
	a := b.post("/v1/client/sign_ups", charles)
	for path, want := range map[string]any{
		"response.status":                                  "missing_requirements",
		"response.has_password":                            true,
		"response.verifications.email_address.status":      "unverified",
		"response.verifications.email_address.strategy":    nil,
		"response.verifications.email_address.next_action": "needs_prepare",
	} {
		if got := a.at(path); got != want {
			t.Errorf("%s is %v, want %v", path, got, want)
		}
	}
	if len(s.Users()) != 2 {
		t.Errorf("there is an account before the address is verified")
	}
	path := "/v1/client/sign_ups/" + a.at("response.id").(string)
	a = b.post(path+"/prepare_verification", url.Values{"strategy": {"email_code"}})
	if a.at("response.verifications.email_address.next_action") != "needs_attempt" || a.at("response.verifications.email_address.strategy") != "email_code" {
		t.Errorf("prepared: %s", a.body)
	}
	a = b.post(path+"/attempt_verification", url.Values{"strategy": {"email_code"}, "code": {Code}})
	added := s.Users()[2]
	for path, want := range map[string]any{
		"response.status":                          "complete",
		"response.created_user_id":                 added.ID,
		"response.created_session_id":              s.Sessions()[0].ID,
		"client.sign_up":                           nil,
		"client.sessions.0.user.id":                added.ID,
		"client.sessions.0.user.unsafe_metadata.a": 1.0,
	} {
		if got := a.at(path); got != want {
			t.Errorf("%s is %v, want %v", path, got, want)
		}
	}
	if added.Email != "charles@example.com" || added.FirstName != "Charles" || added.Password != "" {
		t.Errorf("added %+v", added)
	}
	b.send(http.MethodDelete, "/v1/client/sessions", nil)
	b.signIn(User{Email: "charles@example.com", Password: "difference engine"})
}

func TestSigningUpInSeveralSteps(t *testing.T) {
	s, b, _ := signInServer(t)
	path := b.enrol(url.Values{"email_address": {"charles@example.com"}})
	b.post(path+"/prepare_verification", url.Values{"strategy": {"email_code"}})
	a := b.post(path+"/attempt_verification", url.Values{"strategy": {"email_code"}, "code": {Code}})
	if a.at("response.status") != "missing_requirements" || a.at("response.verifications.email_address.status") != "verified" {
		t.Fatalf("got %s", a.body)
	}
	a = b.post(path+"?_method=PATCH", url.Values{"password": {"difference engine"}})
	if a.at("response.status") != "complete" || len(s.Users()) != 3 {
		t.Errorf("got %d %s", a.status, a.body)
	}
}

func TestAnotherAddressHasToBeVerifiedAgain(t *testing.T) {
	_, b, _ := signInServer(t)
	path := b.enrol(url.Values{"email_address": {"charles@example.com"}})
	b.post(path+"/prepare_verification", url.Values{"strategy": {"email_code"}})
	b.post(path+"/attempt_verification", url.Values{"strategy": {"email_code"}, "code": {Code}})
	a := b.send(http.MethodPatch, path, url.Values{"email_address": {"victim@example.com"}, "password": {"difference engine"}})
	if a.at("response.status") != "missing_requirements" || a.at("response.verifications.email_address.status") != "unverified" {
		t.Errorf("got %d %s", a.status, a.body)
	}
}

func TestSignUpsThatFail(t *testing.T) {
	tests := []struct {
		name   string
		try    func(*browser) answer
		status int
		codes  []string
	}{
		{"an address that is taken", func(b *browser) answer {
			return b.post("/v1/client/sign_ups", url.Values{"email_address": {"Ada@Example.com"}, "password": {"difference engine"}})
		}, 422, []string{"form_identifier_exists"}},
		{"an address that is taken and a short password", func(b *browser) answer {
			return b.post("/v1/client/sign_ups", url.Values{"email_address": {ada.Email}, "password": {"short"}})
		}, 422, []string{"form_identifier_exists", "form_password_length_too_short"}},
		{"an address that is none", func(b *browser) answer {
			return b.post("/v1/client/sign_ups", url.Values{"email_address": {"Charles <charles@example.com>"}})
		}, 422, []string{"form_param_format_invalid"}},
		{"a password that is too long", func(b *browser) answer {
			return b.post("/v1/client/sign_ups", url.Values{"password": {string(make([]byte, 73))}})
		}, 422, []string{"form_password_length_too_long"}},
		{"metadata that is not JSON", func(b *browser) answer {
			return b.post("/v1/client/sign_ups", url.Values{"unsafe_metadata": {"{"}})
		}, 422, []string{"form_param_format_invalid"}},
		{"a wrong code", func(b *browser) answer {
			path := b.enrol(charles)
			b.post(path+"/prepare_verification", url.Values{"strategy": {"email_code"}})
			return b.post(path+"/attempt_verification", url.Values{"strategy": {"email_code"}, "code": {"000000"}})
		}, 422, []string{"form_code_incorrect"}},
		{"a code that was not asked for", func(b *browser) answer {
			return b.post(b.enrol(charles)+"/attempt_verification", url.Values{"strategy": {"email_code"}, "code": {Code}})
		}, 400, []string{"verification_missing"}},
		{"a code to no address", func(b *browser) answer {
			return b.post(b.enrol(nil)+"/prepare_verification", url.Values{"strategy": {"email_code"}})
		}, 422, []string{"form_param_missing"}},
		{"a strategy that is not here", func(b *browser) answer {
			return b.post(b.enrol(charles)+"/prepare_verification", url.Values{"strategy": {"phone_code"}})
		}, 422, []string{"form_param_value_invalid"}},
		{"a sign-up while signed in", func(b *browser) answer {
			b.signIn(ada)
			return b.post("/v1/client/sign_ups", charles)
		}, 400, []string{"session_exists"}},
		{"an address that was taken in the meantime", func(b *browser) answer {
			path := b.enrol(charles)
			b.post(path+"/prepare_verification", url.Values{"strategy": {"email_code"}})
			if _, err := b.server.AddUser(User{Email: "charles@example.com"}); err != nil {
				b.t.Fatal(err)
			}
			return b.post(path+"/attempt_verification", url.Values{"strategy": {"email_code"}, "code": {Code}})
		}, 422, []string{"form_identifier_exists"}},
		{"a sign-up that is not there", func(b *browser) answer {
			b.enrol(charles)
			return b.get("/v1/client/sign_ups/sua_other")
		}, 404, []string{"resource_not_found"}},
		{"a sign-up in a browser that has none", func(b *browser) answer {
			return b.get("/v1/client/sign_ups/sua_other")
		}, 401, []string{"signed_out"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, b, _ := signInServer(t)
			a := tt.try(b)
			var codes []string
			list, _ := a.at("errors").([]any)
			for _, entry := range list {
				codes = append(codes, entry.(map[string]any)["code"].(string))
			}
			if a.status != tt.status || len(codes) != len(tt.codes) || codes[0] != tt.codes[0] || codes[len(codes)-1] != tt.codes[len(codes)-1] {
				t.Errorf("got %d %s", a.status, a.body)
			}
		})
	}
}
