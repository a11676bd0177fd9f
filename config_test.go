package clerkproxy

import (
	"bytes"
	"errors"
	"log/slog"
	"net/netip"
	"strings"
	"testing"

	"github.com/clerkproxy/clerkproxy/internal/instance"
)

const secretKey = "sk_live_8ZkJ0s3cr3t"

var publishableKey = instance.PublishableKey("clerk.app.dev", true)

// noEnvironment takes Clerk's variables away for the time of a test.
func noEnvironment(t *testing.T) {
	for _, name := range []string{
		"CLERK_PUBLISHABLE_KEY", "NEXT_PUBLIC_CLERK_PUBLISHABLE_KEY", "CLERK_SECRET_KEY",
		"CLERK_PROXY_URL", "NEXT_PUBLIC_CLERK_PROXY_URL", "CLERK_FAPI_URL",
	} {
		t.Setenv(name, "")
	}
}

func TestNewReadsTheEnvironment(t *testing.T) {
	noEnvironment(t)
	t.Setenv("NEXT_PUBLIC_CLERK_PUBLISHABLE_KEY", publishableKey)
	t.Setenv("CLERK_SECRET_KEY", secretKey)
	p, err := New(Config{})
	if err != nil {
		t.Fatal(err)
	}
	if p.Path() != "/__clerk" || p.target != (target{"https", "frontend-api.clerk.dev", ""}) {
		t.Errorf("path %s, target %+v", p.Path(), p.target)
	}
	if pub, sec := p.Keys(); pub != publishableKey || sec != secretKey {
		t.Errorf("keys %s, %s", pub, sec)
	}

	t.Setenv("CLERK_PUBLISHABLE_KEY", instance.PublishableKey("clerk.other.dev", true))
	t.Setenv("NEXT_PUBLIC_CLERK_PROXY_URL", "https://app.dev/auth/")
	t.Setenv("CLERK_FAPI_URL", "http://localhost:9999")
	p, err = New(Config{})
	if err != nil {
		t.Fatal(err)
	}
	if p.Path() != "/auth" || p.fixed != "https://app.dev/auth" || p.target != (target{"http", "localhost:9999", ""}) || p.inst.FrontendAPI != "clerk.other.dev" {
		t.Errorf("%+v", p)
	}

	p, err = New(Config{PublishableKey: publishableKey, ProxyURL: "/__clerk", FrontendAPIURL: "https://frontend-api.clerk.dev"})
	if err != nil {
		t.Fatal(err)
	}
	if p.Path() != "/__clerk" || p.fixed != "" || p.target.host != "frontend-api.clerk.dev" || p.inst.FrontendAPI != "clerk.app.dev" {
		t.Errorf("the environment wins over the configuration: %+v", p)
	}
}

func TestNewRefuses(t *testing.T) {
	noEnvironment(t)
	good := Config{PublishableKey: publishableKey, SecretKey: secretKey}
	tests := []struct {
		name   string
		change func(*Config)
		field  string
		says   string
	}{
		{"no publishable key", func(c *Config) { c.PublishableKey = "" }, "PublishableKey", "is missing"},
		{"a malformed publishable key", func(c *Config) { c.PublishableKey = "pk_live_!" }, "PublishableKey", "not a publishable key"},
		{"the keys exchanged", func(c *Config) { c.PublishableKey, c.SecretKey = secretKey, publishableKey }, "PublishableKey", "not a publishable key"},
		{"no secret key", func(c *Config) { c.SecretKey = "" }, "SecretKey", "is missing"},
		{"a malformed secret key", func(c *Config) { c.SecretKey = "8ZkJ0s3cr3t" }, "SecretKey", "not a secret key"},
		{"a secret key with a line break", func(c *Config) { c.SecretKey = secretKey + "\n" }, "SecretKey", "not a secret key"},
		{"a live and a test key", func(c *Config) { c.SecretKey = "sk_test_8ZkJ0s3cr3t" }, "SecretKey", "one is live, the other is test"},
		{"a relative proxy path", func(c *Config) { c.ProxyURL = "__clerk" }, "ProxyURL", "neither a path"},
		{"a proxy path that is the root", func(c *Config) { c.ProxyURL = "/" }, "ProxyURL", "no path of its own"},
		{"a proxy URL without a path", func(c *Config) { c.ProxyURL = "https://app.dev" }, "ProxyURL", "no path of its own"},
		{"a proxy path with a query", func(c *Config) { c.ProxyURL = "/__clerk?x=1" }, "ProxyURL", "query"},
		{"a proxy path with an empty query", func(c *Config) { c.ProxyURL = "/__clerk?" }, "ProxyURL", "query"},
		{"a proxy URL with a fragment", func(c *Config) { c.ProxyURL = "https://app.dev/__clerk#x" }, "ProxyURL", "fragment"},
		{"a proxy URL with credentials", func(c *Config) { c.ProxyURL = "https://me:8ZkJ0s3cr3t@app.dev/__clerk" }, "ProxyURL", "credentials"},
		{"a proxy URL of another scheme", func(c *Config) { c.ProxyURL = "ftp://app.dev/__clerk" }, "ProxyURL", "http"},
		{"a proxy URL without a host", func(c *Config) { c.ProxyURL = "https:///__clerk" }, "ProxyURL", "neither"},
		{"a proxy URL with an invalid host", func(c *Config) { c.ProxyURL = "https://app_!.dev/__clerk" }, "ProxyURL", "host"},
		{"a proxy path with a dot segment", func(c *Config) { c.ProxyURL = "/a/../b" }, "ProxyURL", "segment"},
		{"a proxy path with an escaped dot segment", func(c *Config) { c.ProxyURL = "/a/%2e%2E/b" }, "ProxyURL", "segment"},
		{"a proxy path with an empty segment", func(c *Config) { c.ProxyURL = "//evil.com" }, "ProxyURL", "segment"},
		{"a proxy path with a space", func(c *Config) { c.ProxyURL = "/__cl erk" }, "ProxyURL", "escaped"},
		{"a Frontend API URL that is none", func(c *Config) { c.FrontendAPIURL = "frontend-api.clerk.dev" }, "FrontendAPIURL", "not an absolute URL"},
		{"a Frontend API URL that does not parse", func(c *Config) { c.FrontendAPIURL = "https://[" }, "FrontendAPIURL", "not an absolute URL"},
		{"a Frontend API URL with credentials", func(c *Config) { c.FrontendAPIURL = "https://me:8ZkJ0s3cr3t@clerk.dev" }, "FrontendAPIURL", "credentials"},
		{"a Frontend API URL with a query", func(c *Config) { c.FrontendAPIURL = "https://clerk.dev?" }, "FrontendAPIURL", "query"},
		{"a Frontend API URL with a fragment", func(c *Config) { c.FrontendAPIURL = "https://clerk.dev#x" }, "FrontendAPIURL", "fragment"},
		{"a Frontend API URL of another scheme", func(c *Config) { c.FrontendAPIURL = "ws://clerk.dev" }, "FrontendAPIURL", "http"},
		{"plain http to another machine", func(c *Config) { c.FrontendAPIURL = "http://frontend-api.clerk.dev" }, "FrontendAPIURL", "in the clear"},
		{"plain http to a private address", func(c *Config) { c.FrontendAPIURL = "http://10.0.0.1" }, "FrontendAPIURL", "in the clear"},
		{"a host that is a URL", func(c *Config) { c.Hosts = []string{"https://app.dev"} }, "Hosts", "is not a host"},
		{"an invalid prefix", func(c *Config) { c.TrustedProxies = []netip.Prefix{{}} }, "TrustedProxies", "invalid prefix"},
		{"a negative cache", func(c *Config) { c.AssetCache = -1 }, "AssetCache", "is negative"},
		{"a header name that is none", func(c *Config) { c.ClientIPHeader = "X Real IP" }, "ClientIPHeader", "not the name of a header"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := good
			tt.change(&c)
			p, err := New(c)
			var problem *ConfigError
			if p != nil || !errors.As(err, &problem) || problem.Field != tt.field || !strings.Contains(problem.Problem, tt.says) {
				t.Fatalf("got %v, want %s … %q", err, tt.field, tt.says)
			}
			if strings.Contains(err.Error(), "8ZkJ0s3cr3t") {
				t.Errorf("the error holds a secret: %v", err)
			}
		})
	}
}

func TestNewReportsEveryProblemAtOnce(t *testing.T) {
	noEnvironment(t)
	_, err := New(Config{ProxyURL: "x", FrontendAPIURL: "y", Hosts: []string{"/"}, ClientIPHeader: ":"})
	for _, field := range []string{"PublishableKey (CLERK_PUBLISHABLE_KEY)", "SecretKey (CLERK_SECRET_KEY)", "ProxyURL (CLERK_PROXY_URL)", "FrontendAPIURL (CLERK_FAPI_URL)", "Hosts", "ClientIPHeader"} {
		if err == nil || !strings.Contains(err.Error(), "clerkproxy: "+field+": ") {
			t.Errorf("%s is not reported in %v", field, err)
		}
	}
}

func TestNewAccepts(t *testing.T) {
	noEnvironment(t)
	for _, proxyURL := range []string{"/__clerk/", "/__clerk///", "/a/b%20c", "https://app.dev/__clerk/", "http://localhost:8080/__clerk", "https://APP.dev:443/__clerk"} {
		if _, err := New(Config{PublishableKey: publishableKey, SecretKey: secretKey, ProxyURL: proxyURL}); err != nil {
			t.Errorf("%s: %v", proxyURL, err)
		}
	}
	for _, fapi := range []string{"https://frontend-api.clerk.dev/", "https://gateway.corp/clerk/", "http://127.0.0.1:9", "http://[::1]:9", "http://LOCALHOST", "http://fapi.localhost:80"} {
		if _, err := New(Config{PublishableKey: publishableKey, SecretKey: secretKey, FrontendAPIURL: fapi}); err != nil {
			t.Errorf("%s: %v", fapi, err)
		}
	}
}

func TestNewWarnsOfADevelopmentInstanceOnce(t *testing.T) {
	noEnvironment(t)
	var log bytes.Buffer
	_, err := New(Config{
		PublishableKey: instance.PublishableKey("foo-bar-1.clerk.accounts.dev", false), SecretKey: "sk_test_8ZkJ0s3cr3t",
		Logger: slog.New(slog.NewTextHandler(&log, nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	if strings.Count(log.String(), "level=WARN") != 1 || !strings.Contains(log.String(), "production instances only") || strings.Contains(log.String(), "8ZkJ0s3cr3t") {
		t.Errorf("log: %s", log.String())
	}
}
