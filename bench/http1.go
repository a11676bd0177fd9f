package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// client makes one request after another over one connection.
type client interface {
	// do makes a request and reads the answer to its end. It adds the body's
	// bytes to received as they come.
	do(received *atomic.Int64) error
	close()
}

// http1Client does as little as can be done, since it shares the cores with
// what it measures.
type http1Client struct {
	conn    net.Conn
	r       *bufio.Reader
	request []byte // with its body
	timeout time.Duration
}

func dialHTTP1(j *job, request []byte) (client, error) {
	conn, err := net.DialTimeout("tcp", j.Address, 10*time.Second)
	if err != nil {
		return nil, err
	}
	size := 4 << 10
	if j.Kind != kindIdle {
		size = 64 << 10
	}
	return &http1Client{conn: conn, r: bufio.NewReaderSize(conn, size), request: request, timeout: j.timeout()}, nil
}

// http1Request is a request of the kind that browsers send, with the cookies of
// someone who is signed in.
func http1Request(j *job) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\nHost: %s\r\n", j.Method, j.Path, appHost)
	for _, h := range browserHeader {
		fmt.Fprintf(&b, "%s: %s\r\n", h[0], h[1])
	}
	if j.Body > 0 {
		fmt.Fprintf(&b, "Content-Type: application/octet-stream\r\nContent-Length: %d\r\n", j.Body)
	}
	b.WriteString("\r\n")
	b.Write(make([]byte, j.Body))
	return b.Bytes()
}

var browserHeader = [][2]string{
	{"accept", "*/*"},
	{"accept-encoding", "gzip, deflate, br, zstd"},
	{"accept-language", "en-GB,en;q=0.9"},
	{"cookie", "__client_uat=1767225600; __session=" + strings.Repeat("eyJhbGciOiJSUzI1NiIs", 20) + "; __client=" + strings.Repeat("eyJhbGciOi", 24)},
	{"origin", "https://" + appHost},
	{"referer", "https://" + appHost + "/sign-in"},
	{"user-agent", "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36"},
}

func (c *http1Client) close() { _ = c.conn.Close() }

func (c *http1Client) do(received *atomic.Int64) error {
	if err := c.conn.SetDeadline(time.Now().Add(c.timeout)); err != nil {
		return err
	}
	if _, err := c.conn.Write(c.request); err != nil {
		return err
	}
	head, err := readHead(c.r)
	if err != nil {
		return err
	}
	if head.status != 200 {
		return fmt.Errorf("status %d", head.status)
	}
	if err := discardBody(c.r, head.length, received); err != nil {
		return err
	}
	if head.close {
		return errClosing
	}
	return nil
}

// errClosing is a good answer after which the connection cannot be used again.
var errClosing = errors.New("the server closes the connection")

// head is what matters of an answer's header.
type head struct {
	status int
	length int64 // chunked or untilClose, if negative
	close  bool
}

const (
	chunked    = -1
	untilClose = -2
)

func readHead(r *bufio.Reader) (h head, err error) {
	line, err := r.ReadSlice('\n')
	if err != nil {
		return h, err
	}
	if len(line) < len("HTTP/1.1 200") || !bytes.HasPrefix(line, []byte("HTTP/1.")) {
		return h, fmt.Errorf("malformed status line %q", line)
	}
	if h.status, err = strconv.Atoi(string(line[9:12])); err != nil {
		return h, err
	}
	h.length = untilClose
	for {
		line, err := r.ReadSlice('\n')
		if err != nil {
			return h, err
		}
		if len(line) <= 2 {
			return h, nil
		}
		name, value, _ := bytes.Cut(line, []byte(":"))
		switch {
		case len(name) == 14 && bytes.EqualFold(name, []byte("content-length")):
			if h.length, err = strconv.ParseInt(string(bytes.TrimSpace(value)), 10, 64); err != nil {
				return h, err
			}
		case len(name) == 17 && bytes.EqualFold(name, []byte("transfer-encoding")):
			h.length = chunked
		case len(name) == 10 && bytes.EqualFold(name, []byte("connection")):
			h.close = bytes.EqualFold(bytes.TrimSpace(value), []byte("close"))
		}
	}
}

func discardBody(r *bufio.Reader, length int64, received *atomic.Int64) error {
	switch length {
	case untilClose:
		return errors.New("answer without a length")
	case chunked:
		for {
			n, err := readChunkSize(r)
			if err != nil {
				return err
			}
			if err := discardBody(r, n, received); err != nil {
				return err
			}
			if _, err := r.Discard(2); err != nil {
				return err
			}
			if n == 0 {
				return nil
			}
		}
	}
	for length > 0 {
		n, err := r.Discard(int(min(length, 64<<10)))
		received.Add(int64(n))
		length -= int64(n)
		if err != nil {
			if err == io.EOF {
				err = io.ErrUnexpectedEOF
			}
			return err
		}
	}
	return nil
}
