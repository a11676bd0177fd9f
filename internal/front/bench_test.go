package front

import (
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"

	"golang.org/x/net/http2"

	"github.com/clerkproxy/clerkproxy/internal/wire"
)

// What an exchange costs that is answered at once, this machine's network and its
// client included.
func BenchmarkExchange(b *testing.B) {
	body := []byte(strings.Repeat("x", 1900))
	fields := wire.Fields{
		{Name: "Content-Type", Value: "application/json"}, {Name: "Cache-Control", Value: "no-store"}, {Name: "Vary", Value: "Origin"},
		{Name: "Set-Cookie", Value: "a=1; Path=/; HttpOnly"}, {Name: "Set-Cookie", Value: "b=2; Path=/"}, {Name: "X-Clerk-Trace-Id", Value: "1f0a6be7c25d4f0b"},
	}
	config := Config{Handler: unreachable(b), Exchanges: exchangesFunc(func(x *wire.Exchange) bool {
		x.Inbound = append(x.Inbound[:0], fields...)
		x.Respond(http.StatusOK, x.Inbound, int64(len(body)))
		_, _ = x.Write(body)
		return true
	})}
	dial := func(b *testing.B, addr string) net.Conn {
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { conn.Close() })
		return conn
	}
	b.Run("HTTP/1.1", func(b *testing.B) {
		_, addr := serve(b, config)
		conn, buf := dial(b, addr), make([]byte, 8<<10)
		request := []byte(strings.Replace(get, "\r\n\r\n", "\r\nCookie: __session=abc; __client_uat=1\r\nUser-Agent: Mozilla/5.0\r\nAccept: */*\r\nAccept-Encoding: gzip, br\r\n\r\n", 1))
		b.ReportAllocs()
		for b.Loop() {
			_, _ = conn.Write(request)
			for n := 0; n < len(body); {
				m, err := conn.Read(buf)
				if err != nil {
					b.Fatal(err)
				}
				n += m
			}
		}
	})
	b.Run("HTTP/2", func(b *testing.B) {
		client := greet2(b, dial(b, servePrior2(b, config)))
		client.SetReuseFrames()
		client.ReadMetaHeaders = nil
		if err := client.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1 << 30}); err != nil {
			b.Fatal(err)
		}
		if err := client.WriteWindowUpdate(0, 1<<30); err != nil {
			b.Fatal(err)
		}
		id := uint32(1)
		b.ReportAllocs()
		for b.Loop() {
			client.headers(id, true, ":method", "GET", ":scheme", "https", ":authority", "app.dev", ":path", fmt.Sprint("/", id%10),
				"cookie", "__session=abc; __client_uat=1", "user-agent", "Mozilla/5.0", "accept", "*/*", "accept-encoding", "gzip, br")
			for id += 2; ; {
				f, err := client.ReadFrame()
				if err != nil {
					b.Fatal(err)
				}
				if f.Header().Type == http2.FrameData && f.Header().Flags.Has(http2.FlagDataEndStream) {
					break
				}
			}
			if id%(1<<16) == 1 {
				_ = client.WriteWindowUpdate(0, uint32(len(body))<<15)
			}
		}
	})
}
