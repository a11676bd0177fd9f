package clerkproxy

import (
	"bufio"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/clerkproxy/clerkproxy/internal/front"
	"github.com/clerkproxy/clerkproxy/internal/wire"
)

// taken counts the exchanges that a handler takes as they are.
type taken struct {
	wire.Handler
	n atomic.Int64
}

func (c *taken) ServeExchange(x *wire.Exchange) (ok bool) {
	defer func() {
		if v := recover(); v != nil || ok {
			c.n.Add(1)
			if v != nil {
				panic(v)
			}
		}
	}()
	return c.Handler.ServeExchange(x)
}

// servePlain serves a proxy behind the front of clerk-proxy. It returns once the
// connections are there over which plain requests go.
func servePlain(t testing.TB, p *Proxy) (addr string, plain *taken) {
	t.Helper()
	handler := p.Middleware(http.HandlerFunc(echoApp))
	plain = &taken{Handler: handler.(wire.Handler)}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f := front.New(front.Config{Handler: handler, Exchanges: plain, Logger: slog.New(slog.DiscardHandler)})
	go func() { _ = f.Serve(l, nil) }() // until Close
	t.Cleanup(func() { f.Close() })
	return l.Addr().String(), plain
}

// warm asks until a request is taken as it is.
func warm(t testing.TB, addr string, plain *taken) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); plain.n.Load() == 0; {
		if time.Now().After(deadline) {
			t.Fatal("no request was plain")
		}
		body(t, send(t, addr, "GET /__clerk/warm HTTP/1.1\r\nHost: app.dev\r\n\r\n"))
	}
	plain.n.Store(0)
}

// warmUpstream answers what warm asks, and lets the script go on with the first
// other request of each connection.
func warmUpstream(t testing.TB, script func(net.Conn)) (fapiURL string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				for br := bufio.NewReader(conn); ; {
					r, err := http.ReadRequest(br)
					if err != nil {
						return
					}
					if r.URL.Path != "/warm" {
						script(conn)
						return
					}
					_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
				}
			}()
		}
	}()
	return "http://" + l.Addr().String()
}

func TestPlainRequestsAreForwarded(t *testing.T) {
	p := newProxy(t, Config{}, func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		w.Header()["Set-Cookie"] = []string{"a=1", "b=2"}
		w.Header().Set("Clerk-Secret-Key", r.Header.Get("Clerk-Secret-Key"))
		fmt.Fprint(w, r.Method, " ", r.RequestURI, " ", r.Header["Clerk-Proxy-Url"], " ", r.Header["Clerk-Secret-Key"], " ", r.Header["X-Forwarded-For"], " ", r.Header["Cookie"], " ", r.Header["X-Forwarded_for"], " ", string(b))
	})
	addr, plain := servePlain(t, p)
	warm(t, addr, plain)
	const rest = " HTTP/1.1\r\nHost: app.dev\r\nX-Forwarded-For: 192.0.2.1\r\nX-Forwarded_For: 192.0.2.2\r\nClerk-Secret-Key: mine\r\nCookie: c=d\r\n"
	for request, want := range map[string]string{
		"GET /__clerk/v1/a%2Fb?x" + rest + "\r\n":                "GET /v1/a%2Fb?x [http://app.dev/__clerk] [" + secretKey + "] [192.0.2.1] [c=d] [] ",
		"POST /__clerk?" + rest + "Content-Length: 3\r\n\r\na=b": "POST /? [http://app.dev/__clerk] [" + secretKey + "] [192.0.2.1] [c=d] [] a=b",
	} {
		resp := send(t, addr, request)
		if got := body(t, resp); got != want || len(resp.Header["Set-Cookie"]) != 2 || resp.Header["Clerk-Secret-Key"] != nil {
			t.Errorf("got %s %v, want %s", got, resp.Header, want)
		}
	}
	if n := plain.n.Load(); n != 2 {
		t.Errorf("%d requests were plain", n)
	}
	if got := p.Stats(); got.Upstream.Requests != got.Upstream.Answers || got.InFlight != 0 {
		t.Errorf("got %+v", got)
	}
	const rotated = "sk_live_another"
	if err := p.SetSecretKey(rotated); err != nil {
		t.Fatal(err)
	}
	if got := body(t, send(t, addr, "GET /__clerk/v1"+rest+"\r\n")); !strings.Contains(got, "["+rotated+"]") {
		t.Errorf("got %s", got)
	}
}

func TestWhatIsNotPlainIsForwardedAllTheSame(t *testing.T) {
	p := newProxy(t, Config{Hosts: []string{"app.dev"}}, func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		fmt.Fprint(w, r.Method, " ", r.RequestURI, " ", len(b))
		_ = http.NewResponseController(w).Flush() // so it is in chunks
		fmt.Fprint(w, ".")
	})
	addr, plain := servePlain(t, p)
	warm(t, addr, plain)
	tests := []struct {
		name, request string
		status        int
		body          string
		plain         int64
	}{
		{"an answer in chunks", "GET /__clerk/v1 HTTP/1.1\r\nHost: app.dev\r\n\r\n", 200, "GET /v1 0.", 1},
		{"HEAD", "HEAD /__clerk/v1 HTTP/1.1\r\nHost: app.dev\r\n\r\n", 200, "", 1},
		{"HTTP/1.0", "GET /__clerk/v1 HTTP/1.0\r\nHost: app.dev\r\n\r\n", 200, "GET /v1 0.", 0},
		{"a large body", "POST /__clerk/v1 HTTP/1.1\r\nHost: app.dev\r\nContent-Length: 100000\r\n\r\n" + strings.Repeat("x", 100_000), 200, "POST /v1 100000.", 0},
		{"the application's", "GET /x HTTP/1.1\r\nHost: app.dev\r\n\r\n", 200, "app /x", 0},
		{"a host that is not accepted", "GET /__clerk/v1 HTTP/1.1\r\nHost: evil.dev\r\n\r\n", 421, "", 0},
		{"a method that is not forwarded", "TRACE /__clerk/v1 HTTP/1.1\r\nHost: app.dev\r\n\r\n", 405, "", 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			plain.n.Store(0)
			resp := send(t, addr, tt.request)
			got := body(t, resp)
			if resp.StatusCode != tt.status || tt.status == 200 && got != tt.body || plain.n.Load() != tt.plain {
				t.Errorf("got %d %q, plain %d", resp.StatusCode, got, plain.n.Load())
			}
		})
	}
}

// From the cache come the same answers, without a request to the upstream.
func TestPlainRequestsAreAnsweredFromTheCache(t *testing.T) {
	p := newProxy(t, Config{AssetCache: 1 << 20}, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
		if strings.Contains(r.URL.Path, "@6/") {
			w.Header().Set("Location", "/npm/x@6.40.0/x.js")
			w.WriteHeader(http.StatusTemporaryRedirect)
			return
		}
		w.Header().Set("Etag", `"x"`)
		fmt.Fprint(w, strings.Repeat(r.URL.Path, 1000))
	})
	addr, plain := servePlain(t, p)
	standard := serve(t, p)
	for _, target := range []string{"/__clerk/npm/x@6.40.0/x.js", "/__clerk/npm/x@6/x.js", "/__clerk/npm/x@6.40.0/x.js?y"} {
		request := "GET " + target + " HTTP/1.1\r\nHost: app.dev\r\nAccept-Encoding: gzip\r\nCookie: a=b\r\n"
		body(t, send(t, standard, request+"\r\n"))
		asked := p.Stats().Upstream.Requests
		plain.n.Store(0)
		for _, condition := range []string{"", "If-None-Match: \"x\"\r\n", "Range: bytes=0-9\r\n"} {
			got, want := send(t, addr, request+condition+"\r\n"), send(t, standard, request+condition+"\r\n")
			if a, b := body(t, got), body(t, want); a != b || got.StatusCode != want.StatusCode || got.ContentLength != want.ContentLength {
				t.Errorf("%s %s: got %d %.50q, want %d %.50q", target, condition, got.StatusCode, a, want.StatusCode, b)
			}
			for name := range want.Header {
				if a, b := got.Header.Get(name), want.Header.Get(name); a != b && name != "Date" && name != "Age" {
					t.Errorf("%s %s: %s is %q, want %q", target, condition, name, a, b)
				}
			}
		}
		if s := p.Stats(); s.Upstream.Requests != asked || plain.n.Load() != 1 {
			t.Errorf("%s: %d more requests, %d plain", target, s.Upstream.Requests-asked, plain.n.Load())
		}
	}
}

func TestPlainAnswersThatAreCutShort(t *testing.T) {
	for name, answer := range map[string]string{
		"behind the head":  "HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n",
		"in the body":      "HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\nhalf",
		"in a longer body": "HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n" + strings.Repeat("x", 50_000),
	} {
		t.Run(name, func(t *testing.T) {
			var log lockedBuffer
			p := newProxyTo(t, Config{Logger: slog.New(slog.NewTextHandler(&log, nil))}, warmUpstream(t, func(conn net.Conn) { _, _ = io.WriteString(conn, answer) }))
			addr, plain := servePlain(t, p)
			warm(t, addr, plain)
			resp := send(t, addr, "GET /__clerk/v1?secret HTTP/1.1\r\nHost: app.dev\r\n\r\n")
			_, rest, _ := strings.Cut(answer, "\r\n\r\n")
			if got, err := io.ReadAll(resp.Body); err != io.ErrUnexpectedEOF || string(got) != rest || plain.n.Load() != 1 {
				t.Errorf("got %d bytes, %v; plain %d", len(got), err, plain.n.Load())
			}
			if p.Stats().Errors.Cut != 1 || !strings.Contains(log.String(), "cut short") || !strings.Contains(log.String(), "path=/__clerk/v1 ") {
				t.Errorf("%+v, %s", p.Stats().Errors, log.String())
			}
		})
	}
}

func TestPlainRequestsThatGetNoAnswer(t *testing.T) {
	tests := []struct {
		name   string
		config Config
		script func(net.Conn)
		method string
		status int
		count  func(ErrorStats) uint64
	}{
		{"because the connection ends", Config{}, func(net.Conn) {}, "POST", 502, func(e ErrorStats) uint64 { return e.Unreachable }},
		{"because it is nonsense", Config{}, func(c net.Conn) { _, _ = io.WriteString(c, "nonsense\r\n\r\n") }, "GET", 502, func(e ErrorStats) uint64 { return e.Unreachable }},
		{"in time", Config{ResponseHeaderTimeout: 50 * time.Millisecond}, func(c net.Conn) { _, _ = io.Copy(io.Discard, c) }, "GET", 504, func(e ErrorStats) uint64 { return e.Timeout }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := newProxyTo(t, tt.config, warmUpstream(t, tt.script))
			addr, plain := servePlain(t, p)
			warm(t, addr, plain)
			wantError(t, send(t, addr, tt.method+" /__clerk/v1 HTTP/1.1\r\nHost: app.dev\r\n\r\n"), tt.status, "proxy_request_failed")
			if tt.count(p.Stats().Errors) != 1 || plain.n.Load() != 1 {
				t.Errorf("%+v, plain %d", p.Stats().Errors, plain.n.Load())
			}
		})
	}
}

func TestAClientOfAPlainRequestGoesAway(t *testing.T) {
	for name, answer := range map[string]string{
		"before the answer": "",
		"in the answer":     "HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\nhalf",
	} {
		t.Run(name, func(t *testing.T) {
			hungUp := make(chan struct{})
			p := newProxyTo(t, Config{}, warmUpstream(t, func(conn net.Conn) {
				_, _ = io.WriteString(conn, answer)
				_, _ = io.Copy(io.Discard, conn)
				close(hungUp)
			}))
			addr, plain := servePlain(t, p)
			warm(t, addr, plain)
			conn, err := net.Dial("tcp", addr)
			if err != nil {
				t.Fatal(err)
			}
			fmt.Fprint(conn, "GET /__clerk/v1 HTTP/1.1\r\nHost: app.dev\r\n\r\n")
			if answer != "" {
				_, _ = io.ReadFull(conn, make([]byte, 10))
			}
			conn.Close()
			<-hungUp
			for p.Stats().Errors.ClientGone == 0 {
				time.Sleep(time.Millisecond)
			}
		})
	}
}
