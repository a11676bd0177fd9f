package clerkjs

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/clerkproxy/clerkproxy"
	"github.com/clerkproxy/clerkproxy/internal/instance"
)

var (
	liveKey = instance.PublishableKey("clerk.app.dev", true)
	devKey  = instance.PublishableKey("foo-bar-13.clerk.accounts.dev", false)
)

// noEnvironment takes Clerk's variables away for the time of a test.
func noEnvironment(t testing.TB) {
	for _, name := range []string{
		"CLERK_PUBLISHABLE_KEY", "NEXT_PUBLIC_CLERK_PUBLISHABLE_KEY", "CLERK_SECRET_KEY",
		"CLERK_PROXY_URL", "NEXT_PUBLIC_CLERK_PROXY_URL", "CLERK_FAPI_URL", "CLERK_IS_SATELLITE", "CLERK_DOMAIN",
		"CLERK_SIGN_IN_URL", "NEXT_PUBLIC_CLERK_SIGN_IN_URL", "CLERK_SIGN_UP_URL", "NEXT_PUBLIC_CLERK_SIGN_UP_URL",
	} {
		t.Setenv(name, "")
	}
}

func provider(t testing.TB, c Config) *Provider {
	t.Helper()
	noEnvironment(t)
	if c.PublishableKey == "" && c.Proxy == nil {
		c.PublishableKey = liveKey
	}
	p, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func proxy(t testing.TB, c clerkproxy.Config) *clerkproxy.Proxy {
	t.Helper()
	noEnvironment(t)
	if c.PublishableKey == "" {
		c.PublishableKey, c.SecretKey = liveKey, "sk_live_abc"
	}
	p, err := clerkproxy.New(c)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// at is a request for a page, from a browser far away.
func at(url string) *http.Request {
	r := httptest.NewRequest(http.MethodGet, url, nil)
	r.RemoteAddr = "203.0.113.7:1234"
	return r
}

func withNonce(r *http.Request, nonce string) *http.Request {
	return r.WithContext(context.WithValue(r.Context(), nonceKey{}, nonce))
}

func TestTheMiddlewareGivesEachRequestANonceAndAPolicy(t *testing.T) {
	p := provider(t, Config{ProxyURL: "/__clerk"})
	seen := map[string]bool{}
	h := p.Middleware(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		nonce := p.Nonce(r)
		if len(nonce) < 22 || seen[nonce] {
			t.Errorf("the nonce is %q: too short, or not the first", nonce)
		}
		seen[nonce] = true
		if policy := w.Header().Get("Content-Security-Policy"); policy != p.ContentSecurityPolicy(r, DefaultPolicy) || !strings.Contains(policy, "'nonce-"+nonce+"'") {
			t.Errorf("the policy is %s", policy)
		}
	}))
	for range 100 {
		h.ServeHTTP(httptest.NewRecorder(), at("https://app.dev/"))
	}
}

func TestTheMiddlewareKeepsPoliciesThatAreThereAlready(t *testing.T) {
	for _, tt := range []struct {
		name, configured string
		present, want    []string
	}{
		{"none at all", "", nil, []string{"default-src", "base-uri"}},
		{"one on the answer, which takes the place of the default", "", []string{"img-src 'self'"}, []string{"img-src 'self' data:"}},
		{"two lines on the answer", "", []string{"img-src a.dev", "img-src b.dev"}, []string{"img-src a.dev data:", "img-src b.dev data:"}},
		{"one on the answer and one configured", "img-src b.dev", []string{"img-src a.dev"}, []string{"img-src a.dev data:", "img-src b.dev data:"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := provider(t, Config{ProxyURL: "/__clerk", ContentSecurityPolicy: tt.configured, Features: []Feature{}})
			w := httptest.NewRecorder()
			w.Header()["Content-Security-Policy"] = slices.Clone(tt.present)
			p.Middleware(http.NotFoundHandler()).ServeHTTP(w, at("https://app.dev/"))
			got := w.Header()["Content-Security-Policy"]
			if tt.configured == "" && tt.present == nil {
				if len(got) != 1 || !strings.HasPrefix(got[0], "default-src 'self'; base-uri 'none'; ") {
					t.Errorf("got %q", got)
				}
				return
			}
			if !slices.Equal(got, tt.want) {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestANonceThatCouldBeReadAsMoreIsNone(t *testing.T) {
	for nonce, want := range map[string]string{
		"abc+/_-123==":                       "abc+/_-123==",
		"":                                   "",
		"x'; script-src *":                   "",
		`x" onload="alert(1)`:                "",
		"x\n":                                "",
		"a b":                                "",
		"==":                                 "",
		"x, default-src *":                   "",
		"\u2028":                             "",
		"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA": "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
	} {
		p := provider(t, Config{ProxyURL: "/__clerk", Nonce: func(*http.Request) string { return nonce }})
		if got := p.Nonce(at("https://app.dev/")); got != want {
			t.Errorf("%q: got %q, want %q", nonce, got, want)
		}
	}
}

func TestThePublicURLIsWhatTheBrowserSent(t *testing.T) {
	behind := func(r *http.Request) *http.Request {
		r.RemoteAddr = "10.0.0.1:1"
		r.Header.Set("X-Forwarded-Proto", "https")
		r.Header.Set("X-Forwarded-Host", "app.dev")
		return r
	}
	stripped := at("https://app.dev/admin/users?a=1")
	stripped.URL = &url.URL{Path: "/users", RawQuery: "a=1"}
	forged := at("http://app.dev/")
	forged.Header.Set("X-Forwarded-Host", "evil.example")
	for _, tt := range []struct {
		name string
		r    *http.Request
		want string
	}{
		{"as it came", at("https://app.dev/a%2Fb?c=%20"), "https://app.dev/a%2Fb?c=%20"},
		{"as a trusted proxy says", behind(at("http://10.0.0.2:8080/x")), "https://app.dev/x"},
		{"not as a stranger says", forged, "http://app.dev/"},
		{"with the prefix that a mux took away", stripped, "https://app.dev/admin/users?a=1"},
		{"none for a host that is not accepted", at("https://evil.example/"), ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for how, p := range map[string]*Provider{
				"alone":        provider(t, Config{Hosts: []string{"app.dev"}}),
				"with a proxy": provider(t, Config{Proxy: proxy(t, clerkproxy.Config{Hosts: []string{"app.dev"}})}),
			} {
				got := ""
				if u := p.publicURL(tt.r); u != nil {
					got = u.String()
				}
				if got != tt.want {
					t.Errorf("%s: got %q, want %q", how, got, tt.want)
				}
			}
		})
	}
}
