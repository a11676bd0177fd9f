package upstream

import (
	"bufio"
	"bytes"
	"io"
	"net/http"
	"strconv"
	"strings"

	"github.com/clerkproxy/clerkproxy/internal/wire"
)

// readResponse reads the headers of an answer. Nearly all answers are plain,
// and reading those takes a handful of allocations here; whatever is in any way
// unusual is left to net/http, byte for byte.
func (c *conn) readResponse(req *http.Request) (*http.Response, error) {
	if req.Method != http.MethodHead {
		if h, ok := c.readHead(nil); ok {
			return c.response(h, req), nil
		}
	}
	return http.ReadResponse(c.br, req)
}

// A head is that of a plain answer: one that has a body of known length and
// nothing else about it that bears on how it is read.
type head struct {
	line   string // the status line
	status int
	fields wire.Fields
	length int64
}

// readHead reads the head of a plain answer, and appends its fields. Otherwise
// it returns false, and has consumed nothing.
func (c *conn) readHead(fields wire.Fields) (h head, ok bool) {
	end, ok := c.endOfHead()
	if !ok {
		return h, false
	}
	buffered, _ := c.br.Peek(end)
	line, rest, _ := strings.Cut(string(buffered[:end-2]), "\r\n")
	h.line, h.length = line, -1
	if h.status, ok = parseStatusLine(line); !ok {
		return h, false
	}
	if h.fields, ok = wire.ParseFields(fields, rest); !ok {
		return h, false
	}
	for _, f := range h.fields[len(fields):] {
		switch f.Name {
		case "Transfer-Encoding", "Trailer", "Upgrade", "Pragma":
			return h, false
		case "Connection":
			if !strings.EqualFold(f.Value, "keep-alive") {
				return h, false
			}
		case "Content-Length":
			if h.length >= 0 || !wire.IsDigits(f.Value) {
				return h, false
			}
			n, err := strconv.ParseInt(f.Value, 10, 64)
			if err != nil {
				return h, false
			}
			h.length = n
		}
	}
	if h.length < 0 {
		return h, false
	}
	_, _ = c.br.Discard(end) // it is buffered
	return h, true
}

// statusLine begins every plain answer.
var statusLine = []byte("HTTP/1.1 ")

// endOfHead reads until a head is there, and returns its length; false if it is
// too long for the buffer, or does not come.
func (c *conn) endOfHead() (end int, ok bool) {
	for searched := 0; ; {
		if _, err := c.br.Peek(searched + 1); err != nil {
			return 0, false
		}
		buffered, _ := c.br.Peek(c.br.Buffered())
		if end := bytes.Index(buffered[max(0, searched-3):], []byte("\r\n\r\n")); end >= 0 {
			return max(0, searched-3) + end + 4, true
		}
		if !bytes.HasPrefix(buffered, statusLine[:min(len(buffered), len(statusLine))]) || bytes.Contains(buffered, []byte("\n\n")) {
			return 0, false // no more may come
		}
		searched = len(buffered)
	}
}

// response is a plain answer as net/http has it.
func (c *conn) response(h head, req *http.Request) *http.Response {
	resp := &http.Response{
		Status:        strings.TrimLeft(h.line[len(statusLine):], " "),
		StatusCode:    h.status,
		Proto:         "HTTP/1.1",
		ProtoMajor:    1,
		ProtoMinor:    1,
		Header:        h.fields.Header(),
		Body:          http.NoBody,
		ContentLength: h.length,
		Request:       req,
	}
	if h.length > 0 {
		resp.Body = &lengthBody{c.br, h.length}
	}
	return resp
}

// parseStatusLine reads the code of an answer that has a body.
func parseStatusLine(line string) (code int, ok bool) {
	status, ok := strings.CutPrefix(line, string(statusLine))
	if !ok || len(status) < 3 || len(status) > 3 && status[3] != ' ' || !wire.IsDigits(status[:3]) || !wire.IsValue(status) {
		return 0, false
	}
	code, _ = strconv.Atoi(status[:3])
	return code, code >= 200 && code != http.StatusNoContent && code != http.StatusNotModified
}

// lengthBody is a body of known length.
type lengthBody struct {
	br   *bufio.Reader
	left int64
}

func (b *lengthBody) Read(p []byte) (int, error) {
	if b.left == 0 {
		return 0, io.EOF
	}
	if int64(len(p)) > b.left {
		p = p[:b.left]
	}
	n, err := b.br.Read(p)
	b.left -= int64(n)
	switch {
	case b.left == 0:
		return n, io.EOF // at once, so that the connection is free before the last byte is passed on
	case err == io.EOF:
		return n, io.ErrUnexpectedEOF
	}
	return n, err
}

func (b *lengthBody) Close() error { return nil }
