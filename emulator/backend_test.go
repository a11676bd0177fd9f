package emulator

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// backendCall calls the Backend API with the secret key.
func backendCall(t *testing.T, s *Server, method, path, body string) answer {
	t.Helper()
	r := request(t, method, s.BackendAPI+path, body)
	r.Header.Set("Authorization", "Bearer "+s.SecretKey)
	return do(t, s.testClient(), r)
}

func TestTheBackendAPIWantsTheSecretKey(t *testing.T) {
	s := start(t, Config{})
	for authorization, code := range map[string]string{
		"":                          "authentication_invalid",
		s.SecretKey:                 "authorization_header_format_invalid",
		"Basic " + s.SecretKey:      "authorization_header_format_invalid",
		"Bearer":                    "authorization_header_format_invalid",
		"Bearer sk_live_other":      "clerk_key_invalid",
		"Bearer " + s.SecretKey[1:]: "clerk_key_invalid",
	} {
		for _, path := range []string{"/v1/domains", "/v1/jwks", "/v1/nothing"} {
			r := request(t, http.MethodGet, s.BackendAPI+path, "")
			if authorization != "" {
				r.Header.Set("Authorization", authorization)
			}
			if a := do(t, s.testClient(), r); a.status != http.StatusUnauthorized || a.code() != code || a.header.Get("X-Clerk-Trace-Id") == "" {
				t.Errorf("%s: got %d %s, want %s", path, a.status, a.body, code)
			}
		}
	}
}

func TestTheBackendAPIListsItsDomain(t *testing.T) {
	s := start(t, Config{Domain: "app.dev"})
	a := backendCall(t, s, http.MethodGet, "/v1/domains", "")
	for path, want := range map[string]any{
		"total_count": 1.0, "data.0.id": s.Domains()[0].ID, "data.0.name": "app.dev", "data.0.is_satellite": false,
		"data.0.frontend_api_url": "https://clerk.app.dev", "data.0.proxy_url": nil,
	} {
		if got := a.at(path); got != want {
			t.Errorf("%s is %v, want %v", path, got, want)
		}
	}
	if a := backendCall(t, s, http.MethodGet, "/v1/domains/"+s.Domains()[0].ID, ""); a.at("name") != "app.dev" {
		t.Errorf("one: %d %s", a.status, a.body)
	}
	if a := backendCall(t, s, http.MethodGet, "/v1/domains/dmn_x", ""); a.status != http.StatusNotFound {
		t.Errorf("another: %d %s", a.status, a.body)
	}
}

func TestTheRecordsThatADomainNeeds(t *testing.T) {
	s := start(t, Config{Domain: "app.dev", Satellites: []Satellite{{Domain: "satellite.dev"}}})
	required := func() map[string]bool {
		var list struct {
			Data []struct {
				Portal  *string `json:"accounts_portal_url"`
				Records []struct {
					Host, Value string
					Required    bool
				} `json:"cname_targets"`
			}
		}
		a := backendCall(t, s, http.MethodGet, "/v1/domains", "")
		if err := json.Unmarshal(a.body, &list); err != nil {
			t.Fatal(err)
		}
		if p := list.Data[0].Portal; p == nil || *p != "https://accounts.app.dev" || list.Data[1].Portal != nil {
			t.Errorf("account portals: %s", a.body)
		}
		records := map[string]bool{}
		for _, d := range list.Data {
			for _, r := range d.Records {
				records[r.Host+" "+r.Value] = r.Required
			}
		}
		return records
	}
	want := map[string]bool{
		"clerk.app.dev frontend-api.clerk.services":             true,
		"accounts.app.dev accounts.clerk.services":              true,
		"clkmail.app.dev mail.emulator.clerk.services":          true,
		"clk._domainkey.app.dev dkim1.emulator.clerk.services":  true,
		"clk2._domainkey.app.dev dkim2.emulator.clerk.services": true,
		"clerk.satellite.dev frontend-api.clerk.services":       true,
	}
	if got := required(); !maps.Equal(got, want) {
		t.Errorf("with DNS: %v", got)
	}
	if err := s.RegisterProxyURL("https://app.dev/__clerk"); err != nil {
		t.Fatal(err)
	}
	want["clerk.app.dev frontend-api.clerk.services"] = false
	want["accounts.app.dev accounts.clerk.services"] = false
	if got := required(); !maps.Equal(got, want) {
		t.Errorf("with a proxy: %v", got)
	}
}

func TestEnablingAProxyAndGoingBack(t *testing.T) {
	s := start(t, Config{Users: []User{ada}})
	f := newForwarding(t, s, nil)
	id := s.Domains()[0].ID
	b := newBrowser(t, s)
	b.proxyURL = f.proxyURL()

	if a := b.get("/v1/environment"); a.code() != "host_invalid" {
		t.Errorf("before: %d %s", a.status, a.body)
	}
	a := backendCall(t, s, http.MethodPost, "/v1/proxy_checks", fmt.Sprintf(`{"domain_id":%q,"proxy_url":%q}`, id, f.proxyURL()))
	if a.at("object") != "proxy_check" || a.at("successful") != true || a.at("proxy_url") != f.proxyURL() {
		t.Errorf("checking: %d %s", a.status, a.body)
	}
	if got := s.Domains()[0].ProxyURL; got != "" {
		t.Errorf("the check set the proxy URL to %s", got)
	}

	a = backendCall(t, s, http.MethodPatch, "/v1/domains/"+id, fmt.Sprintf(`{"name":null,"proxy_url":%q}`, f.proxyURL()))
	if a.status != http.StatusOK || a.at("proxy_url") != f.proxyURL() || a.at("frontend_api_url") != f.proxyURL() {
		t.Fatalf("enabling: %d %s", a.status, a.body)
	}
	if a := b.get("/v1/environment"); a.status != http.StatusOK {
		t.Errorf("enabled: %d %s", a.status, a.body)
	}
	b.signIn(ada)

	a = backendCall(t, s, http.MethodPatch, "/v1/domains/"+id, `{}`)
	if a.status != http.StatusOK || a.at("proxy_url") != f.proxyURL() {
		t.Errorf("changing nothing: %d %s", a.status, a.body)
	}
	a = backendCall(t, s, http.MethodPatch, "/v1/domains/"+id, `{"proxy_url":null}`)
	if a.status != http.StatusOK || a.at("proxy_url") != nil || a.at("frontend_api_url") != "https://clerk.example.com" {
		t.Errorf("disabling: %d %s", a.status, a.body)
	}
	if a := b.get("/v1/environment"); a.code() != "host_invalid" {
		t.Errorf("disabled: %d %s", a.status, a.body)
	}
}

func TestProxiesThatAreNotEnabled(t *testing.T) {
	tests := []struct {
		name  string
		spoil func(*http.Request)
		path  string
		says  string
	}{
		{"one that sends no key", func(r *http.Request) { r.Header.Del("Clerk-Secret-Key") }, "", "status 400"},
		{"one that sends another key", func(r *http.Request) { r.Header.Set("Clerk-Secret-Key", "sk_live_x") }, "", "status 401"},
		{"one that sends no proxy URL", func(r *http.Request) { r.Header.Del("Clerk-Proxy-Url") }, "", "status 400"},
		{"one that goes by another name", func(r *http.Request) { r.Header.Set("Clerk-Proxy-Url", "https://example.com/__clerk") }, "", "did not come from this instance"},
		{"one that sends no address", func(r *http.Request) { r.Header["X-Forwarded-For"] = nil }, "", "X-Forwarded-For"},
		{"one that loses the query", func(r *http.Request) { r.URL.RawQuery = "" }, "", "status 400"},
		{"a path where there is no proxy", nil, "/elsewhere", "status 404"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := start(t, Config{})
			f := newForwarding(t, s, tt.spoil)
			refused(t, s, f.proxyURL()+tt.path, "invalid_proxy_configuration", tt.says)
		})
	}
}

// refused enables and checks a proxy URL, wants both refused, and the domain as
// it was.
func refused(t *testing.T, s *Server, proxyURL, code, says string) {
	t.Helper()
	id := s.Domains()[0].ID
	encoded, _ := json.Marshal(proxyURL)
	for _, a := range []answer{
		backendCall(t, s, http.MethodPatch, "/v1/domains/"+id, fmt.Sprintf(`{"proxy_url":%s}`, encoded)),
		backendCall(t, s, http.MethodPost, "/v1/proxy_checks", fmt.Sprintf(`{"domain_id":%q,"proxy_url":%s}`, id, encoded)),
	} {
		message, _ := a.at("errors.0.long_message").(string)
		if a.status != http.StatusUnprocessableEntity || a.code() != code || !strings.Contains(message, says) || a.at("errors.0.meta.param_name") != "proxy_url" {
			t.Errorf("got %d %s", a.status, a.body)
		}
	}
	if got := s.Domains()[0]; got.ProxyURL != "" {
		t.Errorf("the domain has the proxy URL %s", got.ProxyURL)
	}
}

func TestServersThatAreNoProxies(t *testing.T) {
	for name, tt := range map[string]struct {
		handler http.HandlerFunc
		says    string
	}{
		"one that answers healthy by itself": {func(w http.ResponseWriter, _ *http.Request) {
			fmt.Fprint(w, `{"status":"healthy","x_forwarded_for":"127.0.0.1"}`)
		}, "did not come from this instance"},
		"one that serves its application": {func(w http.ResponseWriter, _ *http.Request) {
			fmt.Fprint(w, "<!doctype html>")
		}, "not JSON"},
		"one that redirects": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "/sign-in", http.StatusFound)
		}, "status 302"},
		"one that hangs up": {func(http.ResponseWriter, *http.Request) {
			panic(http.ErrAbortHandler)
		}, "EOF"},
	} {
		t.Run(name, func(t *testing.T) {
			s := start(t, Config{})
			other := httptest.NewServer(tt.handler)
			t.Cleanup(other.Close)
			refused(t, s, other.URL+"/__clerk", "invalid_proxy_configuration", tt.says)
		})
	}
	t.Run("nobody", func(t *testing.T) {
		other := httptest.NewServer(nil)
		other.Close()
		refused(t, start(t, Config{}), other.URL+"/__clerk", "invalid_proxy_configuration", "refused")
	})
}

func TestProxyURLsThatAreNotEvenCalled(t *testing.T) {
	s := start(t, Config{})
	for proxyURL, says := range map[string]string{
		"https://other.dev/__clerk":     "on the domain",
		"http://example.com/__clerk":    "https",
		"https://example.com/__clerk/":  "slash",
		"https://example.com/__clerk?x": "query",
		"/__clerk":                      "absolute",
	} {
		refused(t, s, proxyURL, "form_param_format_invalid", says)
	}
	id := s.Domains()[0].ID
	for body, code := range map[string]string{
		`{"proxy_url":1}`:         "form_param_format_invalid",
		`{"name":"other.dev"}`:    "form_param_unknown",
		`{"proxy_url":"https://e`: "request_body_invalid",
		`[]`:                      "request_body_invalid",
		`null`:                    "request_body_invalid",
		``:                        "request_body_invalid",
		`{"x":"` + strings.Repeat("a", maxBody) + `"}`: "request_body_too_large",
	} {
		if a := backendCall(t, s, http.MethodPatch, "/v1/domains/"+id, body); a.code() != code {
			t.Errorf("%.40s: got %d %s, want %s", body, a.status, a.body, code)
		}
	}
	if a := backendCall(t, s, http.MethodPatch, "/v1/domains/dmn_x", `{"proxy_url":null}`); a.status != http.StatusNotFound {
		t.Errorf("another domain: %d %s", a.status, a.body)
	}
	for body, code := range map[string]string{
		`{}`: "form_param_missing",
		`{"domain_id":"dmn_x","proxy_url":"https://example.com/__clerk"}`: "form_param_value_invalid",
	} {
		if a := backendCall(t, s, http.MethodPost, "/v1/proxy_checks", body); a.status != 422 || a.code() != code {
			t.Errorf("%s: got %d %s, want %s", body, a.status, a.body, code)
		}
	}
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestTheCheckGoesByTheTransportGiven(t *testing.T) {
	var s *Server
	asked := ""
	s = start(t, Config{Domain: "app.dev", ProxyCheckTransport: roundTripper(func(r *http.Request) (*http.Response, error) {
		asked = r.URL.String()
		out := request(t, http.MethodGet, s.FrontendAPI+"/v1/proxy-health?"+r.URL.RawQuery, "")
		out.Header.Set("Clerk-Proxy-Url", "https://app.dev/__clerk")
		out.Header.Set("Clerk-Secret-Key", s.SecretKey)
		out.Header.Set("X-Forwarded-For", "203.0.113.7")
		return s.testClient().Do(out)
	})})
	id := s.Domains()[0].ID
	a := backendCall(t, s, http.MethodPatch, "/v1/domains/"+id, `{"proxy_url":"https://app.dev/__clerk"}`)
	if a.status != http.StatusOK || asked != "https://app.dev/__clerk/v1/proxy-health?domain_id="+id {
		t.Errorf("got %d %s, having asked %s", a.status, a.body, asked)
	}
}

func TestTheBackendAPIListsUsers(t *testing.T) {
	s := start(t, Config{Users: []User{ada, {Email: "b@example.com"}, {Email: "c@example.com"}}})
	for query, want := range map[string][]string{
		"":                               {"c@example.com", "b@example.com", "ada@example.com"},
		"?limit=1":                       {"c@example.com"},
		"?limit=2&offset=1":              {"b@example.com", "ada@example.com"},
		"?offset=9":                      {},
		"?email_address=ADA@example.com": {"ada@example.com"},
		"?email_address=ada@example.com&email_address=b@example.com": {"b@example.com", "ada@example.com"},
		"?email_address=ada@example.com,c@example.com":               {"c@example.com", "ada@example.com"},
		"?email_address=nobody@example.com":                          {},
		"?user_id=" + s.Users()[1].ID:                                {"b@example.com"},
	} {
		var got []User
		var list []struct {
			EmailAddresses []struct {
				EmailAddress string `json:"email_address"`
			} `json:"email_addresses"`
		}
		a := backendCall(t, s, http.MethodGet, "/v1/users"+query, "")
		if err := json.Unmarshal(a.body, &list); err != nil {
			t.Fatalf("%s: %d %s", query, a.status, a.body)
		}
		for _, u := range list {
			got = append(got, User{Email: u.EmailAddresses[0].EmailAddress})
		}
		if len(got) != len(want) {
			t.Errorf("%s: got %v, want %v", query, got, want)
			continue
		}
		for i := range want {
			if got[i].Email != want[i] {
				t.Errorf("%s: got %v, want %v", query, got, want)
			}
		}
	}
	if a := backendCall(t, s, http.MethodGet, "/v1/users/count?email_address=b@example.com", ""); a.at("total_count") != 1.0 {
		t.Errorf("count: %d %s", a.status, a.body)
	}
	if a := backendCall(t, s, http.MethodGet, "/v1/users/"+s.Users()[0].ID, ""); a.at("first_name") != "Ada" || a.at("id") != s.Users()[0].ID {
		t.Errorf("one: %d %s", a.status, a.body)
	}
	if a := backendCall(t, s, http.MethodGet, "/v1/users/user_x", ""); a.status != http.StatusNotFound || a.code() != "resource_not_found" {
		t.Errorf("none: %d %s", a.status, a.body)
	}
	for _, query := range []string{"?limit=0", "?limit=501", "?limit=x", "?offset=-1"} {
		if a := backendCall(t, s, http.MethodGet, "/v1/users"+query, ""); a.code() != "form_param_value_invalid" {
			t.Errorf("%s: %d %s", query, a.status, a.body)
		}
	}
}

func TestTheRestOfTheBackendAPI(t *testing.T) {
	s := start(t, Config{ProxyURLs: []string{testProxyURL}, Users: []User{ada}})
	id := newBrowser(t, s).signIn(ada)
	if a := backendCall(t, s, http.MethodGet, "/v1/jwks", ""); a.at("keys.0.kid") != s.keys.current().id || a.at("keys.0.alg") != "RS256" || a.at("keys.0.d") != nil {
		t.Errorf("jwks: %d %s", a.status, a.body)
	}
	if a := backendCall(t, s, http.MethodGet, "/v1/instance", ""); a.at("environment_type") != "production" {
		t.Errorf("instance: %d %s", a.status, a.body)
	}
	if a := backendCall(t, s, http.MethodGet, "/v1/sessions/"+id, ""); a.at("status") != "active" || a.at("user_id") != s.Users()[0].ID {
		t.Errorf("session: %d %s", a.status, a.body)
	}
	if a := backendCall(t, s, http.MethodDelete, "/v1/users", ""); a.status != http.StatusMethodNotAllowed || a.header.Get("Allow") == "" {
		t.Errorf("method: %d %s", a.status, a.body)
	}
}
