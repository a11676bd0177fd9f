package emulator

import (
	"net/http"
	"testing"
)

func TestAttribution(t *testing.T) {
	s := start(t, Config{Domain: "app.dev", ProxyURLs: []string{"https://app.dev/__clerk/", "http://localhost:8080/__clerk"}})
	const proxyURL = "https://app.dev/__clerk"
	tests := []struct {
		name   string
		header http.Header
		host   string
		status int
		code   any
	}{
		{"the proxy URL and the key", http.Header{"Clerk-Proxy-Url": {proxyURL}, "Clerk-Secret-Key": {s.SecretKey}}, "", 200, nil},
		{"another registered proxy URL", http.Header{"Clerk-Proxy-Url": {"http://localhost:8080/__clerk"}, "Clerk-Secret-Key": {s.SecretKey}}, "", 200, nil},
		{"neither", http.Header{}, "", 400, "host_invalid"},
		{"neither, at the host of a domain that is proxied", http.Header{}, "clerk.app.dev", 400, "host_invalid"},
		{"the key alone", http.Header{"Clerk-Secret-Key": {s.SecretKey}}, "", 400, "host_invalid"},
		{"the proxy URL alone", http.Header{"Clerk-Proxy-Url": {proxyURL}}, "", 400, "proxy_request_missing_secret_key"},
		{"an empty key", http.Header{"Clerk-Proxy-Url": {proxyURL}, "Clerk-Secret-Key": {""}}, "", 400, "proxy_request_missing_secret_key"},
		{"another instance's key", http.Header{"Clerk-Proxy-Url": {proxyURL}, "Clerk-Secret-Key": {"sk_live_other"}}, "", 401, "proxy_request_invalid_secret_key"},
		{"the key twice", http.Header{"Clerk-Proxy-Url": {proxyURL}, "Clerk-Secret-Key": {s.SecretKey, s.SecretKey}}, "", 401, "proxy_request_invalid_secret_key"},
		{"the proxy URL twice", http.Header{"Clerk-Proxy-Url": {proxyURL, proxyURL}, "Clerk-Secret-Key": {s.SecretKey}}, "", 400, "host_invalid"},
		{"a trailing slash", http.Header{"Clerk-Proxy-Url": {proxyURL + "/"}, "Clerk-Secret-Key": {s.SecretKey}}, "", 400, "host_invalid"},
		{"a relative proxy URL", http.Header{"Clerk-Proxy-Url": {"/__clerk"}, "Clerk-Secret-Key": {s.SecretKey}}, "", 400, "host_invalid"},
		{"a proxy URL that no domain has", http.Header{"Clerk-Proxy-Url": {"https://app.dev/other"}, "Clerk-Secret-Key": {s.SecretKey}}, "", 400, "host_invalid"},
	}
	for _, tt := range tests {
		for _, path := range []string{"/v1/environment", "/v1/client", "/.well-known/jwks.json"} {
			t.Run(tt.name+" "+path, func(t *testing.T) {
				r := request(t, http.MethodGet, s.FrontendAPI+path, "")
				r.Header, r.Host = tt.header.Clone(), tt.host
				if a := do(t, s.testClient(), r); a.status != tt.status || a.code() != tt.code {
					t.Errorf("got %d %v, want %d %v", a.status, a.code(), tt.status, tt.code)
				}
			})
		}
	}
}

func TestADomainWithoutAProxyIsAttributedByItsHost(t *testing.T) {
	s := start(t, Config{Domain: "app.dev"})
	r := request(t, http.MethodGet, s.FrontendAPI+"/v1/environment", "")
	r.Host = "clerk.app.dev"
	if a := do(t, s.testClient(), r); a.status != http.StatusOK || a.at("display_config.home_url") != "https://app.dev" {
		t.Errorf("got %d, home %v", a.status, a.at("display_config.home_url"))
	}
	r = request(t, http.MethodGet, s.FrontendAPI+"/v1/environment", "")
	r.Host = "clerk.other.dev"
	if a := do(t, s.testClient(), r); a.code() != "host_invalid" {
		t.Errorf("another host: %d %s", a.status, a.body)
	}
}

func TestProxyURLsThatADomainAdmits(t *testing.T) {
	d := &domain{name: "app.dev"}
	for proxyURL, want := range map[string]bool{
		"https://app.dev/__clerk":            true,
		"https://app.dev:8443/__clerk":       true,
		"https://APP.dev/__clerk":            true,
		"https://www.app.dev/__clerk":        true,
		"https://app.dev":                    true,
		"http://localhost:8080/__clerk":      true,
		"http://127.0.0.1:8080/__clerk":      true,
		"https://[::1]:8080/__clerk":         true,
		"http://demo.localhost/__clerk":      true,
		"":                                   false,
		"/__clerk":                           false,
		"app.dev/__clerk":                    false,
		"https:///__clerk":                   false,
		"http://app.dev/__clerk":             false,
		"ftp://app.dev/__clerk":              false,
		"https://app.dev/__clerk/":           false,
		"https://app.dev/__clerk?x=1":        false,
		"https://app.dev/__clerk?":           false,
		"https://app.dev/__clerk#x":          false,
		"https://user@app.dev/__clerk":       false,
		"https://other.dev/__clerk":          false,
		"https://notapp.dev/__clerk":         false,
		"https://app.dev.evil.test/__clerk":  false,
		"http://localhost.evil.test/__clerk": false,
	} {
		if err := d.admits(proxyURL); (err == nil) != want {
			t.Errorf("%q: %v", proxyURL, err)
		}
	}
}

func TestProxyHealth(t *testing.T) {
	s := start(t, Config{Domain: "app.dev"}) // its proxy URL is not set yet
	id := s.Domains()[0].ID
	tests := []struct {
		name    string
		query   string
		change  func(http.Header)
		status  int
		code    any
		health  any
		address any
	}{
		{"a proxy as it should be", "?domain_id=" + id, func(http.Header) {}, 200, nil, "healthy", "203.0.113.7"},
		{"several addresses", "?domain_id=" + id, func(h http.Header) { h.Set("X-Forwarded-For", "2001:db8::1, 10.0.0.1") }, 200, nil, "healthy", "2001:db8::1"},
		{"no address", "?domain_id=" + id, func(h http.Header) { h.Del("X-Forwarded-For") }, 200, nil, "unhealthy", nil},
		{"an address that is none", "?domain_id=" + id, func(h http.Header) { h.Set("X-Forwarded-For", "unknown, 203.0.113.7") }, 200, nil, "unhealthy", nil},
		{"an address with a port", "?domain_id=" + id, func(h http.Header) { h.Set("X-Forwarded-For", "203.0.113.7:1234") }, 200, nil, "unhealthy", nil},
		{"a trailing slash", "?domain_id=" + id, func(h http.Header) { h.Set("Clerk-Proxy-Url", "https://app.dev/__clerk/") }, 200, nil, "unhealthy", nil},
		{"another domain's proxy URL", "?domain_id=" + id, func(h http.Header) { h.Set("Clerk-Proxy-Url", "https://other.dev/__clerk") }, 200, nil, "unhealthy", nil},
		{"no proxy URL", "?domain_id=" + id, func(h http.Header) { h.Del("Clerk-Proxy-Url") }, 400, "host_invalid", nil, nil},
		{"no key", "?domain_id=" + id, func(h http.Header) { h.Del("Clerk-Secret-Key") }, 400, "proxy_request_missing_secret_key", nil, nil},
		{"another key", "?domain_id=" + id, func(h http.Header) { h.Set("Clerk-Secret-Key", "sk_live_x") }, 401, "proxy_request_invalid_secret_key", nil, nil},
		{"no domain", "", func(http.Header) {}, 400, "malformed_request_parameters", nil, nil},
		{"a domain that is not here", "?domain_id=dmn_x", func(http.Header) {}, 400, "host_invalid", nil, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := request(t, http.MethodGet, s.FrontendAPI+"/v1/proxy-health"+tt.query, "")
			r.Header.Set("Clerk-Proxy-Url", "https://app.dev/__clerk")
			r.Header.Set("Clerk-Secret-Key", s.SecretKey)
			r.Header.Set("X-Forwarded-For", "203.0.113.7")
			tt.change(r.Header)
			a := do(t, s.testClient(), r)
			if a.status != tt.status || a.code() != tt.code || a.at("status") != tt.health || a.at("x_forwarded_for") != tt.address {
				t.Errorf("got %d %s", a.status, a.body)
			}
		})
	}
}
