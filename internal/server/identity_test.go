package server

import (
	"bufio"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/clerkproxy/clerkproxy"
	"github.com/clerkproxy/clerkproxy/emulator"
)

var ada = emulator.User{ID: "user_ada", Email: "ada@example.com", Password: "analytical engine"}

// authenticated serves an application behind authentication by an emulated
// Clerk. What the application is told goes to seen.
func authenticated(t *testing.T, change func(*Site)) (f *fixture, seen chan http.Header) {
	t.Helper()
	clerk, err := emulator.Start(emulator.Config{
		Users:         []emulator.User{ada},
		Roles:         map[string][]string{"org:admin": {"org:invoices:create", "org:invoices:read"}},
		Organizations: []emulator.Organization{{ID: "org_acme", Name: "Acme", Slug: "acme", Members: map[string]string{ada.ID: "org:admin"}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(clerk.Close)
	seen = make(chan http.Header, 16)
	site := Site{
		Proxy: clerkproxy.Config{
			PublishableKey: clerk.PublishableKey, SecretKey: clerk.SecretKey, FrontendAPIURL: clerk.FrontendAPI, RootCAs: clerk.RootCAs(),
		},
		AppURL:         serve(t, func(_ http.ResponseWriter, r *http.Request) { seen <- r.Header }),
		Authentication: &Authentication{BackendAPIURL: clerk.BackendAPI, SignInURL: "/sign-in"},
	}
	if change != nil {
		change(&site)
	}
	f = start(t, Site{}, serving(site))
	if err := clerk.RegisterProxyURL(f.URL + "/__clerk"); err != nil {
		t.Fatal(err)
	}
	return f, seen
}

// identityOf is what the application is told about a person.
func identityOf(h http.Header) map[string]string {
	told := map[string]string{}
	for name, values := range h {
		if isIdentity(name) {
			told[name] = strings.Join(values, "|")
		}
	}
	return told
}

func TestTheApplicationIsToldWhoIsSignedIn(t *testing.T) {
	f, seen := authenticated(t, nil)
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	browser := &http.Client{Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error { return nil }}
	open := func() {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, f.URL+"/page", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Sec-Fetch-Dest", "document")
		resp, err := browser.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		drain(resp)
	}

	open()
	if got := identityOf(await(t, seen)); !maps.Equal(got, map[string]string{"X-Clerk-Signed-In": "false"}) {
		t.Errorf("a stranger: %v", got)
	}
	if a := await(t, f.access); a.AuthStatus != "signed-out" || a.AuthReason != "session-token-and-uat-missing" {
		t.Errorf("a stranger: %+v", a)
	}

	form := url.Values{"identifier": {ada.Email}, "strategy": {"password"}, "password": {ada.Password}}
	resp, err := browser.PostForm(f.URL+"/__clerk/v1/client/sign_ins", form)
	if err != nil {
		t.Fatal(err)
	}
	var answer struct {
		Response struct {
			CreatedSessionID string `json:"created_session_id"`
		} `json:"response"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil || answer.Response.CreatedSessionID == "" {
		t.Fatalf("signing in: %s %v", resp.Status, err)
	}
	drain(resp)
	resp, err = browser.PostForm(f.URL+"/__clerk/v1/client/sessions/"+answer.Response.CreatedSessionID+"/touch", url.Values{"active_organization_id": {"org_acme"}})
	if err != nil {
		t.Fatal(err)
	}
	drain(resp)
	for range 2 {
		if a := await(t, f.access); a.Target != TargetClerk || a.AuthStatus != "" || a.Status != http.StatusOK {
			t.Errorf("signing in: %+v", a)
		}
	}

	open() // through a handshake
	want := map[string]string{
		"X-Clerk-Signed-In": "true", "X-Clerk-User-Id": ada.ID, "X-Clerk-Session-Id": answer.Response.CreatedSessionID,
		"X-Clerk-Org-Id": "org_acme", "X-Clerk-Org-Slug": "acme", "X-Clerk-Org-Role": "org:admin",
		"X-Clerk-Org-Permissions": "org:invoices:create,org:invoices:read",
	}
	if got := identityOf(await(t, seen)); !maps.Equal(got, want) {
		t.Errorf("a person: got %v, want %v", got, want)
	}
	if a := await(t, f.access); a.AuthStatus != "handshake" || a.AuthReason != "client-uat-but-no-session-token" || a.Status != http.StatusTemporaryRedirect {
		t.Errorf("the handshake: %+v", a)
	}
	if a := await(t, f.access); a.Target != TargetClerk {
		t.Errorf("the handshake at Clerk: %+v", a)
	}
	if a := await(t, f.access); a.AuthStatus != "signed-in" || a.AuthReason != "" {
		t.Errorf("after the handshake: %+v", a)
	}
	f.Close() // the line is written after the record is handed out
	lines := f.log.entries(t, "request")
	if last := lines[len(lines)-1]; last["auth"] != "signed-in" || last["auth_reason"] != nil {
		t.Errorf("got %v", last)
	}
	for _, secret := range []string{ada.ID, ada.Email, "eyJ"} {
		if strings.Contains(f.log.String(), secret) {
			t.Errorf("the log holds %s", secret)
		}
	}
}

// drain reads an answer to its end: who goes away before is noted as such.
func drain(resp *http.Response) {
	_, _ = io.Copy(io.Discard, resp.Body)
	resp.Body.Close()
}

func TestNobodyElseSaysWhoIsSignedIn(t *testing.T) {
	without, seenWithout := authenticated(t, func(s *Site) { s.Authentication = nil })
	with, seenWith := authenticated(t, nil)
	attempts := []string{
		"X-Clerk-User-Id: user_evil",
		"x-clerk-user-id: user_evil",
		"X_Clerk_User_Id: user_evil",
		"x_clerk-user_id: user_evil",
		"X-CLERK_USER-ID: user_evil",
		"X.Clerk.User.Id: user_evil",
		"X-Clerk-User-Id: user_evil\r\nX-Clerk-User-Id: user_worse",
		"X-Clerk-Signed-In: true",
		"X-Clerk-Session-Id: sess_evil",
		"X-Clerk-Org-Id: org_evil",
		"X-Clerk-Org-Slug: evil",
		"X_CLERK_ORG_ROLE: org:admin",
		"X-Clerk-Org-Permissions: org:everything",
		"Connection: X-Clerk-Signed-In, x-request-id",
	}
	for _, attempt := range attempts {
		request := "GET / HTTP/1.1\r\nHost: app.dev\r\n" + attempt + "\r\n\r\n"
		exchange(t, without, request)
		if got := identityOf(await(t, seenWithout)); len(got) != 0 {
			t.Errorf("%q without authentication: the application is told %v", attempt, got)
		}
		exchange(t, with, request)
		header := await(t, seenWith)
		if got := identityOf(header); !maps.Equal(got, map[string]string{"X-Clerk-Signed-In": "false"}) {
			t.Errorf("%q with authentication: the application is told %v", attempt, got)
		}
		if header["X-Request-Id"] == nil {
			t.Errorf("%q took the request's id away", attempt)
		}
	}
}

func TestHeadersThatOnlyLookAlikePass(t *testing.T) {
	for _, name := range []string{"X-Clerk-Auth-Status", "X-Clerk-User", "X-Clerk-User-Idx", "Clerk-User-Id", "Y-Clerk-User-Id", "X-Clerk-Org-Permissions-2", ""} {
		if isIdentity(name) {
			t.Errorf("%q is dropped", name)
		}
	}
	for name := range identityHeaders {
		if !isIdentity(name) || !isIdentity(http.CanonicalHeaderKey(name)) {
			t.Errorf("%q is not dropped", name)
		}
	}
}

func TestTheConnectionHeaderIsSettled(t *testing.T) {
	got := make(chan http.Header, 1)
	f := start(t, Site{App: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got <- r.Header
		w.WriteHeader(http.StatusNoContent)
	})})
	for _, tt := range []struct {
		connection string
		want       []string
	}{
		{"keep-alive, X-Hop", nil},
		{"Upgrade, X-Hop", []string{"Upgrade"}},
		{"keep-alive\r\nConnection: x-hop ,upgrade", []string{"Upgrade"}},
	} {
		resp := exchange(t, f, "GET / HTTP/1.1\r\nHost: app.dev\r\nConnection: "+tt.connection+"\r\nUpgrade: websocket\r\nX-Hop: 1\r\nX-Stays: 1\r\n\r\n")
		_, _ = io.Copy(io.Discard, bufio.NewReader(resp.Body))
		if h := await(t, got); !slices.Equal(h["Connection"], tt.want) || h["X-Hop"] != nil || h["X-Stays"] == nil {
			t.Errorf("%q: got %v", tt.connection, h)
		}
	}
}

func TestProblemsOfAuthenticationAreSaidWithThoseOfTheProxy(t *testing.T) {
	t.Setenv("CLERK_SECRET_KEY", "")
	for name, publishable := range map[string]string{"with keys that are good": publishableKey, "with none": "x"} {
		t.Run(name, func(t *testing.T) {
			_, err := New(Config{Sites: []Site{{
				Proxy:          clerkproxy.Config{PublishableKey: publishable, SecretKey: secretKey},
				Authentication: &Authentication{SignInURL: "sign-in", BackendAPIURL: "http://api.clerk.com"},
			}}})
			for _, want := range []string{"SignInURL (CLERK_SIGN_IN_URL): is neither a path", "BackendAPIURL (CLERK_API_URL): is plain http"} {
				if strings.Count(err.Error(), want) != 1 {
					t.Errorf("no %q in:\n%v", want, err)
				}
			}
			if n := strings.Count(err.Error(), "PublishableKey"); n > 1 || n == 1 != (publishable == "x") {
				t.Errorf("the publishable key is named %d times in:\n%v", n, err)
			}
		})
	}
}
