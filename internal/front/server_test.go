package front

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/clerkproxy/clerkproxy/internal/wire"
)

// exchangesFunc answers plain exchanges.
type exchangesFunc func(*wire.Exchange) bool

func (f exchangesFunc) ServeExchange(x *wire.Exchange) bool { return f(x) }

// unreachable is a handler that nobody should get to.
func unreachable(t testing.TB) http.Handler {
	return http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		t.Errorf("%s %s reached net/http's handler", r.Method, r.URL)
	})
}

const get = "GET / HTTP/1.1\r\n" + host + "\r\n"

func dial(t *testing.T, addr string) (net.Conn, *bufio.Reader) {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	_ = c.SetDeadline(time.Now().Add(10 * time.Second))
	return c, bufio.NewReader(c)
}

// ask sends a request and returns the answer, its body read.
func ask(t *testing.T, c net.Conn, r *bufio.Reader, request string) (*http.Response, string) {
	t.Helper()
	if _, err := io.WriteString(c, request); err != nil {
		t.Fatal(err)
	}
	return answered(t, r)
}

func answered(t *testing.T, r *bufio.Reader) (*http.Response, string) {
	t.Helper()
	resp, err := http.ReadResponse(r, nil)
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, string(body)
}

// atEnd fails the test unless the connection is closed.
func atEnd(t *testing.T, r *bufio.Reader) {
	t.Helper()
	if b, err := r.ReadByte(); err != io.EOF {
		t.Errorf("read %q, %v; want the end of the connection", b, err)
	}
}

func TestPlainExchanges(t *testing.T) {
	_, addr := serve(t, Config{Handler: unreachable(t), Exchanges: exchangesFunc(func(x *wire.Exchange) bool {
		body := fmt.Sprintf("%s %s %s %q %q %v", x.Method, x.Target, x.Host, x.Fields, x.Body, x.Peer)
		x.Respond(201, wire.Fields{{Name: "X-A", Value: "1"}, {Name: "X-A", Value: "2"}}, int64(len(body)))
		_, _ = x.Write([]byte(body[:3]))
		_, _ = x.Write([]byte(body[3:]))
		return true
	})})
	c, r := dial(t, addr)
	for i := range 3 {
		resp, body := ask(t, c, r, fmt.Sprintf("POST /%d?x HTTP/1.1\r\nhost: app.dev\r\nx-b: c\r\nContent-Length: 2\r\nX-B: d\r\n\r\nab", i))
		if want := fmt.Sprintf(`POST /%d?x app.dev [{"X-B" "c"} {"X-B" "d"}] "ab" 127.0.0.1`, i); body != want {
			t.Errorf("got  %s\nwant %s", body, want)
		}
		if resp.StatusCode != 201 || strings.Join(resp.Header["X-A"], " ") != "1 2" || resp.Header.Get("Date") == "" {
			t.Errorf("got %s %v", resp.Status, resp.Header)
		}
	}
}

func TestAnExchangeThatIsNotTakenIsARequest(t *testing.T) {
	_, addr := serve(t, Config{Handler: http.HandlerFunc(tell), Exchanges: exchangesFunc(func(*wire.Exchange) bool { return false })})
	c, r := dial(t, addr)
	if _, body := ask(t, c, r, get); !strings.HasPrefix(body, "GET / HTTP/1.1") {
		t.Errorf("got %s", body)
	}
}

// What a handler keeps of a request stays as it was.
func TestARequestIsTheHandlersToKeep(t *testing.T) {
	var kept []*http.Request
	_, addr := serve(t, Config{Handler: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { kept = append(kept, r) })})
	c, r := dial(t, addr)
	for i := range 10 {
		ask(t, c, r, fmt.Sprintf("POST /%d HTTP/1.1\r\n%sX: %d\r\nContent-Length: 1\r\n\r\n%d", i, host, i, i))
	}
	for i, r := range kept {
		<-r.Context().Done()
		body, _ := io.ReadAll(r.Body)
		if want := fmt.Sprint(i); r.URL.Path != "/"+want || r.Header.Get("X") != want || string(body) != want {
			t.Errorf("request %d: %s %v %q", i, r.URL, r.Header, body)
		}
	}
}

func TestLargeAnswersArriveWhole(t *testing.T) {
	large := strings.Repeat("0123456789", 1_000_000)
	_, addr := serve(t, Config{Handler: unreachable(t), Exchanges: exchangesFunc(func(x *wire.Exchange) bool {
		x.Respond(200, nil, int64(len(large)))
		for rest := large; rest != ""; rest = rest[min(len(rest), 30_000):] {
			if _, err := x.Write([]byte(rest[:min(len(rest), 30_000)])); err != nil {
				panic(http.ErrAbortHandler)
			}
		}
		return true
	})})
	c, r := dial(t, addr)
	for range 2 {
		if _, body := ask(t, c, r, get); body != large {
			t.Fatalf("got %d bytes", len(body))
		}
	}
}

func TestAnAnswerThatIsTooShortEndsTheConnection(t *testing.T) {
	for name, serveExchange := range map[string]exchangesFunc{
		"because nothing more is written": func(x *wire.Exchange) bool { x.Respond(200, nil, 10); _, _ = x.Write([]byte("half")); return true },
		"because it is aborted": func(x *wire.Exchange) bool {
			x.Respond(200, nil, 10)
			_, _ = x.Write([]byte("half"))
			panic(http.ErrAbortHandler)
		},
		"because of a panic": func(x *wire.Exchange) bool { x.Respond(200, nil, 10); _, _ = x.Write([]byte("half")); panic("x") },
	} {
		t.Run(name, func(t *testing.T) {
			_, addr := serve(t, Config{Handler: unreachable(t), Exchanges: serveExchange})
			c, r := dial(t, addr)
			_, _ = io.WriteString(c, get+get)
			resp, err := http.ReadResponse(r, nil)
			if err != nil {
				t.Fatal(err)
			}
			if body, err := io.ReadAll(resp.Body); string(body) != "half" || err != io.ErrUnexpectedEOF {
				t.Errorf("got %q, %v", body, err)
			}
		})
	}
}

// waiting makes a handler that says when it is under way, waits for the end of its
// request's context, and then says by what cause that ended.
func waiting() (handler http.Handler, under <-chan struct{}, ended <-chan error) {
	begun, causes := make(chan struct{}, 8), make(chan error, 8)
	return http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		begun <- struct{}{}
		<-r.Context().Done()
		causes <- context.Cause(r.Context())
	}), begun, causes
}

// A client that goes away ends what waits on its behalf.
func TestAClientThatGoesAwayIsNoticed(t *testing.T) {
	t.Run("by the context of a request", func(t *testing.T) {
		t.Parallel()
		handler, under, ended := waiting()
		_, addr := serve(t, Config{Handler: handler})
		c, _ := dial(t, addr)
		_, _ = io.WriteString(c, get)
		<-under
		c.Close()
		if err := <-ended; err != context.Canceled {
			t.Errorf("the cause is %v", err)
		}
	})
	t.Run("by what is cut of an exchange", func(t *testing.T) {
		t.Parallel()
		under, ended := make(chan struct{}), make(chan error, 1)
		_, addr := serve(t, Config{Handler: unreachable(t), Exchanges: exchangesFunc(func(x *wire.Exchange) bool {
			cut := make(chan struct{})
			x.Watch(time.Hour, func() { close(cut) })
			close(under)
			<-cut
			ended <- x.Cut()
			panic(http.ErrAbortHandler)
		})})
		c, _ := dial(t, addr)
		_, _ = io.WriteString(c, get)
		<-under
		c.Close()
		if err := <-ended; err != wire.ErrClientGone {
			t.Errorf("the cause is %v", err)
		}
	})
	t.Run("while it does not read", func(t *testing.T) {
		t.Parallel()
		ended := make(chan error, 1)
		_, addr := serve(t, Config{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			for {
				if _, err := w.Write(make([]byte, 1<<20)); err != nil {
					ended <- err
					return
				}
			}
		})})
		c, _ := dial(t, addr)
		_, _ = io.WriteString(c, get)
		c.Close()
		<-ended
	})
}

// A client may say that it has no more to ask, and wait for its answer.
func TestAClientThatClosesItsSideOnlyIsAnswered(t *testing.T) {
	_, addr := serve(t, Config{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		<-r.Context().Done() // so it is noticed, as behind net/http's server
		_, _ = io.WriteString(w, "hello")
	})})
	if got := talk(t, addr, get+get); strings.Count(got, "\r\n\r\nhello") != 2 {
		t.Errorf("two requests are answered with %q", got)
	}
}

func TestAnExchangeInWhichNothingMovesIsCut(t *testing.T) {
	t.Run("and can be answered", func(t *testing.T) {
		t.Parallel()
		_, addr := serve(t, Config{Handler: unreachable(t), Exchanges: exchangesFunc(func(x *wire.Exchange) bool {
			cut := make(chan struct{})
			x.Watch(10*time.Millisecond, func() { close(cut) })
			<-cut
			x.Watch(0, nil)
			w, r := x.HTTP()
			if r.Context().Err() == nil || x.Cut() != wire.ErrSilent {
				t.Errorf("%v, %v", r.Context().Err(), x.Cut())
			}
			http.Error(w, "late", http.StatusGatewayTimeout)
			return true
		})})
		c, r := dial(t, addr)
		if resp, body := ask(t, c, r, get); resp.StatusCode != 504 || body != "late\n" {
			t.Errorf("got %s %q", resp.Status, body)
		}
		atEnd(t, r)
	})
	t.Run("also while the client does not read", func(t *testing.T) {
		t.Parallel()
		ended := make(chan error, 1)
		_, addr := serve(t, Config{Handler: unreachable(t), Exchanges: exchangesFunc(func(x *wire.Exchange) bool {
			x.Watch(10*time.Millisecond, nil)
			x.Respond(200, nil, 1<<40)
			for {
				if _, err := x.Write(make([]byte, 1<<20)); err != nil {
					ended <- err
					panic(http.ErrAbortHandler)
				}
				x.Moved()
			}
		})})
		c, _ := dial(t, addr)
		_, _ = io.WriteString(c, get)
		if err := <-ended; err == nil {
			t.Error("no error")
		}
	})
	// By then there was no write that could be ended.
	for _, protocol := range []string{"http/1.1", "h2"} {
		t.Run("also before the client is to read, over "+protocol, func(t *testing.T) {
			t.Parallel()
			ended := make(chan error, 1)
			_, addr := serveTLS(t, Config{Handler: unreachable(t), Exchanges: exchangesFunc(func(x *wire.Exchange) bool {
				cut := make(chan struct{})
				x.Watch(10*time.Millisecond, func() { close(cut) })
				<-cut
				x.Respond(200, nil, 1<<40)
				for {
					if _, err := x.Write(make([]byte, 1<<20)); err != nil {
						ended <- err
						panic(http.ErrAbortHandler)
					}
				}
			})}, protocol)
			if protocol == "h2" {
				dial2(t, addr).headers(1, true)
			} else {
				c, err := tls.Dial("tcp", addr, &tls.Config{InsecureSkipVerify: true})
				if err != nil {
					t.Fatal(err)
				}
				defer c.Close()
				_, _ = io.WriteString(c, get)
			}
			select {
			case <-ended:
			case <-time.After(4 * farewell):
				t.Error("it goes on")
			}
		})
	}
	t.Run("but not while it moves", func(t *testing.T) {
		t.Parallel()
		_, addr := serve(t, Config{Handler: unreachable(t), Exchanges: exchangesFunc(func(x *wire.Exchange) bool {
			cut := make(chan struct{})
			x.Watch(2*tick, func() { close(cut) })
			for end := time.Now().Add(6 * tick); time.Now().Before(end); {
				select {
				case <-cut:
					t.Error("it was cut")
				case <-time.After(tick / 10):
					x.Moved()
				}
			}
			x.Watch(0, nil)
			x.Respond(204, nil, 0)
			return true
		})})
		c, r := dial(t, addr)
		ask(t, c, r, get)
	})
}

// Nothing is cut any more once Watch has been told so.
func TestWatchEnds(t *testing.T) {
	var mu sync.Mutex
	stopped := map[*wire.Exchange]bool{}
	_, addr := serve(t, Config{Handler: unreachable(t), Exchanges: exchangesFunc(func(x *wire.Exchange) bool {
		over := false
		x.Watch(time.Millisecond, func() {
			if over {
				t.Error("cut after the end of Watch")
			}
		})
		time.Sleep(tick / 2)
		x.Watch(0, nil)
		over = true // the race detector would see an overlap
		mu.Lock()
		stopped[x] = true
		mu.Unlock()
		x.Respond(204, nil, 0)
		return true
	})})
	var clients sync.WaitGroup
	for range 8 {
		clients.Go(func() {
			for range 4 {
				talk(t, addr, get)
			}
		})
	}
	clients.Wait()
	if len(stopped) == 0 {
		t.Error("nothing was tried")
	}
}

func TestTimeLimits(t *testing.T) {
	limits := Config{Handler: http.HandlerFunc(tell), ReadHeaderTimeout: time.Second, IdleTimeout: time.Second}
	for name, sent := range map[string]string{
		"of a request's head":        "GET / HTTP/1.1\r\nHost:",
		"until the first request":    "",
		"between requests":           get,
		"of a head behind a request": get + "GET /",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, addr := serve(t, limits)
			c, r := dial(t, addr)
			_, _ = io.WriteString(c, sent)
			if strings.HasPrefix(sent, get) {
				answered(t, r)
			}
			atEnd(t, r)
		})
	}
	t.Run("of a head that comes a byte at a time", func(t *testing.T) {
		t.Parallel()
		_, addr := serve(t, limits)
		c, r := dial(t, addr)
		go func() {
			for {
				if _, err := io.WriteString(c, "G"); err != nil {
					return
				}
				time.Sleep(10 * time.Millisecond)
			}
		}()
		if _, err := r.ReadByte(); err == nil {
			t.Error("answered")
		}
	})
	t.Run("of a TLS handshake", func(t *testing.T) {
		t.Parallel()
		_, addr := serveTLS(t, limits, "http/1.1")
		_, r := dial(t, addr)
		atEnd(t, r)
	})
}

func TestASmallBodyThatTakesItsTime(t *testing.T) {
	first := make(chan struct{})
	_, addr := serve(t, Config{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b := make([]byte, 2)
		_, _ = io.ReadFull(r.Body, b)
		close(first)
		rest, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%s %s", b, rest)
	})})
	c, r := dial(t, addr)
	_, _ = io.WriteString(c, "POST / HTTP/1.1\r\n"+host+"Content-Length: 5\r\n\r\nhe")
	<-first // before the rest was sent
	if _, body := ask(t, c, r, "llo"); body != "he llo" {
		t.Errorf("got %q", body)
	}
}

func TestShutdown(t *testing.T) {
	t.Run("lets what is under way end, and says that it is the last", func(t *testing.T) {
		t.Parallel()
		under, release := make(chan struct{}), make(chan struct{})
		s, addr := serve(t, Config{Handler: http.HandlerFunc(func(http.ResponseWriter, *http.Request) { close(under); <-release })})
		c, r := dial(t, addr)
		_, _ = io.WriteString(c, get)
		<-under
		over := make(chan error, 1)
		go func() { over <- s.Shutdown(t.Context(), 0) }()
		for !s.draining.Load() {
			time.Sleep(time.Millisecond)
		}
		close(release)
		if resp, _ := answered(t, r); !resp.Close {
			t.Error("the answer does not say that it is the last")
		}
		atEnd(t, r)
		if err := <-over; err != nil {
			t.Error(err)
		}
	})
	t.Run("answers a request that is on its way to an idle connection", func(t *testing.T) {
		t.Parallel()
		s, addr := serve(t, Config{Handler: http.HandlerFunc(tell)})
		c, r := dial(t, addr)
		ask(t, c, r, get)
		std, stdr := dial(t, addr) // net/http's from the first request on
		unusual := "GET / HTTP/1.1\r\n" + host + "Trailer: X\r\n\r\n"
		ask(t, std, stdr, unusual)
		over := make(chan error, 1)
		go func() { over <- s.Shutdown(t.Context(), 2*time.Second) }()
		for !s.draining.Load() {
			time.Sleep(time.Millisecond)
		}
		if resp, _ := ask(t, c, r, get); !resp.Close {
			t.Error("the answer does not say that it is the last")
		}
		ask(t, std, stdr, unusual)
		if err := <-over; err != nil {
			t.Error(err)
		}
	})
	t.Run("closes idle connections", func(t *testing.T) {
		t.Parallel()
		s, addr := serve(t, Config{Handler: http.HandlerFunc(tell)})
		c, r := dial(t, addr)
		ask(t, c, r, get)
		if err := s.Shutdown(t.Context(), 0); err != nil {
			t.Error(err)
		}
		atEnd(t, r)
	})
	t.Run("does not wait for ever", func(t *testing.T) {
		t.Parallel()
		handler, under, _ := waiting()
		s, addr := serve(t, Config{Handler: handler})
		c, _ := dial(t, addr)
		_, _ = io.WriteString(c, get)
		<-under
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		if err := s.Shutdown(ctx, 0); err != context.DeadlineExceeded {
			t.Errorf("got %v", err)
		}
	})
}

func TestCloseEndsWhatWaits(t *testing.T) {
	handler, under, ended := waiting()
	s, addr := serve(t, Config{Handler: handler})
	c, _ := dial(t, addr)
	_, _ = io.WriteString(c, get)
	<-under
	s.Close()
	if err := <-ended; err != context.Canceled {
		t.Errorf("the cause is %v", err)
	}
}

func TestTheEndOfTheBaseContextEndsRequests(t *testing.T) {
	base, end := context.WithCancelCause(t.Context())
	under := make(chan struct{}, 2)
	cause := errors.New("the cause")
	_, addr := serve(t, Config{
		BaseContext: base,
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			under <- struct{}{}
			<-r.Context().Done()
			fmt.Fprint(w, context.Cause(r.Context()))
		}),
		Exchanges: exchangesFunc(func(x *wire.Exchange) bool {
			if x.Target == "/request" {
				return false
			}
			cut := make(chan struct{})
			x.Watch(0, func() { close(cut) })
			under <- struct{}{}
			<-cut
			x.Respond(200, nil, int64(len(x.Cut().Error())))
			_, _ = x.Write([]byte(x.Cut().Error()))
			return true
		}),
	})
	one, oneR := dial(t, addr)
	two, twoR := dial(t, addr)
	_, _ = io.WriteString(one, get)
	_, _ = io.WriteString(two, strings.Replace(get, "/", "/request", 1))
	<-under
	<-under
	end(cause)
	for _, r := range []*bufio.Reader{oneR, twoR} {
		if _, body := answered(t, r); body != cause.Error() {
			t.Errorf("got %q", body)
		}
	}
}

// serveTLS serves with a certificate for 127.0.0.1.
func serveTLS(t testing.TB, c Config, protocols ...string) (*httptest.Server, string) {
	t.Helper()
	_, authority, addr := startTLS(t, c, protocols...)
	return authority, addr
}

func startTLS(t testing.TB, c Config, protocols ...string) (s *Server, authority *httptest.Server, addr string) {
	t.Helper()
	authority = httptest.NewTLSServer(nil)
	t.Cleanup(authority.Close)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c.Logger = slog.New(slog.DiscardHandler)
	s = New(c)
	go func() { _ = s.Serve(l, &tls.Config{Certificates: authority.TLS.Certificates, NextProtos: protocols}) }()
	t.Cleanup(func() { s.Close() })
	return s, authority, l.Addr().String()
}

func TestTLS(t *testing.T) {
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.TLS == nil {
			t.Error("a request without TLS")
		}
		body, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%s %s %s", r.Proto, r.Method, body)
	})
	for _, protocol := range []string{"h2", "http/1.1"} {
		t.Run(protocol, func(t *testing.T) {
			authority, addr := serveTLS(t, Config{Handler: handler}, protocol)
			transport := authority.Client().Transport.(*http.Transport).Clone()
			transport.ForceAttemptHTTP2 = protocol == "h2"
			transport.TLSClientConfig.NextProtos = []string{protocol}
			t.Cleanup(transport.CloseIdleConnections)
			proto := map[string]string{"h2": "HTTP/2.0", "http/1.1": "HTTP/1.1"}[protocol]
			for _, body := range []string{"", "small", "", strings.Repeat("large", 10_000), "small again"} {
				method := "GET"
				if body != "" {
					method = "POST"
				}
				req, err := http.NewRequestWithContext(t.Context(), method, "https://"+addr, strings.NewReader(body))
				if err != nil {
					t.Fatal(err)
				}
				resp, err := transport.RoundTrip(req)
				if err != nil {
					t.Fatal(err)
				}
				got, _ := io.ReadAll(resp.Body)
				resp.Body.Close()
				if want := proto + " " + method + " " + body; string(got) != want {
					t.Errorf("got %.100q, want %.100q", got, want)
				}
			}
		})
	}
	t.Run("over which exchanges come", func(t *testing.T) {
		authority, addr := serveTLS(t, Config{Handler: unreachable(t), Exchanges: exchangesFunc(func(x *wire.Exchange) bool {
			if x.TLS == nil || !x.TLS.HandshakeComplete {
				t.Error("an exchange without TLS")
			}
			large := strings.Repeat("0123456789", 10_000)
			x.Respond(200, nil, int64(len(large)))
			_, _ = x.Write([]byte(large))
			return true
		})}, "http/1.1")
		for range 3 {
			resp, err := authority.Client().Get("https://" + addr)
			if err != nil {
				t.Fatal(err)
			}
			body, err := io.ReadAll(resp.Body)
			resp.Body.Close()
			if len(body) != 100_000 || err != nil {
				t.Errorf("got %d bytes, %v", len(body), err)
			}
		}
	})
}

// Many connections at once, with requests that pile up.
func TestManyAtOnce(t *testing.T) {
	_, addr := serve(t, Config{Handler: http.HandlerFunc(tell), Exchanges: exchangesFunc(func(x *wire.Exchange) bool {
		if strings.HasPrefix(x.Target, "/request") {
			return false
		}
		x.Watch(time.Minute, func() {})
		x.Respond(200, nil, int64(len(x.Target)))
		_, _ = io.WriteString(x, x.Target)
		x.Watch(0, nil)
		return true
	})})
	var clients sync.WaitGroup
	for i := range 50 {
		clients.Go(func() {
			c, err := net.Dial("tcp", addr)
			if err != nil {
				t.Error(err)
				return
			}
			defer c.Close()
			r := bufio.NewReader(c)
			for j := range 50 {
				for _, path := range []string{"/exchange", "/request"} {
					fmt.Fprintf(c, "GET %s-%d-%d HTTP/1.1\r\n%s\r\n", path, i, j, host)
				}
				for _, path := range []string{"/exchange", "/request"} {
					resp, err := http.ReadResponse(r, nil)
					if err != nil {
						t.Error(err)
						return
					}
					body, _ := io.ReadAll(resp.Body)
					if want := fmt.Sprintf("%s-%d-%d", path, i, j); !strings.Contains(string(body), want) {
						t.Errorf("got %q, want %q", body, want)
					}
				}
			}
		})
	}
	clients.Wait()
}
