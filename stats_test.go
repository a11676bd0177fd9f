package clerkproxy

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

func TestStatsCountWhatWasForwarded(t *testing.T) {
	var p *Proxy
	p = newProxy(t, Config{AssetCache: 1 << 20}, func(w http.ResponseWriter, r *http.Request) {
		if got := p.Stats().InFlight; got != 1 {
			t.Errorf("%d requests are in flight while one is", got)
		}
		w.Header().Set("Cache-Control", "public, max-age=60")
		_, _ = w.Write([]byte("answer"))
	})
	for _, path := range []string{"/v1/client", "/npm/a.js", "/npm/a.js"} {
		p.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "http://app.dev/__clerk"+path, nil))
	}
	s := p.Stats()
	if s.InFlight != 0 || s.Errors != (ErrorStats{}) {
		t.Errorf("got %+v", s)
	}
	if u := s.Upstream; u.Requests != 2 || u.Answers != 2 || u.Opened == 0 || u.Open == 0 {
		t.Errorf("upstream: got %+v", u)
	}
	if a := s.Assets; a.Hits != 1 || a.Misses != 1 || a.Entries != 1 || a.Bytes == 0 {
		t.Errorf("assets: got %+v", a)
	}
}

func TestStatsOfATransportOfTheCallers(t *testing.T) {
	p := newProxyTo(t, Config{Transport: http.DefaultTransport}, "http://localhost:1")
	if got := p.Stats(); got != (Stats{}) {
		t.Errorf("got %+v", got)
	}
}

func TestStatsCountErrorsByKind(t *testing.T) {
	gone, leave := context.WithCancel(t.Context())
	leave()
	ended, end := context.WithCancelCause(t.Context())
	end(errors.New("shutting down"))
	tests := []struct {
		name     string
		upstream string // its answer
		config   Config
		request  *http.Request
		want     ErrorStats
	}{
		{"an answer passed on", "HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n", Config{}, newGet(), ErrorStats{}},
		{"a host that is not accepted", "", Config{Hosts: []string{"other.dev"}}, newGet(), ErrorStats{Refused: 1}},
		{"a path that is not the proxy's", "", Config{ProxyURL: "/elsewhere"}, newGet(), ErrorStats{Refused: 1}},
		{"a body that is too large", "", Config{}, tooLarge(), ErrorStats{ClientBody: 1}},
		{"a client that is gone", "", Config{}, newGet().WithContext(gone), ErrorStats{ClientGone: 1}},
		{"a server that ends", "", Config{}, newGet().WithContext(ended), ErrorStats{Shutdown: 1}},
		{"no answer", "", Config{}, newGet(), ErrorStats{Unreachable: 1}},
		{"half an answer", "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf", Config{}, newGet(), ErrorStats{Cut: 1}},
		{"an answer that stalls", "silence", Config{ResponseHeaderTimeout: 50 * time.Millisecond}, newGet(), ErrorStats{Timeout: 1}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var fapi string
			if tt.upstream == "silence" {
				waiting := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }))
				t.Cleanup(waiting.Close)
				fapi = waiting.URL
			} else {
				fapi = rawUpstream(t, tt.upstream)
			}
			p := newProxyTo(t, tt.config, fapi)
			func() {
				defer func() { _ = recover() }() // http.ErrAbortHandler
				p.ServeHTTP(httptest.NewRecorder(), tt.request)
			}()
			if got := p.Stats(); got.Errors != tt.want || got.InFlight != 0 {
				t.Errorf("got %+v, want %+v", got, tt.want)
			}
		})
	}
}

func newGet() *http.Request {
	return httptest.NewRequest("GET", "http://app.dev/__clerk/v1/client", nil)
}

func tooLarge() *http.Request {
	r := httptest.NewRequest("POST", "http://app.dev/__clerk/v1/client", strings.NewReader("too long"))
	r.Body = http.MaxBytesReader(nil, r.Body, 1)
	return r
}

func TestStatsOfAMiddleware(t *testing.T) {
	p := newProxyTo(t, Config{Hosts: []string{"other.dev"}}, "http://localhost:1")
	h := p.Middleware(http.NotFoundHandler())
	h.ServeHTTP(httptest.NewRecorder(), newGet())
	h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "http://app.dev/page", nil)) // the application's
	if got, want := p.Stats().Errors, (ErrorStats{Refused: 1}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}
