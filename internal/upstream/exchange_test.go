package upstream

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/clerkproxy/clerkproxy/internal/wire"
)

// watcher is whom an exchange is told of what to cut.
type watcher struct {
	wire.Responder
	mu    sync.Mutex
	cut   func()
	cause error
}

func (w *watcher) Watch(_ time.Duration, cut func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.cut = cut
}

func (w *watcher) Cut() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.cause
}

func (w *watcher) interrupt(cause error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.cause = cause
	if w.cut != nil {
		w.cut()
	}
}

// asExchange is a RoundTripper that sends requests as exchanges.
type asExchange struct {
	*Transport
	plain *int
}

func (t asExchange) RoundTrip(req *http.Request) (*http.Response, error) {
	var body []byte
	if req.Body != nil {
		body, _ = io.ReadAll(req.Body)
	}
	x := &wire.Request{Method: req.Method, Target: req.URL.RequestURI(), Host: req.URL.Host, Body: body}
	for name, values := range req.Header {
		for _, value := range values {
			x.Fields = append(x.Fields, wire.Field{Name: name, Value: value})
		}
	}
	a, err := t.Exchange(x, &watcher{}, nil)
	if err != nil {
		return nil, err
	}
	if a.Length < 0 {
		return a.Response(req)
	}
	*t.plain++
	content, err := io.ReadAll(io.LimitReader(&a, a.Length))
	a.Close()
	return &http.Response{
		StatusCode: a.Status, Header: a.Fields.Header(), ContentLength: a.Length,
		Body: io.NopCloser(io.MultiReader(strings.NewReader(string(content)), failing{err})),
	}, nil
}

// failing reads nothing but an error, if it has one.
type failing struct{ err error }

func (f failing) Read([]byte) (int, error) {
	if f.err != nil {
		return 0, f.err
	}
	return 0, io.EOF
}

// An exchange and net/http's transport see the same, whatever the upstream says.
func TestAnExchangeAgreesWithTheStandardTransport(t *testing.T) {
	plain := 0
	for name, raw := range answers {
		for _, method := range []string{"GET", "HEAD", "POST", "DELETE"} {
			t.Run(method+" answered "+name, func(t *testing.T) {
				o := script(t, answering(raw))
				body := map[string]string{"POST": "a=b", "DELETE": "c=d"}[method]
				tr := newLane(t, o, Config{}, 1)
				got := observe(asExchange{tr, &plain}, request(t, o, method, "/v1/client?x", body))
				want := observe(tr.shared, request(t, o, method, "/v1/client?x", body))
				if want.Failed || want.Status < 100 {
					want = answer{Failed: true}
				}
				if !reflect.DeepEqual(got, want) {
					t.Errorf("got  %.300v\nwant %.300v", fmt.Sprintf("%+v", got), fmt.Sprintf("%+v", want))
				}
			})
		}
	}
	if plain < 20 {
		t.Errorf("only %d answers were plain", plain)
	}
}

func TestExchangesUseConnectionsAgain(t *testing.T) {
	o := script(t, func(c net.Conn, br *bufio.Reader) {
		for {
			r, err := http.ReadRequest(br)
			if err != nil {
				return
			}
			body, _ := io.ReadAll(r.Body)
			content := strings.Repeat(r.URL.Path+string(body), 5000)
			fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(content), content)
		}
	})
	plain := 0
	tr := newLane(t, o, Config{}, 1)
	for i := range 10 {
		path := fmt.Sprintf("/%d", i)
		if a := observe(asExchange{tr, &plain}, request(t, o, "POST", path, "x")); a.Body != strings.Repeat(path+"x", 5000) {
			t.Fatalf("exchange %d: %.100v", i, a)
		}
	}
	if s := tr.Stats(); s.Opened != 1 || s.Requests != 10 || s.Answers != 10 {
		t.Errorf("got %+v", s)
	}
}

func TestAnExchangeNeedsAConnection(t *testing.T) {
	o := script(t, answering("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"))
	tr := newLane(t, o, Config{}, 0)
	if _, err := tr.Exchange(&wire.Request{Method: "GET", Target: "/"}, &watcher{}, nil); err != ErrNoConnection {
		t.Errorf("got %v", err)
	}
	if s := tr.Stats(); s.Requests != 0 {
		t.Errorf("got %+v", s)
	}
}

// What was closed while it was idle costs no safe exchange, which is not sent again
// and again either; another is sent once.
func TestAnExchangeOverConnectionsThatEnd(t *testing.T) {
	for method, want := range map[string]struct {
		err  error
		sent int
	}{"GET": {ErrNoConnection, maxTries}, "POST": {io.EOF, 1}} {
		t.Run(method, func(t *testing.T) {
			requests := make(chan string, 20)
			o := script(t, func(_ net.Conn, br *bufio.Reader) {
				if r, err := http.ReadRequest(br); err == nil {
					requests <- r.Method // and hangs up
				}
			})
			tr := newLane(t, o, Config{}, 20)
			_, err := tr.Exchange(&wire.Request{Method: method, Target: "/", Host: "x"}, &watcher{}, nil)
			if !errors.Is(err, want.err) {
				t.Errorf("got %v, want %v", err, want.err)
			}
			if len(requests) != want.sent {
				t.Errorf("sent %d times, want %d", len(requests), want.sent)
			}
		})
	}
}

func TestAnExchangeIsCut(t *testing.T) {
	cause := errors.New("cause")
	for name, begun := range map[string]string{
		"before the answer":   "",
		"in its head":         "HTTP/1.1 200 OK\r\nContent-Le",
		"in its body":         "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf",
		"in an unusual body":  "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf",
		"in an unusual head":  "HTTP/1.0 200 OK\r\n",
		"behind an interim":   "HTTP/1.1 103 Early Hints\r\n\r\n",
		"behind half of one":  "HTTP/1.1 103 Early Hints\r\n",
		"with nothing at all": "H",
	} {
		t.Run(name, func(t *testing.T) {
			hungUp := make(chan struct{})
			asked := make(chan struct{})
			o := script(t, func(c net.Conn, br *bufio.Reader) {
				if _, err := http.ReadRequest(br); err != nil {
					return
				}
				_, _ = io.WriteString(c, begun)
				close(asked)
				_, _ = io.Copy(io.Discard, br)
				close(hungUp)
			})
			tr := newLane(t, o, Config{}, 1)
			x := &watcher{}
			ctx, cancel := context.WithCancel(t.Context())
			go func() { <-asked; x.interrupt(cause); cancel() }()
			a, err := tr.Exchange(&wire.Request{Method: "GET", Target: "/", Host: "x"}, x, nil)
			switch {
			case err != nil:
			case a.Length < 0:
				req := request(t, o, "GET", "/", "").WithContext(httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
					Got1xxResponse: func(int, textproto.MIMEHeader) error { return nil },
				}))
				var resp *http.Response
				if resp, err = a.Response(req); err == nil {
					_, err = io.ReadAll(resp.Body)
					resp.Body.Close()
				}
			default:
				_, err = io.ReadAll(&a)
				a.Close()
			}
			if err == nil {
				t.Error("no error")
			}
			<-hungUp
			if n := tr.lane.idleConns(); n != 0 {
				t.Errorf("%d connections are kept", n)
			}
		})
	}
}
