package demo

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/clerkproxy/clerkproxy"
	"github.com/clerkproxy/clerkproxy/emulator"
)

// visitor is a browser without ClerkJS, which follows no redirect by itself.
type visitor struct {
	t      *testing.T
	client *http.Client
}

func newVisitor(t *testing.T) *visitor {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &visitor{t, &http.Client{Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
}

func (v *visitor) do(r *http.Request) (*http.Response, string) {
	v.t.Helper()
	resp, err := v.client.Do(r)
	if err != nil {
		v.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		v.t.Fatal(err)
	}
	return resp, string(body)
}

// open asks for a page, as a browser asks for what its address bar says.
func (v *visitor) open(address string) (*http.Response, string) {
	v.t.Helper()
	r, err := http.NewRequestWithContext(v.t.Context(), http.MethodGet, address, nil)
	if err != nil {
		v.t.Fatal(err)
	}
	r.Header.Set("Sec-Fetch-Dest", "document")
	return v.do(r)
}

// follow opens a page and goes where it leads, and returns the way.
func (v *visitor) follow(address string) (way []string, resp *http.Response, body string) {
	v.t.Helper()
	for range 10 {
		resp, body = v.open(address)
		location, err := resp.Location()
		if err != nil {
			return way, resp, body
		}
		way = append(way, resp.Request.URL.Path)
		address = location.String()
	}
	v.t.Fatalf("the way of %s has no end: %q", address, way)
	return nil, nil, ""
}

// signIn signs in by the Frontend API, so that there is a session, but no
// session token: ClerkJS would make a cookie of it.
func (v *visitor) signIn(address string) {
	v.t.Helper()
	v.open(address + "/") // registers the proxy URL
	form := url.Values{"strategy": {"password"}, "identifier": {userEmail}, "password": {userPassword}}
	r, err := http.NewRequestWithContext(v.t.Context(), http.MethodPost, address+"/__clerk/v1/client/sign_ins", strings.NewReader(form.Encode()))
	if err != nil {
		v.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Origin", address)
	if resp, body := v.do(r); resp.StatusCode != http.StatusOK || !strings.Contains(body, `"complete"`) {
		v.t.Fatalf("signing in: status %d, %s", resp.StatusCode, body)
	}
}

func TestAStranger(t *testing.T) {
	d := startDemo(t)
	v := newVisitor(t)
	way, resp, body := v.follow(d.url + "/")
	if len(way) > 0 || resp.StatusCode != http.StatusOK {
		t.Errorf("the page: status %d by way of %q", resp.StatusCode, way)
	}
	for _, want := range []string{`data-server="signed-out"`, "<li>session-token-and-uat-missing</li>", `id="card"`} {
		if !strings.Contains(body, want) {
			t.Errorf("the page lacks %s", want)
		}
	}

	resp, _ = v.open(d.url + "/account")
	if to, _ := resp.Location(); to == nil || to.Path != "/" || to.Query().Get("redirect_url") != d.url+"/account" {
		t.Errorf("the protected page sends a stranger to %v", to)
	}

	resp = get(t, d.url+"/api/me", "")
	var refused struct{ Errors []struct{ Code string } }
	if err := json.NewDecoder(resp.Body).Decode(&refused); err != nil || resp.StatusCode != http.StatusUnauthorized || len(refused.Errors) != 1 {
		t.Errorf("the API answers a stranger with status %d and %+v (%v)", resp.StatusCode, refused, err)
	}
}

func TestThePageIsRenderedForWhoIsSignedIn(t *testing.T) {
	d := startDemo(t)
	v := newVisitor(t)
	v.signIn(d.url)

	way, _, body := v.follow(d.url + "/")
	if got := strings.Join(way, " "); got != "/ /__clerk/v1/client/handshake" {
		t.Errorf("a session without a token was found by way of %s", got)
	}
	for _, want := range []string{`data-server="signed-in"`, ">Ada Lovelace<", ">ada@example.com<", ">AL<",
		"<li>client-uat-but-no-session-token</li>", "<li>handshake</li>", `<li class="in">signed in</li>`} {
		if !strings.Contains(body, want) {
			t.Errorf("the page lacks %s", want)
		}
	}
	if strings.Contains(body, `id="card"`) {
		t.Error("who is signed in is shown the card to sign in")
	}

	way, resp, body := v.follow(d.url + "/account")
	if len(way) > 0 || !strings.Contains(body, "<li>session token verified</li>") {
		t.Errorf("the next page was found by way of %q, and does not say that the token was enough", way)
	}
	if got := resp.Header.Get("Cache-Control"); got != "no-store" {
		t.Errorf("a page for one person has Cache-Control %q", got)
	}

	_, body = v.open(d.url + "/api/me")
	var me map[string]string
	if err := json.Unmarshal([]byte(body), &me); err != nil || me["name"] != "Ada Lovelace" || me["email"] != userEmail || !strings.HasPrefix(me["session_id"], "sess_") {
		t.Errorf("the API answers %s (%v)", body, err)
	}

	resp, _ = v.open(d.url + "/?redirect_url=" + url.QueryEscape(d.url+"/account"))
	if to, _ := resp.Location(); resp.StatusCode != http.StatusSeeOther || to == nil || to.Path != "/account" {
		t.Errorf("who is signed in gets from the sign-in page to %v with status %d", to, resp.StatusCode)
	}
}

func TestASatelliteLearnsOfASignIn(t *testing.T) {
	d := start(t, Config{Satellite: true})
	v := newVisitor(t)
	if way, _, body := v.follow(d.satellite + "/"); len(way) > 0 || !strings.Contains(body, "__clerk_synced%3Dfalse") {
		t.Errorf("the satellite sends a stranger to %q, or has no link to sign in", way)
	}
	v.signIn(d.url)
	if _, _, body := v.follow(d.satellite + "/"); !strings.Contains(body, `data-server="signed-out"`) {
		t.Error("the satellite knows of a sign-in before anybody told it")
	}
	_, _, body := v.follow(d.url + "/?redirect_url=" + url.QueryEscape(d.satellite+"/account?__clerk_synced=false"))
	for _, want := range []string{`data-server="signed-in"`, ">Ada Lovelace<", "<li>satellite-needs-syncing</li>"} {
		if !strings.Contains(body, want) {
			t.Errorf("the satellite's page lacks %s", want)
		}
	}

	// Cookies do not tell ports apart, so neither domain may be at the other's
	// host.
	for address, host := range map[string]string{d.url: "127.0.0.1", d.satellite: "localhost"} {
		_, port, _ := strings.Cut(strings.TrimPrefix(address, "http://"), ":")
		if resp := get(t, "http://127.0.0.1:"+port+"/", host+":"+port); resp.StatusCode != http.StatusMisdirectedRequest {
			t.Errorf("%s at %s: status %d, want 421", address, host, resp.StatusCode)
		}
	}
}

func TestASignInLinkLeadsBackToTheSitesOnly(t *testing.T) {
	proxy, err := clerkproxy.New(clerkproxy.Config{PublishableKey: emulatedKey(t), SecretKey: "sk_live_x", FrontendAPIURL: "https://127.0.0.1:1"})
	if err != nil {
		t.Fatal(err)
	}
	a := &app{proxy: proxy, site: &site{satellite: "http://127.0.0.1:8081"}}
	for _, c := range []struct{ link, want string }{
		{"http://localhost:8080/account?a=b#c", "http://localhost:8080/account?a=b#c"},
		{"http://127.0.0.1:8081/?__clerk_synced=false", "http://127.0.0.1:8081/?__clerk_synced=false"},
		{"", ""},
		{"/account", ""}, // Clerk writes absolute URLs
		{"//evil.example", ""},
		{"https://localhost:8080/", ""},
		{"http://localhost:8080.evil.example/", ""},
		{"http://localhost:8080@evil.example/", ""},
		{"http://evil@localhost:8080/", ""},
		{`http://localhost:8080\@evil.example/`, ""},
		{"http://127.0.0.1:8082/", ""},
		{"javascript:alert(1)", ""},
	} {
		r := httptest.NewRequest(http.MethodGet, "http://localhost:8080/?"+url.Values{"redirect_url": {c.link}}.Encode(), nil)
		if got := a.wayBack(r); got != c.want {
			t.Errorf("%q leads back to %q, want %q", c.link, got, c.want)
		}
	}
}

// emulatedKey is a publishable key.
func emulatedKey(t *testing.T) string {
	t.Helper()
	clerk := emulator.NewServer()
	defer clerk.Close()
	return clerk.PublishableKey
}

func TestSites(t *testing.T) {
	for _, c := range []struct {
		listen             string
		primary, satellite string // where they listen
		address, other     string
	}{
		{"127.0.0.1:8080", "127.0.0.1:8080", "127.0.0.1:8081", "http://localhost:8080", "http://127.0.0.1:8081"},
		{":9000", ":9000", ":9001", "http://localhost:9000", "http://127.0.0.1:9001"},
		{"0.0.0.0:9000", "0.0.0.0:9000", "0.0.0.0:9001", "http://localhost:9000", "http://127.0.0.1:9001"},
		{"[::1]:9000", "[::1]:9000", "127.0.0.1:9001", "http://localhost:9000", "http://127.0.0.1:9001"},
	} {
		sites, err := sitesAt(c.listen, true)
		if err != nil {
			t.Errorf("%s: %v", c.listen, err)
			continue
		}
		p, s := sites[0], sites[1]
		if p.listen != c.primary || s.listen != c.satellite || p.address != c.address || s.address != c.other || p.isSatellite || !s.isSatellite {
			t.Errorf("%s: the primary domain is %+v, the satellite %+v", c.listen, p, s)
		}
	}
	for _, listen := range []string{"8080", "localhost:http", "127.0.0.1:65535"} {
		if _, err := sitesAt(listen, true); err == nil {
			t.Errorf("%s will do for two sites", listen)
		}
	}
}
