package certificate

import (
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/clerkproxy/clerkproxy"
)

func TestFilesThatCannotBeUsed(t *testing.T) {
	root := newRoot(t)
	between := newIssuer(t, root, "Test Intermediate")
	withURL := func(c *x509.Certificate) {
		names("app.dev")(c)
		c.IssuingCertificateURL = []string{"http://ca.example/issuer.crt"}
	}
	leaf, other := issue(t, between, withURL), issue(t, between, names("other.dev"))
	whole := chainPEM(leaf.cert, between.cert)
	key := keyPEM(t, leaf.key)
	block := func(kind string, content []byte) []byte {
		return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: content})
	}
	legacy := pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Headers: map[string]string{"Proc-Type": "4,ENCRYPTED", "DEK-Info": "AES-256-CBC,00"}, Bytes: []byte("…")})
	request, err := x509.CreateCertificateRequest(rand.Reader, new(x509.CertificateRequest), leaf.key)
	if err != nil {
		t.Fatal(err)
	}

	tests := []struct {
		name      string
		cert, key []byte // nil: there is no such file
		field     string
		want      string
	}{
		{"no certificate file", nil, key, "Cert", "cannot be read: no such file"},
		{"no key file", whole, nil, "Key", "cannot be read: no such file"},
		{"an empty certificate", []byte("\n"), key, "Cert", "is empty"},
		{"an empty key", whole, []byte("\n"), "Key", "is empty"},
		{"a huge file", make([]byte, maxFile+1), key, "Cert", "is larger than"},
		{"neither PEM nor DER", []byte("hello"), key, "Cert", "-----BEGIN CERTIFICATE-----"},
		{"a key that is neither", whole, []byte("hello"), "Key", "-----BEGIN PRIVATE KEY-----"},
		{"a certificate in DER", leaf.cert.Raw, key, "Cert", "openssl x509 -inform der"},
		{"a key in DER", whole, keyDER(t, leaf.key), "Key", "openssl pkey -inform der"},
		{"PKCS #12", append([]byte{0x30, 0x82}, "…"...), key, "Cert", "openssl pkcs12 -nokeys"},
		{"PKCS #12 for a key", whole, append([]byte{0x30, 0x82}, "…"...), "Key", "openssl pkcs12 -nodes -nocerts"},
		{"PKCS #7", block("PKCS7", []byte("…")), key, "Cert", "openssl pkcs7"},
		{"a request", block("CERTIFICATE REQUEST", request), key, "Cert", "request for a certificate"},
		{"swapped files", key, whole, "Cert", "are the two files swapped?"},
		{"two certificates and no key", whole, whole, "Key", "are the two files swapped?"},
		{"an encrypted key", whole, block("ENCRYPTED PRIVATE KEY", []byte("…")), "Key", "decrypt it with: openssl pkey"},
		{"a key encrypted the old way", whole, legacy, "Key", "decrypt it with: openssl pkey"},
		{"a key of another kind", whole, block("OPENSSH PRIVATE KEY", []byte("…")), "Key", "RSA, ECDSA or Ed25519"},
		{"a certificate that is cut off", whole[:len(whole)-100], key, "Cert", "cut off or damaged after 1 whole"},
		{"a damaged certificate", block("CERTIFICATE", []byte("…")), key, "Cert", "certificate number 1 is damaged"},
		{"a key that is cut off", whole, key[:len(key)-10], "Key", "no whole key"},
		{"the key of another", whole, keyPEM(t, other.key), "Key", "is not the key of the certificate in"},
		{"no name", chainPEM(root.cert), keyPEM(t, root.key), "Cert", "names no host"},
		{"no intermediate", chainPEM(leaf.cert), key, "Cert", "lacks the certificate of its issuer, CN=Test Intermediate"},
		{"the root instead of the intermediate", chainPEM(leaf.cert, root.cert), key, "Cert", "lacks the certificate of its issuer"},
		{"the intermediate first", chainPEM(between.cert, leaf.cert), key, "Cert", "own certificate is number 2"},
		{"the root before the intermediate", chainPEM(leaf.cert, root.cert, between.cert), key, "Cert", "number 1 was issued by number 3"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := newFiles(t)
			if tt.cert != nil {
				write(t, p.Cert, tt.cert)
			}
			if tt.key != nil {
				write(t, p.Key, tt.key)
			}
			_, err := New(Config{Files: []Pair{p}}, slog.New(slog.DiscardHandler))
			var problem *clerkproxy.ConfigError
			if !errors.As(err, &problem) {
				t.Fatalf("got %v", err)
			}
			file := map[string]string{"Cert": p.Cert, "Key": p.Key}[tt.field]
			if problem.Field != "Files[0]."+tt.field || !strings.Contains(problem.Problem, tt.want) || !strings.Contains(problem.Problem, file) {
				t.Errorf("got %v", problem)
			}
			if secret := string(key[40:80]); strings.Contains(err.Error(), secret) {
				t.Errorf("the error holds the key: %v", err)
			}
		})
	}
}

func TestFilesThatCanBeUsed(t *testing.T) {
	root := newRoot(t)
	between := newIssuer(t, root, "Test Intermediate")
	leaf := issue(t, between, names("app.dev"))
	fromRoot := issue(t, root, names("app.dev"))
	address := issue(t, nil, func(c *x509.Certificate) { c.IPAddresses = loopback })
	rsaLeaf := issueRSA(t, between, names("app.dev"))
	sec1, err := x509.MarshalECPrivateKey(leaf.key.(*ecdsa.PrivateKey))
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name      string
		cert, key []byte
		chain     int
	}{
		{"a whole chain", chainPEM(leaf.cert, between.cert), keyPEM(t, leaf.key), 2},
		{"with the root", chainPEM(leaf.cert, between.cert, root.cert), keyPEM(t, leaf.key), 3},
		{"issued by a private root", chainPEM(fromRoot.cert), keyPEM(t, fromRoot.key), 1},
		{"self-signed, for an address", chainPEM(address.cert), keyPEM(t, address.key), 1},
		{"RSA", chainPEM(rsaLeaf.cert, between.cert), keyPEM(t, rsaLeaf.key), 2},
		{"a SEC 1 key after its parameters", chainPEM(leaf.cert, between.cert),
			append(pem.EncodeToMemory(&pem.Block{Type: "EC PARAMETERS", Bytes: []byte{6}}), pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: sec1})...), 2},
		{"text around the certificates", append([]byte("Subject: app.dev\n"), chainPEM(leaf.cert, between.cert)...), keyPEM(t, leaf.key), 2},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := newFiles(t)
			write(t, p.Cert, tt.cert)
			write(t, p.Key, tt.key)
			var log book
			m, err := New(Config{Files: []Pair{p}}, log.logger())
			if err != nil {
				t.Fatal(err)
			}
			if got := len(m.state.Load().files[0].cert.Certificate); got != tt.chain {
				t.Errorf("%d certificates are sent", got)
			}
			if log.String() != "" {
				t.Errorf("logged: %s", &log)
			}
		})
	}
	t.Run("one file for both", func(t *testing.T) {
		p := newFiles(t)
		write(t, p.Cert, append(keyPEM(t, leaf.key), chainPEM(leaf.cert, between.cert)...))
		if _, err := New(Config{Files: []Pair{{p.Cert, p.Cert}}}, slog.New(slog.DiscardHandler)); err != nil {
			t.Error(err)
		}
	})
}

func TestADeviceIsNoFile(t *testing.T) {
	_, err := New(Config{Files: []Pair{{Cert: "/dev/null", Key: "/dev/null"}}}, slog.New(slog.DiscardHandler))
	if err == nil || strings.Count(err.Error(), "/dev/null is a pipe or a device, which can be read but once; write it to a file") != 2 {
		t.Errorf("got %v", err)
	}
}

func TestAPairLacksAFile(t *testing.T) {
	p := issue(t, nil, names("app.dev")).put(t, newFiles(t))
	for want, pair := range map[string]Pair{
		"Files[0].Key: is missing":  {Cert: p.Cert},
		"Files[0].Cert: is missing": {Key: p.Key},
	} {
		if _, err := New(Config{Files: []Pair{pair}}, nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v", err)
		}
	}
}

func TestWhatIsWarnedOf(t *testing.T) {
	expired := issue(t, nil, func(c *x509.Certificate) { names("app.dev")(c); c.NotAfter = time.Now().Add(-time.Second) })
	early := issue(t, nil, func(c *x509.Certificate) { names("app.dev")(c); c.NotBefore = time.Now().Add(time.Minute) })
	good := issue(t, nil, names("app.dev"))
	for _, tt := range []struct {
		name string
		made made
		mode os.FileMode
		want string
	}{
		{"expired", expired, 0o600, "expired on 20"},
		{"not yet valid", early, 0o600, "is not valid before 20"},
		{"a key for everybody", good, 0o644, "key.pem holds a key and can be read by every user"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := tt.made.put(t, newFiles(t))
			if err := os.Chmod(p.Key, tt.mode); err != nil {
				t.Fatal(err)
			}
			var log book
			m, err := New(Config{Files: []Pair{p}}, log.logger())
			if err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(log.String(), tt.want) || !strings.Contains(log.String(), "level=WARN") {
				t.Errorf("logged: %s", &log)
			}
			if info := m.Certificates()[0]; !info.NotAfter.Equal(tt.made.cert.NotAfter) || info.File != p.Cert || info.Source != SourceFile {
				t.Errorf("got %+v", info)
			}
		})
	}
}

func TestDefaultStorage(t *testing.T) {
	t.Setenv("XDG_DATA_HOME", "")
	if got := DefaultStorage(); got != "/var/lib/clerk-proxy" {
		t.Errorf("got %s", got)
	}
	t.Setenv("XDG_DATA_HOME", "/data")
	if got := DefaultStorage(); got != filepath.FromSlash("/data/clerk-proxy") {
		t.Errorf("got %s", got)
	}
}
