package conformance

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// A header is one line of a message's header. The name is in lower case; the
// value is as it was sent, but for the white space around it.
type header struct{ name, value string }

// A message is a request or an answer as it was read off the wire.
type message struct {
	start   string
	headers []header
	// length says how the body was delimited: "none", "chunked", "until
	// close", or its length in bytes.
	length   string
	body     string
	trailers []header
	// whole is false when the connection ended before the message did.
	whole bool
}

func (m *message) get(name string) (string, bool) {
	for _, h := range m.headers {
		if h.name == name {
			return h.value, true
		}
	}
	return "", false
}

var errNotHTTP = errors.New("not HTTP")

// readHead reads the start line and the header of a message.
func readHead(r *bufio.Reader) (*message, error) {
	start, err := readLine(r)
	if err != nil {
		return nil, err
	}
	m := &message{start: start}
	m.headers, err = readHeaders(r)
	return m, err
}

func readHeaders(r *bufio.Reader) ([]header, error) {
	var headers []header
	for {
		line, err := readLine(r)
		if err != nil || line == "" {
			return headers, err
		}
		name, value, ok := strings.Cut(line, ":")
		if !ok {
			return headers, fmt.Errorf("%w: header line %q", errNotHTTP, line)
		}
		headers = append(headers, header{strings.ToLower(name), strings.Trim(value, " \t")})
	}
}

func readLine(r *bufio.Reader) (string, error) {
	line, err := r.ReadString('\n')
	if err != nil {
		return "", err
	}
	return strings.TrimSuffix(strings.TrimSuffix(line, "\n"), "\r"), nil
}

// readBody reads the body of a message whose head has been read. A message that
// says nothing of its length has none, or, with untilClose, lasts as long as
// the connection. progress is called when bytes of the body have arrived.
func (m *message) readBody(r *bufio.Reader, untilClose bool, progress func()) {
	body := &strings.Builder{}
	read := func(n int64) bool {
		for n != 0 {
			if _, err := r.Peek(1); err != nil {
				return err == io.EOF && n < 0
			}
			progress()
			size := int64(r.Buffered())
			if n > 0 {
				size = min(size, n)
				n -= size
			}
			_, _ = io.CopyN(body, r, size)
		}
		return true
	}
	defer func() { m.body = body.String() }()

	encoding, _ := m.get("transfer-encoding")
	length, known := m.get("content-length")
	switch {
	case strings.HasSuffix(strings.ToLower(encoding), "chunked"):
		m.length = "chunked"
		for {
			line, err := readLine(r)
			if err != nil {
				return
			}
			size, _, _ := strings.Cut(line, ";")
			n, err := strconv.ParseUint(strings.TrimSpace(size), 16, 31)
			if err != nil {
				return
			}
			if n == 0 {
				m.trailers, err = readHeaders(r)
				m.whole = err == nil
				return
			}
			if !read(int64(n)) {
				return
			}
			if line, err := readLine(r); err != nil || line != "" {
				return
			}
		}
	case known:
		m.length = length
		if n, err := strconv.ParseInt(length, 10, 63); err == nil && n >= 0 {
			m.whole = read(n)
		}
	case untilClose:
		m.length = "until close"
		m.whole = read(-1)
	default:
		m.length, m.whole = "none", true
	}
}
