package upstream

import (
	"bufio"
	"bytes"
	"io"
	"net/http"
	"net/textproto"
	"strconv"
	"strings"
)

// readResponse reads the headers of an answer. Nearly all answers are plain,
// and reading those takes a handful of allocations here; whatever is in any way
// unusual is left to net/http, byte for byte.
func (c *conn) readResponse(req *http.Request) (*http.Response, error) {
	if req.Method != http.MethodHead {
		if _, err := c.br.Peek(1); err == nil {
			if resp := c.readPlain(req); resp != nil {
				return resp, nil
			}
		}
	}
	return http.ReadResponse(c.br, req)
}

// readPlain reads an answer that has a body of known length and nothing else
// about it that bears on how it is read. Otherwise it returns nil, and has read
// nothing.
func (c *conn) readPlain(req *http.Request) *http.Response {
	buffered, _ := c.br.Peek(c.br.Buffered())
	end := bytes.Index(buffered, []byte("\r\n\r\n"))
	if end < 0 {
		return nil
	}
	head := string(buffered[:end+2])
	line, rest, _ := strings.Cut(head, "\r\n")
	code, ok := parseStatusLine(line)
	if !ok {
		return nil
	}

	lines := strings.Count(rest, "\r\n")
	header := make(http.Header, lines)
	values := make([]string, lines)
	length := int64(-1)
	for i := range lines {
		line, rest, _ = strings.Cut(rest, "\r\n")
		name, value, ok := strings.Cut(line, ":")
		value = strings.Trim(value, " \t")
		if !ok || !isToken(name) || !isValue(value) {
			return nil
		}
		name = textproto.CanonicalMIMEHeaderKey(name)
		switch name {
		case "Transfer-Encoding", "Trailer", "Upgrade", "Pragma":
			return nil
		case "Connection":
			if !strings.EqualFold(value, "keep-alive") {
				return nil
			}
		case "Content-Length":
			if length >= 0 || !isDigits(value) {
				return nil
			}
			n, err := strconv.ParseInt(value, 10, 64)
			if err != nil {
				return nil
			}
			length = n
		}
		if header[name] == nil {
			values[i] = value
			header[name] = values[i : i+1 : i+1]
		} else {
			header[name] = append(header[name], value)
		}
	}
	if length < 0 {
		return nil
	}

	_, _ = c.br.Discard(end + 4) // it is buffered
	resp := &http.Response{
		Status:        strings.TrimLeft(head[len("HTTP/1.1 "):strings.Index(head, "\r\n")], " "),
		StatusCode:    code,
		Proto:         "HTTP/1.1",
		ProtoMajor:    1,
		ProtoMinor:    1,
		Header:        header,
		Body:          http.NoBody,
		ContentLength: length,
		Request:       req,
	}
	if length > 0 {
		resp.Body = &lengthBody{c.br, length}
	}
	return resp
}

// parseStatusLine reads the code of an answer that has a body.
func parseStatusLine(line string) (code int, ok bool) {
	status, ok := strings.CutPrefix(line, "HTTP/1.1 ")
	if !ok || len(status) < 3 || len(status) > 3 && status[3] != ' ' || !isDigits(status[:3]) || !isValue(status) {
		return 0, false
	}
	code, _ = strconv.Atoi(status[:3])
	return code, code >= 200 && code != http.StatusNoContent && code != http.StatusNotModified
}

func isDigits(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return s != ""
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
