package clerkproxy

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// lockedBuffer is a log that may be read while it is written.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func TestUpstreamFailsBeforeItAnswers(t *testing.T) {
	refused := func(testing.TB) string {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		l.Close()
		return "http://" + l.Addr().String()
	}
	silent := func(t testing.TB) string {
		return scriptedUpstream(t, func(conn net.Conn) { _, _ = io.Copy(io.Discard, conn) })
	}
	answers := func(s string) func(testing.TB) string {
		return func(t testing.TB) string { return rawUpstream(t, s) }
	}
	const token = "t0k3n"
	tests := []struct {
		name     string
		upstream func(testing.TB) string
		status   int
		says     string
	}{
		{"refuses the connection", refused, 502, "connection refused"},
		{"closes without a word", answers(""), 502, "ended too early"},
		{"is silent", silent, 504, "too long"},
		{"answers garbage", answers("you said " + token + "\r\n\r\n"), 502, "not valid HTTP"},
		{"echoes the request", answers("GET /v1/x?token=" + token + " HTTP/1.1\r\nCookie: " + token + "\r\n\r\n"), 502, "not valid HTTP"},
		{"answers with bad headers", answers("HTTP/1.1 200 OK\r\n" + token + "\r\n\r\n"), 502, "not valid HTTP"},
		{"answers with two lengths", answers("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab"), 502, "not valid HTTP"},
		{"cuts the headers short", answers("HTTP/1.1 200 OK\r\nX-Half: "), 502, "too early"},
		{"switches protocols unasked", answers("HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n"), 502, ""},
		{"has a status that is none", answers("HTTP/1.1 000 Nothing\r\nContent-Length: 0\r\n\r\n"), 502, ""},
		{"has more headers than anyone needs", answers("HTTP/1.1 200 OK\r\nX: " + strings.Repeat("x", 2<<20) + "\r\n\r\n"), 502, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var log lockedBuffer
			c := Config{Logger: slog.New(slog.NewTextHandler(&log, nil))}
			if tt.status == http.StatusGatewayTimeout {
				c.ResponseHeaderTimeout = 100 * time.Millisecond
			}
			p := newProxyTo(t, c, tt.upstream(t))
			resp := send(t, serve(t, p), "GET /__clerk/v1/x?token="+token+" HTTP/1.1\r\nHost: app.dev\r\nCookie: "+token+"\r\n\r\n")
			if b := resp.Header.Get("Set-Cookie"); b != "" {
				t.Errorf("half of an answer: %v", resp.Header)
			}
			wantError(t, resp, tt.status, "proxy_request_failed")
			if !strings.Contains(log.String(), tt.says) || !strings.Contains(log.String(), "path=/__clerk/v1/x") {
				t.Errorf("log: %s", log.String())
			}
			if strings.Contains(log.String(), token) || strings.Contains(log.String(), secretKey) {
				t.Errorf("the log holds a secret: %s", log.String())
			}
		})
	}
}

func TestOurErrorsNameNobody(t *testing.T) {
	for _, e := range []*proxyError{errPathMismatch, errNotEnabled, errDevelopment, errInvalidHost, errHostNotAccepted, errTarget, errMethod,
		errClientBody, errClientTooLarge, errClientStalled, errShutdown, errUpstream, errUpstreamTimeout} {
		w := httptest.NewRecorder()
		e.write(w)
		wantError(t, w.Result(), e.status, e.code)
		for _, s := range []string{"127.0.0.1", ".dev", "net/http", "*"} {
			if strings.Contains(e.message, s) {
				t.Errorf("%q names %q", e.message, s)
			}
		}
	}
}

// Nobody may take half a body for a whole one.
func TestUpstreamCutsTheBodyShort(t *testing.T) {
	for _, tt := range []struct{ name, answer string }{
		{"of known length", "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf"},
		{"in chunks", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n"},
		{"in a malformed chunk", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\nzz\r\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var log lockedBuffer
			p := newProxyTo(t, Config{Logger: slog.New(slog.NewTextHandler(&log, nil))}, rawUpstream(t, tt.answer))
			resp := send(t, serve(t, p), "GET /__clerk/v1 HTTP/1.1\r\nHost: app.dev\r\n\r\n")
			b, err := io.ReadAll(resp.Body)
			if err != io.ErrUnexpectedEOF || string(b) != "half" {
				t.Errorf("got %q, %v", b, err)
			}
			if !strings.Contains(log.String(), "cut short") {
				t.Errorf("log: %s", log.String())
			}
		})
	}
}

func TestUpstreamStallsInTheBody(t *testing.T) {
	p := newProxyTo(t, Config{IdleTimeout: 100 * time.Millisecond}, scriptedUpstream(t, func(conn net.Conn) {
		fmt.Fprint(conn, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")
		_, _ = io.Copy(io.Discard, conn)
	}))
	resp := send(t, serve(t, p), "GET /__clerk/v1 HTTP/1.1\r\nHost: app.dev\r\n\r\n")
	if b, err := io.ReadAll(resp.Body); err != io.ErrUnexpectedEOF || string(b) != "half" {
		t.Errorf("got %q, %v", b, err)
	}
}

func TestClientStallsInTheBody(t *testing.T) {
	p := newProxy(t, Config{IdleTimeout: 100 * time.Millisecond}, func(_ http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) })
	resp := send(t, serve(t, p), "POST /__clerk/v1 HTTP/1.1\r\nHost: app.dev\r\nContent-Length: 10\r\n\r\nhalf")
	wantError(t, resp, http.StatusRequestTimeout, "proxy_request_failed")
}

func TestClientSendsAMalformedBody(t *testing.T) {
	p := newProxy(t, Config{}, func(_ http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) })
	resp := send(t, serve(t, p), "POST /__clerk/v1 HTTP/1.1\r\nHost: app.dev\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n")
	wantError(t, resp, http.StatusBadRequest, "proxy_request_failed")
}

func TestABodyLimitOfTheHandlerInFrontIsRespected(t *testing.T) {
	p := newProxy(t, Config{}, func(_ http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) })
	addr := serve(t, http.MaxBytesHandler(p, 4))
	resp := send(t, addr, "POST /__clerk/v1 HTTP/1.1\r\nHost: app.dev\r\nContent-Length: 10\r\n\r\n0123456789")
	wantError(t, resp, http.StatusRequestEntityTooLarge, "proxy_request_failed")
}

func TestATimeoutOfTheHandlerInFrontIsATimeout(t *testing.T) {
	p := newProxyTo(t, Config{}, scriptedUpstream(t, func(conn net.Conn) { _, _ = io.Copy(io.Discard, conn) }))
	addr := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), 50*time.Millisecond)
		defer cancel()
		p.ServeHTTP(w, r.WithContext(ctx))
	}))
	wantError(t, send(t, addr, "GET /__clerk/v1 HTTP/1.1\r\nHost: app.dev\r\n\r\n"), http.StatusGatewayTimeout, "proxy_request_failed")
}

func TestAServerThatEndsItsRequestsIsNotAClientThatWentAway(t *testing.T) {
	waiting := make(chan struct{})
	p := newProxyTo(t, Config{}, scriptedUpstream(t, func(conn net.Conn) {
		close(waiting)
		_, _ = io.Copy(io.Discard, conn)
	}))
	addr := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithCancelCause(r.Context())
		go func() { <-waiting; cancel(errors.New("shutting down")) }()
		p.ServeHTTP(w, r.WithContext(ctx))
	}))
	wantError(t, send(t, addr, "GET /__clerk/v1 HTTP/1.1\r\nHost: app.dev\r\n\r\n"), http.StatusServiceUnavailable, "proxy_request_failed")
}

// Two framings of one body are how requests are smuggled past a proxy: what
// reaches the upstream has one, and the connection does not go on.
func TestConflictingFraming(t *testing.T) {
	p, requests := recorder(t, Config{})
	addr := serve(t, p)
	ends := func(what string, resp *http.Response) {
		t.Helper()
		if b := body(t, resp); !resp.Close || b != "" {
			t.Errorf("%s: the connection goes on: %q", what, b)
		}
		select {
		case got := <-requests:
			t.Errorf("%s: smuggled: %+v", what, got)
		default:
		}
	}
	resp := send(t, addr, "POST /__clerk/v1 HTTP/1.1\r\nHost: app.dev\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd")
	if resp.StatusCode != http.StatusBadRequest {
		t.Errorf("two lengths: got %d", resp.StatusCode)
	}
	resp = send(t, addr, "POST /__clerk/v1 HTTP/1.1\r\nHost: app.dev\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n"+
		"GET /__clerk/smuggled HTTP/1.1\r\nHost: app.dev\r\n\r\n")
	if got := <-requests; resp.StatusCode != http.StatusOK || got.body != "x" || got.header.Get("Content-Length") != "" {
		t.Errorf("length and chunks: got %d; upstream %q, %v", resp.StatusCode, got.body, got.header)
	}
	ends("length and chunks", resp)
	resp = send(t, addr, "POST /__clerk/v1 HTTP/1.0\r\nHost: app.dev\r\nConnection: keep-alive\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"+
		"GET /__clerk/smuggled HTTP/1.1\r\nHost: app.dev\r\n\r\n")
	<-requests
	ends("chunks of HTTP/1.0", resp)
	resp = send(t, addr, "POST /__clerk/v1 HTTP/1.1\r\nHost: app.dev\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n")
	if resp.StatusCode != http.StatusNotImplemented && resp.StatusCode != http.StatusBadRequest {
		t.Errorf("an unknown transfer coding: got %d", resp.StatusCode)
	}
}

// A hundred clients that hang up leave nothing running.
func TestClientsThatHangUp(t *testing.T) {
	const clients = 100
	before := runtime.NumGoroutine()
	func() {
		var running atomic.Int64
		var done sync.WaitGroup
		done.Add(clients)
		begun := make(chan struct{}, clients)
		p := newProxy(t, Config{}, func(w http.ResponseWriter, r *http.Request) {
			running.Add(1)
			defer func() { running.Add(-1); done.Done() }()
			_, _ = io.WriteString(w, "first half")
			_ = http.NewResponseController(w).Flush()
			begun <- struct{}{}
			<-r.Context().Done()
		})
		front := httptest.NewServer(p)
		defer front.Close()
		for range clients {
			conn, err := net.Dial("tcp", front.Listener.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			fmt.Fprint(conn, "GET /__clerk/v1 HTTP/1.1\r\nHost: app.dev\r\n\r\n")
			if _, err := conn.Read(make([]byte, 1)); err != nil {
				t.Fatal(err)
			}
			<-begun
			conn.Close()
		}
		done.Wait()
		if n := running.Load(); n != 0 {
			t.Errorf("%d requests are still running upstream", n)
		}
		p.transport.(interface{ CloseIdleConnections() }).CloseIdleConnections()
	}()
	for deadline := time.Now().Add(10 * time.Second); runtime.NumGoroutine() > before+3; runtime.Gosched() {
		if time.Now().After(deadline) {
			buf := make([]byte, 1<<20)
			t.Fatalf("%d goroutines, %d before:\n%s", runtime.NumGoroutine(), before, buf[:runtime.Stack(buf, true)])
		}
	}
}

func TestWatchdog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var calls atomic.Int64
		d := watch(time.Minute, func(*watchdog) { calls.Add(1) })
		for range 5 {
			time.Sleep(50 * time.Second)
			d.moved()
		}
		if calls.Load() != 0 {
			t.Error("it bit although something moved")
		}
		time.Sleep(61 * time.Second)
		d.moved()
		time.Sleep(61 * time.Second)
		if calls.Load() != 1 {
			t.Errorf("it bit %d times", calls.Load())
		}
		d = watch(time.Minute, func(*watchdog) { calls.Add(1) })
		d.stop()
		d.moved()
		time.Sleep(2 * time.Minute)
		if calls.Load() != 1 {
			t.Error("it bit after it was stopped")
		}
	})
}

// A stall leaves deadlines on the client's connection: nothing else may come to
// pass on it.
func TestAConnectionWithAStallOnItIsNotUsedAgain(t *testing.T) {
	p := newProxyTo(t, Config{IdleTimeout: 100 * time.Millisecond}, scriptedUpstream(t, func(conn net.Conn) { _, _ = io.Copy(io.Discard, conn) }))
	resp := send(t, serve(t, p), "GET /__clerk/v1 HTTP/1.1\r\nHost: app.dev\r\n\r\n")
	if resp.StatusCode != 504 || !resp.Close {
		t.Errorf("got %d, close %v", resp.StatusCode, resp.Close)
	}
}

// An upstream that resets an upload is at fault, and the client is told at once,
// whether or not it goes on sending.
func TestUpstreamResetsAnUpload(t *testing.T) {
	fapi := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = r.Body.Read(make([]byte, 1))
		if r.ProtoMajor == 2 {
			panic(http.ErrAbortHandler)
		}
		c, _, _ := http.NewResponseController(w).Hijack() // else the server waits for the body
		_ = c.Close()
	}))
	fapi.EnableHTTP2 = true
	fapi.StartTLS()
	t.Cleanup(fapi.Close)
	p := newProxyTo(t, Config{RootCAs: fapi.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs}, fapi.URL)
	for _, http2 := range []bool{false, true} {
		t.Run(fmt.Sprintf("HTTP/2 %v", http2), func(t *testing.T) {
			front := httptest.NewUnstartedServer(p)
			front.EnableHTTP2 = http2
			front.StartTLS()
			t.Cleanup(front.Close)
			r, w := io.Pipe()
			t.Cleanup(func() { w.Close() })
			go func() { _, _ = w.Write([]byte("half")) }()
			req, _ := http.NewRequestWithContext(t.Context(), "POST", front.URL+"/__clerk/v1", r)
			req.ContentLength = 100_000
			resp, err := front.Client().Do(req)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			wantError(t, resp, http.StatusBadGateway, "proxy_request_failed")
		})
	}
}

// The end of an early answer does not wait for the rest of the upload.
func TestAnEarlyAnswerOfUnknownLengthEnds(t *testing.T) {
	p := newProxyTo(t, Config{}, rawUpstream(t, "HTTP/1.1 401 Unauthorized\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nno\r\n0\r\n\r\n"))
	addr := serve(t, p)
	for _, rest := range []string{"Content-Length: 100000\r\n\r\nbeginning", "Content-Length: 10\r\nExpect: 100-continue\r\n\r\n"} {
		resp := send(t, addr, "POST /__clerk/v1 HTTP/1.1\r\nHost: app.dev\r\n"+rest)
		if got := body(t, resp); resp.StatusCode != 401 || got != "no" {
			t.Errorf("got %d %q", resp.StatusCode, got)
		}
	}
}

// Our own answers do not wait for a body that does not come.
func TestARefusedRequestIsAnsweredWithoutItsBody(t *testing.T) {
	p := newProxyTo(t, Config{}, "http://localhost:1")
	resp := send(t, serve(t, p), "POST /elsewhere HTTP/1.1\r\nHost: app.dev\r\nContent-Length: 10\r\n\r\nhalf")
	wantError(t, resp, http.StatusBadRequest, "proxy_path_mismatch")
}
