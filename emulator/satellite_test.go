package emulator

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
)

const (
	satelliteProxyURL = "https://satellite.dev/__clerk"
	satellitePage     = "https://satellite.dev/account?tab=1"
)

// twoDomains is a primary domain with a satellite, and one person's browser,
// whose cookies on the two are apart.
func twoDomains(t *testing.T) (s *Server, primary, satellite *browser, clock *clock) {
	clock = newClock()
	s = start(t, Config{
		ProxyURLs:  []string{testProxyURL},
		Satellites: []Satellite{{Domain: "satellite.dev", ProxyURLs: []string{satelliteProxyURL}}},
		Users:      []User{ada},
		Now:        clock.Now,
	})
	satellite = newBrowser(t, s)
	satellite.proxyURL = satelliteProxyURL
	return s, newBrowser(t, s), satellite, clock
}

// follow goes where an answer redirects to, which must be the Frontend API of
// the domain.
func follow(t *testing.T, a answer, b *browser, endpoint string) answer {
	t.Helper()
	location := a.header.Get("Location")
	path, ok := strings.CutPrefix(location, b.proxyURL)
	if a.status != http.StatusTemporaryRedirect || !ok || !strings.HasPrefix(path, endpoint+"?") {
		t.Fatalf("got %d %s, to %s; want %s%s", a.status, a.body, location, b.proxyURL, endpoint)
	}
	return b.get(path)
}

// synced takes an answer of the satellite from there to the primary and back.
func synced(t *testing.T, a answer, primary, satellite *browser) answer {
	t.Helper()
	a = follow(t, a, primary, "/v1/client/sync")
	return follow(t, a, satellite, "/v1/client/link")
}

func TestASatelliteLearnsOfTheSessionByAHandshake(t *testing.T) {
	s, primary, satellite, _ := twoDomains(t)
	id := primary.signIn(ada)
	a := satellite.shake(satellitePage+"&__clerk_synced=false", url.Values{"__session": {"old"}, "__clerk_hs_reason": {"satellite-needs-syncing"}})
	if strings.Contains(a.header.Get("Location"), "old") {
		t.Errorf("the satellite's token goes to the primary domain: %s", a.header.Get("Location"))
	}
	a = synced(t, a, primary, satellite)
	a = follow(t, a, satellite, "/v1/client/handshake")
	if got := a.header.Get("Location"); got != "https://satellite.dev/account?__clerk_synced=true&tab=1" {
		t.Errorf("it goes back to %s", got)
	}
	if c := brought(t, a, "__clerk_handshake_nonce"); c.Domain != "satellite.dev" {
		t.Errorf("the nonce is %v", c)
	}
	cookies := payload(t, s, a)
	if got := sessionClaims(t, cookies["__session"].Value); got["sid"] != id || got["azp"] != "https://satellite.dev" || got["iss"] != satelliteProxyURL {
		t.Errorf("claims %v", got)
	}
	if c := cookies["__client_uat"]; c.Value == "0" || c.Domain != "satellite.dev" {
		t.Errorf("__client_uat is %v", c)
	}

	// From now on the satellite answers by itself, and shares the session.
	if c := payload(t, s, satellite.shake(satellitePage, nil))["__session"]; sessionClaims(t, c.Value)["sid"] != id {
		t.Errorf("the next handshake sets %v", c)
	}
	if a := satellite.get("/v1/client"); a.at("response.sessions.0.id") != id {
		t.Errorf("the client: %s", a.body)
	}
	// Unless there was a sign-in on the primary domain since.
	follow(t, satellite.shake(satellitePage+"&__clerk_synced=false", nil), primary, "/v1/client/sync")

	satellite.send(http.MethodDelete, "/v1/client/sessions", nil)
	if c := payload(t, s, primary.shake(testPage, nil))["__session"]; c.Value != "" {
		t.Errorf("signing out on the satellite left the primary domain signed in: %v", c)
	}
}

func TestASatelliteLearnsOfTheSessionByClerkJS(t *testing.T) {
	_, primary, satellite, _ := twoDomains(t)
	id := primary.signIn(ada)
	a := satellite.get("/v1/client/sync?redirect_url=" + url.QueryEscape(satellitePage+"&__clerk_synced=false#/x"))
	a = synced(t, a, primary, satellite)
	if got := a.header.Get("Location"); got != "https://satellite.dev/account?__clerk_synced=true&tab=1#/x" {
		t.Errorf("it goes back to %s", got)
	}
	set := setCookies(t, a)
	if c := set["__client"]; c == nil || !c.HttpOnly || c.Domain != "" {
		t.Errorf("__client is %v", c)
	}
	if c := set["__client_uat"]; c == nil || c.Value == "0" || c.Domain != "satellite.dev" {
		t.Errorf("__client_uat is %v", c)
	}
	if a := satellite.get("/v1/client"); a.at("response.sessions.0.id") != id {
		t.Errorf("the client: %s", a.body)
	}
}

func TestASatelliteOfAPrimaryThatIsSignedOut(t *testing.T) {
	s, primary, satellite, _ := twoDomains(t)
	for name, before := range map[string]func(){
		"a stranger": func() {},
		"someone signed out": func() {
			primary.signIn(ada)
			synced(t, satellite.get("/v1/client/sync?redirect_url="+url.QueryEscape(satellitePage)), primary, satellite)
			primary.send(http.MethodDelete, "/v1/client", nil)
		},
	} {
		t.Run(name, func(t *testing.T) {
			before()
			a := synced(t, satellite.shake(satellitePage, nil), primary, satellite)
			a = follow(t, a, satellite, "/v1/client/handshake")
			if got := a.header.Get("Location"); !strings.Contains(got, "__clerk_synced=true") {
				t.Errorf("it goes back to %s, and would be asked again", got)
			}
			if c := payload(t, s, a)["__session"]; c.Value != "" {
				t.Errorf("it sets %v", c)
			}
			if a := satellite.get("/v1/client"); a.at("response") != nil {
				t.Errorf("the client: %s", a.body)
			}
		})
	}
}

func TestALinkIsGoodForOneSatelliteOnce(t *testing.T) {
	s, primary, satellite, clock := twoDomains(t)
	primary.signIn(ada)
	if _, err := s.AddSatellite(Satellite{Domain: "other.dev", ProxyURLs: []string{"https://other.dev/__clerk"}}); err != nil {
		t.Fatal(err)
	}
	other := newBrowser(t, s)
	other.proxyURL = "https://other.dev/__clerk"
	link := func() string {
		a := primary.get("/v1/client/sync?link_domain=satellite.dev&redirect_url=" + url.QueryEscape(satellitePage))
		path, _ := strings.CutPrefix(a.header.Get("Location"), satelliteProxyURL)
		return path
	}
	refused := func(name string, a answer, status int, code string) {
		t.Helper()
		if a.status != status || a.code() != code || len(a.header["Set-Cookie"]) != 0 {
			t.Errorf("%s: got %d %s, set %v", name, a.status, a.body, a.header["Set-Cookie"])
		}
	}
	used := link()
	if a := satellite.get(used); a.status != http.StatusTemporaryRedirect {
		t.Fatalf("got %d %s", a.status, a.body)
	}
	refused("used", newSatelliteBrowser(t, s).get(used), 400, "sync_nonce_already_consumed")
	refused("on the primary domain", newBrowser(t, s).get(link()), 403, "operation_not_allowed_on_primary_domain")
	refused("on another satellite", other.get(link()), 400, "sync_nonce_already_consumed")
	refused("invented", newSatelliteBrowser(t, s).get("/v1/client/link?__clerk_token=x"), 400, "sync_nonce_already_consumed")
	refused("missing", newSatelliteBrowser(t, s).get("/v1/client/link"), 400, "sync_nonce_already_consumed")
	late := link()
	clock.advance(linkLifetime)
	refused("late", newSatelliteBrowser(t, s).get(late), 400, "sync_nonce_already_consumed")
}

func newSatelliteBrowser(t *testing.T, s *Server) *browser {
	b := newBrowser(t, s)
	b.proxyURL = satelliteProxyURL
	return b
}

func TestClientsAreHandedToSatellitesAlone(t *testing.T) {
	_, primary, satellite, _ := twoDomains(t)
	primary.signIn(ada)
	for query, code := range map[string]string{
		"link_domain=satellite.dev":                                            "malformed_request_parameters",
		"link_domain=satellite.dev&redirect_url=https://evil.test/":            "form_param_value_invalid",
		"link_domain=satellite.dev&redirect_url=https://example.com/":          "form_param_value_invalid",
		"link_domain=example.com&redirect_url=https://example.com/":            "form_param_value_invalid",
		"link_domain=evil.test&redirect_url=https://satellite.dev/":            "form_param_value_invalid",
		"redirect_url=https://satellite.dev/":                                  "form_param_value_invalid",
		"link_domain=satellite.dev&redirect_url=https://satellite.dev.evil.x/": "form_param_value_invalid",
	} {
		if a := primary.get("/v1/client/sync?" + query); a.code() != code || a.header.Get("Location") != "" {
			t.Errorf("%s: got %d %s", query, a.status, a.body)
		}
	}
	if a := satellite.get("/v1/client/sync?redirect_url=https://example.com/"); a.code() != "form_param_value_invalid" {
		t.Errorf("a satellite, to go back to another domain: %d %s", a.status, a.body)
	}
}

func TestNobodySignsInOnASatellite(t *testing.T) {
	s, _, satellite, _ := twoDomains(t)
	for _, path := range []string{"/v1/client/sign_ins", "/v1/client/sign_ups"} {
		if a := satellite.post(path, url.Values{"identifier": {ada.Email}}); a.status != http.StatusForbidden || a.code() != "operation_not_allowed_on_satellite_domain" {
			t.Errorf("%s: %d %s", path, a.status, a.body)
		}
	}
	if got := len(s.Sessions()); got != 0 {
		t.Errorf("%d sessions", got)
	}
	a := satellite.get("/v1/environment")
	if a.at("display_config.sign_in_url") != "https://example.com/sign-in" || a.at("display_config.home_url") != "https://satellite.dev" {
		t.Errorf("sign-in at %v, home at %v", a.at("display_config.sign_in_url"), a.at("display_config.home_url"))
	}
}

func TestSatellitesAreListed(t *testing.T) {
	s, _, _, _ := twoDomains(t)
	domains := s.Domains()
	if len(domains) != 2 || domains[0].IsSatellite || !domains[1].IsSatellite || domains[1].FrontendAPIURL != satelliteProxyURL {
		t.Errorf("got %+v", domains)
	}
	a := backendCall(t, s, http.MethodGet, "/v1/domains/"+domains[1].ID, "")
	if a.at("is_satellite") != true || a.at("is_primary") != false || a.at("proxy_url") != satelliteProxyURL {
		t.Errorf("got %s", a.body)
	}
}

func TestAddingSatellites(t *testing.T) {
	s, _, _, _ := twoDomains(t)
	for _, tt := range []struct {
		satellite Satellite
		says      string
	}{
		{Satellite{Domain: "not a domain"}, "is not a domain name"},
		{Satellite{Domain: "EXAMPLE.com"}, "is the primary domain"},
		{Satellite{Domain: "third.dev", ProxyURLs: []string{"https://fourth.dev/__clerk"}}, "must be on the domain third.dev"},
		{Satellite{Domain: "third.dev", ProxyURLs: []string{"http://localhost:1/a", "https://third.dev/?"}}, "query"},
	} {
		if _, err := s.AddSatellite(tt.satellite); err == nil || !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%+v: %v", tt.satellite, err)
		}
	}
	if got := len(s.Domains()); got != 2 {
		t.Errorf("%d domains", got)
	}

	// On loopback names say nothing, so a proxy URL must be one domain's.
	const shared = "http://localhost:8081/__clerk"
	d, err := s.AddSatellite(Satellite{Domain: "Satellite.dev", ProxyURLs: []string{shared}})
	if err != nil || d.ID != s.Domains()[1].ID || d.ProxyURL != satelliteProxyURL {
		t.Errorf("a further proxy URL: %+v, %v", d, err)
	}
	if err := s.RegisterProxyURL(shared); err == nil || !strings.Contains(err.Error(), "satellite.dev") {
		t.Errorf("one proxy URL for two domains: %v", err)
	}
	a := backendCall(t, s, http.MethodPatch, "/v1/domains/"+s.Domains()[0].ID, fmt.Sprintf(`{"proxy_url":%q}`, shared))
	if a.status != http.StatusUnprocessableEntity || a.at("errors.0.meta.param_name") != "proxy_url" {
		t.Errorf("the same through the Backend API: %d %s", a.status, a.body)
	}
	if _, err := Start(Config{Satellites: []Satellite{{Domain: "not a domain"}}}); err == nil || !strings.Contains(err.Error(), "not a domain") {
		t.Errorf("at the start: %v", err)
	}
}

func TestASatelliteGoesBackToTheHostItCameFrom(t *testing.T) {
	s, primary, _, _ := twoDomains(t)
	const second = "http://127.0.0.1:8081/__clerk"
	if _, err := s.AddSatellite(Satellite{Domain: "satellite.dev", ProxyURLs: []string{second}}); err != nil {
		t.Fatal(err)
	}
	b := newBrowser(t, s)
	b.proxyURL = second
	id := primary.signIn(ada)
	a := synced(t, b.shake("http://127.0.0.1:8081/x", nil), primary, b)
	a = follow(t, a, b, "/v1/client/handshake")
	if got := sessionClaims(t, payload(t, s, a)["__session"].Value); got["sid"] != id || got["iss"] != second {
		t.Errorf("claims %v", got)
	}
}

func TestTheBackendAPIAddsASatellite(t *testing.T) {
	s := start(t, Config{})
	f := newForwarding(t, s, nil)
	a := backendCall(t, s, http.MethodPost, "/v1/domains", fmt.Sprintf(`{"name":"satellite.dev","is_satellite":true,"proxy_url":%q}`, f.proxyURL()))
	if a.status != http.StatusOK || a.at("is_satellite") != true || a.at("proxy_url") != f.proxyURL() {
		t.Errorf("got %d %s", a.status, a.body)
	}
	a = backendCall(t, s, http.MethodPost, "/v1/domains", `{"name":"dns.dev","is_satellite":true,"proxy_url":null}`)
	if a.status != http.StatusOK || a.at("frontend_api_url") != "https://clerk.dns.dev" {
		t.Errorf("without a proxy: %d %s", a.status, a.body)
	}
	for body, code := range map[string]string{
		`{"name":"satellite.dev","is_satellite":true}`:                                       "form_identifier_exists",
		`{"name":"example.com","is_satellite":true}`:                                         "form_identifier_exists",
		`{"name":"x.dev","is_satellite":false}`:                                              "form_param_value_invalid",
		`{"name":"x.dev"}`:                                                                   "form_param_value_invalid",
		`{"is_satellite":true}`:                                                              "form_param_missing",
		`{"name":"not a domain","is_satellite":true}`:                                        "form_param_format_invalid",
		`{"name":"x.dev","is_satellite":true,"other":1}`:                                     "request_body_invalid",
		`{"name":"x.dev","is_satellite":true,"proxy_url":"https://y.dev/__clerk"}`:           "form_param_format_invalid",
		fmt.Sprintf(`{"name":"x.dev","is_satellite":true,"proxy_url":%q}`, f.URL+"/nothing"): "invalid_proxy_configuration",
		`{"name":"x.dev","is_satellite":true} {}`:                                            "request_body_invalid",
	} {
		if a := backendCall(t, s, http.MethodPost, "/v1/domains", body); a.code() != code {
			t.Errorf("%s: got %d %s, want %s", body, a.status, a.body, code)
		}
	}
	if got := len(s.Domains()); got != 3 {
		t.Errorf("%d domains: what was refused must not stay", got)
	}
}

func TestASignInOnThePrimaryMakesASatelliteAskAgain(t *testing.T) {
	s, primary, satellite, clock := twoDomains(t)
	primary.signIn(ada)
	synced(t, satellite.shake(satellitePage, nil), primary, satellite)
	primary.send(http.MethodDelete, "/v1/client/sessions", nil)
	clock.advance(time.Minute)
	id := primary.signIn(ada) // the client has another token now
	a := synced(t, satellite.shake(satellitePage, nil), primary, satellite)
	a = follow(t, a, satellite, "/v1/client/handshake")
	if got := sessionClaims(t, payload(t, s, a)["__session"].Value); got["sid"] != id {
		t.Errorf("claims %v", got)
	}
}
