package server

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"net/netip"
	"net/textproto"
	"strings"
	"testing"

	"github.com/clerkproxy/clerkproxy"
)

func TestAccessLogLine(t *testing.T) {
	fapi := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-Clerk-Trace-Id", "0af7651916cd43dd")
		w.Header().Add("Set-Cookie", "__client=cookie-from-clerk")
		w.WriteHeader(http.StatusCreated)
		io.WriteString(w, `{"jwt":"token-from-clerk"}`)
	})
	f := start(t, Site{Proxy: clerkproxy.Config{FrontendAPIURL: fapi.String()}})
	f.get(t, "/__clerk/v1/cli%2Fent?rotating_token_nonce=query-value", http.Header{
		"Cookie": {"__session=cookie-value"}, "Authorization": {"Bearer bearer-value"}, "X-Forwarded-For": {"192.0.2.7"},
	})
	await(t, f.access)
	entries := f.log.entries(t, "request")
	if len(entries) != 1 {
		t.Fatalf("got %d lines", len(entries))
	}
	for key, want := range map[string]any{
		"method": "GET", "path": "/__clerk/v1/cli%2Fent", "status": 201.0, "bytes": 26.0,
		"target": "clerk", "client_ip": "192.0.2.7", "clerk_trace_id": "0af7651916cd43dd", "aborted": nil,
	} {
		if got := entries[0][key]; got != want {
			t.Errorf("%s: got %v, want %v", key, got, want)
		}
	}
	duration, upstream := entries[0]["duration_ms"].(float64), entries[0]["upstream_ms"].(float64)
	if upstream <= 0 || upstream > duration {
		t.Errorf("the upstream took %v ms of %v ms", upstream, duration)
	}
	if id, _ := entries[0]["request_id"].(string); len(id) < 16 {
		t.Errorf("request_id: got %q", id)
	}
	for _, secret := range []string{secretKey, publishableKey, "query-value", "cookie-value", "bearer-value", "cookie-from-clerk", "token-from-clerk"} {
		if strings.Contains(f.log.String(), secret) {
			t.Errorf("the log holds %s:\n%s", secret, f.log)
		}
	}
}

func TestAWarningAndItsAccessLineShareTheRequestID(t *testing.T) {
	f := start(t, Site{Proxy: clerkproxy.Config{FrontendAPIURL: "http://127.0.0.1:1"}})
	f.get(t, "/__clerk/v1/client", http.Header{"X-Request-Id": {"from-the-front"}})
	await(t, f.access)
	for _, message := range []string{"request", "a request to Clerk's Frontend API failed"} {
		if entries := f.log.entries(t, message); len(entries) != 1 || entries[0]["request_id"] != "from-the-front" {
			t.Errorf("%s: got %v", message, entries)
		}
	}
}

func TestRecordedStatusAndBytes(t *testing.T) {
	tests := []struct {
		name    string
		handler http.HandlerFunc
		status  int
		bytes   int64
		aborted string
	}{
		{"nothing said", func(http.ResponseWriter, *http.Request) {}, 200, 0, ""},
		{"a body alone", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "hello") }, 200, 5, ""},
		{"a status", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(404); io.WriteString(w, "no") }, 404, 2, ""},
		{"early hints before it", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(103); w.WriteHeader(204) }, 204, 0, ""},
		{"flushed before a body", func(w http.ResponseWriter, _ *http.Request) { w.(http.Flusher).Flush() }, 200, 0, ""},
		{"a panic", func(http.ResponseWriter, *http.Request) { panic("token") }, 500, -1, ""},
		{"a panic after the headers", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(202); panic("token") }, 202, 0, AbortedByUpstream},
		{"aborted", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(200); panic(http.ErrAbortHandler) }, 200, 0, AbortedByUpstream},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := start(t, Site{App: tt.handler})
			if resp, err := http.Get(f.URL); err == nil {
				resp.Body.Close()
			}
			a := await(t, f.access)
			if a.Status != tt.status || a.Aborted != tt.aborted || tt.bytes >= 0 && a.Bytes != tt.bytes {
				t.Errorf("got status %d, %d bytes, aborted %q", a.Status, a.Bytes, a.Aborted)
			}
			if strings.Contains(f.log.String(), "token") {
				t.Errorf("the log holds what was panicked with:\n%s", f.log)
			}
		})
	}
}

func TestEarlyHintsPassThroughTheRecorder(t *testing.T) {
	f := start(t, Site{App: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Link", "</style.css>; rel=preload")
		w.WriteHeader(http.StatusEarlyHints)
	})})
	var hints []int
	r, err := http.NewRequestWithContext(httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{
		Got1xxResponse: func(code int, _ textproto.MIMEHeader) error { hints = append(hints, code); return nil },
	}), http.MethodGet, f.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, _ := do(t, r)
	if fmt.Sprint(hints) != "[103]" || resp.StatusCode != http.StatusOK {
		t.Errorf("got %v, then %s", hints, resp.Status)
	}
}

func TestAnAbortedHandlerGoesOnAborting(t *testing.T) {
	s := &Server{log: new(logBook).logger()}
	h := s.accessLog((&Config{}).policy(), "", false, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		panic(http.ErrAbortHandler)
	}))
	defer func() {
		if v := recover(); v != http.ErrAbortHandler {
			t.Errorf("got %v", v)
		}
	}()
	h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/", nil))
	t.Error("it returned")
}

func TestLongPathsAndMethodsAreCut(t *testing.T) {
	f := start(t, Site{App: http.NotFoundHandler()})
	exchange(t, f, strings.Repeat("M", 1000)+" /"+strings.Repeat("p", 5000)+" HTTP/1.1\r\nHost: app.dev\r\n\r\n")
	if a := await(t, f.access); len(a.Method) > 40 || len(a.Path) > 300 {
		t.Errorf("got a method of %d and a path of %d bytes", len(a.Method), len(a.Path))
	}
}

func TestTheLogIsOneLineWhateverThePath(t *testing.T) {
	f := start(t, Site{App: http.NotFoundHandler()})
	exchange(t, f, "GET /%0aforged%1b[2J\u2028é HTTP/1.1\r\nHost: app.dev\r\n\r\n")
	if a := await(t, f.access); strings.ContainsFunc(a.Path, func(c rune) bool { return c <= ' ' || c >= 0x7f }) {
		t.Errorf("got %q", a.Path)
	}
}

func TestRequestIDs(t *testing.T) {
	nobody := []netip.Prefix{}
	tests := []struct {
		name    string
		trusted []netip.Prefix
		sent    []string
		kept    bool
	}{
		{"of a trusted proxy", nil, []string{"4bf92f35-77b3:4da6/a3=1"}, true},
		{"of a stranger", nobody, []string{"4bf92f35"}, false},
		{"none", nil, nil, false},
		{"empty", nil, []string{""}, false},
		{"two", nil, []string{"a", "b"}, false},
		{"too long", nil, []string{strings.Repeat("a", 129)}, false},
		{"with a space", nil, []string{"a b"}, false},
		{"with a quote", nil, []string{`a"b`}, false},
		{"not ASCII", nil, []string{"é"}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var toApplication []string
			f := start(t, Site{
				App: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { toApplication = r.Header["X-Request-Id"] }),
			}, trusting(tt.trusted))
			f.get(t, "/", http.Header{"X-Request-Id": tt.sent})
			a := await(t, f.access)
			if len(toApplication) != 1 || toApplication[0] != a.RequestID || a.RequestID == "" {
				t.Errorf("logged %q, the application got %q", a.RequestID, toApplication)
			}
			if kept := len(tt.sent) > 0 && a.RequestID == tt.sent[0]; kept != tt.kept {
				t.Errorf("got %q", a.RequestID)
			}
		})
	}
}
