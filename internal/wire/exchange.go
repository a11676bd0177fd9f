package wire

import (
	"context"
	"crypto/tls"
	"errors"
	"net/http"
	"net/netip"
	"time"
)

// A Request is a request without a body, or with one that is all there.
type Request struct {
	Method string
	// Target is the path and the query as they were sent. It begins with a
	// slash.
	Target string
	Host   string
	// Fields are the header's, but for Host and what says how the message is
	// framed: Content-Length and Connection.
	Fields Fields
	Body   []byte
}

// An Exchange is a request that somebody sent, and the way to answer it. It
// belongs to the goroutine that was given it, until that returns.
type Exchange struct {
	Request
	// Peer is the address of the connection's other end, in canonical form:
	// IPv4-mapped addresses as IPv4, without a zone.
	Peer netip.Addr
	// TLS is nil on a connection without it.
	TLS *tls.ConnectionState
	// Context is what the context of HTTP's request is made of. It does not end
	// with the client's connection.
	Context context.Context

	Responder

	// Onward and Inbound are room for the request to an upstream and for the
	// fields of its answer, so that not every exchange has to make it anew.
	Onward  Request
	Inbound Fields
}

// Why an exchange was cut, [Responder].Cut.
var (
	ErrClientGone = errors.New("the client went away")
	ErrSilent     = errors.New("nothing moved for too long")
)

// A Responder answers an exchange.
type Responder interface {
	// Respond begins the answer. Its body has length bytes. Field names are in
	// canonical form; none says how the message is framed.
	Respond(status int, fields Fields, length int64)
	// Write writes the next bytes of the body. It may keep small ones back until
	// there are more, or the handler returns. An error means that the client is gone or does not
	// read: there is no more to be done.
	Write(p []byte) (int, error)
	// Flush sends what Respond and Write have kept back.
	Flush() error

	// Watch has cut called once, by another goroutine, when the client goes
	// away or when nothing has moved for the limit; 0 is no limit. What is cut
	// has to end soon. Each call replaces the one before; a nil cut ends it, and
	// after that call no cut is under way.
	Watch(limit time.Duration, cut func())
	// Moved starts the limit of Watch anew.
	Moved()
	// Cut says why cut was called: ErrClientGone, ErrSilent or the cause of the
	// server's shutdown. Nil: it was not.
	Cut() error

	// HTTP is the exchange as net/http has it. Its context ends with the
	// client's connection. It is for answers that a length and a list of fields
	// do not describe, and excludes Respond.
	HTTP() (http.ResponseWriter, *http.Request)
}

// A Handler answers exchanges.
type Handler interface {
	// ServeExchange answers an exchange, or returns false and has done nothing
	// about it: then it has to be answered as an [http.Request].
	ServeExchange(*Exchange) bool
}
