package acme

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"io/fs"
	"log/slog"
	"math/big"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/clerkproxy/clerkproxy/internal/certificate"
)

func TestAnAuthorityIssues(t *testing.T) {
	for _, challenge := range []string{"http-01", "tls-alpn-01"} {
		for _, account := range []string{"any account", "an account bound to a known one"} {
			t.Run("by "+challenge+", with "+account, func(t *testing.T) {
				t.Parallel()
				m := newMachine(t)
				options := m.options()
				key := base64.RawURLEncoding.EncodeToString([]byte("a key of thirty-two bytes or more"))
				if account != "any account" {
					options.eabKeyID, options.eabKey = "key-1", key
				}
				p := startPebble(t, options)
				c := config(t, p, p.host)
				c.ACME.NoHTTP01, c.ACME.NoTLSALPN01 = challenge != "http-01", challenge != "tls-alpn-01"
				if options.eabKeyID != "" {
					c.ACME.EABKeyID, c.ACME.EABMACKeyFile = options.eabKeyID, filepath.Join(t.TempDir(), "mac")
					if err := os.WriteFile(c.ACME.EABMACKeyFile, []byte(key+"\n"), 0o600); err != nil {
						t.Fatal(err)
					}
				}
				m.start(t, c)
				if used := m.log.wait(t, "acme: trying to solve challenge")["challenge"]; used != challenge {
					t.Errorf("it is %v that is tried", used)
				}
				m.log.wait(t, "certificate loaded")

				cert, err := m.handshake(p, p.host)
				if err != nil {
					t.Fatal(err)
				}
				info := m.manager.Certificates()[0]
				if info.Source != certificate.SourceACME || !slices.Equal(info.Names, []string{p.host}) || info.Failure != "" ||
					!info.NotAfter.Equal(cert.NotAfter) || !strings.HasPrefix(info.Issuer, "Pebble Intermediate CA") {
					t.Errorf("got %+v", info)
				}
				if n := p.orders.Load(); n != 1 {
					t.Errorf("it took %d orders", n)
				}
				for _, secret := range append(secretsIn(t, c.ACME.Storage), key) {
					if strings.Contains(m.log.String(), secret) {
						t.Errorf("the log holds %q", secret)
					}
				}
			})
		}
	}
}

// secretsIn are the keys in a storage. It checks that nobody else can read them.
func secretsIn(t *testing.T, storage string) (secrets []string) {
	err := filepath.WalkDir(storage, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		if entry.IsDir() && info.Mode().Perm() != 0o700 {
			t.Errorf("%s is %s", path, info.Mode())
		}
		if filepath.Ext(path) != ".key" {
			return nil
		}
		if info.Mode().Perm() != 0o600 {
			t.Errorf("%s is %s", path, info.Mode())
		}
		content, err := os.ReadFile(path)
		block, _ := pem.Decode(content)
		secrets = append(secrets, strings.Split(string(content), "\n")[1], base64.StdEncoding.EncodeToString(block.Bytes))
		return err
	})
	if err != nil || len(secrets) < 4 { // the account's and the certificate's
		t.Fatalf("%d secrets, %v", len(secrets), err)
	}
	return secrets
}

func TestACertificateIsRenewedWhenTheAuthoritySaysSo(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	options := m.options()
	options.renewSoon = true
	p := startPebble(t, options)
	c := config(t, p, p.host)
	c.ACME.CheckInterval = 200 * time.Millisecond
	m.start(t, c)
	m.log.wait(t, "certificate loaded")
	serial := m.serial(t, p, p.host)
	for {
		if issued := m.log.wait(t, "certificate issued"); issued["renewal"] == true {
			break
		}
	}
	m.otherSerial(t, p, p.host, serial)
}

func TestWhatIsDueWhenItIsLoadedIsRenewedAtOnce(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	options := m.options()
	options.validity = 60 // which is due at once for who looks every ten minutes
	p := startPebble(t, options)
	c := config(t, p, p.host)
	m.start(t, c)
	m.log.wait(t, "certificate loaded")
	if issued := m.log.wait(t, "certificate issued"); issued["renewal"] != true {
		t.Errorf("got %v", issued)
	}
}

func TestAFailedRenewalIsToldAndTheCertificateStays(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	options := m.options()
	options.renewSoon, options.once = true, true
	p := startPebble(t, options)
	c := config(t, p, p.host)
	c.ACME.CheckInterval = 200 * time.Millisecond
	m.start(t, c)
	m.log.wait(t, "certificate loaded")
	serial := m.serial(t, p, p.host)
	failed := m.log.wait(t, "the authority issued no certificate")
	if failed["level"] != "ERROR" || failed["host"] != p.host || failed["renewal"] != true || !strings.Contains(failed["error"].(string), "forbidden domain") {
		t.Errorf("got %v", failed)
	}
	if info := m.manager.Certificates()[0]; !strings.Contains(info.Failure, "forbidden domain") || info.NotAfter.IsZero() {
		t.Errorf("got %+v", info)
	}
	if m.serial(t, p, p.host) != serial {
		t.Error("another certificate is served")
	}
}

func TestAnAuthorityThatRefusesIsTold(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	p := startPebble(t, m.options())
	if err := p.store.AddBlockedDomain(p.host); err != nil {
		t.Fatal(err)
	}
	m.start(t, config(t, p, p.host))
	m.log.wait(t, "the authority issued no certificate")
	info := m.manager.Certificates()[0]
	if !slices.Equal(info.Names, []string{p.host}) || !strings.Contains(info.Failure, "forbidden domain") || info.Issuer != "" || !info.NotAfter.IsZero() {
		t.Errorf("got %+v", info)
	}
	if _, err := m.handshake(p, p.host); err == nil || !strings.Contains(err.Error(), "unrecognized name") {
		t.Errorf("got %v", err)
	}
	m.stop() // it does not wait to try again
}

func TestUnknownNamesAreRefusedWhenThereIsNoFile(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	p := startPebble(t, m.options())
	m.start(t, config(t, p, p.host))
	m.log.wait(t, "certificate loaded")
	for _, name := range []string{"other.example.test", "sub." + p.host, "127.0.0.1"} { // no name is sent for an address
		if _, err := m.handshake(p, name); err == nil || !strings.Contains(err.Error(), "unrecognized name") {
			t.Errorf("%s: got %v", name, err)
		}
	}
	_, err := tls.Dial("tcp", m.secure.Addr().String(), &tls.Config{ServerName: "other.example.test", NextProtos: []string{"acme-tls/1"}})
	if err == nil || !strings.Contains(err.Error(), "no application protocol") {
		t.Errorf("a challenge for another host: got %v", err)
	}
}

func TestARevokedCertificateHasBeenReplaced(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	p := startPebble(t, m.options())
	m.start(t, config(t, p, p.host))
	m.log.wait(t, "certificate loaded")
	old, err := m.handshake(p, p.host)
	if err != nil {
		t.Fatal(err)
	}
	if err := m.manager.Revoke(t.Context(), p.host, 1); err != nil {
		t.Fatal(err)
	}
	fresh, err := m.handshake(p, p.host)
	if err != nil {
		t.Fatal(err)
	}
	if !p.revoked(old.SerialNumber) || p.revoked(fresh.SerialNumber) {
		t.Error("it is not the old one that is revoked, and it alone")
	}
	if fresh.PublicKey.(*ecdsa.PublicKey).Equal(old.PublicKey) {
		t.Error("the key is still the same")
	}
	if err := m.manager.Revoke(t.Context(), "other.example.test", 1); err == nil {
		t.Error("what does not exist was revoked")
	}
}

func TestMachinesThatShareAStorage(t *testing.T) {
	t.Parallel()
	asked := newMachine(t)
	p := startPebble(t, asked.options())
	c := config(t, p, p.host)
	other := startProcess(t, c)
	asked.start(t, c)
	asked.log.wait(t, "certificate loaded")
	other.log.wait(t, "certificate loaded")
	serial := asked.serial(t, p, p.host)
	if n := p.orders.Load(); n != 1 || other.serial(t, p, p.host) != serial {
		t.Errorf("%d orders were placed", n)
	}

	// The one orders, and the other is the one that the authority asks.
	other.revoke(t, p.host)
	if other.serial(t, p, p.host) == serial {
		t.Error("no other certificate was issued")
	}
	if err := asked.manager.Reload(c); err != nil {
		t.Fatal(err)
	}
	if got := asked.otherSerial(t, p, p.host, serial); got != other.serial(t, p, p.host) {
		t.Error("the machines have different certificates")
	}
	if n := p.orders.Load(); n != 2 {
		t.Errorf("%d orders were placed", n)
	}
}

func TestARestartServesWhatWasIssued(t *testing.T) {
	t.Parallel()
	first, second := newMachine(t), newMachine(t)
	p := startPebble(t, first.options())
	c := config(t, p, p.host)
	first.start(t, c)
	first.log.wait(t, "certificate loaded")
	serial := first.serial(t, p, p.host)
	first.stop()

	// From the first moment on, which is before Run.
	manager, err := certificate.New(c, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{TLSConfig: manager.TLSConfig(), ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelInfo)}
	go server.ServeTLS(second.secure, "", "")
	t.Cleanup(func() { server.Close() })
	if got := second.serial(t, p, p.host); got != serial {
		t.Errorf("another certificate is served: %s, not %s", got, serial)
	}
	if info := manager.Certificates()[0]; info.NotAfter.IsZero() {
		t.Errorf("got %+v", info)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	manager.Run(ctx)
	if n := p.orders.Load(); n != 1 {
		t.Errorf("%d orders were placed", n)
	}
}

func TestAReloadGoesOnServingAndTakesNewHosts(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	p := startPebble(t, m.options())
	c := config(t, p, p.host)
	m.start(t, c)
	m.log.wait(t, "certificate loaded")
	serial := m.serial(t, p, p.host)

	more := *c.ACME
	more.Hosts = []string{p.host, "new." + p.host}
	reloaded := time.Now()
	if err := m.manager.Reload(certificate.Config{ACME: &more}); err != nil {
		t.Fatal(err)
	}
	for served := false; !served; {
		if m.serial(t, p, p.host) != serial {
			t.Fatal("a certificate that is valid was replaced")
		}
		_, err := m.handshake(p, "new."+p.host)
		if served = err == nil; !served && time.Since(reloaded) > timeout {
			t.Fatalf("the new host has no certificate: %v\n%s", err, m.log)
		}
	}
	bad := more
	bad.Hosts, bad.Email = []string{"*." + p.host}, "nobody"
	if err := m.manager.Reload(certificate.Config{ACME: &bad}); err == nil {
		t.Error("what is not valid was taken")
	}
	m.serial(t, p, "new."+p.host)
	if err := m.manager.Reload(c); err != nil {
		t.Fatal(err)
	}
	if _, err := m.handshake(p, "new."+p.host); err == nil {
		t.Error("a host that is no more is still served")
	}
	m.serial(t, p, p.host)

	own := selfSigned(t, "own."+p.host)
	if err := m.manager.Reload(certificate.Config{Files: []certificate.Pair{own.pair}}); err != nil {
		t.Fatal(err)
	}
	if _, err := m.handshake(p, p.host); err == nil {
		t.Error("without ACME, what it issued is still served")
	}
}

func TestAnotherAuthorityTakesOverWithoutAGap(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	p, next := startPebble(t, m.options()), startPebble(t, m.options())
	p.roots.AddCert(next.root)
	c := config(t, p, p.host)
	m.start(t, c)
	m.log.wait(t, "certificate loaded")
	serial := m.serial(t, p, p.host)
	c.ACME.Directory, c.ACME.CAFile = next.directory, next.caFile
	if err := m.manager.Reload(c); err != nil {
		t.Fatal(err)
	}
	m.otherSerial(t, p, p.host, serial)
	if n := next.orders.Load(); n != 1 {
		t.Errorf("the other authority has %d orders", n)
	}
}

func TestAHostWithAFileIsNotAskedFor(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	p := startPebble(t, m.options())
	c := config(t, p, p.host, "own."+p.host, "also.own."+p.host)
	own := selfSigned(t, "own."+p.host, "*.own."+p.host)
	c.Files = []certificate.Pair{own.pair}
	p.roots.AddCert(own.cert)
	m.start(t, c)
	m.log.wait(t, "certificate loaded")
	m.serial(t, p, p.host)
	for _, name := range []string{"own." + p.host, "also.own." + p.host} {
		if cert, err := m.handshake(p, name); err != nil || !cert.Equal(own.cert) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	if n := p.orders.Load(); n != 1 || len(m.manager.Certificates()) != 2 {
		t.Errorf("%d orders were placed, and there are %+v", n, m.manager.Certificates())
	}
}

type ownCertificate struct {
	cert *x509.Certificate
	pair certificate.Pair
}

func selfSigned(t *testing.T, names ...string) ownCertificate {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: names, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	certDER, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	own := ownCertificate{pair: certificate.Pair{Cert: filepath.Join(t.TempDir(), "both.pem")}}
	own.pair.Key = own.pair.Cert
	both := append(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certDER}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER})...)
	if err := os.WriteFile(own.pair.Cert, both, 0o600); err != nil {
		t.Fatal(err)
	}
	if own.cert, err = x509.ParseCertificate(certDER); err != nil {
		t.Fatal(err)
	}
	return own
}
