package server

import (
	"bufio"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"
)

// An answer that breaks off behind the front breaks off for the client, over
// each protocol.
func TestAnAnswerCutShortIsCutShortByTheFront(t *testing.T) {
	cut := func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "half")
		w.(http.Flusher).Flush()
		panic(http.ErrAbortHandler)
	}
	panics := func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "half")
		w.(http.Flusher).Flush()
		panic("the application is broken")
	}
	for name, site := range map[string]Site{
		"by the application":            {AppURL: serve(t, cut)},
		"by a handler":                  {App: http.HandlerFunc(cut)},
		"by a panic":                    {App: http.HandlerFunc(panics)},
		"by the application, of length": {AppURL: serve(t, func(w http.ResponseWriter, r *http.Request) { w.Header().Set("Content-Length", "10"); cut(w, r) })},
	} {
		for _, protocol := range []string{"http/1.1", "h2"} {
			t.Run(name+" over "+protocol, func(t *testing.T) {
				f := startFront(t, site, protocol)
				resp, err := f.client.Get(f.url)
				if err != nil {
					t.Fatal(err)
				}
				defer resp.Body.Close()
				if body, err := io.ReadAll(resp.Body); err == nil || string(body) != "half" {
					t.Errorf("got %q, %v, as if it were all", body, err)
				}
				if a := await(t, f.access); a.Status != http.StatusOK || a.Aborted != AbortedByUpstream {
					t.Errorf("got %+v", a)
				}
			})
		}
	}
}

// fronted is a server under test behind its front, with TLS.
type fronted struct {
	url, addr string
	client    *http.Client
	access    chan Access
}

// startFront serves a site, whose keys it fills in, over one protocol.
func startFront(t *testing.T, site Site, protocol string) *fronted {
	t.Helper()
	f := &fronted{access: make(chan Access, 64)}
	s, err := New(Config{Sites: []Site{withKeys(site)}, Logger: new(logBook).logger(), OnAccess: func(a Access) { f.access <- a }})
	if err != nil {
		t.Fatal(err)
	}
	authority := httptest.NewTLSServer(nil)
	t.Cleanup(authority.Close)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	front := s.newFront(t.Context())
	t.Cleanup(func() { front.Close() })
	go front.Serve(l, &tls.Config{Certificates: authority.TLS.Certificates, NextProtos: []string{protocol}})
	transport := authority.Client().Transport.(*http.Transport).Clone()
	transport.TLSClientConfig.NextProtos, transport.ForceAttemptHTTP2 = []string{protocol}, protocol == "h2"
	t.Cleanup(transport.CloseIdleConnections)
	f.addr = l.Addr().String()
	f.url, f.client = "https://"+f.addr, &http.Client{Transport: transport}
	return f
}

// Where a request ends that came in chunks can be disputed, so nothing is read
// behind it, whoever has answered it.
func TestAChunkedRequestIsTheLastOfItsConnection(t *testing.T) {
	seen := make(chan string, 4)
	app := serve(t, func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		seen <- r.URL.Path
	})
	broken := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { seen <- r.URL.Path; panic("broken") })
	for name, site := range map[string]Site{"by the application": {AppURL: app}, "by nobody": {App: broken}} {
		t.Run("answered "+name, func(t *testing.T) {
			f := startFront(t, site, "http/1.1")
			conn, err := tls.Dial("tcp", f.addr, &tls.Config{InsecureSkipVerify: true})
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
			_, _ = io.WriteString(conn, "POST /first HTTP/1.1\r\nHost: app.dev\r\nContent-Length: 60\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"+
				"GET /smuggled HTTP/1.1\r\nHost: app.dev\r\n\r\n")
			r := bufio.NewReader(conn)
			resp, err := http.ReadResponse(r, nil)
			if err != nil {
				t.Fatal(err)
			}
			_, _ = io.Copy(io.Discard, resp.Body)
			if !resp.Close {
				t.Error("the answer does not say that it is the last")
			}
			if rest, _ := io.ReadAll(r); len(rest) > 0 || await(t, seen) != "/first" || len(seen) > 0 {
				t.Errorf("another answer: %.100q", rest)
			}
		})
	}
}
