package exampletest

import (
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
)

// Run checks an application that has a home page, the page /account and the call
// /api/me, both of them for signed-in people, and nothing else.
func Run(t *testing.T, application Application) {
	t.Run("Clerk's requests", func(t *testing.T) { clerksRequests(t, application) })
	t.Run("a stranger", func(t *testing.T) { stranger(t, application) })
	t.Run("a signed-in person", func(t *testing.T) { signedIn(t, application) })
	t.Run("streaming", func(t *testing.T) { streaming(t, application) })
}

func clerksRequests(t *testing.T, application Application) {
	site := Start(t, application, nil)
	a := site.Browser(t).Fetch("/__clerk/v1/environment")
	if a.Status != http.StatusOK || !strings.Contains(a.Body, `"auth_config"`) {
		t.Errorf("the environment: %d %s", a.Status, a.Body)
	}
}

func stranger(t *testing.T, application Application) {
	site := Start(t, application, nil)
	b := site.Browser(t)

	if a := b.Page("/"); a.Status != http.StatusOK || a.Body != "Hello, stranger.\n" || len(b.Visited) != 0 {
		t.Errorf("the home page, by way of %q: %d %s", b.Visited, a.Status, a.Body)
	}

	a := b.Page("/account?tab=keys")
	to, err := url.Parse(a.Header.Get("Location"))
	if err != nil || a.Status != http.StatusTemporaryRedirect {
		t.Fatalf("a page for signed-in people: %d, location %q", a.Status, a.Header.Get("Location"))
	}
	if to.Host != "accounts.example.com" || to.Path != "/sign-in" || to.Query().Get("redirect_url") != site.URL+"/account?tab=keys" {
		t.Errorf("the sign-in page is %s", to)
	}

	for path, headers := range map[string][]string{
		"/account": nil,
		"/api/me":  nil,
		"/api/me?": {"Authorization", "Bearer nonsense"},
	} {
		a := b.Fetch(path, headers...)
		var answer struct {
			Errors []struct {
				Code string `json:"code"`
			} `json:"errors"`
		}
		if err := json.Unmarshal([]byte(a.Body), &answer); err != nil || len(answer.Errors) != 1 {
			t.Errorf("%s: %d %s", path, a.Status, a.Body)
			continue
		}
		if a.Status != http.StatusUnauthorized || answer.Errors[0].Code != "authentication_invalid" || a.Header.Get("X-Clerk-Auth-Reason") == "" {
			t.Errorf("%s: %d %v %s", path, a.Status, a.Header, a.Body)
		}
	}

	if a := b.Page("/nothing"); a.Status != http.StatusNotFound {
		t.Errorf("a page that is not there: %d %s", a.Status, a.Body)
	}
}

func signedIn(t *testing.T, application Application) {
	site := Start(t, application, nil)
	b := site.Browser(t)
	b.SignIn()

	a := b.Page("/account?tab=keys")
	if a.Status != http.StatusOK || a.Body != "The account of "+Ada.ID+"\n" {
		t.Errorf("a page for signed-in people: %d %s", a.Status, a.Body)
	}
	if want := []string{"/__clerk/v1/client/handshake", "/account"}; !slices.Equal(b.Visited, want) {
		t.Errorf("the first page came by way of %q, want %q", b.Visited, want)
	}
	if a := b.Page("/"); a.Status != http.StatusOK || a.Body != "Hello, "+Ada.ID+"\n" || len(b.Visited) != 0 {
		t.Errorf("the next page, by way of %q: %d %s", b.Visited, a.Status, a.Body)
	}
	if a := b.Fetch("/api/me"); a.Status != http.StatusOK || !strings.Contains(a.Body, `{"id":"`+Ada.ID+`"}`) {
		t.Errorf("a call with cookies: %d %s", a.Status, a.Body)
	}
	token := b.SessionToken()
	if a := site.Browser(t).Fetch("/api/me", "Authorization", "Bearer "+token); token == "" || a.Status != http.StatusOK {
		t.Errorf("a call with a token: %d %s", a.Status, a.Body)
	}
	if a := b.Page("/nothing"); a.Status != http.StatusNotFound {
		t.Errorf("a page that is not there: %d %s", a.Status, a.Body)
	}
}
