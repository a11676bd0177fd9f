package socket

import (
	"errors"
	"io"
	"net"
	"os"
	"strings"
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
