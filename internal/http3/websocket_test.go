package http3

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/quic-go/qpack"
	"github.com/quic-go/quic-go"
	h3 "github.com/quic-go/quic-go/http3"
	"github.com/quic-go/quic-go/quicvarint"
)

var asksForWebSocket = []string{
	":method", "CONNECT", ":protocol", "websocket", ":scheme", "https", ":authority", "app.dev", ":path", "/socket?a=b",
	"sec-websocket-version", "13", "sec-websocket-protocol", "chat", "origin", "https://app.dev",
}

// next reads a frame.
func next(t testing.TB, r *bufio.Reader) (kind uint64, content []byte) {
	t.Helper()
	kind, err := quicvarint.Read(r)
	if err != nil {
		t.Fatal(err)
	}
	n, err := quicvarint.Read(r)
	if err != nil {
		t.Fatal(err)
	}
	content = make([]byte, n)
	if _, err := io.ReadFull(r, content); err != nil {
		t.Fatal(err)
	}
	return kind, content
}

// head reads the header of an answer.
func head(t testing.TB, r *bufio.Reader) map[string]string {
	t.Helper()
	kind, block := next(t, r)
	if kind != frameHeaders {
		t.Fatalf("got a frame of kind %d", kind)
	}
	fields := map[string]string{}
	for decode := qpack.NewDecoder().Decode(block); ; {
		f, err := decode()
		if err != nil {
			return fields
		}
		fields[f.Name] = f.Value
	}
}

// proxied serves an application behind a proxy.
func proxied(t *testing.T, app http.HandlerFunc) *served {
	backend := httptest.NewServer(app)
	t.Cleanup(backend.Close)
	target, _ := url.Parse(backend.URL)
	return serve(t, Config{Handler: httputil.NewSingleHostReverseProxy(target)})
}

// upper answers what comes over a connection that was switched, in capitals.
func upper(w http.ResponseWriter, accept string) {
	conn, rw, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	defer conn.Close()
	fmt.Fprintf(rw, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: %s\r\nSec-WebSocket-Protocol: chat\r\n\r\nHELLO", accept)
	rw.Flush()
	for buf := make([]byte, 1000); ; {
		n, err := conn.Read(buf)
		if err != nil {
			return
		}
		_, _ = conn.Write(bytes.ToUpper(buf[:n]))
	}
}

func TestWebSocketsReachTheApplication(t *testing.T) {
	asked := make(chan *http.Request, 1)
	ended := make(chan struct{})
	s := proxied(t, func(w http.ResponseWriter, r *http.Request) {
		asked <- r
		upper(w, accepting(r.Header.Get("Sec-WebSocket-Key")))
		close(ended)
	})
	stream := s.dial(t).ask(headers(asksForWebSocket...))
	r := bufio.NewReader(stream)
	got := head(t, r)
	if got[":status"] != "200" || got["sec-websocket-protocol"] != "chat" {
		t.Errorf("got %v", got)
	}
	for _, name := range []string{"connection", "upgrade", "sec-websocket-accept"} {
		if _, ok := got[name]; ok {
			t.Errorf("got %s", name)
		}
	}
	request := await(t, asked)
	if request.Method != "GET" || request.RequestURI != "/socket?a=b" || request.Host != "app.dev" || len(request.Header.Get("Sec-WebSocket-Key")) != 24 ||
		request.Header.Get("Sec-WebSocket-Version") != "13" || request.Header.Get("Origin") != "https://app.dev" || request.Header.Get("Upgrade") != "websocket" {
		t.Errorf("the application was asked %v", request)
	}
	if _, p := next(t, r); string(p) != "HELLO" {
		t.Errorf("got %q", p)
	}
	stream.Write(frame(frameData, []byte("abc")))
	if _, p := next(t, r); string(p) != "ABC" {
		t.Errorf("got %q", p)
	}

	// WebSockets are not waited for.
	if err := s.Shutdown(t.Context(), 0); err != nil {
		t.Error(err)
	}
	stream.Write(frame(frameData, []byte("d")))
	if _, p := next(t, r); string(p) != "D" {
		t.Errorf("got %q", p)
	}
	stream.Close()
	if rest, err := io.ReadAll(r); len(rest) > 0 || err != nil {
		t.Errorf("got %q, %v", rest, err)
	}
	await(t, ended)
}

func TestAWebSocketThatIsGivenUp(t *testing.T) {
	ended := make(chan struct{})
	s := proxied(t, func(w http.ResponseWriter, r *http.Request) {
		upper(w, accepting(r.Header.Get("Sec-WebSocket-Key")))
		close(ended)
	})
	stream := s.dial(t).ask(headers(asksForWebSocket...))
	head(t, bufio.NewReader(stream))
	stream.CancelRead(quic.StreamErrorCode(h3.ErrCodeRequestCanceled))
	stream.CancelWrite(quic.StreamErrorCode(h3.ErrCodeRequestCanceled))
	await(t, ended)
}

func TestAWebSocketThatIsRefused(t *testing.T) {
	s := proxied(t, func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no", http.StatusForbidden) })
	stream := s.dial(t).ask(headers(asksForWebSocket...))
	if got := head(t, bufio.NewReader(stream)); got[":status"] != "403" {
		t.Errorf("got %v", got)
	}
}

func TestAnApplicationThatSwitchesForAnotherKey(t *testing.T) {
	s := proxied(t, func(w http.ResponseWriter, _ *http.Request) { upper(w, accepting("x")) })
	wantReset(t, s.dial(t).ask(headers(asksForWebSocket...)), h3.ErrCodeInternalError)
}

func TestOtherProtocolsAreNotThere(t *testing.T) {
	s := serve(t, Config{Handler: http.NotFoundHandler()})
	fields := slices.Clone(asksForWebSocket)
	fields[3] = "connect-udp"
	if got := head(t, bufio.NewReader(s.dial(t).ask(headers(fields...)))); got[":status"] != "501" {
		t.Errorf("got %v", got)
	}
}

// Nothing else is a connection to hijack.
func TestARequestIsNotHijacked(t *testing.T) {
	s := serve(t, Config{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _, err := http.NewResponseController(w).Hijack()
		fmt.Fprint(w, err)
	})})
	if _, body := get(t, s.transport(), "https://"+s.addr); !strings.Contains(body, "HTTP/3") {
		t.Errorf("got %q", body)
	}
}
