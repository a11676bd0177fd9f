package front

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/clerkproxy/clerkproxy/internal/wire"
)

// What a client costs that has had an answer and keeps its connection. Bytes of
// the heap and of stacks, the kernel's not counted.
func BenchmarkIdleClient(b *testing.B) {
	const clients = 300
	var rested atomic.Int64
	for _, protocol := range []string{"plain", "http/1.1", "h2"} {
		b.Run(protocol, func(b *testing.B) {
			config := Config{Handler: unreachable(b), restAfter: 50 * time.Millisecond, onRest: func(*conn) { rested.Add(1) }, Exchanges: exchangesFunc(func(x *wire.Exchange) bool {
				x.Respond(200, nil, 2000)
				deep(64)
				_, _ = io.WriteString(x, strings.Repeat("x", 2000))
				return true
			})}
			var addr string
			var secure *tls.Config
			if protocol == "plain" {
				_, addr = serve(b, config)
			} else {
				authority, at := serveTLS(b, config, protocol)
				addr, secure = at, authority.Client().Transport.(*http.Transport).TLSClientConfig.Clone()
				secure.NextProtos, secure.ServerName = []string{protocol}, "example.com"
			}
			for b.Loop() {
				before := inUse()
				conns := make([]net.Conn, clients)
				for i := range conns {
					conns[i] = visit(b, addr, secure)
				}
				for rested.Load() < clients {
					time.Sleep(time.Millisecond)
				}
				rested.Store(0)
				b.ReportMetric(float64(inUse()-before)/clients, "B/client")
				for _, c := range conns {
					c.Close()
				}
			}
		})
	}
}

// deep uses as much of a stack as an exchange with an upstream does.
//
//go:noinline
func deep(n int) int {
	var room [64]byte
	if n == 0 {
		return int(room[0])
	}
	return deep(n-1) + int(room[n%64])
}

func inUse() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc + m.StackInuse)
}

// visit has a request answered, and forgets all but the connection.
func visit(b *testing.B, addr string, secure *tls.Config) net.Conn {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		b.Fatal(err)
	}
	over := conn
	if secure != nil {
		over = tls.Client(conn, secure)
	}
	if secure != nil && secure.NextProtos[0] == "h2" {
		visit2(b, over)
		return conn
	}
	fmt.Fprintf(over, "GET / HTTP/1.1\r\nHost: app.dev\r\nCookie: %s\r\n\r\n", strings.Repeat("x", 500))
	resp, err := http.ReadResponse(bufio.NewReader(over), nil)
	if err != nil {
		b.Fatal(err)
	}
	if n, err := io.Copy(io.Discard, resp.Body); n != 2000 || err != nil {
		b.Fatal(n, err)
	}
	return conn
}

func visit2(b *testing.B, over net.Conn) {
	var fields strings.Builder
	encoder := hpack.NewEncoder(&fields)
	for _, f := range []hpack.HeaderField{
		{Name: ":method", Value: "GET"}, {Name: ":scheme", Value: "https"}, {Name: ":authority", Value: "app.dev"}, {Name: ":path", Value: "/"},
		{Name: "cookie", Value: strings.Repeat("x", 500)}, {Name: "user-agent", Value: strings.Repeat("u", 120)},
	} {
		_ = encoder.WriteField(f)
	}
	_, _ = io.WriteString(over, http2.ClientPreface)
	frames := http2.NewFramer(over, over)
	_ = frames.WriteSettings()
	_ = frames.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: []byte(fields.String()), EndHeaders: true, EndStream: true})
	for {
		f, err := frames.ReadFrame()
		if err != nil {
			b.Fatal(err)
		}
		if d, ok := f.(*http2.DataFrame); ok && d.StreamEnded() {
			return
		}
	}
}
