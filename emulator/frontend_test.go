package emulator

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
)

func TestWhatIsNotThere(t *testing.T) {
	s := start(t, Config{ProxyURLs: []string{testProxyURL}})
	b := newBrowser(t, s)
	tests := []struct {
		name, method, path string
		status             int
		code               string
		allow              string
	}{
		{"an unknown path", "GET", "/v1/nothing", 404, "resource_not_found", ""},
		{"the root", "GET", "/", 404, "resource_not_found", ""},
		{"an endpoint that is left out", "GET", "/v1/client/trusted_devices", 404, "resource_not_found", ""},
		{"the wrong method", "DELETE", "/v1/environment", 405, "method_not_allowed", "GET, HEAD, PATCH"},
		{"the wrong method by parameter", "POST", "/v1/environment?_method=DELETE", 405, "method_not_allowed", "GET, HEAD, PATCH"},
		{"a method that is none", "POST", "/v1/environment?_method=TEAPOT", 405, "method_not_allowed", "GET, HEAD, PATCH"},
		{"an override of a GET", "GET", "/v1/client/sessions?_method=DELETE", 405, "method_not_allowed", "DELETE"},
		{"two slashes", "GET", "/v1//environment", 404, "resource_not_found", ""},
		{"dots", "GET", "/v1/x/../environment", 404, "resource_not_found", ""},
		{"escaped dots", "GET", "/v1/x/%2e%2e/environment", 404, "resource_not_found", ""},
		{"a query that cannot be parsed", "GET", "/v1/environment?%zz", 400, "malformed_request_parameters", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a := b.send(tt.method, tt.path, nil)
			if a.status != tt.status || a.code() != tt.code || a.header.Get("Allow") != tt.allow {
				t.Errorf("got %d %v, Allow %q", a.status, a.code(), a.header.Get("Allow"))
			}
			if a.header.Get("Content-Type") != "application/json" || a.header.Get("Cache-Control") != "no-store" {
				t.Errorf("header %v", a.header)
			}
		})
	}
}

func TestABodyThatIsTooLarge(t *testing.T) {
	s := start(t, Config{ProxyURLs: []string{testProxyURL}})
	b := newBrowser(t, s)
	for _, path := range []string{"/v1/client/sign_ins", "/v1/client?_method=PUT"} {
		a := b.post(path, url.Values{"identifier": {strings.Repeat("a", maxBody)}})
		if a.status != http.StatusRequestEntityTooLarge || a.code() != "request_body_too_large" {
			t.Errorf("%s: got %d %v", path, a.status, a.code())
		}
	}
}

func TestErrorsCarryTheTraceID(t *testing.T) {
	s := start(t, Config{ProxyURLs: []string{testProxyURL}})
	a := newBrowser(t, s).post("/v1/client/sign_ins", url.Values{"identifier": {"nobody@example.com"}})
	if a.at("clerk_trace_id") == nil || a.at("clerk_trace_id") != a.header.Get("X-Clerk-Trace-Id") {
		t.Errorf("trace id %v in the body, %q in the header", a.at("clerk_trace_id"), a.header.Get("X-Clerk-Trace-Id"))
	}
	for _, field := range []string{"code", "message", "long_message", "meta"} {
		if a.at("errors.0."+field) == nil {
			t.Errorf("the error has no %s: %s", field, a.body)
		}
	}
	if a.at("errors.0.meta.param_name") != "identifier" {
		t.Errorf("meta is %v", a.at("errors.0.meta"))
	}
}

// The fields that ClerkJS 6 and @clerk/ui 1 decide by.
func TestTheEnvironmentKeepsTheBrowserOnItsOrigin(t *testing.T) {
	s := start(t, Config{ProxyURLs: []string{"http://127.0.0.1:8080/__clerk"}})
	b := newBrowser(t, s)
	b.proxyURL = "http://127.0.0.1:8080/__clerk"
	a := b.get("/v1/environment")
	for path, want := range map[string]any{
		"auth_config.single_session_mode":                                true,
		"auth_config.reverification":                                     false,
		"display_config.instance_environment_type":                       "production",
		"display_config.captcha_public_key":                              nil,
		"display_config.show_devmode_warning":                            false,
		"user_settings.sign_up.captcha_enabled":                          false,
		"user_settings.sign_up.mode":                                     "public",
		"user_settings.attributes.email_address.enabled":                 true,
		"user_settings.attributes.password.required":                     true,
		"user_settings.attributes.phone_number.enabled":                  false,
		"user_settings.password_settings.min_length":                     8.0,
		"user_settings.password_settings.disable_hibp":                   true,
		"organization_settings.enabled":                                  false,
		"commerce_settings.billing.user.enabled":                         false,
		"api_keys_settings.enabled":                                      false,
		"maintenance_mode":                                               false,
		"user_settings.attack_protection.enumeration_protection.enabled": false,
	} {
		if got := a.at(path); got != want {
			t.Errorf("%s is %v, want %v", path, got, want)
		}
	}
	var urls func(path string, value any)
	urls = func(path string, value any) {
		switch v := value.(type) {
		case map[string]any:
			for name, inner := range v {
				urls(path+"."+name, inner)
			}
		case []any:
			for _, inner := range v {
				urls(path, inner)
			}
		case string:
			if strings.Contains(v, "://") && !strings.HasPrefix(v, "http://127.0.0.1:8080") {
				t.Errorf("%s leads away: %s", path, v)
			}
		}
	}
	urls("environment", a.json)
}

func TestAvatars(t *testing.T) {
	s := start(t, Config{ProxyURLs: []string{testProxyURL}})
	u, err := s.AddUser(User{Email: "x@example.com", FirstName: "<b>", LastName: "é"})
	if err != nil {
		t.Fatal(err)
	}
	b := newBrowser(t, s)
	a := b.get("/avatars/" + u.ID + ".svg")
	if a.status != 200 || a.header.Get("Content-Type") != "image/svg+xml" || !strings.Contains(string(a.body), ">&lt;É</text>") {
		t.Errorf("got %d %s", a.status, a.body)
	}
	for _, path := range []string{"/avatars/" + u.ID, "/avatars/user_x.svg", "/avatars/"} {
		if a := b.get(path); a.status != 404 || a.code() != "resource_not_found" {
			t.Errorf("%s: got %d %s", path, a.status, a.body)
		}
	}
}

func TestHealthNeedsNoDomain(t *testing.T) {
	s := start(t, Config{})
	if a := do(t, s.testClient(), request(t, http.MethodGet, s.FrontendAPI+"/v1/health", "")); a.status != 200 {
		t.Errorf("got %d %s", a.status, a.body)
	}
}
