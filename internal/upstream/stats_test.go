package upstream

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
)

func TestStats(t *testing.T) {
	o := script(t, func(c net.Conn, br *bufio.Reader) {
		for {
			r, err := http.ReadRequest(br)
			if err != nil {
				return
			}
			_, _ = io.Copy(io.Discard, r.Body)
			if r.URL.Path == "/none" {
				return
			}
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
		}
	})
	tr := newLane(t, o, Config{}, 1)
	for range 3 {
		observe(tr, request(t, o, "GET", "/", ""))
	}
	if got, want := tr.Stats(), (Stats{Requests: 3, Answers: 3, Opened: 1, Open: 1}); got != want {
		t.Errorf("three requests over the lane: got %+v, want %+v", got, want)
	}

	// A POST that is not answered is not sent again; its connection is gone.
	observe(tr, request(t, o, "POST", "/none", "form"))
	if got, want := tr.Stats(), (Stats{Requests: 4, Answers: 3, Opened: 1}); got != want {
		t.Errorf("one without an answer: got %+v, want %+v", got, want)
	}

	observe(tr, request(t, o, "POST", "/", strings.Repeat("x", bufferedBody+1))) // the lane has no connection
	if got := tr.Stats(); got.Opened < 2 || got.Open < 1 {
		t.Errorf("one over the shared transport: got %+v", got)
	}
	tr.CloseIdleConnections()
	waitFor(t, func() bool { return tr.Stats().Open == 0 })
}

func TestStatsOfAnOriginThatIsNotThere(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	o := Origin{"http", l.Addr().String()}
	l.Close()
	tr := New(o, Config{})
	if _, err := tr.RoundTrip(request(t, o, "GET", "/", "")); err == nil {
		t.Fatal("it was answered")
	}
	// The lane tries too, behind the request.
	waitFor(t, func() bool { return tr.Stats() == Stats{Requests: 1, Failed: 2} })
}
