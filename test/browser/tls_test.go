package browser

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/clerkproxy/clerkproxy/internal/freeport"
)

// secureAddress is where browsers find an application, on the usual ports.
const secureHost, secureAddress = "app.example.com", "https://app.example.com"

// TestSignInOverHTTPS is an application on the internet, as far as the browser can
// tell: HTTPS and HTTP/2 on port 443 by the binary itself, plain HTTP redirected.
func TestSignInOverHTTPS(t *testing.T) {
	t.Parallel()
	secure, plain := freeport.Address(t), freeport.Address(t)
	cert, key, trust := selfSigned(t, secureHost)
	i := installAt(t, secureAddress, "--listen", secure, "--http-listen", plain, "--host", secureHost,
		"--tls-cert", cert, "--tls-key", key, "--hsts", "24h")
	b := launchWith(t, []chromedp.ExecAllocatorOption{
		chromedp.Flag("host-resolver-rules", fmt.Sprintf("MAP %[1]s:443 %[2]s, MAP %[1]s:80 %[3]s, MAP * ~NOTFOUND, EXCLUDE 127.0.0.1", secureHost, secure, plain)),
		chromedp.Flag("ignore-certificate-errors-spki-list", trust),
		// It is the server that has to lead to HTTPS.
		chromedp.Flag("disable-features", "site-per-process,Translate,BlinkGenPropertyTrees,HttpsUpgrades"),
	}, secureAddress, "http://"+secureHost)
	t.Cleanup(b.check)

	redirects := b.redirected(func() { b.visit("http://" + secureHost + "/page?a=%2Fb") })
	if want := []string{"http://" + secureHost + "/page"}; !slices.Equal(redirects, want) {
		t.Errorf("the page was redirected by %q", redirects)
	}
	if got := eval[string](b, `location.href`); got != secureAddress+"/page?a=%2Fb" {
		t.Errorf("the browser is at %s", got)
	}
	i.serve.says(`path=/page status=(308)`)

	b.signIn()
	b.visit(secureAddress + "/")
	b.untilSignedIn()
	protocols := eval[[]string](b, `[...performance.getEntriesByType("navigation"), ...performance.getEntriesByType("resource")]
		.filter((entry) => entry.name.startsWith("https:")).map((entry) => entry.nextHopProtocol)`)
	if len(protocols) < 3 || slices.ContainsFunc(protocols, func(p string) bool { return p != "h2" }) {
		t.Errorf("it was spoken %q", protocols)
	}
	if cookies := eval[string](b, `document.cookie`); !strings.Contains(cookies, "__session") {
		t.Error("there is no cookie with a session")
	}

	// From now on the browser does not even ask by plain HTTP.
	b.visit("http://" + secureHost + "/again")
	if got := eval[string](b, `location.href`); got != secureAddress+"/again" {
		t.Errorf("the browser is at %s", got)
	}
	i.serve.says(`path=/again status=(200)`)
	i.serve.mu.Lock()
	defer i.serve.mu.Unlock()
	if strings.Contains(i.serve.said.String(), "path=/again status=308") {
		t.Error("the browser did ask by plain HTTP, in spite of Strict-Transport-Security")
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	for _, host := range i.visitors {
		if host != secureHost {
			t.Errorf("the application was told that its public host is %q", host)
		}
	}
}

// selfSigned makes a certificate, in files, and what Chromium trusts it by.
func selfSigned(t *testing.T, host string) (cert, key, trust string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: []string{host},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	public, err := x509.MarshalPKIXPublicKey(private.Public())
	if err != nil {
		t.Fatal(err)
	}
	cert, key = filepath.Join(t.TempDir(), "cert.pem"), filepath.Join(t.TempDir(), "key.pem")
	for name, block := range map[string]*pem.Block{cert: {Type: "CERTIFICATE", Bytes: der}, key: {Type: "PRIVATE KEY", Bytes: keyDER}} {
		if err := os.WriteFile(name, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	hash := sha256.Sum256(public)
	return cert, key, base64.StdEncoding.EncodeToString(hash[:])
}
