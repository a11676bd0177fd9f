// Package exampletest runs the examples against an emulated Clerk.
package exampletest

import (
	"crypto/tls"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/clerkproxy/clerkproxy"
	"github.com/clerkproxy/clerkproxy/auth"
	"github.com/clerkproxy/clerkproxy/emulator"
)

// An Application builds an example's handler, as its main does.
type Application func(*clerkproxy.Proxy, *auth.Authenticator) http.Handler

// Ada is the person who signs in. She is an administrator of the organization
// acme, where she may create invoices, and a member of umbrella.
var Ada = emulator.User{ID: "user_ada", Email: "ada@example.com", Password: "analytical engine", FirstName: "Ada", LastName: "Lovelace"}

// A Site is an application on a server of its own, in front of an emulated
// Clerk.
type Site struct {
	URL   string
	Clerk *emulator.Server
}

// ClearEnvironment takes away what the machine's environment may say about
// Clerk.
func ClearEnvironment(t *testing.T) {
	for _, name := range []string{
		"PUBLISHABLE_KEY", "SECRET_KEY", "PROXY_URL", "FAPI_URL", "API_URL", "JWT_KEY", "SIGN_IN_URL", "SIGN_UP_URL",
		"IS_SATELLITE", "DOMAIN",
	} {
		t.Setenv("CLERK_"+name, "")
		t.Setenv("NEXT_PUBLIC_CLERK_"+name, "")
	}
}

// Start serves an application. The change, unless it is nil, is made to the
// authenticator's configuration.
func Start(t *testing.T, application Application, change func(*auth.Config)) *Site {
	ClearEnvironment(t)
	clerk, err := emulator.Start(emulator.Config{
		Users: []emulator.User{Ada},
		Roles: map[string][]string{"org:admin": {"org:invoices:create"}},
		Organizations: []emulator.Organization{
			{Name: "Acme", Slug: "acme", Members: map[string]string{Ada.ID: "org:admin"}},
			{Name: "Umbrella", Slug: "umbrella", Members: map[string]string{Ada.ID: "org:member"}},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(clerk.Close)

	log := slog.New(slog.DiscardHandler)
	proxy, err := clerkproxy.New(clerkproxy.Config{
		PublishableKey: clerk.PublishableKey,
		SecretKey:      clerk.SecretKey,
		FrontendAPIURL: clerk.FrontendAPI,
		RootCAs:        clerk.RootCAs(),
		Logger:         log,
	})
	if err != nil {
		t.Fatal(err)
	}
	config := auth.Config{
		Proxy:         proxy,
		BackendAPIURL: clerk.BackendAPI,
		Transport:     &http.Transport{TLSClientConfig: &tls.Config{RootCAs: clerk.RootCAs()}},
		Logger:        log,
	}
	if change != nil {
		change(&config)
	}
	authn, err := auth.New(config)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(application(proxy, authn))
	t.Cleanup(server.Close)
	if err := clerk.RegisterProxyURL(server.URL + "/__clerk"); err != nil {
		t.Fatal(err)
	}
	return &Site{URL: server.URL, Clerk: clerk}
}

// A Browser keeps cookies and follows redirects on its site, and no others.
type Browser struct {
	t    *testing.T
	site *Site
	http *http.Client

	// Visited are the paths that the last page led to, in order.
	Visited []string
}

// Browser is a new one, without cookies.
func (s *Site) Browser(t *testing.T) *Browser {
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	b := &Browser{t: t, site: s}
	b.http = &http.Client{Jar: jar, Timeout: 30 * time.Second, CheckRedirect: func(r *http.Request, via []*http.Request) error {
		if "http://"+r.URL.Host != s.URL || len(via) > 10 {
			return http.ErrUseLastResponse
		}
		b.Visited = append(b.Visited, r.URL.Path)
		return nil
	}}
	return b
}

// An Answer is what came back, read whole.
type Answer struct {
	Status int
	Header http.Header
	Body   string
}

// Page opens a page, as somebody does who types its address.
func (b *Browser) Page(path string) Answer {
	b.t.Helper()
	return b.send(http.MethodGet, path, nil, http.Header{
		"Sec-Fetch-Dest": {"document"},
		"Accept":         {"text/html,application/xhtml+xml"},
	})
}

// Fetch makes a request, as a script on a page does, with further headers in
// pairs of name and value.
func (b *Browser) Fetch(path string, headers ...string) Answer {
	b.t.Helper()
	h := http.Header{"Sec-Fetch-Dest": {"empty"}, "Accept": {"*/*"}}
	for i := 0; i < len(headers); i += 2 {
		h.Set(headers[i], headers[i+1])
	}
	return b.send(http.MethodGet, path, nil, h)
}

// SignIn signs Ada in at the Frontend API, through the proxy, as ClerkJS does.
// It sets no session token; that is for a handshake to do.
func (b *Browser) SignIn() {
	b.t.Helper()
	form := url.Values{"identifier": {Ada.Email}, "strategy": {"password"}, "password": {Ada.Password}}
	a := b.send(http.MethodPost, "/__clerk/v1/client/sign_ins", strings.NewReader(form.Encode()), http.Header{
		"Content-Type": {"application/x-www-form-urlencoded"},
		"Origin":       {b.site.URL},
	})
	var answer struct {
		Response struct {
			Status string `json:"status"`
		} `json:"response"`
	}
	if err := json.Unmarshal([]byte(a.Body), &answer); err != nil || answer.Response.Status != "complete" {
		b.t.Fatalf("signing in: %d %s", a.Status, a.Body)
	}
}

// SessionToken is the one in the browser's cookies, or empty.
func (b *Browser) SessionToken() string {
	b.t.Helper()
	u, err := url.Parse(b.site.URL)
	if err != nil {
		b.t.Fatal(err)
	}
	for _, cookie := range b.http.Jar.Cookies(u) {
		if cookie.Name == "__session" {
			return cookie.Value
		}
	}
	return ""
}

func (b *Browser) send(method, path string, body io.Reader, header http.Header) Answer {
	b.t.Helper()
	b.Visited = nil
	r, err := http.NewRequestWithContext(b.t.Context(), method, b.site.URL+path, body)
	if err != nil {
		b.t.Fatal(err)
	}
	r.Header = header
	response, err := b.http.Do(r)
	if err != nil {
		b.t.Fatal(err)
	}
	defer response.Body.Close()
	read, err := io.ReadAll(response.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	return Answer{Status: response.StatusCode, Header: response.Header, Body: string(read)}
}
