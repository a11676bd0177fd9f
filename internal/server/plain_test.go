package server

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/clerkproxy/clerkproxy"
	"github.com/clerkproxy/clerkproxy/internal/front"
	"github.com/clerkproxy/clerkproxy/internal/wire"
)

// taken counts the exchanges that were taken as they are.
type taken struct {
	wire.Handler
	n atomic.Int64
}

func (c *taken) ServeExchange(x *wire.Exchange) bool {
	ok := c.Handler.ServeExchange(x)
	if ok {
		c.n.Add(1)
	}
	return ok
}

// What is plain is counted and logged as everything else is, each site's on its
// own.
func TestPlainExchangesAreLogged(t *testing.T) {
	fapi := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Clerk-Trace-Id", "0af7651916cd43dd")
		switch r.URL.Path {
		case "/cut":
			w.Header().Set("Content-Length", "100")
			_, _ = io.WriteString(w, "half")
		default:
			fmt.Fprint(w, r.Header.Get("Clerk-Proxy-Url"))
		}
	}))
	t.Cleanup(fapi.Close)
	log := new(logBook)
	plainAccess := make(chan Access, 100)
	site := func(host string) Site {
		return withKeys(Site{Hosts: []string{host}, Proxy: clerkproxy.Config{FrontendAPIURL: fapi.URL}})
	}
	s, err := New(Config{Sites: []Site{site("app.dev"), site("other.dev")}, Logger: log.logger(), OnAccess: func(a Access) { plainAccess <- a }})
	if err != nil {
		t.Fatal(err)
	}
	plain := &taken{Handler: plain{s}}
	f := front.New(front.Config{Handler: s.Handler(), Exchanges: plain})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = f.Serve(l, nil) }() // until Close
	t.Cleanup(func() { f.Close() })
	addr := l.Addr().String()

	exchange := func(host, path string) (string, Access) {
		t.Helper()
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		fmt.Fprintf(conn, "GET %s?query HTTP/1.1\r\nHost: %s\r\nX-Request-Id: given\r\nX-Forwarded-For: 192.0.2.9\r\nCookie: secret\r\n\r\n", path, host)
		resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(resp.Body)
		return string(body), await(t, plainAccess)
	}
	for _, host := range []string{"app.dev", "other.dev"} {
		var body string
		var access Access
		until(t, "a plain request, for which there is a connection", func() bool {
			before := plain.n.Load()
			body, access = exchange(host, "/__clerk/v1/client")
			return plain.n.Load() > before
		})
		if want := "http://" + host + "/__clerk"; body != want || access.Site != host || access.Target != TargetClerk || access.Status != 200 ||
			access.Bytes != int64(len(want)) || access.Upstream <= 0 || access.Duration < access.Upstream || access.Method != "GET" ||
			access.Path != "/__clerk/v1/client" || access.ClientIP.String() != "192.0.2.9" || access.RequestID != "given" ||
			access.ClerkTraceID != "0af7651916cd43dd" || access.Aborted != "" {
			t.Errorf("got %s, %+v", body, access)
		}
	}
	if _, access := exchange("app.dev", "/__clerk/cut"); access.Aborted != AbortedByUpstream || access.Status != 200 || access.Bytes != 4 {
		t.Errorf("got %+v", access)
	}
	until(t, "no request to be under way", func() bool { return s.inFlight.now() == 0 })
	until(t, "a line of each request", func() bool { return len(log.search(t, "request")) >= 3 })
	if all := log.String(); strings.Contains(all, "query") || strings.Contains(all, "secret") {
		t.Error(all)
	}
}

func TestPlainExchangesThatAreNotTaken(t *testing.T) {
	s, err := New(Config{Sites: []Site{
		withKeys(Site{Hosts: []string{"app.dev"}, Proxy: clerkproxy.Config{FrontendAPIURL: "http://localhost:1"}}),
		withKeys(Site{Hosts: []string{"wrapped.dev"}, Proxy: clerkproxy.Config{FrontendAPIURL: "http://localhost:1", WrapTransport: func(next http.RoundTripper) http.RoundTripper { return next }}}),
	}})
	if err != nil {
		t.Fatal(err)
	}
	for host, target := range map[string]string{"app.dev": "/x", "unknown.dev": "/__clerk/v1", "wrapped.dev": "/__clerk/v1"} {
		x := &wire.Exchange{Request: wire.Request{Method: "GET", Target: target, Host: host}, Context: t.Context()}
		if (plain{s}).ServeExchange(x) {
			t.Errorf("%s%s was answered", host, target)
		}
	}
}
