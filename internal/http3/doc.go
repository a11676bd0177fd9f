// Package http3 serves an [http.Handler] over HTTP/3, RFC 9114: over QUIC, on UDP.
//
// QUIC and the frames of HTTP/3 are quic-go's. What is here is the rest of a
// server that is in front of others: requests are made to be what they are over
// HTTP/1.1 and HTTP/2, and malformed ones go no further; connections and their
// requests are counted, limited and ended in good order; and a socket can be
// passed on to another process without an answer that is lost.
//
// quic-go writes a log and traces (qlog) only if it is asked to, in which there
// are paths and headers. It is not asked to.
package http3
