package http3

import (
	"bufio"
	"bytes"
	"crypto/rand"
	"crypto/sha1"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/quic-go/quic-go"
	h3 "github.com/quic-go/quic-go/http3"

	"github.com/clerkproxy/clerkproxy/internal/wire"
)

// A WebSocket over HTTP/3 is a stream that a CONNECT opens, RFC 9220. quic-go
// tells every client that this works. Handlers get it as what it is over HTTP/1.1,
// a request for an upgrade, and switch protocols as they do there.

// isExtended reports whether a request is a CONNECT for a protocol of its own.
func isExtended(r *http.Request) bool {
	return r.Method == http.MethodConnect && r.Proto != "HTTP/3.0"
}

// openWebSocket makes a request for an upgrade. Other protocols are not there.
func (w *writer) openWebSocket(r *http.Request) {
	if r.Proto != "websocket" {
		w.WriteHeader(http.StatusNotImplemented) // RFC 9220 §3
		return
	}
	key := make([]byte, 16)
	rand.Read(key)
	w.upgrade = &upgrade{w: w, key: base64.StdEncoding.EncodeToString(key)}
	w.method, r.Method, r.Proto = http.MethodGet, http.MethodGet, "HTTP/3.0"
	r.Body, r.ContentLength = http.NoBody, 0
	delete(r.Header, "Content-Length")
	r.Header["Connection"], r.Header["Upgrade"] = []string{"Upgrade"}, []string{"websocket"}
	r.Header["Sec-Websocket-Key"] = []string{w.upgrade.key}
}

// Hijack implements [http.Hijacker], for WebSockets alone. What is written first
// is an answer of HTTP/1.1.
func (w *writer) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case w.upgrade == nil:
		return nil, nil, fmt.Errorf("HTTP/3 has no connections to hijack: %w", http.ErrNotSupported)
	case w.webSocket:
		return nil, nil, http.ErrHijacked
	case w.status != 0:
		return nil, nil, errors.New("hijack: there is an answer already")
	}
	w.webSocket = true
	w.conn.switched()
	return w.upgrade, bufio.NewReadWriter(bufio.NewReader(w.upgrade), bufio.NewWriter(w.upgrade)), nil
}

// maxHead is how long the answer may be that switches protocols.
const maxHead = 64 << 10

// An upgrade is a WebSocket's stream, once the answer of HTTP/1.1 that switches
// protocols has been written to it.
type upgrade struct {
	w      *writer
	key    string
	head   []byte // of the answer, until it is whole
	stream *h3.Stream
}

// Write implements [net.Conn].
func (u *upgrade) Write(p []byte) (int, error) {
	if u.stream != nil {
		return u.stream.Write(p)
	}
	u.head = append(u.head, p...)
	end := bytes.Index(u.head, []byte("\r\n\r\n"))
	switch {
	case end < 0 && len(u.head) > maxHead:
		return 0, errors.New("the answer that switches protocols is too long")
	case end < 0:
		return len(p), nil
	}
	if err := u.begin(u.head[:end+4]); err != nil {
		return 0, err
	}
	if rest := u.head[end+4:]; len(rest) > 0 {
		if _, err := u.stream.Write(rest); err != nil {
			return 0, err
		}
	}
	u.head = nil
	return len(p), nil
}

// begin answers the CONNECT.
func (u *upgrade) begin(head []byte) error {
	resp, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(head)), &http.Request{Method: http.MethodGet})
	switch {
	case err != nil:
		return err
	case resp.StatusCode != http.StatusSwitchingProtocols:
		return fmt.Errorf("the answer that switches protocols says %d", resp.StatusCode)
	case resp.Header.Get("Sec-WebSocket-Accept") != accepting(u.key):
		return errors.New("the answer that switches protocols is to another key") // RFC 6455 §4.1
	}
	h := u.w.under.Header()
	clear(h)
	for name, values := range resp.Header {
		if !wire.IsConnections(name) && !strings.EqualFold(name, "Sec-WebSocket-Accept") {
			h[name] = clean(values)
		}
	}
	u.w.under.WriteHeader(http.StatusOK)
	u.stream, err = u.w.under.(h3.HTTPStreamer).HTTPStream()
	return err
}

// accepting is what a server answers to a key, RFC 6455 §1.3.
func accepting(key string) string {
	sum := sha1.Sum([]byte(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	return base64.StdEncoding.EncodeToString(sum[:])
}

// Read implements [net.Conn].
func (u *upgrade) Read(p []byte) (int, error) {
	if u.stream == nil {
		return 0, io.ErrClosedPipe
	}
	return u.stream.Read(p)
}

// Close implements [net.Conn].
func (u *upgrade) Close() error {
	if u.stream == nil {
		refuse(u.w.under, h3.ErrCodeInternalError)
		return nil
	}
	u.stream.CancelRead(quic.StreamErrorCode(h3.ErrCodeNoError))
	return u.stream.Close()
}

// CloseWrite ends what is sent.
func (u *upgrade) CloseWrite() error {
	if u.stream == nil {
		return io.ErrClosedPipe
	}
	return u.stream.Close()
}

// LocalAddr implements [net.Conn].
func (u *upgrade) LocalAddr() net.Addr { return u.w.conn.quic.LocalAddr() }

// RemoteAddr implements [net.Conn].
func (u *upgrade) RemoteAddr() net.Addr { return u.w.conn.quic.RemoteAddr() }

// SetDeadline implements [net.Conn].
func (u *upgrade) SetDeadline(t time.Time) error {
	return errors.Join(u.SetReadDeadline(t), u.SetWriteDeadline(t))
}

// SetReadDeadline implements [net.Conn].
func (u *upgrade) SetReadDeadline(t time.Time) error { return u.w.control.SetReadDeadline(t) }

// SetWriteDeadline implements [net.Conn].
func (u *upgrade) SetWriteDeadline(t time.Time) error { return u.w.control.SetWriteDeadline(t) }
