package front

import (
	"bufio"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"golang.org/x/net/http2"

	"github.com/clerkproxy/clerkproxy/internal/wire"
)

// restsAtOnce answers every exchange with hello. Its connections rest at once, and
// say so.
func restsAtOnce(t *testing.T) (c Config, rested chan *conn) {
	rested = make(chan *conn)
	hello := exchangesFunc(func(x *wire.Exchange) bool {
		x.Respond(200, nil, 5)
		_, _ = io.WriteString(x, "hello")
		return true
	})
	return Config{Handler: unreachable(t), Exchanges: hello, restAfter: time.Millisecond, onRest: func(c *conn) {
		select {
		case rested <- c:
		case <-t.Context().Done():
		}
	}}, rested
}

func TestAConnectionThatRestsGoesOn(t *testing.T) {
	for _, protocol := range []string{"plain", "TLS"} {
		t.Run(protocol, func(t *testing.T) {
			c, rested := restsAtOnce(t)
			var conn net.Conn
			if protocol == "plain" {
				_, addr := serve(t, c)
				conn, _ = dial(t, addr)
			} else {
				authority, addr := serveTLS(t, c, "http/1.1")
				conn = dialTLS(t, authority.Client(), addr)
			}
			r := bufio.NewReader(conn)
			for _, early := range []int{0, 0, 2, 20} {
				if _, err := io.WriteString(conn, get[:early]); err != nil {
					t.Fatal(err)
				}
				if _, body := ask(t, conn, r, get[early:]); body != "hello" {
					t.Errorf("got %q", body)
				}
				<-rested
			}
		})
	}
}

// What has come of a request when its time of rest comes is not lost.
func TestAConnectionRestsWithTheBeginningOfARequest(t *testing.T) {
	c, rested := restsAtOnce(t)
	_, addr := serve(t, c)
	conn, r := dial(t, addr)
	if _, body := ask(t, conn, r, get+"G"); body != "hello" {
		t.Errorf("got %q", body)
	}
	<-rested
	if _, body := ask(t, conn, r, get[1:]); body != "hello" {
		t.Errorf("got %q", body)
	}
	<-rested
}

func TestAConnectionOverHTTP2RestsAndGoesOn(t *testing.T) {
	c, rested := restsAtOnce(t)
	conn, _ := dial(t, servePrior2(t, c))
	client := greet2(t, conn)
	for id := uint32(1); id < 6; id += 2 {
		<-rested
		client.headers(id, true)
		for ended := false; !ended; {
			switch f := client.next().(type) {
			case *http2.DataFrame:
				ended = f.StreamEnded()
			case http2.Frame:
			case nil:
				t.Fatal("the connection ended")
			}
		}
	}
}

func dialTLS(t *testing.T, client *http.Client, addr string) net.Conn {
	t.Helper()
	under, _ := dial(t, addr)
	config := client.Transport.(*http.Transport).TLSClientConfig.Clone()
	config.ServerName = "example.com"
	return tls.Client(under, config)
}
