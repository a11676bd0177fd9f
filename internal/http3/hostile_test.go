package http3

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/quic-go/qpack"
	"github.com/quic-go/quic-go"
	h3 "github.com/quic-go/quic-go/http3"
	"github.com/quic-go/quic-go/quicvarint"
)

const (
	frameData    = 0
	frameHeaders = 1
)

func frame(kind uint64, content []byte) []byte {
	return append(quicvarint.Append(quicvarint.Append(nil, kind), uint64(len(content))), content...)
}

// headers is a frame of names and values.
func headers(fields ...string) []byte {
	var b bytes.Buffer
	e := qpack.NewEncoder(&b)
	for i := 0; i < len(fields); i += 2 {
		_ = e.WriteField(qpack.HeaderField{Name: fields[i], Value: fields[i+1]})
	}
	return frame(frameHeaders, b.Bytes())
}

// ask sends bytes as a request.
func (c *raw) ask(sent ...[]byte) *quic.Stream {
	c.t.Helper()
	stream := c.open()
	for _, b := range sent {
		if _, err := stream.Write(b); err != nil {
			c.t.Fatal(err)
		}
	}
	return stream
}

// wantReset reads until a stream is reset.
func wantReset(t testing.TB, stream *quic.Stream, code h3.ErrCode) {
	t.Helper()
	got, err := io.ReadAll(stream)
	reset, ok := errors.AsType[*quic.StreamError](err)
	if !ok || reset.ErrorCode != quic.StreamErrorCode(code) {
		t.Errorf("got %d bytes, %.100q…, %v; want %v", len(got), got, err, code)
	}
}

var well = []string{":method", "GET", ":scheme", "https", ":authority", "app.dev", ":path", "/"}

// pathIs is a request for a path.
func pathIs(path string) []string {
	return []string{":method", "GET", ":scheme", "https", ":authority", "app.dev", ":path", path}
}

func hostIs(host string) []string {
	return []string{":method", "GET", ":scheme", "https", ":authority", host, ":path", "/"}
}

func TestMalformedRequestsGetNoFurther(t *testing.T) {
	s := serve(t, Config{Handler: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		t.Errorf("%s %q %q came through", r.Method, r.RequestURI, r.Host)
	})})
	for name, fields := range map[string][]string{
		"no method":                    well[2:],
		"no path":                      well[:6],
		"an empty path":                pathIs(""),
		"a path that is none":          pathIs("x"),
		"a full URL":                   pathIs("https://evil.com/"),
		"a path with a space":          pathIs("/a b"),
		"and with an escaped slash":    pathIs("/a b%2F"),
		"a query with a space":         pathIs("/?a HTTP/1.1"),
		"a path with a line feed":      pathIs("/\nX: y"),
		"a path with CR and LF":        pathIs("/ HTTP/1.1\r\nX: y\r\n\r\n"),
		"a path with a NUL":            pathIs("/\x00"),
		"a path with a DEL":            pathIs("/\x7f"),
		"a path with a tab":            pathIs("/\t"),
		"a path with a fragment":       pathIs("/#x"),
		"a query with a fragment":      pathIs("/?x#y"),
		"a bad escape":                 pathIs("/%zz"),
		"an asterisk that is no one's": pathIs("*"),
		"no host":                      {":method", "GET", ":scheme", "https", ":path", "/"},
		"an empty host":                hostIs(""),
		"a host with a space":          hostIs("app.dev evil.com"),
		"a host with CR and LF":        hostIs("app.dev\r\nX: y"),
		"a host with a path":           hostIs("app.dev/x"),
		"a host with a user":           hostIs("me@app.dev"),
		"and another scheme":           {":method", "GET", ":scheme", "ftp", ":authority", "me@app.dev", ":path", "/"},
		"a host that is not ASCII":     hostIs("\xc3\xa9.dev"),
		"two hosts":                    append(slices.Clone(well), "host", "evil.dev"),
		"a method that is none":        {":method", "G ET", ":scheme", "https", ":authority", "app.dev", ":path", "/"},
		"a connection header":          append(slices.Clone(well), "connection", "close"),
		"a transfer coding":            append(slices.Clone(well), "transfer-encoding", "chunked"),
		"te of something":              append(slices.Clone(well), "te", "gzip"),
		"an upgrade":                   append(slices.Clone(well), "upgrade", "websocket"),
		"two lengths":                  append(slices.Clone(well), "content-length", "0", "content-length", "1"),
		"a length that is none":        append(slices.Clone(well), "content-length", "+0"),
		"a name in capitals":           append(slices.Clone(well), "X-A", "1"),
		"a name with a space":          append(slices.Clone(well), "x a", "1"),
		"a line feed in a value":       append(slices.Clone(well), "x-a", "1\r\nx: y"),
		"a pseudo header of its own":   append(slices.Clone(well), ":x", "1"),
		"CONNECT to a bad escape":      {":method", "CONNECT", ":authority", "%0"},
		"CONNECT to half an address":   {":method", "CONNECT", ":authority", "[::1"},
		"CONNECT with a path":          {":method", "CONNECT", ":scheme", "https", ":authority", "app.dev", ":path", "/"},
		"a WebSocket with a space":     {":method", "CONNECT", ":protocol", "websocket", ":scheme", "https", ":authority", "app.dev", ":path", "/a b"},
	} {
		t.Run(name, func(t *testing.T) {
			stream := s.dial(t).ask(headers(fields...))
			stream.Close()
			wantReset(t, stream, h3.ErrCodeMessageError)
		})
	}
}

func TestABodyThatIsNotAsLongAsItSays(t *testing.T) {
	begun, read := make(chan struct{}, 8), make(chan error, 1)
	s := serve(t, Config{Handler: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = r.Body.Read(make([]byte, 1))
		begun <- struct{}{}
		_, err := io.ReadAll(r.Body)
		read <- err
		panic(http.ErrAbortHandler)
	})})
	withLength := func(n string) []byte {
		return headers(append(slices.Clone(well), "content-length", n)...)
	}
	t.Run("but longer", func(t *testing.T) {
		stream := s.dial(t).ask(withLength("3"), frame(frameData, []byte("more")))
		stream.Close()
		if err := await(t, read); err == nil {
			t.Error("it was read to its end")
		}
		wantReset(t, stream, h3.ErrCodeMessageError)
	})
	t.Run("but shorter", func(t *testing.T) {
		s.dial(t).ask(withLength("30"), frame(frameData, []byte("less"))).Close()
		if err := await(t, read); err != io.ErrUnexpectedEOF {
			t.Errorf("got %v", err)
		}
	})
	t.Run("as it breaks off", func(t *testing.T) {
		stream := s.dial(t).ask(headers(well...), frame(frameData, []byte("a piece")))
		for range 3 {
			await(t, begun)
		}
		stream.CancelWrite(quic.StreamErrorCode(h3.ErrCodeRequestCanceled))
		if err := await(t, read); err == nil {
			t.Error("it was read to its end")
		}
	})
}

// It is for the handler to say that this is not a forward proxy.
func TestCONNECTIsARequestWithoutAPath(t *testing.T) {
	asked := make(chan string, 1)
	s := serve(t, Config{Handler: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		asked <- r.Method + " " + r.Host + " " + r.RequestURI + " " + r.URL.String()
	})})
	s.dial(t).ask(headers(":method", "CONNECT", ":authority", "evil.com:443"))
	if got := await(t, asked); got != "CONNECT evil.com:443 evil.com:443 //evil.com:443" {
		t.Errorf("got %q", got)
	}
}

func TestHeadersThatAreTooLarge(t *testing.T) {
	s := serve(t, Config{Handler: http.HandlerFunc(tell), MaxHeaderBytes: 10_000})
	transport := s.transport()
	r := httptest.NewRequestWithContext(t.Context(), "GET", "https://"+s.addr, nil)
	r.Header.Set("X", strings.Repeat("x", 11_000))
	resp, err := transport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("got %d", resp.StatusCode)
	}
	r.Header.Set("X", strings.Repeat("x", 9_000))
	if resp, err = transport.RoundTrip(r); err != nil || resp.StatusCode != 200 {
		t.Errorf("got %v, %v", resp, err)
	}
}

// A client may give requests up as fast as it makes them. Those count that are
// still being answered: quic-go lets it open no other in their place.
func TestRequestsThatWereGivenUpCount(t *testing.T) {
	began, release := make(chan struct{}, maxStreams), make(chan struct{})
	s := serve(t, Config{Handler: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		<-r.Context().Done()
		began <- struct{}{}
		<-release
	})})
	c := s.dial(t)
	for range maxStreams {
		stream := c.ask(headers(well...))
		stream.Close()
		stream.CancelRead(quic.StreamErrorCode(h3.ErrCodeRequestCanceled))
	}
	for range maxStreams {
		await(t, began)
	}
	soon, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if _, err := c.conn.OpenStreamSync(soon); err != context.DeadlineExceeded {
		t.Errorf("got %v", err)
	}
	close(release)
	c.open()
}

func TestAStreamThatIsCancelledEndsItsRequest(t *testing.T) {
	began, ended := make(chan struct{}), make(chan error, 1)
	s := serve(t, Config{Handler: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		close(began)
		<-r.Context().Done()
		ended <- context.Cause(r.Context())
	})})
	stream := s.dial(t).ask(headers(well...))
	stream.Close()
	await(t, began)
	stream.CancelRead(quic.StreamErrorCode(h3.ErrCodeRequestCanceled))
	if err := await(t, ended); err != context.Canceled {
		t.Errorf("got %v", err)
	}
}

func TestTheEndOfAConnectionEndsItsRequests(t *testing.T) {
	began, ended := make(chan struct{}), make(chan struct{})
	s := serve(t, Config{Handler: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		close(began)
		<-r.Context().Done()
		close(ended)
	})})
	c := s.dial(t)
	c.ask(headers(well...)).Close()
	await(t, began)
	c.conn.CloseWithError(0, "")
	await(t, ended)
}

// A stream that is open is not a request.
func TestAConnectionOnWhichNothingIsAskedIsClosed(t *testing.T) {
	s := serve(t, Config{Handler: http.HandlerFunc(tell), IdleTimeout: time.Second})
	c := s.dial(t)
	stream := c.ask(headers(well...)[:2])
	await(t, c.conn.Context().Done())
	if _, err := stream.Read(make([]byte, 1)); err == nil {
		t.Error("the stream goes on")
	}
}

func TestAClientThatReadsNothingIsCutOff(t *testing.T) {
	failed := make(chan error, 1)
	s := serve(t, Config{StallTimeout: 100 * time.Millisecond, Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, err := w.Write(make([]byte, 32<<20))
		failed <- err
	})})
	stream := s.dial(t).ask(headers(well...))
	stream.Close()
	if err := await(t, failed); err == nil {
		t.Error("all of it was sent")
	}
	wantReset(t, stream, h3.ErrCodeInternalError)
}

// What a handler takes is its own time, not that of the client.
func TestAHandlerThatTakesItsTimeIsNotCutOff(t *testing.T) {
	const limit = 50 * time.Millisecond
	half := make([]byte, maxWaiting+1)
	for name, finish := range map[string]func(http.ResponseWriter){
		"and returns": func(http.ResponseWriter) {},
		"and flushes": func(w http.ResponseWriter) { w.(http.Flusher).Flush() },
		"and writes":  func(w http.ResponseWriter) { w.Write(nil) },
	} {
		for _, length := range []string{"", strconv.Itoa(len(half))} {
			s := serve(t, Config{StallTimeout: limit, Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				if length != "" {
					w.Header().Set("Content-Length", length)
				}
				w.Write(half)
				<-time.After(2 * limit) // longer than any client may take
				finish(w)
			})})
			if _, body := get(t, s.transport(), "https://"+s.addr); len(body) != len(half) {
				t.Errorf("%s, length %q: got %d bytes", name, length, len(body))
			}
		}
	}
}

// A retryNoter notes whether what comes is a Retry, RFC 9000 §17.2.5.
type retryNoter struct {
	net.PacketConn
	retried atomic.Bool
}

func (n *retryNoter) ReadFrom(b []byte) (int, net.Addr, error) {
	read, from, err := n.PacketConn.ReadFrom(b)
	if read > 0 && b[0]&0xf0 == 0xf0 {
		n.retried.Store(true)
	}
	return read, from, err
}

func TestClientsHaveToShowTheirAddressWhileManyShakeHands(t *testing.T) {
	for limit, doubted := range map[int]bool{0: false, 2: false, 1: true} {
		began, release := make(chan struct{}), make(chan struct{})
		s := serve(t, Config{Handler: http.HandlerFunc(tell), maxHandshakes: limit})
		get(t, s.transport(), "https://"+s.addr) // a connection is no handshake
		slow := s.client.Clone()
		slow.NextProtos = []string{"h3"}
		slow.VerifyConnection = func(tls.ConnectionState) error {
			close(began)
			<-release
			return nil
		}
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			if c, err := quic.DialAddr(t.Context(), s.addr, slow, nil); err == nil {
				c.CloseWithError(0, "")
			}
		}()
		await(t, began)
		own, err := net.ListenPacket("udp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		noter := &retryNoter{PacketConn: own}
		secure := s.client.Clone()
		secure.NextProtos = []string{"h3"}
		client := &quic.Transport{Conn: noter}
		c, err := client.Dial(t.Context(), s.socket.LocalAddr(), secure, nil)
		if err != nil {
			t.Fatal(err)
		}
		if noter.retried.Load() != doubted {
			t.Errorf("a limit of %d: doubted %v", limit, !doubted)
		}
		c.CloseWithError(0, "")
		client.Close()
		own.Close()
		close(release)
		await(t, ended)
	}
}

// What somebody else may play again is not listened to, RFC 8470.
func TestNothingIsTakenBeforeTheHandshake(t *testing.T) {
	s := serve(t, Config{Handler: http.HandlerFunc(tell)})
	secure := s.client.Clone()
	secure.NextProtos = []string{"h3"}
	tickets := &ticketCache{got: make(chan struct{}, 8)}
	secure.ClientSessionCache = tickets
	first, err := quic.DialAddr(t.Context(), s.addr, secure, nil)
	if err != nil {
		t.Fatal(err)
	}
	await(t, tickets.got)
	first.CloseWithError(0, "")
	again, err := quic.DialAddrEarly(t.Context(), s.addr, secure, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer again.CloseWithError(0, "")
	await(t, again.HandshakeComplete())
	if state := again.ConnectionState(); !state.TLS.DidResume || state.Used0RTT {
		t.Errorf("resumed %v, early %v", state.TLS.DidResume, state.Used0RTT)
	}
}
