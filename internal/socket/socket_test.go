package socket

import (
	"errors"
	"io"
	"net"
	"os"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// pair returns both ends of a connection, as sockets.
func pair(t testing.TB) (a, b *Socket) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	one, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	two, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []net.Conn{one, two} {
		t.Cleanup(func() { c.Close() })
		_ = c.SetDeadline(time.Now().Add(10 * time.Second))
	}
	if a, err = New(one); err == nil {
		b, err = New(two)
	}
	if err != nil {
		t.Fatal(err)
	}
	return a, b
}

func TestWhatIsWrittenIsRead(t *testing.T) {
	a, b := pair(t)
	large := strings.Repeat("0123456789", 1_000_000) // more than the kernel takes at once
	written := make(chan error, 1)
	go func() {
		n, err := a.WriteBoth([]byte("head"), []byte(large))
		if n != len(large)+4 {
			err = errors.Join(err, errors.New("not all was written"))
		}
		if n, err2 := a.Write(nil); n != 0 || err2 != nil {
			err = errors.Join(err, err2, errors.New("nothing cannot be written"))
		}
		_, err2 := a.WriteBoth(nil, []byte("tail"))
		written <- errors.Join(err, err2, a.CloseWrite())
	}()
	got, err := io.ReadAll(b)
	if err != nil || string(got) != "head"+large+"tail" {
		t.Errorf("got %d bytes, %v", len(got), err)
	}
	if err := <-written; err != nil {
		t.Error(err)
	}
}

func TestReadIntoTakesNoRoomWhileItWaits(t *testing.T) {
	a, b := pair(t)
	waits := make(chan bool, 10)
	var buf []byte
	read := make(chan int)
	go func() {
		n, _ := b.ReadInto(func() []byte { buf = make([]byte, 10); return buf }, func() { buf = nil; waits <- true })
		read <- n
	}()
	<-waits
	if _, err := a.Write([]byte("hello")); err != nil {
		t.Fatal(err)
	}
	if n := <-read; string(buf[:n]) != "hello" {
		t.Errorf("got %q", buf[:n])
	}
}

func TestReadNow(t *testing.T) {
	a, b := pair(t)
	buf := make([]byte, 10)
	if n, err := b.ReadNow(buf); n != 0 || err != ErrNothing {
		t.Errorf("of a silent connection: %d, %v", n, err)
	}
	_, _ = a.Write([]byte("hello"))
	for {
		n, err := b.ReadNow(buf)
		if err == ErrNothing {
			continue
		}
		if string(buf[:n]) != "hello" || err != nil {
			t.Errorf("got %q, %v", buf[:n], err)
		}
		break
	}
	if b.HungUp() {
		t.Error("hung up")
	}
	_, _ = a.Write([]byte("x"))
	a.Close()
	for !b.HungUp() {
		time.Sleep(time.Millisecond)
	}
	_, _ = io.ReadAll(b)
	if _, err := b.ReadNow(buf); err != io.EOF {
		t.Errorf("of a closed connection: %v", err)
	}
}

func TestWaitingTellsWhetherTheOtherSideReads(t *testing.T) {
	a, b := pair(t)
	_ = a.Conn.(*net.TCPConn).SetWriteBuffer(1 << 20)
	_ = b.Conn.(*net.TCPConn).SetReadBuffer(64 << 10)
	if n := a.Waiting(); n != 0 {
		t.Errorf("got %d, and nothing is written", n)
	}
	written := make(chan error, 1)
	go func() { _, err := a.Write(make([]byte, 16<<20)); written <- err }()
	for a.Waiting() == 0 {
		time.Sleep(time.Millisecond)
	}
	at := a.Waiting() // and the kernel goes on for a moment
	for steady := 0; steady < 50; steady++ {
		if now := a.Waiting(); now != at {
			at, steady = now, 0
		}
		time.Sleep(time.Millisecond)
	}
	// Much less than makes room for more.
	if _, err := io.ReadFull(b, make([]byte, 100<<10)); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(5 * time.Second); runtime.GOOS == "linux" && a.Waiting() == at; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("it is not seen that the other side reads")
		}
	}
	_, _ = io.CopyN(io.Discard, b, 16<<20-100<<10)
	if err := <-written; err != nil || a.Waiting() != 0 {
		t.Errorf("%v, %d", err, a.Waiting())
	}
	if a.Closed() || a.Close() != nil || !a.Closed() {
		t.Error("it is not known whether it is closed")
	}
}

func TestErrors(t *testing.T) {
	t.Run("a deadline of reading", func(t *testing.T) {
		_, b := pair(t)
		_ = b.SetReadDeadline(time.Now().Add(10 * time.Millisecond))
		if _, err := b.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("a deadline of writing", func(t *testing.T) {
		_, b := pair(t)
		_ = b.SetWriteDeadline(time.Now().Add(10 * time.Millisecond))
		var err error
		for err == nil {
			_, err = b.Write(make([]byte, 1<<20))
		}
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("a read that is closed", func(t *testing.T) {
		_, b := pair(t)
		time.AfterFunc(10*time.Millisecond, func() { b.Close() })
		if _, err := b.Read(make([]byte, 1)); !errors.Is(err, net.ErrClosed) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("a reset", func(t *testing.T) {
		a, b := pair(t)
		_ = a.Conn.(*net.TCPConn).SetLinger(0)
		a.Close()
		_, err := b.Read(make([]byte, 1))
		var op *net.OpError
		if !errors.Is(err, syscall.ECONNRESET) || !errors.As(err, &op) || op.Op != "read" || op.Addr == nil {
			t.Errorf("got %v", err)
		}
		for err = nil; err == nil; {
			_, err = b.Write([]byte("x"))
		}
		if !errors.Is(err, syscall.EPIPE) && !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("a connection that is none of the system's", func(t *testing.T) {
		c, _ := net.Pipe()
		if _, err := New(c); err == nil {
			t.Error("no error")
		}
	})
}

// The number of a socket is given to the next one as soon as it is closed. Nobody
// who is still reading, writing or asking by then gets at that one.
func TestAClosedSocketTouchesNoOther(t *testing.T) {
	for range 300 {
		a, b := pair(t)
		var users sync.WaitGroup
		for range 2 {
			for _, s := range []*Socket{a, b} {
				users.Go(func() {
					for !s.Closed() {
						s.HungUp()
						s.Waiting()
					}
					s.HungUp()
					s.Waiting()
				})
			}
		}
		for _, s := range []*Socket{a, b} {
			users.Go(func() {
				for {
					if _, err := s.WriteBoth([]byte("evil"), []byte("bytes")); err != nil {
						return
					}
				}
			})
			users.Go(func() {
				for p := make([]byte, 100); ; {
					if _, err := s.Read(p); err != nil {
						return
					}
				}
			})
		}
		a.Close()
		b.Close()
		c, d := pair(t)
		for _, way := range [][2]*Socket{{c, d}, {d, c}} {
			if _, err := way[0].Write([]byte("good")); err != nil {
				t.Fatal(err)
			}
			got := make([]byte, 4)
			if _, err := io.ReadFull(way[1], got); err != nil || string(got) != "good" {
				t.Fatalf("got %q, %v", got, err)
			}
		}
		users.Wait()
		for _, s := range []*Socket{c, d} {
			if n, err := s.ReadNow(make([]byte, 10)); err != ErrNothing {
				t.Fatalf("got %d bytes more, %v", n, err)
			}
		}
		c.Close()
		d.Close()
	}
}

func TestNothingIsAllocated(t *testing.T) {
	a, b := pair(t)
	p, q := []byte("hello"), make([]byte, 10)
	room := func() []byte { return q }
	if n := testing.AllocsPerRun(100, func() {
		_, _ = a.Write(p)
		_, _ = b.ReadInto(room, nil)
		_, _ = b.ReadNow(q)
	}); n > 0 {
		t.Errorf("%.1f allocations", n)
	}
}
