package certificate

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"
)

// An issuer is an authority, of tests.
type issuer struct {
	cert *x509.Certificate
	key  crypto.Signer
}

var serials atomic.Int64

func newRoot(t *testing.T) *issuer { return newIssuer(t, nil, "Test Root") }

func newIssuer(t *testing.T, parent *issuer, name string) *issuer {
	made := issue(t, parent, func(c *x509.Certificate) {
		c.Subject, c.IsCA, c.BasicConstraintsValid = pkix.Name{CommonName: name}, true, true
		c.KeyUsage = x509.KeyUsageCertSign
	})
	return &issuer{made.cert, made.key}
}

// A made certificate, with its key.
type made struct {
	cert *x509.Certificate
	key  crypto.Signer
}

// issue makes a certificate that is valid for an hour. Without an issuer it signs
// itself.
func issue(t *testing.T, by *issuer, change func(*x509.Certificate)) made {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return issueWith(t, by, key, change)
}

func issueRSA(t *testing.T, by *issuer, change func(*x509.Certificate)) made {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	return issueWith(t, by, key, change)
}

func issueWith(t *testing.T, by *issuer, key crypto.Signer, change func(*x509.Certificate)) made {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(serials.Add(1)),
		NotBefore:    time.Now().Add(-time.Minute),
		NotAfter:     time.Now().Add(time.Hour),
	}
	change(template)
	parent, signer := template, key
	if by != nil {
		parent, signer = by.cert, by.key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return made{cert, key}
}

func names(names ...string) func(*x509.Certificate) {
	return func(c *x509.Certificate) { c.DNSNames = names }
}

func chainPEM(certs ...*x509.Certificate) []byte {
	var chain bytes.Buffer
	for _, cert := range certs {
		pem.Encode(&chain, &pem.Block{Type: "CERTIFICATE", Bytes: cert.Raw})
	}
	return chain.Bytes()
}

func keyDER(t *testing.T, key crypto.Signer) []byte {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func keyPEM(t *testing.T, key crypto.Signer) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER(t, key)})
}

// newFiles names files of a pair in a directory of its own.
func newFiles(t *testing.T) Pair {
	directory := t.TempDir()
	return Pair{Cert: filepath.Join(directory, "cert.pem"), Key: filepath.Join(directory, "key.pem")}
}

func write(t *testing.T, name string, content []byte) {
	t.Helper()
	if err := os.WriteFile(name, content, 0o600); err != nil {
		t.Fatal(err)
	}
}

// put writes a certificate and its key to the files of a pair.
func (m made) put(t *testing.T, p Pair, above ...*issuer) Pair {
	t.Helper()
	chain := []*x509.Certificate{m.cert}
	for _, each := range above {
		chain = append(chain, each.cert)
	}
	write(t, p.Cert, chainPEM(chain...))
	write(t, p.Key, keyPEM(t, m.key))
	return p
}
