// Package front is the HTTP server of clerk-proxy.
//
// net/http's server costs more than the rest of a request's way through the
// proxy: it hands each connection to a second goroutine that waits for the
// client to go away, over HTTP/2 each request to three, makes maps of headers,
// and keeps ten kilobytes for a client that asks for nothing. What this one
// promises is what that one does, at a third of the cost:
//
//   - HTTP/1.1 has one goroutine a connection, which holds no memory while it
//     waits. A request of which head and body are there, and mean the same to
//     everyone who reads them, is answered here. Anything else (HTTP/1.0, chunks,
//     uploads, upgrades, whatever is malformed) is net/http's: the connection
//     goes to a server of its own there, with what has been read of it, and
//     stays. So nothing is parsed here that could be parsed in two ways.
//   - HTTP/2 has one goroutine a connection that reads, with the frames and the
//     header tables of golang.org/x/net, and one a request, which writes its
//     answer itself.
//   - One more, the warden, looks at all connections four times a second. It
//     limits their time and notices clients that have gone away, so that nothing
//     else needs a timer.
//
// A request is answered as a list of fields by Config.Exchanges, or else as an
// [http.Request] by Config.Handler.
package front
