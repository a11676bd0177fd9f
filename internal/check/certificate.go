package check

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/clerkproxy/clerkproxy/internal/forwarded"
)

// Most certificates are renewed when a third of their life is left. Where less
// than a quarter of it is left, and less than two weeks, that did not happen.
const (
	expiresSoon = 14 * 24 * time.Hour
	lateRenewal = 4
)

// certificate verifies the certificate at every address that can be reached.
func (c *checker) certificate(ctx context.Context) finding {
	if c.target.Scheme == "http" {
		if forwarded.IsLoopback(c.host) {
			return skip("plain http on this machine: there is no certificate")
		}
		return fail("the proxy URL is plain http, over which browsers send no Secure cookie", "serve the proxy over https, and use the URL with https")
	}
	if c.proxy.egress() {
		return skip("HTTPS_PROXY is set: the certificate is verified on the way, but not looked at")
	}
	soonest := time.Time{}
	var last finding
	for _, addr := range c.reachable {
		leaf, f := c.certificateAt(ctx, addr)
		if f.status == Fail {
			if len(c.reachable) > 1 {
				f.seen = "at " + addr.String() + ": " + f.seen
			}
			return f
		}
		if soonest.IsZero() || leaf.NotAfter.Before(soonest) {
			soonest, last = leaf.NotAfter, f
		}
	}
	return last
}

func (c *checker) certificateAt(ctx context.Context, addr netip.Addr) (*x509.Certificate, finding) {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	conn, err := c.dial(ctx, addr)
	if err != nil {
		return nil, fail("the connection fails now, and did not a moment ago", "look whether what serves "+c.target.Host+" restarts")
	}
	defer conn.Close()
	// It is verified below, where each fault can be named.
	secure := tls.Client(conn, &tls.Config{ServerName: c.host, InsecureSkipVerify: true, MinVersion: tls.VersionTLS12, NextProtos: []string{"h2", "http/1.1"}})
	if err := secure.HandshakeContext(ctx); err != nil {
		return nil, handshakeProblem(err, c.target.Host)
	}
	chain := secure.ConnectionState().PeerCertificates
	return chain[0], judgeCertificate(chain, c.host, c.RootCAs, time.Now())
}

func handshakeProblem(err error, host string) finding {
	var notTLS tls.RecordHeaderError
	text := err.Error()
	switch {
	case errors.As(err, &notTLS):
		return fail("what answers does not speak TLS", "turn TLS on for this port, or correct the port in the proxy URL")
	case timedOut(err):
		return fail("the TLS handshake does not end", "look at what does TLS for "+host)
	case strings.Contains(text, "protocol version"):
		return fail("TLS 1.2 is not offered, only older versions", "turn on TLS 1.2 and 1.3")
	case strings.Contains(text, "unrecognized name"), strings.Contains(text, "handshake failure"), strings.Contains(text, "internal error"):
		return fail("what does TLS has no certificate for "+host, "add "+host+" to what does TLS, and a certificate for it")
	case errors.Is(err, io.EOF):
		return fail("the connection is closed during the TLS handshake", "look at what does TLS for "+host)
	}
	return fail("the TLS handshake fails", "look at what does TLS for "+host)
}

// judgeCertificate names what is wrong with a chain, the worst first.
func judgeCertificate(chain []*x509.Certificate, host string, roots *x509.CertPool, now time.Time) finding {
	leaf := chain[0]
	intermediates := x509.NewCertPool()
	for _, each := range chain[1:] {
		intermediates.AddCert(each)
	}
	until := leaf.NotAfter.UTC().Format("2006-01-02 15:04 UTC")
	switch {
	case now.After(leaf.NotAfter):
		return fail("the certificate expired at "+until, "renew it, and look why that did not happen by itself")
	case now.Before(leaf.NotBefore):
		return fail("the certificate is not valid before "+leaf.NotBefore.UTC().Format("2006-01-02 15:04 UTC"), "set the clock of the machine that issued it, or of this one")
	}
	if err := leaf.VerifyHostname(host); err != nil {
		return fail("the certificate is for another name: "+namesOf(leaf), "get one for "+host+"; what does TLS may not know this name, and hand out that of another site")
	}
	_, err := leaf.Verify(x509.VerifyOptions{Roots: roots, Intermediates: intermediates, CurrentTime: now})
	if err != nil {
		return chainProblem(chain, err)
	}
	seen := "valid until " + until + ", issued by " + cut(issuer(leaf))
	if left := leaf.NotAfter.Sub(now); left < min(expiresSoon, leaf.NotAfter.Sub(leaf.NotBefore)/lateRenewal) {
		return warn(fmt.Sprintf("the certificate expires in %s, at %s", daysOrHours(left), until), "renew it, and look why that did not happen by itself")
	}
	return ok(seen)
}

// chainProblem is about a certificate that is itself as it should be.
func chainProblem(chain []*x509.Certificate, err error) finding {
	leaf, last := chain[0], chain[len(chain)-1]
	var invalid x509.CertificateInvalidError
	switch {
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return fail("the certificate's chain holds one that has expired", "install the chain that belongs to the certificate, as its authority gives it")
	case leaf.CheckSignatureFrom(leaf) == nil || leaf.Subject.String() == leaf.Issuer.String():
		return fail("the certificate is signed by itself", "get one from an authority that browsers know, such as Let's Encrypt")
	// A public authority says in each certificate where its own is to be had;
	// browsers fetch it, Clerk and other servers do not.
	case len(last.IssuingCertificateURL) > 0 && last.Subject.String() != last.Issuer.String():
		return fail("the intermediate certificate is missing: the server does not send that of "+cut(last.Issuer.CommonName)+", and Clerk does not look for it",
			"install the full chain (fullchain.pem), not the certificate alone")
	}
	return fail("the certificate's authority, "+cut(issuer(last))+", is not known to browsers, nor to Clerk", "get one from an authority that browsers know, such as Let's Encrypt")
}

func issuer(c *x509.Certificate) string {
	if len(c.Issuer.Organization) > 0 && c.Issuer.CommonName != "" {
		return c.Issuer.Organization[0] + " " + c.Issuer.CommonName
	}
	return c.Issuer.String()
}

func namesOf(c *x509.Certificate) string {
	names := slices.Clone(c.DNSNames)
	for _, ip := range c.IPAddresses {
		names = append(names, ip.String())
	}
	if len(names) == 0 {
		return "it names none"
	}
	more := ""
	if len(names) > 5 {
		names, more = names[:5], " and others"
	}
	return cut(strings.Join(names, ", ")) + more
}

func daysOrHours(d time.Duration) string {
	if d < 48*time.Hour {
		return fmt.Sprintf("%.0f hours", d.Hours())
	}
	return fmt.Sprintf("%.0f days", d.Hours()/24)
}
