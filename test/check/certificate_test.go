package check

import (
	"crypto/tls"
	"crypto/x509"
	"net"
	"testing"
	"time"

	"github.com/clerkproxy/clerkproxy/internal/check"
)

func TestACertificateIsJudged(t *testing.T) {
	tests := []struct {
		name   string
		change func(*x509.Certificate)
		chain  func(*tls.Certificate)
		faults []fault
	}{
		{name: "as it should be"},
		{name: "expired", change: func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Hour) },
			faults: []fault{fails("certificate", `expired at \d{4}-\d\d-\d\d \d\d:\d\d UTC`)}},
		{name: "not yet valid", change: func(c *x509.Certificate) { c.NotBefore = time.Now().Add(time.Hour) },
			faults: []fault{fails("certificate", `not valid before`)}},
		{name: "about to expire", change: func(c *x509.Certificate) { c.NotAfter = time.Now().Add(10 * 24 * time.Hour) },
			faults: []fault{warns("certificate", `expires in 10 days`)}},
		{name: "of a few days, and not near its end", change: func(c *x509.Certificate) {
			c.NotBefore, c.NotAfter = time.Now().AddDate(0, 0, -1), time.Now().AddDate(0, 0, 5)
		}},
		{name: "of a few days, and near its end", change: func(c *x509.Certificate) {
			c.NotBefore, c.NotAfter = time.Now().AddDate(0, 0, -5), time.Now().AddDate(0, 0, 1)
		}, faults: []fault{warns("certificate", `expires in 24 hours`)}},
		{name: "for another name", change: func(c *x509.Certificate) { c.IPAddresses, c.DNSNames = nil, []string{"www.app.dev", "shop.app.dev"} },
			faults: []fault{fails("certificate", `for another name: www.app.dev, shop.app.dev → get one for 127.0.0.1`)}},
		{name: "without its intermediate", chain: func(c *tls.Certificate) { c.Certificate = c.Certificate[:1] },
			faults: []fault{fails("certificate", `the intermediate certificate is missing: .*Test Intermediate.*fullchain`)}},
		{name: "of an authority that nobody knows", chain: func(c *tls.Certificate) { *c = newAuthority(t).issue(nil) },
			faults: []fault{fails("certificate", `authority, CN=Test Root, is not known`)}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := newSite(t)
			certificate := s.ca.issue(tt.change)
			if tt.chain != nil {
				tt.chain(&certificate)
			}
			proxyURL := s.inGoTLS(certificate)
			s.enable(proxyURL)
			wantFaults(t, s.check(proxyURL), tt.faults...)
		})
	}
}

func TestACertificateSignedByItself(t *testing.T) {
	s := newSite(t)
	key := newKey(t)
	template := caTemplate("localhost")
	template.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 1)}
	self := s.ca.sign(template, template, key, key)
	proxyURL := s.inGoTLS(tls.Certificate{Certificate: [][]byte{self.Raw}, PrivateKey: key})
	wantFaults(t, s.check(proxyURL), fails("certificate", "signed by itself"))
}

func TestAPortThatDoesNotSpeakTLS(t *testing.T) {
	s := newSite(t)
	plain := s.inGo(handler{})
	wantFaults(t, s.check("https://"+address(plain)+proxyPath), fails("certificate", "does not speak TLS"))
}

func TestAPortThatSpeaksTLSToPlainHTTP(t *testing.T) {
	s := newSite(t)
	proxyURL := s.nginxServer("https", "127.0.0.1", s.tlsLines(), nginxProxy(s.t))
	wantFaults(t, s.check("http://"+address(proxyURL)+proxyPath), fails("path", "the proxy URL is plain http, and this port speaks TLS"))
}

func TestNothingAnswers(t *testing.T) {
	s := newSite(t)
	wantFaults(t, s.check("http://127.0.0.1:"+closedPort(t)+proxyPath),
		fails("connection", `nothing answers at port \d+ of 127.0.0.1 \(it refuses the connection\)`))
}

func TestAHostThatIsNot(t *testing.T) {
	s := newSite(t)
	// Whether the name servers say so or do not answer, depends on the network.
	wantFaults(t, s.check("https://nowhere.invalid"+proxyPath, func(c *check.Config) { c.Timeout = 3 * time.Second }),
		fails("name", "nowhere.invalid"), fails("domain", "nowhere.invalid is on no domain of the instance: the instance has app.dev"))
}
