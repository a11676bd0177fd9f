package main

import (
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/clerkproxy/clerkproxy"
	"github.com/clerkproxy/clerkproxy/auth"
	"github.com/clerkproxy/clerkproxy/clerkjs"
	"github.com/clerkproxy/clerkproxy/docs/examples/internal/exampletest"
)

func start(t *testing.T) *exampletest.Site {
	build := func(proxy *clerkproxy.Proxy, authn *auth.Authenticator) http.Handler {
		provider, err := clerkjs.New(clerkjs.Config{Proxy: proxy, SignInURL: signIn})
		if err != nil {
			t.Fatal(err)
		}
		return application(proxy, authn, provider)
	}
	return exampletest.Start(t, build, func(c *auth.Config) { c.SignInURL = signIn })
}

var nonce = regexp.MustCompile(`<script nonce="([^"]+)">`)

func TestPagesLoadClerkJSFromTheProxyAndMay(t *testing.T) {
	site := start(t)
	b := site.Browser(t)
	for _, path := range []string{"/", "/sign-in/", "/sign-in/create"} {
		a := b.Page(path)
		if a.Status != http.StatusOK || !strings.Contains(a.Body, `src="`+site.URL+`/__clerk/npm/@clerk/clerk-js@6/`) {
			t.Errorf("%s: %d %s", path, a.Status, a.Body)
		}
		found := nonce.FindStringSubmatch(a.Body)
		if found == nil || !strings.Contains(a.Header.Get("Content-Security-Policy"), "'nonce-"+found[1]+"'") {
			t.Errorf("%s: nonce %q, policy %q", path, found, a.Header.Get("Content-Security-Policy"))
		}
		if a.Header.Get("Cache-Control") != "private, no-store" {
			t.Errorf("%s: Cache-Control %q", path, a.Header.Get("Cache-Control"))
		}
	}
}

func TestSigningInLeadsBack(t *testing.T) {
	site := start(t)
	b := site.Browser(t)
	back := url.Values{"redirect_url": {site.URL + "/account"}}.Encode()
	if a := b.Page("/"); !strings.Contains(a.Body, `<a href="`+site.URL+`/sign-in?`+back+`">`) {
		t.Errorf("the link: %s", a.Body)
	}
	a := b.Page("/account")
	if want := []string{"/sign-in", "/sign-in/"}; a.Status != http.StatusOK || !slices.Equal(b.Visited, want) {
		t.Errorf("a stranger: %d by way of %q, want %q", a.Status, b.Visited, want)
	}
	b.SignIn()
	if a := b.Page("/account"); a.Status != http.StatusOK || !strings.Contains(a.Body, "The account of "+exampletest.Ada.ID) {
		t.Errorf("Ada: %d %s", a.Status, a.Body)
	}
	if a := b.Page("/"); !strings.Contains(a.Body, "Hello, "+exampletest.Ada.ID) {
		t.Errorf("Ada at home: %d %s", a.Status, a.Body)
	}
}
