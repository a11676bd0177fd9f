package upstream

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"syscall"
	"testing"
)

// What an upstream sends is kept out, and what differs each time: the same
// failure is to be known as the same.
func TestExplain(t *testing.T) {
	tcp := func(text string) *net.TCPAddr {
		addr, err := net.ResolveTCPAddr("tcp", text)
		if err != nil {
			t.Fatal(err)
		}
		return addr
	}
	reset := &net.OpError{Op: "read", Net: "tcp", Source: tcp("127.0.0.1:49900"), Addr: tcp("127.0.0.1:3000"), Err: os.NewSyscallError("read", syscall.ECONNRESET)}
	for _, tt := range []struct {
		err  error
		want string
	}{
		{reset, "read tcp 127.0.0.1:3000: read: connection reset by peer"},
		{fmt.Errorf("http: %w", reset), "read tcp 127.0.0.1:3000: read: connection reset by peer"},
		{&net.OpError{Op: "read", Net: "tcp", Source: tcp("[::1]:49900"), Addr: tcp("[::1]:3000"), Err: syscall.EPIPE}, "read tcp [::1]:3000: broken pipe"},
		{&net.OpError{Op: "dial", Net: "tcp", Addr: tcp("127.0.0.1:3000"), Err: syscall.ECONNREFUSED}, "dial tcp 127.0.0.1:3000: connection refused"},
		{&net.DNSError{Err: "read udp 10.0.0.7:41234->10.0.0.53:53: i/o timeout", Name: "app.internal", Server: "10.0.0.53:53", IsTimeout: true}, "lookup app.internal on 10.0.0.53:53: read udp 10.0.0.53:53: i/o timeout"},
		{io.ErrUnexpectedEOF, "the connection ended too early"},
		{errors.New(`malformed HTTP response "Cookie: a=b"`), "the answer is not valid HTTP (*errors.errorString)"},
	} {
		if got := Explain(tt.err); got != tt.want {
			t.Errorf("%v: got %q, want %q", tt.err, got, tt.want)
		}
	}
}
