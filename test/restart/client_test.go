package restart

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// A load is a number of clients, none of which ever tries anything twice.
type load struct {
	dial    dialer
	answers atomic.Int64
	failed  atomic.Int64
	clients sync.WaitGroup
	end     func() // ends the clients, and waits for them
	done    chan struct{}
	t       *testing.T
}

// A visit is one kind of request.
type visit struct {
	host, path, want string // the answer contains it, or leads to it
	header           string // a line of the request's; empty: none
}

// begin starts clients that go on until end, or the test's: for each visit, with a
// new connection for each request, with one that is kept, and with some that are kept
// but used now and then only.
func begin(t *testing.T, dial dialer, visits []visit) *load {
	l := &load{dial: dial, done: make(chan struct{}), t: t}
	l.end = sync.OnceFunc(func() { close(l.done); l.clients.Wait() })
	t.Cleanup(l.end)
	for _, v := range visits {
		l.clients.Go(func() { l.client(v, false, 0) }) // all end with end
		l.clients.Go(func() { l.client(v, true, 0) })
		for i := range 3 {
			l.clients.Go(func() { l.client(v, true, time.Duration(i+1)*77*time.Millisecond) })
		}
	}
	return l
}

// until returns when there have been so many answers, or a failure.
func (l *load) until(answers int64) {
	l.t.Helper()
	last, since := int64(0), time.Now()
	for l.answers.Load() < answers && l.failed.Load() == 0 {
		if now := l.answers.Load(); now != last {
			last, since = now, time.Now()
		} else if time.Since(since) > patience {
			l.t.Fatalf("no answer has come for %s, after %d of %d", patience, last, answers)
		}
		time.Sleep(time.Millisecond)
	}
}

// client makes one request after another, with pauses in between.
func (l *load) client(v visit, keep bool, pause time.Duration) {
	var conn connection
	for n := 0; ; n++ {
		select {
		case <-l.done:
			if conn != nil {
				conn.Close()
			}
			return
		case <-time.After(pause):
		}
		if conn != nil && !conn.usable() {
			conn.Close()
			conn = nil
		}
		if conn == nil {
			var err error
			if conn, err = l.dial(v.host); err != nil {
				l.fail(v, n, err)
				return
			}
		}
		closes, err := l.ask(conn, v)
		if err == errUnused {
			conn.Close()
			conn = nil
			continue
		}
		if err != nil {
			l.fail(v, n, err)
			return
		}
		l.answers.Add(1)
		if closes || !keep {
			conn.Close()
			conn = nil
		}
	}
}

func (l *load) fail(v visit, n int, err error) {
	if l.failed.Add(1) <= 10 { // they tend to come in crowds
		l.t.Errorf("%s%s, request %d of a client: %v", v.host, v.path, n, err)
	}
}

// ask makes one request, and reports whether the connection ends with it.
func (l *load) ask(conn connection, v visit) (closes bool, err error) {
	resp, body, err := conn.ask(v)
	if err != nil {
		return false, err
	}
	location := resp.Header.Get("Location")
	switch {
	case resp.StatusCode == http.StatusPermanentRedirect && location != "" && location == v.want:
	case resp.StatusCode == http.StatusOK && strings.Contains(body, v.want):
	default:
		return false, fmt.Errorf("%s %q %q", resp.Status, location, body)
	}
	return resp.Close, nil
}

// witnesses are the certificates that clients were shown.
type witnesses struct {
	roots *x509.CertPool
	mu    sync.Mutex
	seen  map[string]bool // by serial number
}

// note is for tls.Config.VerifyConnection.
func (w *witnesses) note(state tls.ConnectionState) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.seen[state.PeerCertificates[0].SerialNumber.String()] = true
	return nil
}
