package http3

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"
)

// A ticketCache tells when a ticket has come.
type ticketCache struct {
	mu  sync.Mutex
	one *tls.ClientSessionState
	got chan struct{}
}

func (c *ticketCache) Get(string) (*tls.ClientSessionState, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.one, c.one != nil
}

func (c *ticketCache) Put(_ string, state *tls.ClientSessionState) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.one = state; state != nil {
		c.got <- struct{}{}
	}
}

// paused answers when it is let go on.
func paused() (h http.HandlerFunc, began, release chan struct{}) {
	began, release = make(chan struct{}, 8), make(chan struct{})
	return func(w http.ResponseWriter, r *http.Request) {
		began <- struct{}{}
		select {
		case <-release:
			io.WriteString(w, "whole")
		case <-r.Context().Done():
			w.WriteHeader(http.StatusServiceUnavailable)
			io.WriteString(w, context.Cause(r.Context()).Error())
		}
	}, began, release
}

type result struct {
	status int
	body   string
	err    error
}

func later(t testing.TB, transport http.RoundTripper, addr string) chan result {
	answered := make(chan result, 1)
	go func() {
		resp, err := transport.RoundTrip(httptest.NewRequestWithContext(t.Context(), "GET", "https://"+addr, nil))
		if err != nil {
			answered <- result{err: err}
			return
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		answered <- result{resp.StatusCode, string(body), err}
	}()
	return answered
}

func TestRequestsUnderWayEndBeforeTheServerDoes(t *testing.T) {
	handler, began, release := paused()
	s := serve(t, Config{Handler: handler})
	transport := s.transport()
	answered := later(t, transport, s.addr)
	await(t, began)
	idle := s.dial(t)
	over := make(chan error, 1)
	go func() { over <- s.Shutdown(t.Context(), 0) }()
	await(t, idle.conn.Context().Done())
	close(release)
	if got := await(t, answered); got != (result{200, "whole", nil}) {
		t.Errorf("got %v", got)
	}
	if err := await(t, over); err != nil {
		t.Error(err)
	}
	if err := await(t, s.done); err != http.ErrServerClosed {
		t.Errorf("Serve returned %v", err)
	}
	s.done <- nil
}

func TestWhatDoesNotEndInTimeIsCutOff(t *testing.T) {
	handler, began, _ := paused()
	base, cut := context.WithCancelCause(t.Context())
	s := serve(t, Config{Handler: handler, BaseContext: base})
	answered := later(t, s.transport(), s.addr)
	await(t, began)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if err := s.Shutdown(ctx, 0); err != context.DeadlineExceeded {
		t.Errorf("got %v", err)
	}
	cut(errors.New("time is up"))
	if err := s.Shutdown(t.Context(), 0); err != nil {
		t.Error(err)
	}
	if got := await(t, answered); got != (result{503, "time is up", nil}) {
		t.Errorf("got %v", got)
	}
}

// A reload may give a socket up before anybody has begun to read it.
func TestASocketThatIsRetiredBeforeItIsServed(t *testing.T) {
	socket := listen(t)
	secure, _ := certificate(t)
	s := New(Config{Handler: http.HandlerFunc(tell)})
	s.Retire(t.Context(), socket, 0)
	done := make(chan error, 1)
	go func() { done <- s.Serve(socket, secure) }()
	if err := await(t, done); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Serve returned %v", err)
	}
}

func TestASocketThatIsRetired(t *testing.T) {
	handler, began, release := paused()
	s := serve(t, Config{Handler: handler})
	answered := later(t, s.transport(), s.addr)
	await(t, began)
	gone := make(chan struct{})
	go func() {
		s.Retire(t.Context(), s.socket, 0)
		close(gone)
	}()
	other := listen(t)
	server, client := certificate(t)
	served := make(chan error, 1)
	go func() { served <- s.Serve(other, server) }()
	close(release)
	if got := await(t, answered); got.body != "whole" {
		t.Errorf("got %v", got)
	}
	await(t, gone)
	if err := await(t, s.done); err != nil {
		t.Errorf("Serve returned %v", err)
	}
	s.done <- nil
	s.client = client
	if _, body := get(t, s.transport(), "https://"+other.LocalAddr().String()); body != "whole" {
		t.Errorf("the other socket answers %q", body)
	}
	s.Close()
	if err := await(t, served); err != http.ErrServerClosed {
		t.Errorf("Serve returned %v", err)
	}
}
