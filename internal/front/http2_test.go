package front

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"net/textproto"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/clerkproxy/clerkproxy/internal/answertest"
	"github.com/clerkproxy/clerkproxy/internal/wire"
)

// client2 is a client that speaks HTTP/2 over one connection.
func client2(t testing.TB, authority *httptest.Server) *http.Transport {
	t.Helper()
	transport := authority.Client().Transport.(*http.Transport).Clone()
	transport.ForceAttemptHTTP2, transport.DisableCompression = true, true
	transport.TLSClientConfig.NextProtos = []string{"h2"}
	t.Cleanup(transport.CloseIdleConnections)
	return transport
}

// serve2 serves over HTTP/2 here and with net/http's server.
func serve2(t testing.TB, h http.Handler) (ours, standard func(*http.Request) (*http.Response, error)) {
	t.Helper()
	authority, addr := serveTLS(t, Config{Handler: h}, "h2")
	std := httptest.NewUnstartedServer(h)
	std.EnableHTTP2 = true
	std.Config.ErrorLog = log.New(io.Discard, "", 0)
	std.StartTLS()
	t.Cleanup(std.Close)
	to := func(transport *http.Transport, addr string) func(*http.Request) (*http.Response, error) {
		return func(r *http.Request) (*http.Response, error) {
			r.URL.Scheme, r.URL.Host = "https", addr
			return transport.RoundTrip(r)
		}
	}
	return to(client2(t, authority), addr), to(client2(t, std), std.Listener.Addr().String())
}

// seen is what a client sees of an answer.
func seen(send func(*http.Request) (*http.Response, error), r *http.Request) string {
	var hints strings.Builder
	r = r.WithContext(httptrace.WithClientTrace(r.Context(), &httptrace.ClientTrace{
		Got1xxResponse: func(code int, h textproto.MIMEHeader) error { fmt.Fprint(&hints, code, h, "\n"); return nil },
	}))
	resp, err := send(r)
	if err != nil {
		return "no answer"
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	var out strings.Builder
	fmt.Fprintf(&out, "%s%s %d length %d\n", hints.String(), resp.Proto, resp.StatusCode, resp.ContentLength)
	if resp.Header["Date"] != nil && resp.Header.Get("Date") != "" {
		resp.Header.Set("Date", "now")
	}
	for _, name := range slices.Sorted(maps.Keys(resp.Header)) {
		fmt.Fprintf(&out, "%s: %q\n", name, resp.Header[name])
	}
	fmt.Fprintf(&out, "%d bytes %.200q whole %v %v\n", len(body), body, err == nil, resp.Trailer)
	return out.String()
}

func TestAnswersOverHTTP2(t *testing.T) {
	otherwise := map[string]bool{
		"more than its length":    true, // net/http has another error for it
		"values of several lines": true, // net/http leaves them out
		"trailers":                true, // net/http says the length beside them
	}
	for name, answer := range answertest.Handlers() {
		if otherwise[name] {
			continue
		}
		handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { answer(w, r) })
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ours, standard := serve2(t, handler)
			for _, method := range []string{"GET", "HEAD", "POST", "GET"} {
				got := seen(ours, httptest.NewRequestWithContext(t.Context(), method, "https://x/", nil))
				want := seen(standard, httptest.NewRequestWithContext(t.Context(), method, "https://x/", nil))
				if got != want {
					t.Errorf("%s: got\n%s\nwant\n%s", method, got, want)
				}
			}
		})
	}
}

func TestRequestsOverHTTP2(t *testing.T) {
	ours, standard := serve2(t, http.HandlerFunc(tell))
	for name, make := range map[string]func() *http.Request{
		"a GET":          func() *http.Request { return httptest.NewRequest("GET", "https://x/a%2Fb//c/../d?e=%zz&f", nil) },
		"an empty query": func() *http.Request { return httptest.NewRequest("GET", "https://x/a?", nil) },
		"a POST":         func() *http.Request { return httptest.NewRequest("POST", "https://x/", strings.NewReader("hello")) },
		"a DELETE":       func() *http.Request { return httptest.NewRequest("DELETE", "https://x/", strings.NewReader("hello")) },
		"a large body": func() *http.Request {
			return httptest.NewRequest("PUT", "https://x/", strings.NewReader(strings.Repeat("hello", 1_000_000)))
		},
		"one of 16 KiB": func() *http.Request {
			return httptest.NewRequest("PUT", "https://x/", strings.NewReader(strings.Repeat("x", 16<<10)))
		},
		"of unknown length": func() *http.Request {
			return httptest.NewRequest("PUT", "https://x/", io.MultiReader(strings.NewReader("hel"), strings.NewReader("lo")))
		},
		"OPTIONS":             func() *http.Request { return httptest.NewRequest("OPTIONS", "https://x/", nil) },
		"a method of its own": func() *http.Request { return httptest.NewRequest("PURGE", "https://x/", nil) },
		"with headers": func() *http.Request {
			r := httptest.NewRequest("GET", "https://x/", nil)
			r.Header = http.Header{"X-A": {"1", "", "2"}, "Cookie": {"a=b; c=d", "e=f"}, "User-Agent": {"x"}, "Te": {"trailers"}, "Text": {"\xc3\xa9"}}
			return r
		},
		"with large headers": func() *http.Request {
			r := httptest.NewRequest("GET", "https://x/", nil)
			for i := range 40 {
				r.Header.Set(fmt.Sprintf("X-%d", i), strings.Repeat("x", 1000))
			}
			return r
		},
		"that expects": func() *http.Request {
			r := httptest.NewRequest("POST", "https://x/", strings.NewReader("hello"))
			r.Header.Set("Expect", "100-continue")
			return r
		},
	} {
		t.Run(name, func(t *testing.T) {
			prepare := func() *http.Request {
				r := make()
				r.Host = "app.dev"
				return r
			}
			got, want := seen(ours, prepare()), seen(standard, prepare())
			// A body that is there has a length even if the client did not say it.
			got, want = strings.ReplaceAll(got, "length 5 ", "length -1 "), strings.ReplaceAll(want, "length 5 ", "length -1 ")
			if got != want {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
		})
	}
}

func TestExchangesOverHTTP2(t *testing.T) {
	large := strings.Repeat("0123456789", 300_000)
	var late atomic.Int64
	authority, addr := serveTLS(t, Config{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			late.Add(1)
			b := make([]byte, 5)
			_, _ = io.ReadFull(r.Body, b)
			_, _ = w.Write(b)
		}),
		Exchanges: exchangesFunc(func(x *wire.Exchange) bool {
			body := fmt.Sprintf("%s %s %s %q %q %v", x.Method, x.Target, x.Host, x.Fields, x.Body, x.Peer)
			if x.Target == "/large" {
				body = large
			}
			x.Respond(201, wire.Fields{{Name: "Set-Cookie", Value: "a=1"}, {Name: "Set-Cookie", Value: "b=2"}, {Name: "X-Own", Value: "x"}}, int64(len(body)))
			_, _ = io.WriteString(x, body[:3])
			_, _ = io.WriteString(x, body[3:])
			return true
		}),
	}, "h2")
	transport := client2(t, authority)
	for range 3 {
		r := httptest.NewRequest("POST", "https://"+addr+"/a?b", strings.NewReader("hi"))
		r.Host, r.Header["Cookie"] = "app.dev", []string{"a=b; c=d"}
		resp, err := transport.RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		want := `POST /a?b app.dev [{"Cookie" "a=b; c=d"} {"User-Agent" "Go-http-client/2.0"}] "hi" 127.0.0.1`
		if string(body) != want || resp.StatusCode != 201 || len(resp.Header["Set-Cookie"]) != 2 || resp.Header.Get("X-Own") != "x" || resp.Header.Get("Date") == "" {
			t.Errorf("got %s %v, want %s", body, resp.Header, want)
		}
	}
	resp, err := transport.RoundTrip(httptest.NewRequest("GET", "https://"+addr+"/large", nil))
	if err != nil {
		t.Fatal(err)
	}
	if body, err := io.ReadAll(resp.Body); string(body) != large || err != nil {
		t.Errorf("got %d bytes, %v", len(body), err)
	}
	// What takes its time is passed on as it comes.
	r, w := io.Pipe()
	go func() { _, _ = io.WriteString(w, "hello") }()
	req := httptest.NewRequest("POST", "https://"+addr, r)
	req.ContentLength = 10
	resp, err = transport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	if body, err := io.ReadAll(resp.Body); string(body) != "hello" || err != nil || late.Load() != 1 {
		t.Errorf("got %q, %v", body, err)
	}
	w.CloseWithError(io.ErrUnexpectedEOF)
	resp.Body.Close()
}

// raw2 is a client that sends what it likes.
type raw2 struct {
	*http2.Framer
	t    testing.TB
	conn net.Conn
	hbuf bytes.Buffer
	enc  *hpack.Encoder
}

func dial2(t testing.TB, addr string) *raw2 {
	t.Helper()
	conn, err := tls.Dial("tcp", addr, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return greet2(t, conn)
}

func greet2(t testing.TB, conn net.Conn) *raw2 {
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	_, _ = io.WriteString(conn, http2.ClientPreface)
	c := &raw2{Framer: http2.NewFramer(conn, conn), t: t, conn: conn}
	c.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	c.enc = hpack.NewEncoder(&c.hbuf)
	_ = c.WriteSettings()
	return c
}

func (c *raw2) headers(id uint32, end bool, fields ...string) {
	c.hbuf.Reset()
	if len(fields) == 0 {
		fields = []string{":method", "GET", ":scheme", "https", ":authority", "app.dev", ":path", "/"}
	}
	for i := 0; i < len(fields); i += 2 {
		_ = c.enc.WriteField(hpack.HeaderField{Name: fields[i], Value: fields[i+1]})
	}
	_ = c.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: c.hbuf.Bytes(), EndStream: end, EndHeaders: true})
}

// next returns the next frame that is not of settings or windows.
func (c *raw2) next() http2.Frame {
	c.t.Helper()
	for {
		f, err := c.ReadFrame()
		if err != nil {
			c.t.Fatalf("the connection ended: %v", err)
		}
		switch f.(type) {
		case *http2.SettingsFrame, *http2.WindowUpdateFrame:
		default:
			return f
		}
	}
}

func (c *raw2) wantReset(id uint32, code http2.ErrCode) {
	c.t.Helper()
	for {
		switch f := c.next().(type) {
		case *http2.RSTStreamFrame:
			if f.StreamID != id || f.ErrCode != code {
				c.t.Errorf("got %v, want %v of %d", f, code, id)
			}
			return
		case *http2.DataFrame, *http2.MetaHeadersFrame:
		default:
			c.t.Fatalf("got %v", f)
		}
	}
}

func (c *raw2) wantGoAway(code http2.ErrCode) {
	c.t.Helper()
	for {
		f, err := c.ReadFrame()
		if err != nil {
			c.t.Fatalf("the connection ended without GOAWAY: %v", err)
		}
		if f, ok := f.(*http2.GoAwayFrame); ok {
			if f.ErrCode != code {
				c.t.Errorf("got %v, want %v", f.ErrCode, code)
			}
			return
		}
	}
}

func TestMalformedRequestsOverHTTP2(t *testing.T) {
	_, addr := serveTLS(t, Config{Handler: unreachable(t)}, "h2")
	well := []string{":method", "GET", ":scheme", "https", ":authority", "app.dev", ":path", "/"}
	for name, fields := range map[string][]string{
		"no method":                  {":scheme", "https", ":authority", "app.dev", ":path", "/"},
		"no path":                    {":method", "GET", ":scheme", "https", ":authority", "app.dev"},
		"an empty path":              {":method", "GET", ":scheme", "https", ":authority", "app.dev", ":path", ""},
		"a path that is none":        {":method", "GET", ":scheme", "https", ":authority", "app.dev", ":path", "x"},
		"a full URL":                 {":method", "GET", ":scheme", "https", ":authority", "app.dev", ":path", "https://evil.com/"},
		"a bad escape":               {":method", "GET", ":scheme", "https", ":authority", "app.dev", ":path", "/%zz"},
		"no scheme":                  {":method", "GET", ":authority", "app.dev", ":path", "/"},
		"another scheme":             {":method", "GET", ":scheme", "ftp", ":authority", "app.dev", ":path", "/"},
		"a method that is none":      {":method", "G ET", ":scheme", "https", ":authority", "app.dev", ":path", "/"},
		"two hosts":                  append(slices.Clone(well), "host", "evil.dev"),
		"a connection header":        append(slices.Clone(well), "connection", "close"),
		"a transfer coding":          append(slices.Clone(well), "transfer-encoding", "chunked"),
		"te of something":            append(slices.Clone(well), "te", "gzip"),
		"an upgrade":                 append(slices.Clone(well), "upgrade", "websocket"),
		"two lengths":                append(slices.Clone(well), "content-length", "0", "content-length", "1"),
		"a length that is none":      append(slices.Clone(well), "content-length", "+0"),
		"a length, and no body":      append(slices.Clone(well), "content-length", "1"),
		"a name in capitals":         append(slices.Clone(well), "X-A", "1"),
		"a line feed in a value":     append(slices.Clone(well), "x-a", "1\r\nx: y"),
		"a pseudo header of its own": append(slices.Clone(well), ":x", "1"),
		"a space in a path":          {":method", "GET", ":scheme", "https", ":authority", "app.dev", ":path", "/ HTTP/1.1"},
		"a space in a query":         {":method", "GET", ":scheme", "https", ":authority", "app.dev", ":path", "/?a b"},
		"a tab in a path":            {":method", "GET", ":scheme", "https", ":authority", "app.dev", ":path", "/\t"},
		"a control character":        {":method", "GET", ":scheme", "https", ":authority", "app.dev", ":path", "/\x7f"},
		"a NUL":                      append(slices.Clone(well), "x-a", "a\x00b"),
		"a fragment":                 {":method", "GET", ":scheme", "https", ":authority", "app.dev", ":path", "/a#b"},
		"a fragment of a query":      {":method", "GET", ":scheme", "https", ":authority", "app.dev", ":path", "/a?b#c"},
		"GET of everything":          {":method", "GET", ":scheme", "https", ":authority", "app.dev", ":path", "*"},
		"a host with a space":        {":method", "GET", ":scheme", "https", ":authority", "app.dev /x", ":path", "/"},
		"a host with credentials":    {":method", "GET", ":scheme", "https", ":authority", "user@app.dev", ":path", "/"},
		"another host with a space":  {":method", "GET", ":scheme", "https", ":path", "/", "host", "a b"},
		"two paths":                  append([]string{":path", "/x"}, well...),
		"two hosts above all":        append([]string{":authority", "evil.dev"}, well...),
		"a protocol":                 append([]string{":protocol", "websocket"}, well...),
		"CONNECT with a protocol":    {":method", "CONNECT", ":authority", "app.dev", ":protocol", ""},
		"CONNECT to a bad escape":    {":method", "CONNECT", ":authority", "%0"},
		"CONNECT to half an address": {":method", "CONNECT", ":authority", "[::1"},
		"CONNECT with a path":        {":method", "CONNECT", ":scheme", "https", ":authority", "app.dev", ":path", "/"},
	} {
		t.Run(name, func(t *testing.T) {
			c := dial2(t, addr)
			c.headers(1, true, fields...)
			c.wantReset(1, http2.ErrCodeProtocol)
		})
	}
	t.Run("a body that is longer than its length", func(t *testing.T) {
		c := dial2(t, addr)
		c.headers(1, false, append(slices.Clone(well), "content-length", "3")...)
		_ = c.WriteData(1, true, []byte("more"))
		c.wantReset(1, http2.ErrCodeProtocol)
	})
	t.Run("a body that is shorter", func(t *testing.T) {
		c := dial2(t, addr)
		c.headers(1, false, append(slices.Clone(well), "content-length", "30")...)
		_ = c.WriteData(1, true, []byte("less"))
		c.wantReset(1, http2.ErrCodeProtocol)
	})
}

func TestHeadersTooLargeOverHTTP2(t *testing.T) {
	authority, addr := serveTLS(t, Config{Handler: http.HandlerFunc(tell), MaxHeaderBytes: 10_000}, "h2")
	_ = authority
	c := dial2(t, addr)
	fields := []string{":method", "GET", ":scheme", "https", ":authority", "app.dev", ":path", "/"}
	for range 12 {
		fields = append(fields, "x", strings.Repeat("x", 1000))
	}
	c.headers(1, true, fields...)
	if f, ok := c.next().(*http2.MetaHeadersFrame); !ok || f.PseudoValue("status") != "431" {
		t.Errorf("got %v", f)
	}
	c.headers(3, true) // the connection goes on
	if f, ok := c.next().(*http2.MetaHeadersFrame); !ok || f.PseudoValue("status") != "200" {
		t.Errorf("got %v", f)
	}
}

// A client that asks, and gives up at once, again and again, is sent away.
func TestNuisance(t *testing.T) {
	for name, nuisance := range map[string]func(*raw2, uint32){
		"requests given up":         func(c *raw2, id uint32) { c.headers(id, true); _ = c.WriteRSTStream(id, http2.ErrCodeCancel) },
		"requests that are refused": func(c *raw2, id uint32) { c.headers(id, true, ":method", "GET") },
		"settings in one frame": func(c *raw2, id uint32) {
			if id > 1 {
				return
			}
			_ = c.WriteSettings(slices.Repeat([]http2.Setting{{ID: http2.SettingInitialWindowSize, Val: 1}}, 2000)...)
		},
		"pings":      func(c *raw2, _ uint32) { _ = c.WritePing(false, [8]byte{}) },
		"settings":   func(c *raw2, _ uint32) { _ = c.WriteSettings() },
		"priorities": func(c *raw2, id uint32) { _ = c.WritePriority(id, http2.PriorityParam{}) },
		"empty data": func(c *raw2, id uint32) {
			if id == 1 {
				c.headers(1, false)
			}
			_ = c.WriteData(1, false, nil)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, addr := serveTLS(t, Config{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { <-r.Context().Done() })}, "h2")
			c := dial2(t, addr)
			go func() {
				for id := uint32(1); id < 40_000; id += 2 {
					nuisance(c, id)
				}
			}()
			c.wantGoAway(http2.ErrCodeEnhanceYourCalm)
		})
	}
}

// There are never more requests under way than was said, given up or not.
func TestStreamsAreLimited(t *testing.T) {
	var running, most atomic.Int64
	release := make(chan struct{})
	_, addr := serveTLS(t, Config{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n := running.Add(1)
		for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
		}
		<-release // whatever the client does
		running.Add(-1)
	})}, "h2")
	c := dial2(t, addr)
	for i := range uint32(2 * maxStreams) {
		c.headers(2*i+1, true)
		_ = c.WriteRSTStream(2*i+1, http2.ErrCodeCancel)
	}
	c.wantReset(2*maxStreams+1, http2.ErrCodeRefusedStream)
	close(release)
	if most.Load() > maxStreams {
		t.Errorf("%d at once", most.Load())
	}
}

func TestFlowControl(t *testing.T) {
	large := strings.Repeat("0123456789", 20_000)
	_, addr := serveTLS(t, Config{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, large) })}, "h2")
	c := dial2(t, addr)
	_ = c.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 10})
	c.headers(1, true)
	got := 0
	for got < len(large) {
		switch f := c.next().(type) {
		case *http2.DataFrame:
			if len(f.Data()) > 10 && got < 100 || len(f.Data()) > maxFrame {
				t.Fatalf("%d bytes at once", len(f.Data()))
			}
			if string(f.Data()) != large[got:got+len(f.Data())] {
				t.Fatal("other bytes")
			}
			got += len(f.Data())
			if f.StreamEnded() && got < len(large) {
				t.Fatalf("ended after %d bytes", got)
			}
			grow := uint32(10)
			if got >= 100 {
				grow = 50_000
			}
			_ = c.WriteWindowUpdate(1, grow)
			_ = c.WriteWindowUpdate(0, grow)
		case *http2.MetaHeadersFrame:
		default:
			t.Fatalf("got %v", f)
		}
	}
	t.Run("a window that is too large", func(t *testing.T) {
		c := dial2(t, addr)
		_ = c.WriteWindowUpdate(0, maxWindow)
		c.wantGoAway(http2.ErrCodeFlowControl)
	})
	t.Run("more than the window", func(t *testing.T) {
		_, addr := serveTLS(t, Config{Handler: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })}, "h2")
		c := dial2(t, addr)
		c.headers(1, false)
		go func() {
			for range 200 {
				if c.WriteData(1, false, make([]byte, 10_000)) != nil {
					return
				}
			}
		}()
		c.wantGoAway(http2.ErrCodeFlowControl)
	})
}

// A stream whose client does not let anything be sent is cut in time, and leaves
// the others alone.
func TestAStreamThatStallsIsCut(t *testing.T) {
	stalled := make(chan error, 1)
	authority, addr := serveTLS(t, Config{Handler: http.HandlerFunc(tell), Exchanges: exchangesFunc(func(x *wire.Exchange) bool {
		if x.Target != "/stall" {
			return false
		}
		x.Watch(10*time.Millisecond, nil)
		x.Respond(200, nil, 1<<30)
		for {
			if _, err := x.Write(make([]byte, 1<<10)); err != nil {
				stalled <- err
				panic(http.ErrAbortHandler)
			}
			x.Moved()
		}
	})}, "h2")
	_ = authority
	c := dial2(t, addr)
	c.headers(1, true, ":method", "GET", ":scheme", "https", ":authority", "app.dev", ":path", "/stall")
	_ = c.WriteWindowUpdate(0, 1<<20)
	<-stalled
	c.headers(3, true)
	for {
		switch f := c.next().(type) {
		case *http2.MetaHeadersFrame:
			if f.StreamID == 3 {
				return
			}
		case *http2.DataFrame, *http2.RSTStreamFrame:
		default:
			t.Fatalf("got %v", f)
		}
	}
}

func TestAClientOverHTTP2GoesAway(t *testing.T) {
	for name, leave := range map[string]func(*raw2){
		"from a stream":  func(c *raw2) { _ = c.WriteRSTStream(1, http2.ErrCodeCancel) },
		"for good":       func(c *raw2) { c.conn.Close() },
		"with nonsense":  func(c *raw2) { _, _ = io.WriteString(c.conn, strings.Repeat("nonsense", 1000)) },
		"with a GOAWAY":  func(c *raw2) { _ = c.WriteGoAway(0, http2.ErrCodeNo, nil); c.conn.Close() },
		"without a word": func(c *raw2) { c.conn.(*tls.Conn).NetConn().Close() },
		"in a body":      func(c *raw2) { c.headers(3, false); _ = c.WriteData(3, false, []byte("x")); c.conn.Close() },
		"in a small body": func(c *raw2) {
			c.headers(3, false, ":method", "POST", ":scheme", "https", ":authority", "a", ":path", "/", "content-length", "5")
			c.conn.Close()
		},
	} {
		t.Run(name, func(t *testing.T) {
			handler, under, ended := waiting()
			s, addr := serveTLS2(t, Config{Handler: handler})
			c := dial2(t, addr)
			c.headers(1, true)
			<-under
			leave(c)
			if err := <-ended; err != context.Canceled {
				t.Errorf("the cause is %v", err)
			}
			if name != "from a stream" {
				waitEmpty(t, s)
			}
		})
	}
}

// serveTLS2 serves HTTP/2 only.
func serveTLS2(t testing.TB, c Config) (*Server, string) {
	t.Helper()
	s, _, addr := startTLS(t, c, "h2")
	return s, addr
}

func waitEmpty(t testing.TB, s *Server) {
	t.Helper()
	if empty := s.whenEmpty(); empty != nil {
		select {
		case <-empty:
		case <-time.After(10 * time.Second):
			t.Error("a connection is left")
		}
	}
}

func TestShutdownOverHTTP2(t *testing.T) {
	t.Parallel()
	under, release := make(chan struct{}, 2), make(chan struct{})
	s, addr := serveTLS2(t, Config{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/slow" {
			under <- struct{}{}
			<-release
		}
		fmt.Fprint(w, "hello")
	})})
	slow := []string{":method", "GET", ":scheme", "https", ":authority", "app.dev", ":path", "/slow"}
	busy, resting := dial2(t, addr), dial2(t, addr)
	busy.headers(1, true, slow...)
	<-under
	resting.headers(1, true)
	for ended := false; !ended; {
		if f, ok := resting.next().(*http2.DataFrame); ok {
			ended = f.StreamEnded()
		}
	}
	over := make(chan error, 1)
	go func() { over <- s.Shutdown(t.Context(), 2*time.Second) }()
	for _, c := range []*raw2{busy, resting} {
		if f, ok := c.next().(*http2.GoAwayFrame); !ok || f.ErrCode != http2.ErrCodeNo || f.LastStreamID != maxWindow {
			t.Fatalf("got %v", f)
		}
	}
	resting.headers(3, true) // was on its way
	if f, ok := resting.next().(*http2.MetaHeadersFrame); !ok || f.PseudoValue("status") != "200" {
		t.Errorf("got %v", f)
	}
	close(release)
	whole := false
	for !whole {
		switch f := busy.next().(type) {
		case *http2.DataFrame:
			whole = f.StreamEnded()
		case *http2.MetaHeadersFrame:
		default:
			t.Fatalf("got %v", f)
		}
	}
	if err := <-over; err != nil {
		t.Error(err)
	}
}

// A connection can be so new when the server begins to end that the client has
// not said anything on it. It is greeted first, then told to go, and answered what
// it has asked meanwhile.
func TestANewConnectionIsGreetedBeforeItIsDismissed(t *testing.T) {
	tests := []struct {
		name  string
		ended func(*Server, net.Conn) net.Conn // ends the server, at some time before the client's preface
	}{
		{"before the TLS handshake", func(s *Server, conn net.Conn) net.Conn {
			until(func() bool { return s.whenEmpty() != nil })
			s.stopAccepting()
			s.dismiss()
			return tls.Client(conn, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2"}})
		}},
		{"after it", func(s *Server, conn net.Conn) net.Conn {
			secure := tls.Client(conn, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2"}})
			_ = secure.HandshakeContext(t.Context())
			var h2 *conn2
			until(func() bool { h2 = only2(s); return h2 != nil })
			s.stopAccepting()
			s.dismiss()
			until(func() bool { h2.mu.Lock(); defer h2.mu.Unlock(); return h2.leaving })
			return secure
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s, addr := serveTLS2(t, Config{Handler: http.HandlerFunc(tell)})
			conn, err := net.Dial("tcp", addr)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			c := greet2(t, tt.ended(s, conn))
			if f, err := c.ReadFrame(); err != nil || f.Header().Type != http2.FrameSettings {
				t.Fatalf("it begins with %v, %v", f, err)
			}
			if f, ok := c.next().(*http2.GoAwayFrame); !ok || f.ErrCode != http2.ErrCodeNo || f.LastStreamID != maxWindow {
				t.Errorf("got %v", f)
			}
			c.headers(1, true) // was on its way
			if f, ok := c.next().(*http2.MetaHeadersFrame); !ok || f.PseudoValue("status") != "200" {
				t.Errorf("got %v", f)
			}
		})
	}
}

// So is one whose client does not speak HTTP/2, though it has agreed to.
func TestNonsenseIsGreeted(t *testing.T) {
	_, addr := serveTLS2(t, Config{Handler: unreachable(t)})
	conn, err := tls.Dial("tcp", addr, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2"}})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_, _ = io.WriteString(conn, strings.Repeat("nonsense", 3))
	frames := http2.NewFramer(nil, conn)
	for _, want := range []http2.FrameType{http2.FrameSettings, http2.FrameWindowUpdate, http2.FrameGoAway} {
		if f, err := frames.ReadFrame(); err != nil || f.Header().Type != want {
			t.Fatalf("got %v, %v, want %v", f, err, want)
		}
	}
}

// until waits for what no other goroutine tells of.
func until(is func() bool) {
	for !is() {
		time.Sleep(time.Millisecond)
	}
}

// only2 is the one connection of a server, if it speaks HTTP/2 already.
func only2(s *Server) *conn2 {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.conns {
		return c.h2.Load()
	}
	return nil
}

func TestTimeLimitsOverHTTP2(t *testing.T) {
	s, addr := serveTLS2(t, Config{Handler: http.HandlerFunc(tell), ReadHeaderTimeout: time.Second, IdleTimeout: time.Second})
	t.Run("until the preface", func(t *testing.T) {
		conn, err := tls.Dial("tcp", addr, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2"}})
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		waitEmpty(t, s)
	})
	t.Run("between requests", func(t *testing.T) {
		c := dial2(t, addr)
		c.headers(1, true)
		if f, ok := c.next().(*http2.MetaHeadersFrame); !ok {
			t.Errorf("got %v", f)
		}
		if f, ok := c.next().(*http2.DataFrame); !ok || !f.StreamEnded() {
			t.Errorf("got %v", f)
		}
		// A request that is sent now can be sent again.
		if f, ok := c.next().(*http2.GoAwayFrame); !ok || f.ErrCode != http2.ErrCodeNo || f.LastStreamID != 1 {
			t.Errorf("got %v", f)
		}
		c.headers(3, true)
		if f, err := c.ReadFrame(); err == nil {
			t.Errorf("got %v after the end", f)
		}
		waitEmpty(t, s)
	})
}

// Bodies up and down at once, given up here and there, come to their own.
func TestManyStreamsAtOnce(t *testing.T) {
	authority, addr := serveTLS(t, Config{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(w, r.Body)
	})}, "h2")
	transport := client2(t, authority)
	var clients sync.WaitGroup
	for i := range 40 {
		clients.Go(func() {
			for j := range 20 {
				ctx, cancel := context.WithCancel(t.Context())
				content := strings.Repeat(fmt.Sprintf("%d-%d ", i, j), 1<<(j%17))
				r := httptest.NewRequestWithContext(ctx, "POST", "https://"+addr, strings.NewReader(content))
				if (i+j)%7 == 0 {
					time.AfterFunc(time.Millisecond, cancel)
				}
				resp, err := transport.RoundTrip(r)
				if err == nil {
					var body []byte
					body, err = io.ReadAll(resp.Body)
					resp.Body.Close()
					if err == nil && string(body) != content {
						t.Errorf("got %d bytes, want %d", len(body), len(content))
					}
				}
				if err != nil && !errors.Is(err, context.Canceled) {
					t.Error(err)
				}
				cancel()
			}
		})
	}
	clients.Wait()
}

// servePrior2 serves HTTP/2 without TLS, which would take all the time.
func servePrior2(t testing.TB, c Config) (addr string) {
	t.Helper()
	c.Logger = slog.New(slog.DiscardHandler)
	s := New(c)
	t.Cleanup(func() { s.Close() })
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			socket, err := l.Accept()
			if err != nil {
				return
			}
			go s.newConn(socket, nil).serve2()
		}
	}()
	return l.Addr().String()
}

// Whatever is sent, the server goes on.
func FuzzFrames(f *testing.F) {
	var b bytes.Buffer
	c := &raw2{Framer: http2.NewFramer(&b, nil)}
	c.enc = hpack.NewEncoder(&c.hbuf)
	_ = c.WriteSettings()
	c.headers(1, false)
	_ = c.WriteData(1, true, []byte("hello"))
	_ = c.WriteWindowUpdate(0, 100)
	_ = c.WriteRSTStream(1, http2.ErrCodeCancel)
	_ = c.WritePing(false, [8]byte{})
	_ = c.WriteGoAway(1, http2.ErrCodeNo, nil)
	f.Add(b.Bytes())
	addr := servePrior2(f, Config{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.Copy(w, r.Body) })})
	f.Fuzz(func(t *testing.T, frames []byte) {
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
		_, _ = io.WriteString(conn, http2.ClientPreface)
		_, _ = conn.Write(frames)
		_ = conn.(*net.TCPConn).CloseWrite()
		if _, err := io.Copy(io.Discard, conn); errors.Is(err, os.ErrDeadlineExceeded) {
			t.Error("the connection does not end")
		}
		conn, err = net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		well := greet2(t, conn)
		well.headers(1, true)
		if f, ok := well.next().(*http2.MetaHeadersFrame); !ok || f.PseudoValue("status") != "200" {
			t.Errorf("afterwards: %v", f)
		}
		well.conn.Close()
	})
}

// A long header makes the buffer longer, but not the frames.
func TestFramesAreNeverTooLong(t *testing.T) {
	_, addr := serveTLS(t, Config{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		for i := range 60 {
			w.Header().Set(fmt.Sprintf("X-%d", i), strings.Repeat("x", 1000))
		}
		_, _ = w.Write(make([]byte, 1<<20))
	})}, "h2")
	c := dial2(t, addr)
	_ = c.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1 << 21})
	_ = c.WriteWindowUpdate(0, 1<<21)
	c.SetMaxReadFrameSize(maxFrame)
	c.headers(1, true)
	for {
		if f, ok := c.next().(*http2.DataFrame); ok && f.StreamEnded() {
			return
		}
	}
}

// What an application sends in a header does not hurt the client.
func TestControlCharactersOfAnAnswer(t *testing.T) {
	for _, protocol := range []string{"http/1.1", "h2"} {
		authority, addr := serveTLS(t, Config{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("X", "a\x00b\r\nc\td\x7f")
		})}, protocol)
		transport := client2(t, authority)
		transport.TLSClientConfig.NextProtos, transport.ForceAttemptHTTP2 = []string{protocol}, protocol == "h2"
		resp, err := transport.RoundTrip(mustRequest(t, "https://"+addr))
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if got := resp.Header.Get("X"); got != "a b  c\td" {
			t.Errorf("%s: got %q", resp.Proto, got)
		}
	}
}

func TestCookiesAreJoined(t *testing.T) {
	seen := make(chan []string, 1)
	_, addr := serveTLS(t, Config{Handler: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { seen <- r.Header["Cookie"] })}, "h2")
	c := dial2(t, addr)
	c.headers(1, true, ":method", "GET", ":scheme", "https", ":authority", "app.dev", ":path", "/", "cookie", "a=b", "x", "y", "cookie", " c=d", "cookie", "e=f")
	if got := <-seen; len(got) != 1 || got[0] != "a=b; c=d; e=f" {
		t.Errorf("got %q", got)
	}
}

func TestOptionsOfEverything(t *testing.T) {
	_, addr := serveTLS(t, Config{Handler: unreachable(t)}, "h2")
	c := dial2(t, addr)
	c.headers(1, true, ":method", "OPTIONS", ":scheme", "https", ":authority", "app.dev", ":path", "*")
	if f, ok := c.next().(*http2.MetaHeadersFrame); !ok || f.PseudoValue("status") != "200" || !f.StreamEnded() {
		t.Errorf("got %v", f)
	}
}

// Whatever comes over HTTP/2 is one request when it is said in the words of
// HTTP/1.1, or it is refused.
func FuzzRequestOverHTTP2(f *testing.F) {
	f.Add("GET", "/", "app.dev", "x-a", "b")
	f.Add("GET", "/a?b#c", "app.dev", "x-a", "b")
	f.Add("GET", "/a b", "app.dev", "x-a", "b\r\nc: d")
	f.Add("POST", "/%2f?a b", "app.dev:80", "host", "evil.dev")
	f.Add("OPTIONS", "*", "", "cookie", "a=b")
	f.Add("CONNECT", "", "app.dev:443", "content-length", "0")
	f.Add("CONNECT", "", "%0", "x-a", "b")
	f.Add("GET", "//evil.dev\x00", "[::1]", "transfer-encoding", "chunked")
	var got atomic.Pointer[string]
	say := func(method, target, host string, fields http.Header) {
		var b strings.Builder
		fmt.Fprintf(&b, "%s %s HTTP/1.1\r\nHost: %s\r\n", method, target, host)
		_ = fields.Write(&b)
		said := b.String() + "\r\n"
		got.Store(&said)
	}
	addr := servePrior2(f, Config{
		Handler: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			target := r.RequestURI
			if r.Method != http.MethodConnect && upstreamTarget(r.URL) != target {
				target = "the URL is another one: " + upstreamTarget(r.URL)
			}
			say(r.Method, target, r.Host, r.Header)
		}),
		Exchanges: exchangesFunc(func(x *wire.Exchange) bool {
			if strings.Contains(x.Target, "request") {
				return false
			}
			say(x.Method, x.Target, x.Host, x.Fields.Header())
			x.Respond(200, nil, 0)
			return true
		}),
	})
	f.Fuzz(func(t *testing.T, method, path, authority, name, value string) {
		if len(path)+len(value)+len(name)+len(authority)+len(method) > 8<<10 {
			return // frames would have to be several
		}
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		c := greet2(t, conn)
		got.Store(nil)
		fields := []string{":method", method, ":authority", authority}
		if method != http.MethodConnect {
			fields = append(fields, ":scheme", "https", ":path", path)
		}
		c.headers(1, true, append(fields, name, value)...)
		refused := false
		switch f := c.next().(type) {
		case *http2.RSTStreamFrame:
			refused = true
		case *http2.MetaHeadersFrame:
		default:
			t.Fatalf("got %v", f)
		}
		said := got.Load()
		if said == nil {
			return
		}
		if refused {
			t.Fatalf("refused, and yet %q", *said)
		}
		r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(*said)))
		switch {
		case err != nil:
			t.Fatalf("%q: %v", *said, err)
		case r.Method != method || r.Proto != "HTTP/1.1" || method != http.MethodConnect && r.RequestURI != path || strings.Contains(r.RequestURI, "#") || len(r.Header) > 1:
			t.Errorf("%q is read as %s %s %s %v", *said, r.Method, r.RequestURI, r.Proto, r.Header)
		}
	})
}

// upstreamTarget is what a transport makes of a request's URL.
func upstreamTarget(u *url.URL) string { return u.RequestURI() }

// Each byte of a window wakes all who wait for it.
func TestAWindowThatOpensByBytesIsANuisance(t *testing.T) {
	_, addr := serveTLS2(t, Config{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(make([]byte, 1<<20)) })})
	c := dial2(t, addr)
	for id := uint32(1); id < 100; id += 2 {
		c.headers(id, true)
	}
	go func() {
		for range 100_000 {
			if c.WriteWindowUpdate(0, 1) != nil {
				return
			}
		}
	}()
	c.wantGoAway(http2.ErrCodeEnhanceYourCalm)
}

// What a client sends before it learns that its request was answered early is no
// error, of however many requests.
func TestUploadsThatAreAnsweredEarly(t *testing.T) {
	_, addr := serveTLS2(t, Config{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusForbidden) })})
	c := dial2(t, addr)
	const last = 2*200 - 1
	for id := uint32(1); id <= last; id += 2 {
		c.headers(id, false, ":method", "POST", ":scheme", "https", ":authority", "app.dev", ":path", "/")
		c.wantReset(id, http2.ErrCodeNo)
	}
	for id := uint32(1); id <= last; id += 2 {
		_ = c.WriteData(id, false, []byte("hello"))
	}
	_ = c.WritePing(false, [8]byte{1})
	if f, ok := c.next().(*http2.PingFrame); !ok {
		t.Errorf("got %v", f)
	}
}
