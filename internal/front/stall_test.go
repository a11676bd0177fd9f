package front

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"

	"github.com/clerkproxy/clerkproxy/internal/wire"
)

// A client that reads nothing of its answer, or over HTTP/2 lets nothing be sent,
// holds neither a goroutine nor what is being done for it.
func TestAClientThatReadsNothingIsCutOff(t *testing.T) {
	wide := http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1 << 30}
	for name, ask := range map[string]func(t *testing.T, plain, secure1, secure2 string){
		"over HTTP/1.1": func(t *testing.T, plain, _, _ string) {
			c, _ := dial(t, plain)
			_, _ = io.WriteString(c, get)
		},
		"on a connection of net/http's": func(t *testing.T, plain, _, _ string) {
			c, _ := dial(t, plain)
			_, _ = io.WriteString(c, strings.Replace(get, "1.1", "1.0", 1))
		},
		"on one that has switched protocols": func(t *testing.T, plain, _, _ string) {
			c, _ := dial(t, plain)
			_, _ = io.WriteString(c, "GET /switch HTTP/1.1\r\n"+host+"Connection: upgrade\r\nUpgrade: x\r\n\r\n")
		},
		"over TLS": func(t *testing.T, _, secure1, _ string) {
			c, err := tls.Dial("tcp", secure1, &tls.Config{InsecureSkipVerify: true})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { c.Close() })
			_, _ = io.WriteString(c, get)
		},
		"over HTTP/2": func(t *testing.T, _, _, secure2 string) {
			c := dial2(t, secure2)
			_ = c.WriteSettings(wide)
			_ = c.WriteWindowUpdate(0, 1<<30)
			c.headers(1, true)
		},
		"over HTTP/2 with no window of the stream": func(t *testing.T, _, _, secure2 string) {
			c := dial2(t, secure2)
			_ = c.WriteWindowUpdate(0, 1<<30)
			c.headers(1, true)
			c.wantReset(1, http2.ErrCodeInternal)
		},
		"over HTTP/2 with no window of the connection": func(t *testing.T, _, _, secure2 string) {
			c := dial2(t, secure2)
			_ = c.WriteSettings(wide)
			c.headers(1, true)
			c.wantReset(1, http2.ErrCodeInternal)
		},
	} {
		for kind, exchanges := range map[string]bool{"a request": false, "an exchange": true} {
			t.Run(kind+" "+name, func(t *testing.T) {
				t.Parallel()
				ended := make(chan error, 1)
				c := Config{StallTimeout: 300 * time.Millisecond, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					var to io.Writer = w
					if r.URL.Path == "/switch" {
						conn, _, err := http.NewResponseController(w).Hijack()
						if err != nil {
							t.Error(err)
						}
						defer conn.Close()
						to = conn
					}
					for {
						if _, err := to.Write(make([]byte, 1<<20)); err != nil {
							ended <- err
							return
						}
					}
				})}
				if exchanges {
					c.Exchanges = exchangesFunc(func(x *wire.Exchange) bool {
						x.Respond(200, nil, 1<<40)
						for {
							if _, err := x.Write(make([]byte, 1<<20)); err != nil {
								ended <- err
								panic(http.ErrAbortHandler)
							}
						}
					})
				}
				s, plain := serve(t, c)
				_, secure1 := serveTLS(t, c, "http/1.1")
				_, secure2 := serveTLS(t, c, "h2")
				ask(t, plain, secure1, secure2)
				<-ended
				waitEmpty(t, s)
			})
		}
	}
}

// One that reads slowly is not, though the kernel has room for more only now and
// then.
func TestAClientThatReadsSlowlyIsServed(t *testing.T) {
	const length = 24 << 20
	c := Config{StallTimeout: 2 * tick, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", fmt.Sprint(length))
		_, _ = w.Write(make([]byte, length))
	})}
	read := func(t *testing.T, r io.Reader) {
		n, last := 0, time.Now()
		for buf := make([]byte, 64<<10); n < length/6; {
			m, err := io.ReadFull(r, buf)
			if n += m; err != nil {
				t.Fatalf("after %d bytes: %v", n, err)
			}
			time.Sleep(time.Until(last.Add(10 * time.Millisecond)))
			last = time.Now()
		}
		if _, err := io.Copy(io.Discard, r); err != nil {
			t.Error(err)
		}
	}
	t.Run("over HTTP/1.1", func(t *testing.T) {
		t.Parallel()
		_, addr := serve(t, c)
		conn, _ := dial(t, addr)
		_, _ = io.WriteString(conn, strings.Replace(get, "\r\n\r\n", "\r\nConnection: close\r\n\r\n", 1))
		read(t, conn)
	})
	t.Run("over HTTP/2", func(t *testing.T) {
		t.Parallel()
		authority, addr := serveTLS(t, c, "h2")
		resp, err := client2(t, authority).RoundTrip(mustRequest(t, "https://"+addr))
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		read(t, resp.Body)
	})
}

func mustRequest(t *testing.T, url string) *http.Request {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// What is done for a client that is cut off ends with it.
func TestTheContextEndsWithAClientThatStalls(t *testing.T) {
	cause := make(chan error, 1)
	_, addr := serve(t, Config{StallTimeout: tick, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for {
			if _, err := w.Write(make([]byte, 1<<20)); err != nil {
				cause <- context.Cause(r.Context())
				return
			}
		}
	})})
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_, _ = io.WriteString(c, get)
	if err := <-cause; err != context.Canceled {
		t.Errorf("the cause is %v", err)
	}
}

// A client that reads nothing and then breaks the rules cannot keep the connection
// by that.
func TestABrokenClientThatReadsNothingIsCutOff(t *testing.T) {
	writing, ended := make(chan struct{}), make(chan struct{})
	s, addr := serveTLS2(t, Config{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		close(writing)
		for {
			if _, err := w.Write(make([]byte, 1<<20)); err != nil {
				close(ended)
				return
			}
		}
	})})
	c := dial2(t, addr)
	_ = c.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1 << 30})
	_ = c.WriteWindowUpdate(0, 1<<30)
	c.headers(1, true)
	<-writing
	until(func() bool { h2 := only2(s); return h2 != nil && h2.socket.Waiting() != 0 })
	_, _ = io.WriteString(c.conn, strings.Repeat("nonsense", 10))
	<-ended
	waitEmpty(t, s)
}

// By the time that a write fails it is known whose fault that is.
func TestTheContextEndsWithAWriteThatFails(t *testing.T) {
	for _, protocol := range []string{"http/1.1", "h2"} {
		t.Run("over "+protocol, func(t *testing.T) {
			under, gone, cause := make(chan struct{}), make(chan struct{}), make(chan error, 1)
			_, addr := serveTLS(t, Config{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				close(under)
				<-gone
				for {
					if _, err := w.Write(make([]byte, 1<<20)); err != nil {
						cause <- context.Cause(r.Context())
						return
					}
				}
			})}, protocol)
			conn, err := net.Dial("tcp", addr)
			if err != nil {
				t.Fatal(err)
			}
			secure := tls.Client(conn, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{protocol}})
			if protocol == "h2" {
				greet2(t, secure).headers(1, true)
			} else {
				_, _ = io.WriteString(secure, get)
			}
			<-under
			_ = conn.(*net.TCPConn).SetLinger(0)
			conn.Close()
			close(gone)
			if err := <-cause; err != context.Canceled {
				t.Errorf("the cause is %v", err)
			}
		})
	}
}
