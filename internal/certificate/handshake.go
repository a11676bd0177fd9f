package certificate

import (
	"crypto/tls"
	"slices"
	"strings"
)

// TLSConfig is for a listener, one for each, to be kept as long as it listens:
// it serves what the latest configuration says, and holds the keys of its
// sessions' tickets. HTTP/2 and HTTP/1.1 are offered, TLS 1.2 and later, with
// authenticated encryption only.
func (m *Manager) TLSConfig() *tls.Config {
	return &tls.Config{
		GetCertificate:     m.certificate,
		GetConfigForClient: m.challenge,
		NextProtos:         []string{"h2", "http/1.1"},
		MinVersion:         tls.VersionTLS12,
		CipherSuites: []uint16{ // those of TLS 1.2; TLS 1.3 has no others
			tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
			tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
			tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
			tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
			tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
			tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
		},
	}
}

// certificate chooses as the package's documentation says.
func (m *Manager) certificate(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	files := m.state.Load().files
	if cert := files.match(hello); cert != nil {
		return cert, nil
	}
	if cert := m.issued(strings.ToLower(hello.ServerName)); cert != nil {
		return cert, nil
	}
	return files.first(), nil // nil makes crypto/tls send unrecognized_name
}

// issued is the certificate that was issued for a host of ACME's, or nil.
func (m *Manager) issued(name string) *tls.Certificate {
	s := m.state.Load()
	if !slices.Contains(s.hosts, name) {
		return nil
	}
	if a := m.authority.Load(); a != nil {
		if cert := a.newest(name); cert != nil {
			return &cert.Certificate
		}
	}
	return s.earlier[name]
}
