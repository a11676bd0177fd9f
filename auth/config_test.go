package auth

import (
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/clerkproxy/clerkproxy"
)

// clearEnvironment takes Clerk's variables away, for the test.
func clearEnvironment(t *testing.T) {
	for _, name := range []string{"PUBLISHABLE_KEY", "SECRET_KEY", "PROXY_URL", "API_URL", "JWT_KEY", "SIGN_IN_URL", "SIGN_UP_URL", "IS_SATELLITE", "DOMAIN"} {
		t.Setenv("CLERK_"+name, "")
		t.Setenv("NEXT_PUBLIC_CLERK_"+name, "")
	}
}

func TestNewTellsAllProblemsAtOnce(t *testing.T) {
	clearEnvironment(t)
	_, err := New(Config{
		PublishableKey: "pk_live_x", BackendAPIURL: "http://api.example.com", ProxyURL: "__clerk", JWTKey: "x", SignInURL: "sign-in", SignUpURL: "//evil.dev",
		Domain: "satellite.dev", Hosts: []string{"a b"}, TrustedProxies: make([]netip.Prefix, 1), AllowedRedirectOrigins: []string{"https://a.dev/x"},
		OrganizationSync: OrganizationSync{OrganizationPatterns: []string{"/orgs/:slug(", "/orgs"}}, Timeout: -1,
	})
	got := map[string]bool{}
	for _, e := range err.(interface{ Unwrap() []error }).Unwrap() {
		var problem *clerkproxy.ConfigError
		if !errors.As(e, &problem) {
			t.Errorf("%T: %v", e, e)
			continue
		}
		got[problem.Field] = true
	}
	for _, field := range []string{"PublishableKey", "SecretKey", "BackendAPIURL", "ProxyURL", "JWTKey", "SignInURL", "SignUpURL", "Domain", "Hosts", "TrustedProxies", "AllowedRedirectOrigins", "OrganizationSync", "Timeout"} {
		if !got[field] {
			t.Errorf("nothing is said about %s", field)
		}
	}
}

func TestConfig(t *testing.T) {
	proxy, err := clerkproxy.New(clerkproxy.Config{PublishableKey: livePK, SecretKey: liveSK})
	if err != nil {
		t.Fatal(err)
	}
	keys := Config{PublishableKey: livePK, SecretKey: liveSK}
	tests := []struct {
		name    string
		env     map[string]string
		change  func(*Config)
		problem string // part of it; empty: none
	}{
		{"keys alone", nil, nil, ""},
		{"keys from the environment", map[string]string{"CLERK_PUBLISHABLE_KEY": livePK, "CLERK_SECRET_KEY": liveSK}, func(c *Config) { *c = Config{} }, ""},
		{"publishable key with a prefix", map[string]string{"NEXT_PUBLIC_CLERK_PUBLISHABLE_KEY": livePK, "CLERK_SECRET_KEY": liveSK}, func(c *Config) { *c = Config{} }, ""},
		{"secret key with a prefix", map[string]string{"NEXT_PUBLIC_CLERK_SECRET_KEY": liveSK}, func(c *Config) { c.SecretKey = "" }, "SecretKey"},
		{"keys of two kinds", nil, func(c *Config) { c.SecretKey = testSK }, "one is live, the other is test"},
		{"a proxy", nil, func(c *Config) { *c = Config{Proxy: proxy} }, ""},
		{"a proxy and its keys", nil, func(c *Config) { c.Proxy = proxy }, ""},
		{"a proxy and other keys", nil, func(c *Config) { c.Proxy, c.SecretKey = proxy, "sk_live_x" }, "is not that of the Proxy"},
		{"a proxy and a URL", nil, func(c *Config) { c.Proxy, c.ProxyURL = proxy, "/__clerk" }, "is the Proxy's to say"},
		{"a proxy and the URL it has from the environment", map[string]string{"CLERK_PROXY_URL": "/__clerk"}, func(c *Config) { c.Proxy = proxy }, ""},
		{"a proxy and hosts", nil, func(c *Config) { c.Proxy, c.Hosts = proxy, []string{"app.dev"} }, "is the Proxy's to say"},
		{"a proxy and trusted proxies", nil, func(c *Config) { c.Proxy, c.TrustedProxies = proxy, []netip.Prefix{} }, "is the Proxy's to say"},
		{"a proxy URL of two slashes", nil, func(c *Config) { c.ProxyURL = "//evil.dev" }, "ProxyURL"},
		{"a proxy URL with a query", nil, func(c *Config) { c.ProxyURL = "https://app.dev/__clerk?x" }, "ProxyURL"},
		{"a proxy URL without a path", nil, func(c *Config) { c.ProxyURL = "https://app.dev/" }, "ProxyURL"},
		{"a proxy URL that is no URL", map[string]string{"CLERK_PROXY_URL": "app.dev"}, nil, "CLERK_PROXY_URL"},
		{"a satellite without a way", nil, func(c *Config) { c.IsSatellite = true }, "Domain"},
		{"a satellite by domain", nil, func(c *Config) { c.IsSatellite, c.Domain = true, "satellite.dev" }, ""},
		{"a satellite by proxy URL", nil, func(c *Config) { c.IsSatellite, c.ProxyURL = true, "/__clerk" }, ""},
		{"a satellite by proxy", nil, func(c *Config) { c.IsSatellite, c.Proxy = true, proxy }, ""},
		{"a satellite by both", nil, func(c *Config) { c.IsSatellite, c.Domain, c.ProxyURL = true, "satellite.dev", "/__clerk" }, "one or the other"},
		{"a satellite by both, one from the environment", map[string]string{"CLERK_DOMAIN": "satellite.dev", "CLERK_IS_SATELLITE": "true"}, func(c *Config) { c.Proxy = proxy }, "one or the other"},
		{"a satellite of nonsense", map[string]string{"CLERK_IS_SATELLITE": "perhaps"}, nil, "neither true nor false"},
		{"a satellite with a bad domain", nil, func(c *Config) { c.IsSatellite, c.Domain = true, "https://satellite.dev" }, "is not a domain"},
		{"a satellite in development", nil, func(c *Config) { development(c); c.IsSatellite, c.Domain = true, "satellite.dev" }, "SignInURL (CLERK_SIGN_IN_URL): is missing"},
		{"a satellite with a sign-in page of its own", nil, func(c *Config) { c.IsSatellite, c.Domain, c.SignInURL = true, "satellite.dev", "/sign-in" }, "must be absolute"},
		{"a domain from the environment on a primary", map[string]string{"CLERK_DOMAIN": "app.dev"}, nil, ""},
		{"an API on this machine", map[string]string{"CLERK_API_URL": "http://localhost:1234/"}, nil, ""},
		{"an API with a version", nil, func(c *Config) { c.BackendAPIURL = "https://api.clerk.com/v1" }, ""},
		{"an API with credentials", nil, func(c *Config) { c.BackendAPIURL = "https://user:password@api.clerk.com" }, "BackendAPIURL"},
		{"a JWT key that is no key", map[string]string{"CLERK_JWT_KEY": "secret_word"}, nil, "CLERK_JWT_KEY"},
		{"a negative skew", nil, func(c *Config) { c.ClockSkew = -1 }, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			clearEnvironment(t)
			for name, value := range tt.env {
				t.Setenv(name, value)
			}
			c := keys
			c.Logger = slog.New(slog.NewTextHandler(io.Discard, nil))
			if tt.change != nil {
				tt.change(&c)
			}
			a, err := New(c)
			switch {
			case tt.problem == "" && (err != nil || a == nil):
				t.Errorf("got %v", err)
			case tt.problem != "" && (err == nil || a != nil || !strings.Contains(err.Error(), tt.problem)):
				t.Errorf("got %v, want %s", err, tt.problem)
			case err != nil && (strings.Contains(err.Error(), liveSK) || strings.Contains(err.Error(), "secret_word") || strings.Contains(err.Error(), "password")):
				t.Errorf("the error holds a secret: %v", err)
			}
		})
	}
}

func TestDefaults(t *testing.T) {
	clearEnvironment(t)
	t.Setenv("CLERK_SIGN_UP_URL", "/up")
	t.Setenv("NEXT_PUBLIC_CLERK_SIGN_IN_URL", "/in")
	a, err := New(Config{PublishableKey: livePK, SecretKey: liveSK})
	if err != nil {
		t.Fatal(err)
	}
	if a.skew != 5*time.Second || a.backend.url != "https://api.clerk.com" || a.signIn != "/in" || a.signUp != "/up" || a.backend.timeout != 5*time.Second || len(a.front.Trusted) == 0 {
		t.Errorf("%+v", a)
	}
	if a.now().Before(now.Add(-365 * 24 * time.Hour)) {
		t.Error("the clock stands still")
	}
}

func TestAccountPortal(t *testing.T) {
	for api, want := range map[string]string{
		"clerk.app.dev": "accounts.app.dev", "foo-bar-13.clerk.accounts.dev": "foo-bar-13.accounts.dev",
		"foo.clerk.accountsstage.dev": "foo.accountsstage.dev", "clerk.foo.lcl.dev": "accounts.foo.lcl.dev", "api.example.com": "api.example.com",
	} {
		if got := accountPortal(api); got != want {
			t.Errorf("%s: %s, want %s", api, got, want)
		}
	}
}

// A proxy URL in development is disregarded, and said so.
func TestProxyURLInDevelopment(t *testing.T) {
	var log strings.Builder
	a := newAuthenticator(t, newFakeClerk(t), func(c *Config) {
		development(c)
		c.ProxyURL = "/__clerk"
		c.Logger = slog.New(slog.NewTextHandler(&log, nil))
	})
	state, _ := a.Authenticate(page("https://app.dev/"))
	if !strings.HasPrefix(state.Location, "https://foo-bar-13.clerk.accounts.dev/") || !strings.Contains(log.String(), "proxies production instances only") {
		t.Errorf("%s; %s", state.Location, log.String())
	}
}

func TestTransportIsUsed(t *testing.T) {
	clerk := newFakeClerk(t)
	var used bool
	a := newAuthenticator(t, clerk, func(c *Config) {
		c.Transport = roundTripper(func(r *http.Request) (*http.Response, error) {
			used = true
			return http.DefaultTransport.RoundTrip(r)
		})
	})
	if state, _ := a.Authenticate(bearer(sessionToken(nil))); state.Status != SignedIn || !used {
		t.Errorf("%+v, used: %v", state, used)
	}
}
