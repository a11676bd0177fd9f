package clerkproxy

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"testing"
	"time"
)

// Every piece of an answer is delivered before the next is sent, its headers
// first.
func TestAnswersArriveAsTheyAreSent(t *testing.T) {
	for name, header := range map[string]string{
		"in chunks":       "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
		"of known length": "HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			goOn := make(chan struct{})
			p := newProxyTo(t, Config{}, scriptedUpstream(t, func(conn net.Conn) {
				fmt.Fprint(conn, header)
				for _, piece := range []string{"first!", "second"} {
					<-goOn
					if name == "in chunks" {
						piece = "6\r\n" + piece + "\r\n"
					}
					fmt.Fprint(conn, piece)
				}
				<-goOn
			}))
			resp := send(t, serve(t, p), "GET /__clerk/v1 HTTP/1.1\r\nHost: app.dev\r\n\r\n") // has read the headers
			for _, want := range []string{"first!", "second"} {
				goOn <- struct{}{}
				b := make([]byte, 6)
				if _, err := io.ReadFull(resp.Body, b); err != nil || string(b) != want {
					t.Fatalf("got %q, %v", b, err)
				}
			}
			close(goOn)
		})
	}
}

// The upstream has the beginning of an upload before the client sends the end,
// and the client has the beginning of the answer before that.
func TestUploadsArriveAsTheyAreSent(t *testing.T) {
	p := newProxy(t, Config{}, func(w http.ResponseWriter, r *http.Request) {
		_ = http.NewResponseController(w).EnableFullDuplex()
		br := bufio.NewReader(r.Body)
		for {
			line, err := br.ReadString('\n')
			if err != nil {
				return
			}
			fmt.Fprint(w, "echo ", line)
			_ = http.NewResponseController(w).Flush()
		}
	})
	conn, err := net.Dial("tcp", serve(t, p))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprint(conn, "POST /__clerk/v1 HTTP/1.1\r\nHost: app.dev\r\nTransfer-Encoding: chunked\r\n\r\n4\r\none\n\r\n")
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	br := bufio.NewReader(resp.Body)
	for _, next := range []string{"4\r\ntwo\n\r\n", "0\r\n\r\n"} {
		line, err := br.ReadString('\n')
		if err != nil || line[:5] != "echo " {
			t.Fatalf("got %q, %v", line, err)
		}
		fmt.Fprint(conn, next)
	}
	if line, err := br.ReadString('\n'); line != "echo two\n" && err != io.EOF {
		t.Errorf("got %q, %v", line, err)
	}
}

func TestAWriterThatCannotFlush(t *testing.T) {
	p := newProxyTo(t, Config{}, rawUpstream(t, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"))
	addr := serve(t, http.TimeoutHandler(p, time.Minute, ""))
	if got := body(t, send(t, addr, "GET /__clerk/v1 HTTP/1.1\r\nHost: app.dev\r\n\r\n")); got != "hello" {
		t.Errorf("got %q", got)
	}
}
