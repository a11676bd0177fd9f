package check

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
	"unicode"
)

// evil is what a terminal would carry out: it sets the title, clears the screen,
// and writes from right to left; also by the one-byte controls of ISO 6429.
const evil = "\x1b]0;owned\x07\x1b[2J\u009b31m\u202eevil\x7f"

// Whatever a proxy answers, a check ends in time, and nothing that it says does
// anything to a terminal.
func TestAHostileProxyIsHeldOff(t *testing.T) {
	bomb := gzipOf(bytes.Repeat([]byte{' '}, 64<<20))
	for range 3 {
		bomb = gzipOf(bomb)
	}
	head := func(header string) string {
		return "HTTP/1.1 200 OK\r\nX-Clerk-Trace-Id: 1\r\nConnection: close\r\n" + header + "\r\n\r\n"
	}
	tests := []struct {
		name   string
		answer func(w io.Writer) error // until it fails
	}{
		{"a body without an end", func(w io.Writer) error {
			_, err := io.WriteString(w, head("Content-Type: text/html"))
			for err == nil {
				_, err = w.Write(bytes.Repeat([]byte("<a>"), 10_000))
			}
			return err
		}},
		{"a body that drips", func(w io.Writer) error {
			_, err := io.WriteString(w, head("Content-Type: text/html"))
			for err == nil {
				time.Sleep(20 * time.Millisecond) // it is slow on purpose
				_, err = io.WriteString(w, "x")
			}
			return err
		}},
		{"headers without an end", func(w io.Writer) error {
			_, err := io.WriteString(w, "HTTP/1.1 200 OK\r\n")
			for err == nil {
				_, err = io.WriteString(w, "X-More: "+strings.Repeat("x", 1000)+"\r\n")
			}
			return err
		}},
		{"hints without an end", func(w io.Writer) (err error) {
			for err == nil {
				_, err = io.WriteString(w, "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n")
			}
			return err
		}},
		{"a bomb", func(w io.Writer) error {
			_, err := fmt.Fprintf(w, "%s%s", head("Content-Encoding: gzip, gzip, gzip, gzip"), bomb)
			return err
		}},
		{"codings without an end", func(w io.Writer) error {
			// Each of them undoes little, and there are very many.
			_, err := fmt.Fprintf(w, "%s%s", head("Content-Encoding: "+strings.Repeat("identity,", 10_000)+"gzip"), gzipOf(bytes.Repeat([]byte("clerk"), 1<<20)))
			return err
		}},
		{"redirects in circles", func(w io.Writer) error {
			_, err := io.WriteString(w, "HTTP/1.1 302 Found\r\nX-Clerk-Trace-Id: 1\r\nLocation: /__clerk/v1/environment?"+evil+"\r\nContent-Length: 0\r\n\r\n")
			return err
		}},
		{"instructions for a terminal", func(w io.Writer) error {
			_, err := fmt.Fprintf(w, "HTTP/1.1 418 %s\r\nServer: %s\r\nContent-Type: text/html%s\r\nSet-Cookie: __client%s=1, __client%s=2\r\nSet-Cookie: a=1\r\nContent-Encoding: %s\r\nContent-Length: 20\r\n\r\n<title>%s</title>", evil, evil, evil, evil, evil, evil, evil)
			return err
		}},
		{"instructions for a terminal in a page", func(w io.Writer) error {
			_, err := fmt.Fprintf(w, "HTTP/1.1 200 OK\r\nServer: \u009b2J\r\nContent-Type: text/html\r\nConnection: close\r\n\r\n<title>%s</title>", evil)
			return err
		}},
		{"instructions for a terminal in Clerk's form", func(w io.Writer) error {
			encoded, err := json.Marshal(evil)
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(w, `%s{"status":%s,"message":%s,"x_forwarded_for":%s,"clerk_trace_id":%s,"errors":[{"code":%s,"message":%s}]}`,
				"HTTP/1.1 422 No\r\nX-Clerk-Trace-Id: 1\r\nSet-Cookie: \u009b31m=2\r\nSet-Cookie: \u202e=2\r\nConnection: close\r\n\r\n", encoded, encoded, encoded, encoded, encoded, encoded)
			return err
		}},
		{"no HTTP at all", func(w io.Writer) error {
			_, err := io.WriteString(w, evil+"\r\n\r\n")
			return err
		}},
		{"nothing", func(io.Writer) error { return io.EOF }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			proxy := rawServer(t, tt.answer)
			backend := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				encoded, _ := json.Marshal(evil)
				switch r.URL.Path {
				case "/v1/domains":
					fmt.Fprintf(w, `{"data":[{"id":"dmn_%s","name":"127.0.0.1","proxy_url":%s}]}`, strings.Trim(string(encoded), `"`), encoded)
				default:
					w.WriteHeader(http.StatusUnprocessableEntity)
					fmt.Fprintf(w, `{"errors":[{"code":%s,"message":%s}]}`, encoded, encoded)
				}
			}))
			t.Cleanup(backend.Close)
			report, err := Run(t.Context(), Config{
				ProxyURL: "http://" + proxy + "/__clerk", Timeout: time.Second,
				PublishableKey: "pk_live_Y2xlcmsuYXBwLmRldiQ", SecretKey: "sk_live_7Qm2vX9bTz4kLw8n",
				FrontendAPIURL: backend.URL, BackendAPIURL: backend.URL,
			})
			if err != nil {
				t.Fatal(err)
			}
			if report.Status != Fail {
				t.Errorf("it is %s", report.Status)
			}
			wantHarmless(t, report)
		})
	}
}

// wantHarmless wants nothing for a terminal in a report, as text and as JSON.
func wantHarmless(t *testing.T, report Report) {
	t.Helper()
	var encoded bytes.Buffer
	encoder := json.NewEncoder(&encoded)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(report); err != nil {
		t.Fatal(err)
	}
	shown := strings.TrimSuffix(encoded.String(), "\n")
	for _, step := range report.Steps {
		shown += step.Seen + step.Advice
	}
	for i, r := range shown {
		if !unicode.IsGraphic(r) {
			t.Errorf("it holds %q: …%q…", r, shown[max(0, i-60):min(len(shown), i+60)])
		}
	}
	if t.Failed() {
		t.Log(shown)
	}
}

func gzipOf(plain []byte) []byte {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, _ = w.Write(plain)
	_ = w.Close()
	return b.Bytes()
}

// rawServer gives each request an answer that net/http would not.
func rawServer(t *testing.T, answer func(io.Writer) error) (address string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	go func() { // ends with the listener
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() { // ends with the connection
				defer conn.Close()
				if _, err := http.ReadRequest(bufio.NewReader(conn)); err == nil {
					_ = answer(conn)
				}
			}()
		}
	}()
	return listener.Addr().String()
}

// A certificate may have any characters of ASCII in its names.
func TestAHostileCertificateIsHeldOff(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	const ascii = "\x1b]0;owned\x07\x1b[2Jevil\x7f"
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		DNSNames: []string{ascii}, Subject: pkix.Name{CommonName: ascii, Organization: []string{evil}},
	}
	for name, change := range map[string]func(){
		"for another name":  func() {},
		"signed by itself":  func() { template.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 1)} },
		"of another issuer": func() { template.IssuingCertificateURL = []string{"http://" + ascii} },
	} {
		t.Run(name, func(t *testing.T) {
			change()
			der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
			if err != nil {
				t.Fatal(err)
			}
			proxy := httptest.NewUnstartedServer(http.NotFoundHandler())
			proxy.TLS = &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
			proxy.StartTLS()
			defer proxy.Close()
			report, err := Run(t.Context(), Config{ProxyURL: proxy.URL + "/__clerk", FrontendAPIURL: proxy.URL})
			if err != nil {
				t.Fatal(err)
			}
			if report.Status != Fail {
				t.Errorf("it is %s", report.Status)
			}
			wantHarmless(t, report)
		})
	}
}
