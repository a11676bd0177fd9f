package main

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"sync/atomic"
	"time"
)

// http2Client speaks just enough HTTP/2 to send one GET after another and to
// find the end of each answer, RFC 9113. Its request's header block is made
// once and uses no dynamic table; of the answer's, only the status is read.
type http2Client struct {
	conn    net.Conn
	r       *bufio.Reader
	request []byte // a HEADERS frame, the stream's number still to be put in
	stream  uint32
	timeout time.Duration
	// credit is how much the server may still send on the connection.
	credit int64
}

const (
	frameData         = 0
	frameHeaders      = 1
	frameResetStream  = 3
	frameSettings     = 4
	framePing         = 6
	frameGoAway       = 7
	frameWindowUpdate = 8

	flagEndStream  = 1 // also ACK, of SETTINGS and PING
	flagEndHeaders = 4
	flagPadded     = 8
	flagPriority   = 32

	maxWindow = 1<<31 - 1
)

func dialHTTP2(j *job, config *tls.Config, request []byte) (client, error) {
	raw, err := net.DialTimeout("tcp", j.Address, 10*time.Second)
	if err != nil {
		return nil, err
	}
	conn := tls.Client(raw, config)
	c := &http2Client{conn: conn, r: bufio.NewReaderSize(conn, 32<<10), request: bytes.Clone(request), stream: 1, timeout: j.timeout(), credit: maxWindow}
	_ = conn.SetDeadline(time.Now().Add(c.timeout))
	if err := conn.Handshake(); err != nil {
		_ = raw.Close()
		return nil, err
	}
	if p := conn.ConnectionState().NegotiatedProtocol; p != "h2" {
		_ = raw.Close()
		return nil, fmt.Errorf("the server chose %q instead of HTTP/2", p)
	}
	hello := []byte("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
	// No push, and a window for each stream that is never exhausted.
	hello = append(hello, frame(frameSettings, 0, 0, []byte{0, 2, 0, 0, 0, 0, 0, 4, 0x7f, 0xff, 0xff, 0xff})...)
	hello = append(hello, frame(frameWindowUpdate, 0, 0, binary.BigEndian.AppendUint32(nil, maxWindow-65535))...)
	if _, err := conn.Write(hello); err != nil {
		_ = raw.Close()
		return nil, err
	}
	return c, nil
}

func frame(kind, flags byte, stream uint32, payload []byte) []byte {
	f := make([]byte, 9, 9+len(payload))
	f[0], f[1], f[2] = byte(len(payload)>>16), byte(len(payload)>>8), byte(len(payload))
	f[3], f[4] = kind, flags
	binary.BigEndian.PutUint32(f[5:], stream)
	return append(f, payload...)
}

// http2Request is the HEADERS frame of a GET.
func http2Request(path string) []byte {
	block := []byte{0x82, 0x87} // :method GET and :scheme https of the static table
	literal := func(name, value string) {
		block = append(block, 0x00) // without indexing, new name: RFC 7541 §6.2.2
		block = appendString(block, name)
		block = appendString(block, value)
	}
	literal(":authority", appHost)
	literal(":path", path)
	for _, h := range browserHeader {
		literal(h[0], h[1])
	}
	return frame(frameHeaders, flagEndStream|flagEndHeaders, 1, block)
}

// appendString appends a string that is not Huffman-coded, RFC 7541 §5.2.
func appendString(b []byte, s string) []byte {
	if n := len(s); n < 127 {
		b = append(b, byte(n))
	} else {
		b = append(b, 127)
		for n -= 127; n >= 128; n >>= 7 {
			b = append(b, byte(n)|128)
		}
		b = append(b, byte(n))
	}
	return append(b, s...)
}

func (c *http2Client) close() { _ = c.conn.Close() }

func (c *http2Client) do(received *atomic.Int64) error {
	if err := c.conn.SetDeadline(time.Now().Add(c.timeout)); err != nil {
		return err
	}
	stream := c.stream
	c.stream += 2
	binary.BigEndian.PutUint32(c.request[5:], stream)
	if _, err := c.conn.Write(c.request); err != nil {
		return err
	}
	for {
		ended, err := c.readFrame(stream, received)
		if err != nil || ended {
			return err
		}
	}
}

// readFrame reads a frame and reports whether the stream has ended with it.
func (c *http2Client) readFrame(stream uint32, received *atomic.Int64) (bool, error) {
	header, err := c.r.Peek(9)
	if err != nil {
		return false, err
	}
	length := int(header[0])<<16 | int(header[1])<<8 | int(header[2])
	kind, flags, id := header[3], header[4], binary.BigEndian.Uint32(header[5:])&maxWindow
	_, _ = c.r.Discard(9)
	if length > 16<<10 {
		return false, fmt.Errorf("frame of %d bytes", length)
	}
	payload, err := c.r.Peek(length)
	if err != nil {
		return false, err
	}
	defer func() { _, _ = c.r.Discard(length) }()

	switch kind {
	case frameHeaders:
		if id == stream && !isStatus200(payload, flags) {
			return false, errors.New("an answer other than 200")
		}
		return id == stream && flags&flagEndStream != 0, nil
	case frameData:
		received.Add(int64(length))
		if c.credit -= int64(length); c.credit < maxWindow/2 {
			update := binary.BigEndian.AppendUint32(nil, uint32(maxWindow-c.credit))
			if _, err := c.conn.Write(frame(frameWindowUpdate, 0, 0, update)); err != nil {
				return false, err
			}
			c.credit = maxWindow
		}
		return id == stream && flags&flagEndStream != 0, nil
	case frameSettings:
		if flags&flagEndStream == 0 {
			_, err = c.conn.Write(frame(frameSettings, flagEndStream, 0, nil))
		}
		return false, err
	case framePing:
		if flags&flagEndStream == 0 {
			_, err = c.conn.Write(frame(framePing, flagEndStream, 0, payload))
		}
		return false, err
	case frameResetStream:
		return false, errors.New("the stream was reset")
	case frameGoAway:
		return false, io.ErrUnexpectedEOF
	}
	return false, nil
}

// isStatus200 reports whether a header block begins with the static table's
// :status 200, as every server's does, after updates of the table's size.
func isStatus200(block []byte, flags byte) bool {
	if flags&flagPadded != 0 && len(block) > 0 {
		block = block[1:]
	}
	if flags&flagPriority != 0 && len(block) >= 5 {
		block = block[5:]
	}
	for len(block) > 0 && block[0]&0xe0 == 0x20 {
		more := block[0]&0x1f == 0x1f
		block = block[1:]
		for more && len(block) > 0 {
			more = block[0]&0x80 != 0
			block = block[1:]
		}
	}
	return len(block) > 0 && block[0] == 0x88
}
