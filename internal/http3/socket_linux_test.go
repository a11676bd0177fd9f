package http3

import (
	"encoding/hex"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
)

// successor is the socket as the next process has it.
func successor(t *testing.T, s *Socket) *Socket {
	t.Helper()
	file, err := s.File()
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	c, err := net.FilePacketConn(file)
	if err != nil {
		t.Fatal(err)
	}
	lines, err := s.Lines()
	if err != nil {
		t.Fatal(err)
	}
	next := NewSocket(c.(*net.UDPConn))
	next.SetLines(lines)
	return next
}

// run serves a socket that is shared, by a server of its own.
func (s *served) next(socket *Socket, c Config) *served {
	s.t.Helper()
	server, _ := certificate(s.t)
	n := &served{Server: New(c), t: s.t, socket: socket, addr: s.addr, client: s.client, done: make(chan error, 1)}
	go func() { n.done <- n.Serve(socket, server) }()
	s.t.Cleanup(func() { n.Close() })
	return n
}

func TestRequestsUnderWayEndInTheFormerProcesses(t *testing.T) {
	large := strings.Repeat("0123456789", 300_000)
	var began, release [3]chan struct{}
	var configs [3]Config
	for i := range configs {
		var handler http.HandlerFunc
		handler, began[i], release[i] = paused()
		configs[i].Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			handler(w, r)
			io.WriteString(w, large) // of which the client has to acknowledge much before the rest is sent
		})
	}
	first := serve(t, configs[0])
	ask := func(i int) chan result {
		answered := later(t, first.transport(), first.addr)
		await(t, began[i])
		return answered
	}
	oldest := ask(0)

	// Two successors, one after the other, while a request is under way in each.
	over := make(chan error, 2)
	second := successor(t, first.socket)
	first.socket.Pass(true)
	go func() { over <- first.Shutdown(t.Context(), 0) }() // or what it was about to read would be its own
	s2 := first.next(second, configs[1])
	older := ask(1)
	third := successor(t, second)
	second.Pass(true)
	go func() { over <- s2.Shutdown(t.Context(), 0) }()
	s3 := first.next(third, configs[2])
	newest := ask(2)

	for i, answered := range []chan result{oldest, older, newest} {
		close(release[i])
		if got := await(t, answered); got != (result{200, "whole" + large, nil}) {
			t.Errorf("process %d: got %d, %d bytes, %v", i, got.status, len(got.body), got.err)
		}
	}
	for range 2 {
		if err := await(t, over); err != nil {
			t.Error(err)
		}
	}
	if _, body := get(t, s3.transport(), "https://"+s3.addr); body != "whole"+large {
		t.Errorf("the last one answers %d bytes", len(body))
	}
}

func TestASuccessorThatDoesNotServeLeavesTheSocket(t *testing.T) {
	handler, _, release := paused()
	close(release)
	s := serve(t, Config{Handler: handler})
	transport := s.transport()
	get(t, transport, "https://"+s.addr)
	for _, said := range []bool{true, false, true, false} {
		next := successor(t, s.socket)
		s.socket.Pass(true)
		if said {
			s.socket.Pass(false)
		}
		next.Close()
		if _, body := get(t, transport, "https://"+s.addr); body != "whole" {
			t.Errorf("got %q", body)
		}
	}
	if _, body := get(t, s.transport(), "https://"+s.addr); body != "whole" {
		t.Errorf("a new client got %q", body)
	}
}

// Of each process a line would be left otherwise, and only so many sockets can be
// handed over.
func TestProcessesThatHaveEndedAreNotPassedOn(t *testing.T) {
	oldest := listen(t)
	defer oldest.Close()
	newest := successor(t, oldest)
	for range 3 {
		next := successor(t, newest)
		newest.Close()
		newest = next
	}
	defer newest.Close()
	lines, err := newest.Lines()
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range lines {
		defer line.Close()
	}
	for name, of := range map[string]*Socket{"its own": newest, "that of the oldest": oldest} {
		if lines[hex.EncodeToString(of.own[:])] == nil {
			t.Errorf("%s is missing", name)
		}
	}
	if len(lines) != 2 {
		t.Errorf("there are %d lines", len(lines))
	}
}

func TestMarks(t *testing.T) {
	s := listen(t)
	defer s.Close()
	id, _ := s.GenerateConnectionID()
	long := append([]byte{0xc0, 0, 0, 0, 1, idLen}, id.Bytes()...)
	for name, tt := range map[string]struct {
		datagram []byte
		marked   bool
	}{
		"of a connection":            {append([]byte{0x40}, id.Bytes()...), true},
		"of a handshake":             {append(long, 0, 0), true},
		"that opens a connection":    {append([]byte{0xc0, 0, 0, 0, 1, 8}, id.Bytes()...), false},
		"that is nothing":            {nil, false},
		"that is too short":          {[]byte{0x40, 1, 2}, false},
		"with a header that is":      {[]byte{0xc0, 0, 0}, false},
		"with an id that is too":     {long[:10], false},
		"that has no more than that": {long[:6], false},
	} {
		if m, ok := markOf(tt.datagram); ok != tt.marked || ok && m != s.own {
			t.Errorf("a datagram %s: %x, %v", name, m, ok)
		}
	}
}
