package server

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"time"
)

// exchange sends a request's raw bytes and returns the answer's.
func exchange(t *testing.T, f *fixture, request string) *http.Response {
	t.Helper()
	conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", f.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	io.WriteString(conn, request)
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	return resp
}

func TestTheApplicationGetsTheRequestTargetAsSent(t *testing.T) {
	seen := make(chan string, 1)
	app := serve(t, func(_ http.ResponseWriter, r *http.Request) { seen <- r.RequestURI })
	for _, base := range []string{"", "/base"} {
		target := *app
		target.Path = base
		f := start(t, Site{AppURL: &target})
		for _, sent := range []string{
			"/", "/a/b", "/a%2Fb", "/a//b", "//a", "/a/../b", "/a;b", "/é", "/a|b", `/a"b`, "/a%20b+c",
			"/?", "/?a=1;b=2", "/?a=%zz", "/?a=b+c%20d", "/?&&==", "/?q=é",
		} {
			exchange(t, f, "GET "+sent+" HTTP/1.1\r\nHost: app.dev\r\n\r\n")
			if got := await(t, seen); got != base+sent {
				t.Errorf("sent %s to an application at %q: it got %s", sent, base, got)
			}
		}
	}
}

// The application and what is in front of it might not agree on what it is.
func TestAHashSignInATargetDoesNotReachTheApplication(t *testing.T) {
	app := serve(t, func(_ http.ResponseWriter, r *http.Request) { t.Errorf("it got %s", r.RequestURI) })
	f := start(t, Site{AppURL: app})
	for _, sent := range []string{"/#", "/a#b", "/?a#b", "http://app.dev/a#b"} {
		if resp := exchange(t, f, "GET "+sent+" HTTP/1.1\r\nHost: app.dev\r\n\r\n"); resp.StatusCode != http.StatusBadRequest {
			t.Errorf("%s: got %s", sent, resp.Status)
		}
	}
}

func TestTheApplicationGetsForwardedHeadersItCanBelieve(t *testing.T) {
	nobody := []netip.Prefix{}
	tests := []struct {
		name    string
		trusted []netip.Prefix
		sent    http.Header
		want    http.Header // nil: absent
	}{
		{
			name: "a direct client",
			want: http.Header{"X-Forwarded-For": {"127.0.0.1"}, "X-Forwarded-Proto": {"http"}, "X-Forwarded-Host": {"app.dev"}},
		}, {
			name: "a trusted proxy in front",
			sent: http.Header{"X-Forwarded-For": {"192.0.2.7, 10.0.0.1"}, "X-Forwarded-Proto": {"https"}, "X-Forwarded-Host": {"www.app.dev"}, "X-Forwarded-Port": {"443"}, "X-Real-Ip": {"192.0.2.7"}},
			want: http.Header{"X-Forwarded-For": {"192.0.2.7, 10.0.0.1, 127.0.0.1"}, "X-Forwarded-Proto": {"https"}, "X-Forwarded-Host": {"www.app.dev"}, "X-Forwarded-Port": {"443"}, "X-Real-Ip": {"192.0.2.7"}},
		}, {
			name:    "an untrusted peer that claims things",
			trusted: nobody,
			sent: http.Header{"X-Forwarded-For": {"192.0.2.7"}, "X-Forwarded-Proto": {"https"}, "X-Forwarded-Host": {"evil.example"}, "X-Forwarded-Port": {"443"},
				"Forwarded": {"for=192.0.2.7"}, "X-Real-Ip": {"192.0.2.7"}, "Cf-Connecting-Ip": {"192.0.2.7"}},
			want: http.Header{"X-Forwarded-For": {"127.0.0.1"}, "X-Forwarded-Proto": {"http"}, "X-Forwarded-Host": {"app.dev"}, "X-Forwarded-Port": nil,
				"Forwarded": nil, "X-Real-Ip": nil, "Cf-Connecting-Ip": nil},
		}, {
			name: "headers that are for Clerk only",
			sent: http.Header{"Clerk-Secret-Key": {secretKey}, "Clerk-Proxy-Url": {"https://evil.example/__clerk"}},
			want: http.Header{"Clerk-Secret-Key": nil, "Clerk-Proxy-Url": nil},
		}, {
			name: "what says nothing of where the request came from",
			sent: http.Header{"Accept-Encoding": {"br"}, "Cookie": {"__session=x"}, "Authorization": {"Bearer x"}, "X-Anything": {"a", "b"}},
			want: http.Header{"Accept-Encoding": {"br"}, "Cookie": {"__session=x"}, "Authorization": {"Bearer x"}, "X-Anything": {"a", "b"}},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var got http.Header
			var host string
			app := serve(t, func(_ http.ResponseWriter, r *http.Request) { got, host = r.Header, r.Host })
			f := start(t, Site{AppURL: app}, trusting(tt.trusted))
			r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, f.URL, nil)
			if err != nil {
				t.Fatal(err)
			}
			r.Host = "app.dev"
			for name, values := range tt.sent {
				r.Header[name] = values
			}
			do(t, r)
			if host != "app.dev" {
				t.Errorf("Host: got %q", host)
			}
			for name, want := range tt.want {
				if strings.Join(got[name], "|") != strings.Join(want, "|") {
					t.Errorf("%s: got %q, want %q", name, got[name], want)
				}
			}
		})
	}
}

func TestWebSocketsReachTheApplication(t *testing.T) {
	f := start(t, Site{AppURL: serve(t, echoUpgrade)})
	conn, br := upgrade(t, f.Listener.Addr().String())
	for _, message := range []string{"hello", "again"} {
		io.WriteString(conn, message)
		got := make([]byte, len(message))
		if _, err := io.ReadFull(br, got); err != nil || string(got) != message {
			t.Fatalf("got %q, %v; want %q", got, err, message)
		}
	}
	conn.Close()
	if a := await(t, f.access); a.Status != http.StatusSwitchingProtocols || a.Path != "/socket" {
		t.Errorf("got %+v", a)
	}
}

func TestEventsArriveAsTheyHappen(t *testing.T) {
	next := make(chan struct{})
	f := start(t, Site{AppURL: serve(t, func(w http.ResponseWriter, r *http.Request) {
		// Of known length, so that nothing but us decides when it is flushed.
		w.Header().Set("Content-Length", "36")
		for range 3 {
			io.WriteString(w, "data: tick\n\n")
			w.(http.Flusher).Flush()
			select {
			case <-next:
			case <-r.Context().Done():
			}
		}
	})})
	resp, err := http.Get(f.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	for range 3 {
		event := make([]byte, len("data: tick\n\n"))
		if _, err := io.ReadFull(resp.Body, event); err != nil {
			t.Fatal(err)
		}
		next <- struct{}{} // the application goes on only once the event is here
	}
}

func TestAClientThatGoesAwayEndsTheApplicationsWork(t *testing.T) {
	began, ended := make(chan struct{}), make(chan struct{})
	f := start(t, Site{AppURL: serve(t, func(_ http.ResponseWriter, r *http.Request) {
		close(began)
		<-r.Context().Done()
		close(ended)
	})})
	conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", f.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	io.WriteString(conn, "GET / HTTP/1.1\r\nHost: app.dev\r\n\r\n")
	await(t, began)
	conn.Close()
	await(t, ended)
	if a := await(t, f.access); a.Status != 499 || a.Aborted != AbortedByClient {
		t.Errorf("got %+v", a)
	}
}

func TestAnApplicationThatDoesNotAnswer(t *testing.T) {
	refusing, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	refusing.Close()

	// One answers with the start of a secret and no valid HTTP.
	garbage, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { garbage.Close() })
	go func() {
		for {
			conn, err := garbage.Accept()
			if err != nil {
				return
			}
			_, _ = http.ReadRequest(bufio.NewReader(conn))
			io.WriteString(conn, "token-in-garbage\r\n\r\n")
			conn.Close()
		}
	}()
	silent := serve(t, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })

	for name, tt := range map[string]struct {
		app    string
		status int
	}{
		"refuses":       {refusing.Addr().String(), http.StatusBadGateway},
		"talks garbage": {garbage.Addr().String(), http.StatusBadGateway},
		"is silent":     {silent.Host, http.StatusGatewayTimeout},
	} {
		t.Run(name, func(t *testing.T) {
			f := start(t, Site{AppURL: &url.URL{Scheme: "http", Host: tt.app}, AppTimeout: 20 * time.Millisecond})
			resp, body := f.get(t, "/page?token=secret", nil)
			if resp.StatusCode != tt.status {
				t.Errorf("got %d %s, want %d", resp.StatusCode, body, tt.status)
			}
			if strings.Contains(body, "127.0.0.1") {
				t.Errorf("the answer names a host: %s", body)
			}
			await(t, f.access)
			if len(f.log.entries(t, "a request to the application failed")) != 1 {
				t.Errorf("not logged: %s", f.log)
			}
			if log := f.log.String(); strings.Contains(log, "secret") || strings.Contains(log, "token-in") {
				t.Errorf("the log holds what it must not: %s", log)
			}
		})
	}
}

func TestAnAnswerCutShortIsNotTakenForAWholeOne(t *testing.T) {
	f := start(t, Site{AppURL: serve(t, func(w http.ResponseWriter, _ *http.Request) {
		io.WriteString(w, "half")
		w.(http.Flusher).Flush()
		panic(http.ErrAbortHandler)
	})})
	resp, err := http.Get(f.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if body, err := io.ReadAll(resp.Body); err == nil {
		t.Errorf("got %q as if it were all", body)
	}
	if a := await(t, f.access); a.Status != http.StatusOK || a.Aborted != AbortedByUpstream {
		t.Errorf("got %+v", a)
	}
}

func TestConnectIsRefused(t *testing.T) {
	f := start(t, Site{AppURL: serve(t, func(http.ResponseWriter, *http.Request) { t.Error("it reached the application") })})
	if resp := exchange(t, f, "CONNECT evil.example:443 HTTP/1.1\r\nHost: evil.example:443\r\n\r\n"); resp.StatusCode != http.StatusMethodNotAllowed {
		t.Errorf("got %s", resp.Status)
	}
}
