package check

import (
	"testing"

	"github.com/clerkproxy/clerkproxy/internal/check"
	"github.com/clerkproxy/clerkproxy/internal/instance"
)

// Whatever is wrong with the keys, what can be seen without them still is.
func TestKeysAreJudged(t *testing.T) {
	const development, secret = "sk_test_Development123", "sk_live_OfAnotherInstance"
	pkTest := instance.PublishableKey("foo.clerk.accounts.dev", false)
	tests := []struct {
		name   string
		change func(*check.Config)
		faults []fault
	}{
		{"of a development instance", func(c *check.Config) { c.PublishableKey, c.SecretKey = pkTest, development },
			[]fault{fails("keys", `development instance \(pk_test_, sk_test_\), and Clerk proxies production instances only`)}},
		{"of two instances", func(c *check.Config) { c.SecretKey = development },
			[]fault{fails("keys", `not of one instance`)}},
		{"no publishable key", func(c *check.Config) { c.PublishableKey = "pk_live_nonsense" },
			[]fault{fails("keys", `not a publishable key`)}},
		{"no secret key", func(c *check.Config) { c.SecretKey = c.PublishableKey },
			[]fault{fails("keys", `not a secret key`)}},
		{"not known to Clerk", func(c *check.Config) { c.SecretKey = secret },
			[]fault{fails("domain", `Clerk does not know the secret key \(clerk_key_invalid\)`)}},
		{"and a domain that the instance does not have", func(c *check.Config) { c.DomainID = "dmn_other" },
			[]fault{fails("domain", `dmn_other is not a domain of the instance: the instance has app.dev \(dmn_`), fails("health", "host_invalid"), fails("acceptance", "")}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := newSite(t)
			proxyURL := s.inGo(handler{})
			s.enable(proxyURL)
			wantFaults(t, s.check(proxyURL, tt.change), tt.faults...)
		})
	}
}

// The domain's id stands in for the secret key, as far as it goes.
func TestTheDomainAloneTellsWhatClerkSees(t *testing.T) {
	s := newSite(t)
	proxyURL := s.nginx("127.0.0.1", replacing(t, nginxProxy(t), "X-Forwarded-For $remote_addr", "X-Forwarded-For $proxy_add_x_forwarded_for"))
	s.enable(proxyURL)
	report := s.check(proxyURL, func(c *check.Config) { c.SecretKey, c.DomainID = "", s.emu.Domains()[0].ID })
	wantFaults(t, report, fails("spoofing", "X-Forwarded-For"))
	wantSkipped(t, report, "certificate", "acceptance")
}

// Another proxy may be in use while a new one is set up.
func TestAnotherProxyURLIsSet(t *testing.T) {
	s := newSite(t)
	s.enable("https://app.dev/old")
	report := s.check(s.inGo(handler{}))
	wantFaults(t, report, warns("domain", `another proxy URL is set for it: https://app.dev/old`))
}
