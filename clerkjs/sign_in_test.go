package clerkjs

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// The URLs are those of createRedirect of @clerk/backend 3.25.0 for the same
// options, but for a sign-in page with a trailing slash, of which it makes
// /sign-in//create.
func TestTheLinksAreThoseOfClerksOwnSDK(t *testing.T) {
	const account = "redirect_url=https%3A%2F%2Fapp.dev%2Faccount"
	satellite := func(signIn, signUp string) Config {
		return Config{IsSatellite: true, ProxyURL: "/__clerk", SignInURL: signIn, SignUpURL: signUp}
	}
	for _, tt := range []struct {
		name           string
		config         Config
		page, back     string
		signIn, signUp string
	}{
		{"pages of the application's own", Config{SignInURL: "/sign-in", SignUpURL: "/sign-up"}, "https://app.dev/account?a=1", "",
			"https://app.dev/sign-in?redirect_url=https%3A%2F%2Fapp.dev%2Faccount%3Fa%3D1",
			"https://app.dev/sign-up?redirect_url=https%3A%2F%2Fapp.dev%2Faccount%3Fa%3D1"},
		{"a sign-in page with a query, and a way back with a fragment", Config{SignInURL: "/sign-in?theme=dark"}, "https://app.dev/account", "/back?b=2#top",
			"https://app.dev/sign-in?theme=dark&redirect_url=https%3A%2F%2Fapp.dev%2Fback%3Fb%3D2%23top",
			"https://app.dev/sign-in/create?theme=dark&redirect_url=https%3A%2F%2Fapp.dev%2Fback%3Fb%3D2%23top"},
		{"a sign-in page with a trailing slash", Config{SignInURL: "/sign-in/"}, "https://app.dev/account", "",
			"https://app.dev/sign-in/?" + account, "https://app.dev/sign-in/create?" + account},
		{"the account portal", Config{}, "https://app.dev/account", "",
			"https://accounts.app.dev/sign-in?" + account, "https://accounts.app.dev/sign-up?" + account},
		{"the account portal of a development instance, with the token for the browser", Config{PublishableKey: devKey}, "https://app.dev/account", "",
			"https://foo-bar-13.accounts.dev/sign-in?" + account + "&__clerk_db_jwt=dvb_1",
			"https://foo-bar-13.accounts.dev/sign-up?" + account + "&__clerk_db_jwt=dvb_1"},
		{"from a satellite to the primary, with the sync trigger", satellite("https://app.dev/sign-in", "https://app.dev/sign-up"), "https://satellite.dev/account", "https://satellite.dev/account?a=1&__clerk_synced=true",
			"https://app.dev/sign-in?redirect_url=https%3A%2F%2Fsatellite.dev%2Faccount%3Fa%3D1%26__clerk_synced%3Dfalse",
			"https://app.dev/sign-up?redirect_url=https%3A%2F%2Fsatellite.dev%2Faccount%3Fa%3D1%26__clerk_synced%3Dfalse"},
		{"with the trigger once, however the page wrote it, and the rest as it was", satellite("https://app.dev/sign-in", "https://app.dev/sign-up"), "https://satellite.dev/", "/a?%5F_clerk_synced=true&b=%7e;&__clerk_synced",
			"https://app.dev/sign-in?redirect_url=https%3A%2F%2Fsatellite.dev%2Fa%3Fb%3D%257e%3B%26__clerk_synced%3Dfalse",
			"https://app.dev/sign-up?redirect_url=https%3A%2F%2Fsatellite.dev%2Fa%3Fb%3D%257e%3B%26__clerk_synced%3Dfalse"},
		{"on a satellite itself, without", satellite("https://satellite.dev/sign-in", ""), "https://satellite.dev/account?a=1", "",
			"https://satellite.dev/sign-in?redirect_url=https%3A%2F%2Fsatellite.dev%2Faccount%3Fa%3D1",
			"https://satellite.dev/sign-in/create?redirect_url=https%3A%2F%2Fsatellite.dev%2Faccount%3Fa%3D1"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := provider(t, tt.config)
			r := at(tt.page)
			r.AddCookie(&http.Cookie{Name: "__clerk_db_jwt", Value: "other"})
			r.AddCookie(&http.Cookie{Name: "__clerk_db_jwt_" + p.instance.CookieSuffix(), Value: "dvb_1"})
			if got := p.SignInURL(r, tt.back); got != tt.signIn {
				t.Errorf("sign-in\ngot  %s\nwant %s", got, tt.signIn)
			}
			if got := p.SignUpURL(r, tt.back); got != tt.signUp {
				t.Errorf("sign-up\ngot  %s\nwant %s", got, tt.signUp)
			}
		})
	}
}

// The hosts are those of buildAccountsBaseUrl of @clerk/shared 4.41.0.
func TestTheAccountPortalIsBesideTheFrontendAPI(t *testing.T) {
	for frontendAPI, want := range map[string]string{
		"clerk.app.dev":                   "accounts.app.dev",
		"clerk.satellite.clerk.dev":       "accounts.satellite.clerk.dev",
		"foo-bar-13.clerk.accounts.dev":   "foo-bar-13.accounts.dev",
		"foo.clerk.accountsstage.dev":     "foo.accountsstage.dev",
		"foo.clerk.accounts.lclclerk.com": "foo.accounts.lclclerk.com",
	} {
		if got := accountPortal(frontendAPI); got != want {
			t.Errorf("%s: got %s, want %s", frontendAPI, got, want)
		}
	}
}

func TestALinkDoesNotLeadElsewhere(t *testing.T) {
	p := provider(t, Config{SignInURL: "/sign-in", AllowedRedirectOrigins: []string{"https://satellite.dev", "http://localhost:3000"}})
	const here = "https://app.dev/page?a=1"
	for back, want := range map[string]string{
		"":                                  here,
		"/account":                          "https://app.dev/account",
		"account":                           "https://app.dev/account",
		"?b=2":                              "https://app.dev/page?b=2",
		"https://app.dev":                   "https://app.dev",
		"https://APP.dev:443/x":             "https://app.dev/x",
		"https://satellite.dev/x?y#z":       "https://satellite.dev/x?y#z",
		"http://localhost:3000/":            "http://localhost:3000/",
		"/../../x":                          "https://app.dev/x",
		`/\evil.example`:                    "https://app.dev/%5Cevil.example",
		"http://app.dev/":                   here, // another scheme
		"https://app.dev:8443/":             here,
		"https://evil.example/":             here,
		"//evil.example/":                   here,
		`\\evil.example`:                    "https://app.dev/%5C%5Cevil.example",
		`https:\\evil.example`:              here,
		"https:evil.example":                here,
		"https:/evil.example":               here,
		"https://app.dev@evil.example/":     here,
		"https://user@app.dev/":             here,
		"https://app.dev.evil.example/":     here,
		`https://app.dev\@evil.example/`:    here,
		"https://app.dev%2eevil.example/":   here,
		"https://satellite.dev.evil/":       here,
		"https://sub.satellite.dev/":        here,
		"javascript:alert(1)":               here,
		"data:text/html,x":                  here,
		" https://evil.example":             here,
		"\thttps://evil.example":            here,
		"https://evil.example\n":            here,
		"///evil.example":                   here,
		"/%2fevil.example":                  here,
		"https://app.dev//evil.example":     here,
		"/%0d%0aSet-Cookie:x":               "https://app.dev/%0d%0aSet-Cookie:x",
		"https://ev\u0456l.example/":        here,
		"https://[::1]/":                    here,
		"https://evil.example#@app.dev/":    here,
		"https://evil.example?@app.dev/":    here,
		"blob:https://app.dev/3f":           here,
		"/\u2028</script><img src=x>\"'":    "https://app.dev/%E2%80%A8%3C/script%3E%3Cimg%20src=x%3E%22%27",
		"/x?redirect_url=//evil.example&a=": "https://app.dev/x?redirect_url=//evil.example&a=",
	} {
		got := p.SignInURL(at(here), back)
		u, err := url.Parse(got)
		if err != nil || u.Host != "app.dev" || u.Path != "/sign-in" || u.Query().Get("redirect_url") != want {
			t.Errorf("%q: got %s, want the way back %s", back, got, want)
		}
	}
}

func TestAHostThatIsNotAcceptedIsNoWayBack(t *testing.T) {
	p := provider(t, Config{Hosts: []string{"app.dev"}, SignInURL: "/sign-in"})
	if got := p.SignInURL(at("https://evil.example/x"), ""); got != "/sign-in" {
		t.Errorf("got %s", got)
	}
	if got := p.SignUpURL(at("https://evil.example/x"), "https://evil.example/"); got != "/sign-in/create" {
		t.Errorf("got %s", got)
	}
}

func FuzzSignInURL(f *testing.F) {
	p := provider(f, Config{IsSatellite: true, ProxyURL: "/__clerk", SignInURL: "https://app.dev/sign-in?x=1", AllowedRedirectOrigins: []string{"https://other.dev"}})
	for _, back := range []string{"", "/x?__clerk_synced=true&a", "https://other.dev/?%5f_clerk_synced=1;a", "//evil.example", `/\evil.example`, "https://a@satellite.dev", "%"} {
		f.Add("/page?a=b", back)
	}
	f.Fuzz(func(t *testing.T, page, back string) {
		r := at("https://satellite.dev/")
		r.RequestURI = page
		got := p.SignInURL(r, back)
		u, err := url.Parse(got)
		if err != nil || !strings.HasPrefix(got, "https://app.dev/sign-in?x=1&redirect_url=https%3A%2F%2F") || strings.Count(got, "redirect_url=") != 1 {
			t.Fatalf("%q, %q: %s, %v", page, back, got, err)
		}
		way, err := url.Parse(u.Query().Get("redirect_url"))
		if err != nil || way.Scheme != "https" || way.Host != "satellite.dev" && way.Host != "other.dev" || way.User != nil {
			t.Fatalf("%q, %q leads back to %v, %v", page, back, way, err)
		}
		if synced := way.Query()["__clerk_synced"]; len(synced) != 1 && !strings.Contains(way.RawQuery, ";") || way.Query().Get("__clerk_synced") != "false" {
			t.Fatalf("%q, %q: __clerk_synced is %q", page, back, synced)
		}
	})
}
