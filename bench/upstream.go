package main

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"strings"
	"time"
)

// Paths of the upstream, as the Frontend API's: without the proxy's own.
const (
	pathJSON     = "/v1/client"
	pathClerkJS  = "/npm/@clerk/clerk-js@6.40.0/dist/clerk.browser.js"
	pathUpload   = "/bench/upload"
	pathDownload = "/bench/download"
	pathEvents   = "/bench/events"
	pathEcho     = "/bench/echo"

	downloadSize = 64 << 20

	// clerkJSFile is what pathClerkJS is answered with, in node_modules.
	clerkJSFile = "@clerk/clerk-js/dist/clerk.browser.js"
)

// upstreamConfig is the argument of the role upstream.
type upstreamConfig struct {
	Certificates certificates
	NPM          string // directory of node_modules
}

// upstream is a Frontend API that costs as little as can be: answers are ready
// before they are asked for, and HTTP/1.1 is read and written by hand. It
// shares the cores with what is measured.
type upstream struct {
	answers map[string]*answer
}

// answer is what a path is answered with.
type answer struct {
	header http.Header
	plain  payload
	gzip   payload // empty: there is none
}

type payload struct {
	body []byte
	// http1 is the whole answer as HTTP/1.1 has it.
	http1 []byte
}

func runUpstream(ctx context.Context, arg string) error {
	var c upstreamConfig
	if err := json.Unmarshal([]byte(arg), &c); err != nil {
		return err
	}
	// Little lives for long here; the collector would only disturb.
	debug.SetGCPercent(1000)
	u, err := newUpstream(c.NPM)
	if err != nil {
		return err
	}
	config, err := c.Certificates.server()
	if err != nil {
		return err
	}
	config.NextProtos = []string{"h2", "http/1.1"}
	// Small records at the start of each connection are for slow links.
	config.DynamicRecordSizingDisabled = true
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println(listener.Addr())
	go func() {
		<-ctx.Done()
		_ = listener.Close()
	}()
	return u.serve(listener, config)
}

func newUpstream(npm string) (*upstream, error) {
	u := &upstream{answers: map[string]*answer{}}
	h := apiHeader()
	h["Content-Type"] = []string{"application/json; charset=utf-8"}
	u.answers[pathJSON] = newAnswer(h, clientJSON(), false)
	u.answers[pathUpload] = newAnswer(http.Header{"Content-Type": {"application/json"}}, []byte("{}"), false)
	content, err := os.ReadFile(filepath.Join(npm, clerkJSFile))
	if errors.Is(err, os.ErrNotExist) {
		return u, nil // the workload that needs it says so
	}
	if err != nil {
		return nil, err
	}
	u.answers[pathClerkJS] = newAnswer(http.Header{
		"Content-Type":                {"application/javascript; charset=utf-8"},
		"Cache-Control":               {"public, max-age=31536000, immutable"},
		"Etag":                        {`"bench-` + strconv.Itoa(len(content)) + `"`},
		"Vary":                        {"Accept-Encoding"},
		"Access-Control-Allow-Origin": {"*"},
		"X-Content-Type-Options":      {"nosniff"},
	}, content, true)
	return u, nil
}

// apiHeader is what the Frontend API's answers carry, in number and in size.
func apiHeader() http.Header {
	return http.Header{
		"Cache-Control":             {"no-store, no-cache, must-revalidate"},
		"Clerk-Api-Version":         {"2025-11-10"},
		"Server":                    {"cloudflare"},
		"Cf-Ray":                    {"9f2d4c8e1a7b3c5d-FRA"},
		"Cf-Cache-Status":           {"DYNAMIC"},
		"Strict-Transport-Security": {"max-age=63072000; includeSubDomains"},
		"X-Clerk-Trace-Id":          {"1f0a6be7c25d4f0b9a8e7d6c5b4a3f2e"},
		"X-Content-Type-Options":    {"nosniff"},
		"X-Frame-Options":           {"SAMEORIGIN"},
		"Vary":                      {"Origin, Accept-Encoding"},
		"Referrer-Policy":           {"strict-origin-when-cross-origin"},
		"Set-Cookie": {
			"__client=" + strings.Repeat("eyJhbGciOi", 24) + "; Path=/; Domain=bench.test; Max-Age=315360000; HttpOnly; Secure; SameSite=Lax",
			"__client_uat=1767225600; Path=/; Domain=bench.test; Max-Age=315360000; Secure; SameSite=Lax",
		},
	}
}

// clientJSON has the size of the answer that ClerkJS asks for first and most.
func clientJSON() []byte {
	const size = 1900
	head := `{"response":{"object":"client","id":"client_2bench","sessions":[],"sign_in":null,"sign_up":null,"padding":"`
	tail := `"},"client":null}`
	return []byte(head + strings.Repeat("x", size-len(head)-len(tail)) + tail)
}

func newAnswer(h http.Header, body []byte, compress bool) *answer {
	a := &answer{header: h, plain: payload{body: body}}
	a.plain.http1 = http1Answer(h, body, "")
	if compress {
		var b bytes.Buffer
		w, _ := gzip.NewWriterLevel(&b, gzip.BestCompression)
		_, _ = w.Write(body)
		_ = w.Close()
		a.gzip = payload{body: b.Bytes(), http1: http1Answer(h, b.Bytes(), "gzip")}
	}
	return a
}

func http1Answer(h http.Header, body []byte, encoding string) []byte {
	var b bytes.Buffer
	b.WriteString("HTTP/1.1 200 OK\r\nDate: Thu, 01 Jan 2026 00:00:00 GMT\r\n")
	_ = h.Write(&b)
	if encoding != "" {
		fmt.Fprintf(&b, "Content-Encoding: %s\r\n", encoding)
	}
	fmt.Fprintf(&b, "Content-Length: %d\r\n\r\n", len(body))
	b.Write(body)
	return b.Bytes()
}

// serve hands connections that chose HTTP/2 to net/http and serves the others
// itself.
func (u *upstream) serve(listener net.Listener, config *tls.Config) error {
	http2 := handedOver{make(chan net.Conn), listener.Addr()}
	srv := &http.Server{Handler: http.HandlerFunc(u.serveHTTP2), TLSConfig: config}
	go func() { _ = srv.Serve(http2) }() // ends with the process
	for {
		conn, err := listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return nil
		}
		if err != nil {
			return err
		}
		go func() {
			c := tls.Server(conn, config)
			if c.Handshake() != nil {
				_ = conn.Close()
				return
			}
			if c.ConnectionState().NegotiatedProtocol == "h2" {
				http2.conns <- c
				return
			}
			defer c.Close()
			_ = u.serveHTTP1(c)
		}()
	}
}

type handedOver struct {
	conns chan net.Conn
	addr  net.Addr
}

func (h handedOver) Accept() (net.Conn, error) { return <-h.conns, nil }
func (h handedOver) Close() error              { return nil }
func (h handedOver) Addr() net.Addr            { return h.addr }

// wireRequest is what the upstream wants to know of a request.
type wireRequest struct {
	path    string
	length  int64 // -1: chunked
	gzip    bool
	expects bool
	last    bool
	lines   []string // of the header, for pathEcho only
}

func readWireRequest(r *bufio.Reader) (q wireRequest, err error) {
	line, err := r.ReadSlice('\n')
	if err != nil {
		return q, err
	}
	start := strings.Fields(string(line))
	if len(start) != 3 {
		return q, fmt.Errorf("malformed request line %q", line)
	}
	q.path, _, _ = strings.Cut(start[1], "?")
	q.last = start[2] == "HTTP/1.0"
	for {
		line, err := r.ReadSlice('\n')
		if err != nil {
			return q, err
		}
		line = bytes.TrimRight(line, "\r\n")
		if len(line) == 0 {
			return q, nil
		}
		if q.path == pathEcho {
			q.lines = append(q.lines, string(line))
		}
		name, value, _ := bytes.Cut(line, []byte(":"))
		value = bytes.TrimSpace(value)
		// The length is compared first: most headers are none of these.
		switch {
		case len(name) == 14 && bytes.EqualFold(name, []byte("content-length")):
			if q.length, err = strconv.ParseInt(string(value), 10, 64); err != nil {
				return q, err
			}
		case len(name) == 17 && bytes.EqualFold(name, []byte("transfer-encoding")):
			q.length = -1
		case len(name) == 15 && bytes.EqualFold(name, []byte("accept-encoding")):
			q.gzip = bytes.Contains(value, []byte("gzip"))
		case len(name) == 10 && bytes.EqualFold(name, []byte("connection")):
			q.last = q.last || bytes.EqualFold(value, []byte("close"))
		case len(name) == 6 && bytes.EqualFold(name, []byte("expect")):
			q.expects = true
		}
	}
}

func (u *upstream) serveHTTP1(c net.Conn) error {
	r := bufio.NewReaderSize(c, 32<<10)
	for {
		q, err := readWireRequest(r)
		if err != nil {
			return err
		}
		if q.expects {
			if _, err := io.WriteString(c, "HTTP/1.1 100 Continue\r\n\r\n"); err != nil {
				return err
			}
		}
		if q.length > 0 {
			_, err = io.CopyN(io.Discard, r, q.length)
		} else if q.length < 0 {
			err = discardChunks(r)
		}
		if err != nil {
			return err
		}
		if err := u.answerHTTP1(c, q); err != nil || q.last {
			return err
		}
	}
}

func (u *upstream) answerHTTP1(c net.Conn, q wireRequest) error {
	switch q.path {
	case pathDownload:
		header := http.Header{"Content-Type": {"application/octet-stream"}, "Content-Length": {strconv.Itoa(downloadSize)}}
		var b bytes.Buffer
		b.WriteString("HTTP/1.1 200 OK\r\n")
		_ = header.Write(&b)
		b.WriteString("\r\n")
		if _, err := c.Write(b.Bytes()); err != nil {
			return err
		}
		return writeZeros(c, downloadSize)
	case pathEvents:
		if _, err := io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-store\r\nTransfer-Encoding: chunked\r\n\r\n"); err != nil {
			return err
		}
		return events(func(event string) error {
			_, err := fmt.Fprintf(c, "%x\r\n%s\r\n", len(event), event)
			return err
		})
	case pathEcho:
		body, _ := json.Marshal(q.lines)
		_, err := c.Write(http1Answer(http.Header{"Content-Type": {"application/json"}, "Set-Cookie": {"a=1", "b=2"}}, body, ""))
		return err
	}
	a := u.answers[q.path]
	if a == nil {
		_, err := io.WriteString(c, "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
		return err
	}
	p := a.plain
	if q.gzip && a.gzip.body != nil {
		p = a.gzip
	}
	_, err := c.Write(p.http1)
	return err
}

// serveHTTP2 does the same for the peers that speak HTTP/2 to the upstream.
func (u *upstream) serveHTTP2(w http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body)
	h := w.Header()
	switch r.URL.Path {
	case pathDownload:
		h.Set("Content-Length", strconv.Itoa(downloadSize))
		_ = writeZeros(w, downloadSize)
		return
	case pathEvents:
		h.Set("Content-Type", "text/event-stream")
		_ = events(func(event string) error {
			if _, err := io.WriteString(w, event); err != nil {
				return err
			}
			return http.NewResponseController(w).Flush()
		})
		return
	case pathEcho:
		var lines []string
		for name, values := range r.Header {
			for _, value := range values {
				lines = append(lines, name+": "+value)
			}
		}
		h["Set-Cookie"] = []string{"a=1", "b=2"}
		_ = json.NewEncoder(w).Encode(lines)
		return
	}
	a := u.answers[r.URL.Path]
	if a == nil {
		http.NotFound(w, r)
		return
	}
	for name, values := range a.header {
		h[name] = values
	}
	body := a.plain.body
	if a.gzip.body != nil && strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
		h.Set("Content-Encoding", "gzip")
		body = a.gzip.body
	}
	h.Set("Content-Length", strconv.Itoa(len(body)))
	_, _ = w.Write(body)
}

var zeros [64 << 10]byte

func writeZeros(w io.Writer, n int) error {
	for n > 0 {
		written, err := w.Write(zeros[:min(n, len(zeros))])
		if err != nil {
			return err
		}
		n -= written
	}
	return nil
}

// events sends one at once and then one each half second, until nobody listens.
func events(send func(string) error) error {
	for i := 0; ; i++ {
		if err := send(fmt.Sprintf("data: %d\n\n", i)); err != nil {
			return err
		}
		time.Sleep(500 * time.Millisecond)
	}
}

// discardChunks reads a chunked body to its end.
func discardChunks(r *bufio.Reader) error {
	for {
		n, err := readChunkSize(r)
		if err != nil {
			return err
		}
		if _, err := io.CopyN(io.Discard, r, n+2); err != nil {
			return err
		}
		if n == 0 {
			return nil
		}
	}
}

// readChunkSize reads the line before a chunk. After the last chunk of size 0
// an empty line follows: nothing here sends trailers.
func readChunkSize(r *bufio.Reader) (int64, error) {
	line, err := r.ReadSlice('\n')
	if err != nil {
		return 0, err
	}
	size, _, _ := strings.Cut(strings.TrimSpace(string(line)), ";")
	return strconv.ParseInt(size, 16, 64)
}
