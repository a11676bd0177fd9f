package check

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"math/big"
	"net"
	"net/url"
	"strings"
	"testing"
	"time"
)

// A handshake that fails is explained as far as the other end says why. What is
// wrong with certificates, test/check shows.
func TestHandshakesThatFail(t *testing.T) {
	for name, tt := range map[string]struct {
		serve func(net.Conn)
		says  string
	}{
		"old versions alone": {func(c net.Conn) {
			_ = tls.Server(c, &tls.Config{Certificates: []tls.Certificate{selfSigned(t)}, MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}).Handshake()
		}, "TLS 1.2 is not offered"},
		"a name that is not known": {func(c net.Conn) {
			_ = tls.Server(c, &tls.Config{GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
				return nil, errors.New("no such name")
			}}).Handshake()
		}, "no certificate for app.dev"},
		"no TLS":  {func(c net.Conn) { _, _ = c.Write([]byte("HTTP/1.1 400 Bad Request\r\n\r\n")) }, "does not speak TLS"},
		"the end": {func(c net.Conn) { _, _ = c.Read(make([]byte, 4096)) }, "closed during the TLS handshake"},
	} {
		t.Run(name, func(t *testing.T) {
			listener, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer listener.Close()
			go func() { // ends with its one connection, or with the listener
				conn, err := listener.Accept()
				if err != nil {
					return
				}
				defer conn.Close()
				tt.serve(conn)
			}()
			c := &checker{target: &url.URL{Scheme: "https", Host: "app.dev:" + port(listener.Addr())}, host: "app.dev", timeout: 5 * time.Second}
			_, f := c.certificateAt(t.Context(), addr("127.0.0.1"))
			if f.status != Fail || !strings.Contains(f.seen, tt.says) && !strings.Contains(f.advice, tt.says) {
				t.Errorf("got %+v, want %q", f, tt.says)
			}
		})
	}
}

func selfSigned(t *testing.T) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Error(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), DNSNames: []string{"app.dev"}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Error(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}
