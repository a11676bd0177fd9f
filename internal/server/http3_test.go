package server

import (
	"context"
	"crypto/sha1"
	"crypto/tls"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/quic-go/quic-go"
	h3 "github.com/quic-go/quic-go/http3"

	"github.com/clerkproxy/clerkproxy/internal/freeport"
)

// overHTTP3 has a server speak HTTP/3 as well, at a port that is free over UDP too.
func overHTTP3(t *testing.T) func(*Config) {
	t.Helper()
	address := freeport.Address(t)
	return func(c *Config) { c.Listen, c.HTTPListen, c.HTTP3 = []string{address}, nil, true }
}

// client3 speaks HTTP/3 with whoever has the address, under any name.
func (p *pair) client3(t *testing.T, address string) *http.Client {
	t.Helper()
	transport := &h3.Transport{
		TLSClientConfig: &tls.Config{RootCAs: p.roots},
		Dial: func(ctx context.Context, _ string, secure *tls.Config, config *quic.Config) (*quic.Conn, error) {
			return quic.DialAddrEarly(ctx, address, secure, config)
		},
	}
	t.Cleanup(func() { transport.Close() })
	return &http.Client{Transport: transport}
}

func TestHTTP3(t *testing.T) {
	fapi := serve(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		fmt.Fprint(w, r.Method, " ", r.RequestURI, " ", r.ContentLength, " ", string(body), " ", r.Header.Get("Clerk-Proxy-Url"), " ", r.Header["X-Forwarded-For"], r.Header["X-A"], r.Header["X-Forwarded-Proto"])
	})
	app := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/cut" {
			w.Header().Set("Content-Length", "100")
			fmt.Fprint(w, "half")
			return
		}
		if r.URL.Path == "/chunks" {
			fmt.Fprint(w, "half")
			w.(http.Flusher).Flush()
			panic(http.ErrAbortHandler)
		}
		body, _ := io.ReadAll(r.Body)
		w.Header().Add("Set-Cookie", "a=1")
		w.Header().Add("Set-Cookie", "b=2")
		fmt.Fprint(w, r.Method, " ", r.RequestURI, " ", r.ContentLength, r.TransferEncoding, " ", string(body), " ", r.Host, " ", r.Header["X-Forwarded-For"], r.Header["X-A"], r.Header["X-Forwarded-Proto"])
	})
	p := newPair(t, "app.dev")
	site := Site{AppURL: app, Hosts: []string{"app.dev"}}
	site.Proxy.FrontendAPIURL = fapi.String()
	access := make(chan Access, 64)
	r := run(t, site, secured(p), overHTTP3(t), func(c *Config) { c.OnAccess = func(a Access) { access <- a } })
	address := strings.TrimPrefix(r.url, "http://")
	over3, over2 := p.client3(t, address), p.client(t, address, "HTTP/2.0")

	// What HTTP/2 answers, HTTP/3 answers.
	for name, make := range map[string]func() *http.Request{
		"the application": func() *http.Request { return httptest.NewRequest("GET", "https://app.dev/a%2Fb?c", nil) },
		"Clerk": func() *http.Request {
			return httptest.NewRequest("GET", "https://app.dev/__clerk/v1/environment?a=b", nil)
		},
		"a POST to Clerk": func() *http.Request {
			return httptest.NewRequest("POST", "https://app.dev/__clerk/v1/client", strings.NewReader("hello"))
		},
		"a POST to the application": func() *http.Request {
			return httptest.NewRequest("POST", "https://app.dev/", strings.NewReader("hello"))
		},
		"a stream": func() *http.Request {
			return httptest.NewRequest("POST", "https://app.dev/", io.MultiReader(strings.NewReader("hel"), strings.NewReader("lo")))
		},
		"another host": func() *http.Request { return httptest.NewRequest("GET", "https://evil.com/", nil) },
		"headers of a proxy's": func() *http.Request {
			r := httptest.NewRequest("GET", "https://app.dev/__clerk/v1/client", nil)
			r.Header.Set("X-Forwarded-For", "203.0.113.7")
			r.Header.Set("Clerk-Secret-Key", "x")
			r.Header["X-A"] = []string{"1", "2"}
			return r
		},
		"an answer that breaks off":     func() *http.Request { return httptest.NewRequest("GET", "https://app.dev/cut", nil) },
		"one whose length nobody knows": func() *http.Request { return httptest.NewRequest("GET", "https://app.dev/chunks", nil) },
	} {
		t.Run(name, func(t *testing.T) {
			over2, over3 := over2, over3
			if name == "another host" {
				over2, over3 = p.client(t, address, "HTTP/2.0"), p.client3(t, address)
				over2.Transport.(*http.Transport).TLSClientConfig.InsecureSkipVerify = true
				over3.Transport.(*h3.Transport).TLSClientConfig.InsecureSkipVerify = true
			}
			got := outcome(over3, make())
			a3 := await(t, access)
			want := outcome(over2, make())
			a2 := await(t, access)
			got, want = strings.ReplaceAll(got, "-1[chunked]", "5[]"), strings.ReplaceAll(want, "-1[chunked]", "5[]")
			if got != want {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
			if a3.Status != a2.Status || a3.Target != a2.Target || a3.Aborted != a2.Aborted || a3.ClientIP != a2.ClientIP || a3.RequestID == "" {
				t.Errorf("recorded\n%+v\nbut of HTTP/2\n%+v", a3, a2)
			}
		})
	}
}

// outcome is what comes of a request.
func outcome(c *http.Client, r *http.Request) string {
	resp, err := c.Transport.RoundTrip(r)
	if err != nil {
		return "no answer"
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return "no answer" // or half of one
	}
	return fmt.Sprintf("%d %q %v %q %v", resp.StatusCode, resp.Header["Set-Cookie"], resp.Header["Content-Type"], body, err == nil)
}

func TestWhoIsToldOfHTTP3(t *testing.T) {
	fapi := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Alt-Svc", `h3=":443"; ma=1`)
		fmt.Fprint(w, "clerk")
	})
	p := newPair(t, "app.dev", "localhost")
	site := Site{App: http.NotFoundHandler()}
	site.Proxy.FrontendAPIURL = fapi.String()
	secure := run(t, site, secured(p), overHTTP3(t))
	address := strings.TrimPrefix(secure.url, "http://")
	for _, protocol := range []string{"HTTP/1.1", "HTTP/2.0", "HTTP/3.0"} {
		client := p.client(t, address, protocol)
		if protocol == "HTTP/3.0" {
			client = p.client3(t, address)
		}
		for _, path := range []string{"/", "/__clerk/v1/environment"} {
			for name, tt := range map[string]struct {
				url, header, want string
			}{
				"a browser":                   {url: "https://app.dev", want: `h3=":443"; ma=86400`},
				"one that has named a port":   {url: "https://app.dev:8443", want: `h3=":8443"; ma=86400`},
				"who comes by a proxy":        {url: "https://app.dev", header: "X-Forwarded-For"},
				"who comes by an unknown one": {url: "https://app.dev", header: "Via"},
			} {
				r := httptest.NewRequestWithContext(t.Context(), "GET", tt.url+path, nil)
				if tt.header != "" {
					r.Header.Set(tt.header, "203.0.113.7")
				}
				resp, err := client.Transport.RoundTrip(r)
				if err != nil {
					t.Fatal(err)
				}
				io.Copy(io.Discard, resp.Body)
				resp.Body.Close()
				if protocol == "HTTP/3.0" {
					tt.want = "" // it knows
				}
				if got := strings.Join(resp.Header["Alt-Svc"], ", "); got != tt.want || resp.Proto != protocol {
					t.Errorf("%s, over %s at %s: got %q over %s, want %q", name, protocol, path, got, resp.Proto, tt.want)
				}
			}
		}
	}

	without := run(t, site, secured(p), func(c *Config) { c.HTTPListen = nil })
	resp, _ := fetch(t, p.client(t, strings.TrimPrefix(without.url, "http://"), "HTTP/2.0"), "https://app.dev/")
	if resp.Header["Alt-Svc"] != nil {
		t.Errorf("without HTTP/3: got %q", resp.Header["Alt-Svc"])
	}
}

func TestHTTP3TakesTLS(t *testing.T) {
	err := Check(Config{Sites: []Site{withKeys(Site{})}, HTTP3: true})
	if err == nil || !strings.Contains(err.Error(), "HTTP3") {
		t.Errorf("got %v", err)
	}
}

func TestDatagramSocketsChangeWithAReload(t *testing.T) {
	p := newPair(t, "app.dev")
	began, release := make(chan struct{}), make(chan struct{})
	r := run(t, Site{App: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/slow" {
			close(began)
			<-release
		}
		fmt.Fprint(w, "app")
	})}, secured(p), overHTTP3(t))
	address := strings.TrimPrefix(r.url, "http://")
	first := p.client3(t, address)
	fetch(t, first, "https://app.dev/")
	slow := make(chan string)
	go func() {
		resp, err := first.Get("https://app.dev/slow")
		if err != nil {
			slow <- err.Error()
			return
		}
		defer resp.Body.Close()
		body, _ := io.ReadAll(resp.Body)
		slow <- string(body)
	}()
	await(t, began)

	// Another address, and not the first one any more.
	second := freeport.Address(t)
	r.reload(t, func(c *Config) { c.Listen = []string{second} })
	fetch(t, p.client3(t, second), "https://app.dev/")
	close(release)
	if got := await(t, slow); got != "app" {
		t.Errorf("the request under way: %s", got)
	}
	waitUntilDatagramsAreFree(t, address)

	// And none.
	r.reload(t, func(c *Config) { c.Listen, c.HTTP3 = []string{second}, false })
	waitUntilDatagramsAreFree(t, second)
}

// waitUntilDatagramsAreFree waits until nobody has the UDP port.
func waitUntilDatagramsAreFree(t *testing.T, address string) {
	t.Helper()
	until(t, "the end of "+address, func() bool {
		c, err := net.ListenPacket("udp", address)
		if err == nil {
			c.Close()
		}
		return err == nil
	})
}

// passedBySystemd are sockets that a server is passed as systemd:web, and what
// passes them.
func passedBySystemd(t *testing.T) (web net.Listener, udp *net.UDPConn, pass func(*Config)) {
	t.Helper()
	web, err := net.Listen("tcp", freeport.Address(t))
	if err != nil {
		t.Fatal(err)
	}
	packets, err := net.ListenPacket("udp", web.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	udp = packets.(*net.UDPConn)
	return web, udp, func(c *Config) {
		c.Listen, c.HTTPListen = []string{"systemd:web"}, nil
		c.Inherited = map[string][]net.Listener{"systemd:web": {web}}
		c.InheritedDatagrams = map[string][]net.Conn{"udp 0 systemd:web": {udp}}
	}
}

func TestADatagramSocketOfSystemdOutlivesAReloadThatFails(t *testing.T) {
	p := newPair(t, "app.dev")
	web, udp, passed := passedBySystemd(t)
	held, err := udp.File() // systemd keeps it open
	if err != nil {
		t.Fatal(err)
	}
	defer held.Close()
	address := freeport.Address(t)
	taken, err := net.ListenPacket("udp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	r := run(t, answering("app", "app.dev"), secured(p), passed)
	if err := r.tryReload(func(c *Config) { c.HTTP3, c.Listen = true, []string{"systemd:web", address} }); err == nil {
		t.Fatal("a port that is taken is served")
	}
	r.reload(t, func(c *Config) { c.HTTP3 = true })
	fetch(t, p.client3(t, web.Addr().String()), "https://app.dev/")
}

func TestADatagramSocketOfSystemdThatWasGivenUpIsThereForALaterReload(t *testing.T) {
	p := newPair(t, "app.dev")
	web, _, passed := passedBySystemd(t)
	began, release := make(chan struct{}, 2), make(chan struct{})
	site := Site{Hosts: []string{"app.dev"}, App: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		began <- struct{}{}
		<-release
		fmt.Fprint(w, "app")
	})}
	r := run(t, site, secured(p), overHTTP3(t), passed)
	client := p.client3(t, web.Addr().String())
	answer := make(chan string)
	go func() {
		_, body := fetch(t, client, "https://app.dev/")
		answer <- body
	}()
	await(t, began)
	r.reload(t, func(c *Config) { c.HTTP3 = false })
	again := func(c *Config) { c.HTTP3 = true }
	err := r.tryReload(again)
	if err == nil || !strings.Contains(err.Error(), "listen on systemd:web: requests are still under way there, from before it was given up; reload again when they have ended") {
		t.Errorf("two read one socket: %v", err)
	}
	close(release)
	if got := await(t, answer); got != "app" {
		t.Errorf("got %q", got)
	}
	_ = client.Transport.(io.Closer).Close() // or it lasts for the grace
	until(t, "requests under way to end", func() bool { return r.tryReload(again) == nil })
	fetch(t, p.client3(t, web.Addr().String()), "https://app.dev/")
}

func TestAUDPPortThatIsTaken(t *testing.T) {
	address := freeport.Address(t)
	taken, err := net.ListenPacket("udp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	c := Config{Sites: []Site{withKeys(Site{})}}
	secured(newPair(t, "app.dev"))(&c)
	overHTTP3(t)(&c)
	c.Listen = []string{address}
	s, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "UDP") {
		t.Errorf("got %v", err)
	}
}

func TestHTTP3EndsInGoodOrder(t *testing.T) {
	p := newPair(t, "app.dev")
	began, release := make(chan struct{}), make(chan struct{})
	r := run(t, Site{App: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		close(began)
		<-release
		fmt.Fprint(w, "whole")
	})}, secured(p), overHTTP3(t))
	address := strings.TrimPrefix(r.url, "http://")
	client := p.client3(t, address)
	answer := make(chan string)
	go func() {
		_, body := fetch(t, client, "https://app.dev/")
		answer <- body
	}()
	await(t, began)
	r.stop(nil)
	r.log.entries(t, "draining")
	close(release)
	if got := await(t, answer); got != "whole" {
		t.Errorf("got %q", got)
	}
	if err := await(t, r.stopped); err != nil {
		t.Error(err)
	}
}

// A WebSocket over HTTP/3 is one of the application's like any other: logged, with
// headers that it can believe, and closed when everything else has ended.
func TestWebSocketsOverHTTP3(t *testing.T) {
	p := newPair(t, "app.dev")
	seen := make(chan http.Header, 1)
	app := serve(t, func(w http.ResponseWriter, r *http.Request) {
		seen <- r.Header
		conn, rw, err := http.NewResponseController(w).Hijack()
		if err != nil {
			panic(err)
		}
		defer conn.Close()
		sum := sha1.Sum([]byte(r.Header.Get("Sec-WebSocket-Key") + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
		fmt.Fprintf(rw, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: %s\r\n\r\n", base64.StdEncoding.EncodeToString(sum[:]))
		rw.Flush()
		io.Copy(conn, rw)
	})
	access := make(chan Access, 1)
	r := run(t, Site{AppURL: app}, secured(p), overHTTP3(t), func(c *Config) { c.OnAccess = func(a Access) { access <- a } })
	conn, err := quic.DialAddr(t.Context(), strings.TrimPrefix(r.url, "http://"), &tls.Config{RootCAs: p.roots, ServerName: "app.dev", NextProtos: []string{"h3"}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.CloseWithError(0, "")
	stream, err := new(h3.Transport).NewClientConn(conn).OpenRequestStream(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	request := httptest.NewRequestWithContext(t.Context(), "CONNECT", "https://app.dev/socket", nil)
	request.URL.Scheme, request.URL.Host, request.URL.Path = "https", "app.dev", "/socket"
	request.Proto, request.Header = "websocket", http.Header{"X-Clerk-User-Id": {"me"}, "Sec-Websocket-Version": {"13"}}
	if err := stream.SendRequestHeader(request); err != nil {
		t.Fatal(err)
	}
	resp, err := stream.ReadResponse()
	if err != nil || resp.StatusCode != 200 {
		t.Fatalf("got %v, %v", resp, err)
	}
	if h := await(t, seen); h.Get("X-Forwarded-Proto") != "https" || h.Get("X-Request-Id") == "" || h["X-Clerk-User-Id"] != nil || h.Get("Connection") != "Upgrade" {
		t.Errorf("the application got %v", h)
	}
	io.WriteString(stream, "hello")
	got := make([]byte, 5)
	if _, err := io.ReadFull(stream, got); err != nil || string(got) != "hello" {
		t.Errorf("got %q, %v", got, err)
	}
	r.stop(nil)
	if rest, err := io.ReadAll(stream); len(rest) > 0 {
		t.Errorf("got %q, %v", rest, err)
	}
	if err := await(t, r.stopped); err != nil {
		t.Error(err)
	}
	if a := await(t, access); a.Status != http.StatusSwitchingProtocols || a.Path != "/socket" || a.Method != "GET" {
		t.Errorf("recorded %+v", a)
	}
}
