package restart

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// load is a number of clients, none of which ever tries anything twice.
type load struct {
	address string
	answers atomic.Int64
	failed  atomic.Int64
	clients sync.WaitGroup
	done    chan struct{}
	t       *testing.T
}

// A visit is one kind of request.
type visit struct {
	host, path, want string // the answer contains it
}

// begin starts clients that go on until end: for each visit, with a new
// connection for each request, with one that is kept, and with one that is kept
// but used now and then only.
func begin(t *testing.T, address string, visits []visit) *load {
	l := &load{address: address, done: make(chan struct{}), t: t}
	for _, v := range visits {
		for range 2 {
			l.clients.Go(func() { l.client(v, false, 0) }) // all end with end
			l.clients.Go(func() { l.client(v, true, 0) })
		}
		for i := range 3 {
			l.clients.Go(func() { l.client(v, true, time.Duration(i+1)*77*time.Millisecond) })
		}
	}
	return l
}

// until returns when there have been so many answers, or a failure.
func (l *load) until(answers int64) {
	for l.answers.Load() < answers && l.failed.Load() == 0 {
		time.Sleep(time.Millisecond)
	}
}

func (l *load) end() {
	close(l.done)
	l.clients.Wait()
}

// client makes one request after another, with pauses in between.
func (l *load) client(v visit, keep bool, pause time.Duration) {
	var conn net.Conn
	var reader *bufio.Reader
	for n := 0; ; n++ {
		select {
		case <-l.done:
			if conn != nil {
				conn.Close()
			}
			return
		case <-time.After(pause):
		}
		if conn == nil {
			var err error
			if conn, err = net.Dial("tcp", l.address); err != nil {
				l.fail(v, n, err)
				return
			}
			reader = bufio.NewReader(conn)
		}
		closes, err := l.ask(conn, reader, v)
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
func (l *load) ask(conn net.Conn, reader *bufio.Reader, v visit) (closes bool, err error) {
	if _, err := fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: %s\r\n\r\n", v.path, v.host); err != nil {
		return false, err
	}
	resp, err := http.ReadResponse(reader, nil)
	if err != nil {
		return false, err
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return false, err
	}
	if resp.StatusCode != http.StatusOK || !strings.Contains(string(body), v.want) {
		return false, fmt.Errorf("%s %q", resp.Status, body)
	}
	return resp.Close, nil
}
