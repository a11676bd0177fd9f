package check

import (
	"net/netip"
	"path/filepath"
	"testing"

	"github.com/clerkproxy/clerkproxy"
	"github.com/clerkproxy/clerkproxy/internal/check"
)

// correct are proxies that are as they should be, each with the steps that
// cannot be taken.
var correct = []struct {
	name    string
	proxy   func(*site) string
	skipped []string
}{
	{"ours", func(s *site) string {
		return s.ours("127.0.0.1:0", func(c *clerkproxy.Config) { c.TrustedProxies = []netip.Prefix{} })
	}, []string{"certificate"}},
	{"nginx", func(s *site) string { return s.nginx("127.0.0.1", nginxProxy(s.t)+nginxApp) }, []string{"certificate"}},
	{"nginx with TLS", nginxTLS, nil},
	{"nginx with TLS in front of ours", nginxBeforeOurs, nil},
	{"nginx that caches scripts", func(s *site) string {
		return s.nginx("127.0.0.1", replacing(s.t, nginxProxy(s.t), "proxy_http_version", "proxy_cache cache; proxy_http_version")+nginxApp)
	}, []string{"certificate"}},
	{"a small proxy in Go", func(s *site) string { return s.inGo(handler{}) }, []string{"certificate"}},
}

func nginxTLS(s *site) string {
	return s.nginxServer("https", "127.0.0.1", s.tlsLines(), nginxProxy(s.t)+nginxApp)
}

// tlsLines have nginx do TLS with a good certificate.
func (s *site) tlsLines() string {
	s.t.Helper()
	dir := s.t.TempDir()
	certificate := s.ca.issue(nil)
	chain, key := filepath.Join(dir, "chain.pem"), filepath.Join(dir, "key.pem")
	s.write(chain, chainPEM(certificate))
	s.write(key, keyPEM(s.t, certificate))
	return "ssl_certificate " + chain + ";\n    ssl_certificate_key " + key + ";"
}

// nginxBeforeOurs is a proxy in front, at 127.0.0.2 to ours, which trusts it.
func nginxBeforeOurs(s *site) string {
	ours := s.ours("127.0.0.3:0", func(c *clerkproxy.Config) {
		c.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.2/32")}
	})
	return s.nginxServer("https", "127.0.0.1", s.tlsLines(), front(ours))
}

// front passes everything on to a proxy for Clerk, and says for whom.
func front(proxyURL string) string {
	return `
    location / {
      proxy_pass http://` + address(proxyURL) + `;
      proxy_bind 127.0.0.2;
      proxy_http_version 1.1;
      proxy_set_header Host $http_host;
      proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
      proxy_set_header X-Forwarded-Proto $scheme;
    }
`
}

func TestACorrectProxyIsFoundCorrect(t *testing.T) {
	for _, tt := range correct {
		t.Run(tt.name, func(t *testing.T) {
			s := newSite(t)
			proxyURL := tt.proxy(s)
			s.enable(proxyURL)
			s.check(proxyURL)           // which leaves something in caches
			report := s.check(proxyURL) // which finds it
			wantFaults(t, report)
			wantSkipped(t, report, tt.skipped...)
			if report.Status != check.OK || !report.Enabled || report.ProxyURL != proxyURL || report.DomainID != s.emu.Domains()[0].ID {
				t.Errorf("it ends with %s, enabled %v, for %s of %s", report.Status, report.Enabled, report.ProxyURL, report.DomainID)
			}
		})
	}
}

// Before the proxy URL is set, Clerk answers host_invalid, which is no fault.
func TestACorrectProxyIsFoundReady(t *testing.T) {
	for _, tt := range correct {
		t.Run(tt.name, func(t *testing.T) {
			s := newSite(t)
			report := s.check(tt.proxy(s))
			wantFaults(t, report)
			wantSkipped(t, report, append([]string{"cookies", "posts"}, tt.skipped...)...)
			if report.Status != check.OK || report.Enabled {
				t.Errorf("it ends with %s, enabled %v, for %s of %s", report.Status, report.Enabled, report.ProxyURL, report.DomainID)
			}
		})
	}
}

// Without a key, what can be seen from outside is seen.
func TestACorrectProxyIsFoundCorrectWithoutKeys(t *testing.T) {
	for _, tt := range correct {
		t.Run(tt.name, func(t *testing.T) {
			s := newSite(t)
			proxyURL := tt.proxy(s)
			s.enable(proxyURL)
			report := s.check(proxyURL, func(c *check.Config) { c.PublishableKey, c.SecretKey = "", "" })
			wantFaults(t, report)
			wantSkipped(t, report, append([]string{"keys", "domain", "health", "address", "spoofing", "acceptance"}, tt.skipped...)...)
			if report.Status != check.OK || !report.Enabled {
				t.Errorf("it ends with %s, enabled %v, for %s of %s", report.Status, report.Enabled, report.ProxyURL, report.DomainID)
			}
		})
	}
}

// Ours trusts loopback by default, and this machine comes from there: that an
// address which it invents is believed is no fault, and nothing else is learnt.
func TestAProxyThatMayTrustThisMachineIsNotAccused(t *testing.T) {
	s := newSite(t)
	proxyURL := s.ours("127.0.0.1:0", nil)
	s.enable(proxyURL)
	report := s.check(proxyURL, func(c *check.Config) { c.Stranger = false })
	wantFaults(t, report)
	wantSkipped(t, report, "certificate", "spoofing")
	wantFaults(t, s.check(proxyURL), fails("spoofing", "X-Forwarded-For"))
}
