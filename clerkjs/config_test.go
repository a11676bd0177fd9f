package clerkjs

import (
	"bytes"
	"errors"
	"log/slog"
	"net/http"
	"net/netip"
	"strings"
	"testing"

	"github.com/clerkproxy/clerkproxy"
)

func TestNewReadsTheEnvironment(t *testing.T) {
	noEnvironment(t)
	t.Setenv("NEXT_PUBLIC_CLERK_PUBLISHABLE_KEY", liveKey)
	t.Setenv("NEXT_PUBLIC_CLERK_PROXY_URL", "/other")
	t.Setenv("CLERK_PROXY_URL", "https://satellite.dev/__clerk/")
	t.Setenv("CLERK_IS_SATELLITE", "true")
	t.Setenv("NEXT_PUBLIC_CLERK_SIGN_IN_URL", "https://app.dev/sign-in")
	t.Setenv("CLERK_SIGN_UP_URL", "https://app.dev/sign-up")
	p, err := New(Config{})
	if err != nil {
		t.Fatal(err)
	}
	if p.proxyURL != "https://satellite.dev/__clerk" || !p.satellite || text(p.signIn) != "https://app.dev/sign-in" || text(p.signUp) != "https://app.dev/sign-up" {
		t.Errorf("%+v", p)
	}
	p, err = New(Config{ProxyURL: "/mine", SignInURL: "https://app.dev/in"})
	if err != nil {
		t.Fatal(err)
	}
	if p.proxyURL != "/mine" || text(p.signIn) != "https://app.dev/in" {
		t.Errorf("the environment wins over the configuration: %+v", p)
	}

	// The proxy has read them already.
	t.Setenv("CLERK_SECRET_KEY", "sk_live_abc")
	px, err := clerkproxy.New(clerkproxy.Config{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := New(Config{Proxy: px}); err != nil {
		t.Errorf("with a proxy of the same environment: %v", err)
	}
	t.Setenv("CLERK_PROXY_URL", "")
	t.Setenv("NEXT_PUBLIC_CLERK_PROXY_URL", "")
	t.Setenv("CLERK_DOMAIN", "satellite.dev")
	if p, err = New(Config{}); err != nil || p.domain != "satellite.dev" || p.frontendAPI != "https://clerk.satellite.dev" {
		t.Errorf("domain: %+v, %v", p, err)
	}
	t.Setenv("CLERK_IS_SATELLITE", "")
	if p, err = New(Config{}); err != nil || p.domain != "" {
		t.Errorf("a domain in the environment means something on a primary: %+v, %v", p, err)
	}
}

func TestNewRefuses(t *testing.T) {
	px := proxy(t, clerkproxy.Config{})
	satellite := func(c *Config) { c.IsSatellite, c.ProxyURL = true, "/__clerk" }
	tests := []struct {
		name   string
		change func(*Config)
		field  string
		says   string
	}{
		{"no publishable key", func(c *Config) { c.PublishableKey = "" }, "PublishableKey", "is missing"},
		{"a secret key in its place", func(c *Config) { c.PublishableKey = "sk_live_abc" }, "PublishableKey", "not a publishable key"},
		{"another key than the proxy's", func(c *Config) { c.PublishableKey, c.Proxy = devKey, px }, "PublishableKey", "not that of the Proxy"},
		{"a proxy URL beside a proxy", func(c *Config) { c.ProxyURL, c.Proxy = "/__clerk", px }, "ProxyURL", "the Proxy's to say"},
		{"hosts beside a proxy", func(c *Config) { c.Hosts, c.Proxy = []string{"app.dev"}, px }, "Hosts", "the Proxy's to say"},
		{"trusted proxies beside a proxy", func(c *Config) { c.TrustedProxies, c.Proxy = []netip.Prefix{}, px }, "TrustedProxies", "the Proxy's to say"},
		{"a proxy URL without a slash", func(c *Config) { c.ProxyURL = "__clerk" }, "ProxyURL", "neither a path"},
		{"a proxy URL of another scheme", func(c *Config) { c.ProxyURL = "javascript:alert(1)//x" }, "ProxyURL", "neither a path"},
		{"a proxy URL with credentials", func(c *Config) { c.ProxyURL = "https://a:b@app.dev/__clerk" }, "ProxyURL", "has credentials in it"},
		{"a proxy URL that is the root", func(c *Config) { c.ProxyURL = "https://app.dev/" }, "ProxyURL", "no path of its own"},
		{"a proxy URL that is another host", func(c *Config) { c.ProxyURL = "//evil.example/x" }, "ProxyURL", "an empty, a dot"},
		{"a proxy URL that ends an attribute", func(c *Config) { c.ProxyURL = `/x"><script>` }, "ProxyURL", "must be escaped"},
		{"a proxy URL with a query", func(c *Config) { c.ProxyURL = "/x?a" }, "ProxyURL", "a query or a fragment"},
		{"a domain and a proxy URL", func(c *Config) { satellite(c); c.Domain = "satellite.dev" }, "Domain", "one or the other"},
		{"a domain and a proxy", func(c *Config) { c.IsSatellite, c.Proxy, c.Domain = true, px, "satellite.dev" }, "Domain", "one or the other"},
		{"a satellite with neither", func(c *Config) { c.IsSatellite = true }, "Domain", "is missing"},
		{"a domain that is a URL", func(c *Config) { c.IsSatellite, c.Domain = true, "https://satellite.dev" }, "Domain", "not a domain"},
		{"a domain on a primary", func(c *Config) { c.Domain = "satellite.dev" }, "Domain", "is for a satellite"},
		{"a satellite's sign-in page on itself", func(c *Config) { satellite(c); c.SignInURL = "/sign-in" }, "SignInURL", "must be absolute"},
		{"a development satellite without a sign-in page", func(c *Config) { satellite(c); c.PublishableKey = devKey }, "SignInURL", "is missing"},
		{"a sign-in page that is a script", func(c *Config) { c.SignInURL = "javascript:alert(1)" }, "SignInURL", "neither a path"},
		{"a sign-in page on an unnamed host", func(c *Config) { c.SignInURL = "//evil.example" }, "SignInURL", "neither a path"},
		{"a sign-in page that browsers take for a host", func(c *Config) { c.SignInURL = `/\evil.example` }, "SignInURL", "neither a path"},
		{"a sign-up page without a slash", func(c *Config) { c.SignUpURL = "sign-up" }, "SignUpURL", "neither a path"},
		{"a redirect origin with a path", func(c *Config) { c.AllowedRedirectOrigins = []string{"https://a.dev/x"} }, "AllowedRedirectOrigins", "not an origin"},
		{"a redirect origin without a scheme", func(c *Config) { c.AllowedRedirectOrigins = []string{"a.dev"} }, "AllowedRedirectOrigins", "not an origin"},
		{"a version that leaves the path", func(c *Config) { c.JSVersion = "6/../../x" }, "JSVersion", "not a version"},
		{"a version with a range", func(c *Config) { c.UIVersion = "^1" }, "UIVersion", "not a version"},
		{"an unknown feature", func(c *Config) { c.Features = []Feature{"https://evil.example"} }, "Features", "is none"},
		{"a policy that is not ASCII", func(c *Config) { c.ContentSecurityPolicy = "default-src 'self'; img-src bücher.example" }, "ContentSecurityPolicy", "not ASCII"},
		{"a policy with a directive twice", func(c *Config) { c.ContentSecurityPolicy = "img-src a.dev; IMG-SRC b.dev" }, "ContentSecurityPolicy", "img-src twice"},
		{"a load option that is a field", func(c *Config) { c.LoadOptions = map[string]any{"signInUrl": "/x"} }, "LoadOptions", "signInUrl"},
		{"a nonce as a load option", func(c *Config) { c.LoadOptions = map[string]any{"nonce": "x"} }, "LoadOptions", "nonce"},
		{"other components as a load option", func(c *Config) { c.LoadOptions = map[string]any{"ui": "x"} }, "LoadOptions", "ui"},
		{"a load option that is not JSON", func(c *Config) { c.LoadOptions = map[string]any{"routerPush": func() {}} }, "LoadOptions", "as JSON"},
		{"an invalid host", func(c *Config) { c.Hosts = []string{"app.dev/x"} }, "Hosts", "not a host"},
		{"an invalid prefix", func(c *Config) { c.TrustedProxies = []netip.Prefix{{}} }, "TrustedProxies", "invalid prefix"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			noEnvironment(t)
			c := Config{PublishableKey: liveKey}
			tt.change(&c)
			_, err := New(c)
			var problem *clerkproxy.ConfigError
			if !errors.As(err, &problem) || problem.Field != tt.field || !strings.Contains(problem.Problem, tt.says) {
				t.Errorf("got %v; want %s: … %s …", err, tt.field, tt.says)
			}
		})
	}
}

func TestNewReportsAllProblemsAtOnce(t *testing.T) {
	noEnvironment(t)
	t.Setenv("CLERK_IS_SATELLITE", "perhaps")
	_, err := New(Config{ProxyURL: "x", SignInURL: "y", JSVersion: "?", Features: []Feature{"z"}})
	for _, field := range []string{"PublishableKey", "ProxyURL", "IsSatellite", "SignInURL", "JSVersion", "Features"} {
		if err == nil || !strings.Contains(err.Error(), "clerkproxy: "+field) {
			t.Errorf("%s is not among %v", field, err)
		}
	}
}

func TestADevelopmentInstanceIsNotProxiedAndSaysSoOnce(t *testing.T) {
	var out bytes.Buffer
	log := slog.New(slog.NewTextHandler(&out, nil))
	p := provider(t, Config{PublishableKey: devKey, ProxyURL: "/__clerk", Logger: log})
	if got := p.base(at("http://localhost:3000/")); got != "https://foo-bar-13.clerk.accounts.dev" {
		t.Errorf("ClerkJS talks to %s", got)
	}
	if strings.Count(out.String(), "production instances only") != 1 {
		t.Errorf("the log says %q", out.String())
	}
	px := proxy(t, clerkproxy.Config{PublishableKey: devKey, SecretKey: "sk_test_abc", Logger: slog.New(slog.DiscardHandler)})
	out.Reset()
	p = provider(t, Config{Proxy: px, Logger: log})
	if got := p.base(at("http://localhost:3000/")); got != "https://foo-bar-13.clerk.accounts.dev" || out.Len() > 0 {
		t.Errorf("with a proxy, ClerkJS talks to %s, and the log says %q", got, out.String())
	}
}

func TestAConfigurationDoesNotOutliveItsOptions(t *testing.T) {
	options := map[string]any{"supportEmail": "help@app.dev"}
	p := provider(t, Config{ProxyURL: "/__clerk", LoadOptions: options, Nonce: func(*http.Request) string { return "" }})
	before := p.Tags(at("https://app.dev/"))
	options["supportEmail"] = "other@app.dev"
	if _, changed := options["isSatellite"]; changed || p.Tags(at("https://app.dev/")) != before {
		t.Error("the map that New was given is shared")
	}
}
