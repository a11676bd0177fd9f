// Package front is the HTTP server of clerk-proxy.
//
// net/http's server costs more than the rest of a request's way through the
// proxy: it hands each connection to a second goroutine that waits for the
// client to go away, makes maps of headers, and keeps ten kilobytes for a client
// that asks for nothing. This one does for plain HTTP/1.1 requests what it does,
// with one goroutine a connection and no memory held while it waits:
//
//   - A request of which head and body are there, and mean the same to everyone
//     who reads them, is answered here: as a list of fields by Config.Exchanges,
//     or else as an [http.Request] by Config.Handler.
//   - Anything else (HTTP/2, HTTP/1.0, chunks, uploads, upgrades, whatever is
//     malformed) is net/http's: the connection goes to a server of its own there,
//     with what has been read of it, and stays.
//
// So nothing is parsed here that could be parsed in two ways, and net/http
// decides about every odd case as it always did.
package front
