package certificate

import (
	"crypto/tls"
	"net"
	"net/http"
	"slices"
	"strings"

	"github.com/mholt/acmez/v3"
)

// challenge answers an authority that connects to see whether this is the host
// that a certificate was asked for (RFC 8737). Everybody else gets nil, the
// listener's own configuration.
func (m *Manager) challenge(hello *tls.ClientHelloInfo) (*tls.Config, error) {
	if len(hello.SupportedProtos) != 1 || hello.SupportedProtos[0] != acmez.ACMETLS1Protocol {
		return nil, nil
	}
	a := m.authority.Load()
	if a == nil || !a.tlsALPN01 || !slices.Contains(m.state.Load().hosts, strings.ToLower(hello.ServerName)) {
		return nil, nil
	}
	return &tls.Config{
		GetCertificate: a.magic.GetCertificate,
		NextProtos:     []string{acmez.ACMETLS1Protocol},
		MinVersion:     tls.VersionTLS12,
	}, nil
}

// HTTPHandler answers an authority that asks, over plain HTTP on port 80,
// whether this is the host that a certificate was asked for (RFC 8555 §8.3), and
// leaves everything else to next.
func (m *Manager) HTTPHandler(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a := m.authority.Load()
		if a == nil || !slices.Contains(m.state.Load().hosts, hostname(r)) || !a.issuer.HandleHTTPChallenge(w, r) {
			next.ServeHTTP(w, r)
		}
	})
}

// hostname is the host that a request is for, in lower case and without a port.
func hostname(r *http.Request) string {
	host := strings.ToLower(r.Host)
	if name, _, err := net.SplitHostPort(host); err == nil {
		return name
	}
	return host
}
