package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

// The names that the benchmark's one certificate is for.
const (
	appHost  = "bench.test"
	fapiHost = "clerk.bench.test"
)

// certificates are files in PEM: what every peer can read.
type certificates struct {
	CA, Cert, Key string
	// Both is certificate and key in one file, as HAProxy wants them.
	Both string
}

// newCertificates makes an authority and a certificate for the upstream and for
// the proxies alike.
func newCertificates(dir string) (c certificates, err error) {
	caKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return c, err
	}
	ca := &x509.Certificate{
		SerialNumber:          big.NewInt(1),
		Subject:               pkix.Name{CommonName: "clerkproxy bench"},
		NotBefore:             time.Now().Add(-time.Hour),
		NotAfter:              time.Now().Add(48 * time.Hour),
		IsCA:                  true,
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageCertSign,
	}
	caDER, err := x509.CreateCertificate(rand.Reader, ca, ca, caKey.Public(), caKey)
	if err != nil {
		return c, err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return c, err
	}
	leaf := &x509.Certificate{
		SerialNumber: big.NewInt(2),
		Subject:      pkix.Name{CommonName: appHost},
		NotBefore:    ca.NotBefore,
		NotAfter:     ca.NotAfter,
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		DNSNames:     []string{appHost, fapiHost, "localhost"},
		IPAddresses:  []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	leafDER, err := x509.CreateCertificate(rand.Reader, leaf, ca, key.Public(), caKey)
	if err != nil {
		return c, err
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return c, err
	}
	block := func(kind string, der []byte) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
	}
	caPEM, certPEM, keyPEM := block("CERTIFICATE", caDER), block("CERTIFICATE", leafDER), block("PRIVATE KEY", keyDER)
	for _, f := range []struct {
		name    *string
		file    string
		content string
	}{
		{&c.CA, "ca.pem", caPEM},
		{&c.Cert, "cert.pem", certPEM},
		{&c.Key, "key.pem", keyPEM},
		{&c.Both, "both.pem", certPEM + keyPEM},
	} {
		*f.name = filepath.Join(dir, f.file)
		if err := os.WriteFile(*f.name, []byte(f.content), 0o644); err != nil {
			return c, err
		}
	}
	return c, nil
}

func (c certificates) server() (*tls.Config, error) {
	pair, err := tls.LoadX509KeyPair(c.Cert, c.Key)
	return &tls.Config{Certificates: []tls.Certificate{pair}}, err
}

func (c certificates) client() (*tls.Config, error) {
	pem, err := os.ReadFile(c.CA)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(pem)
	return &tls.Config{RootCAs: pool}, nil
}
