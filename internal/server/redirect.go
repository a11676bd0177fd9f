package server

import (
	"net/http"
	"strconv"
	"strings"
)

// toHTTPS redirects what comes over plain HTTP to a server that does TLS, and
// answers an authority that asks there whether this is the host that a
// certificate was asked for. A trusted proxy that says that its client did use
// HTTPS is served: a redirect would lead back here.
func (s *Server) toHTTPS(security security, routes *routes, next http.Handler) http.Handler {
	redirect := security.certificates.HTTPHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		named := accessOf(r.Context()).source.Host
		host, known := s.secureHost(named, security, routes)
		target, ok := originForm(r.RequestURI)
		switch {
		case named == "":
			plainError(w, http.StatusBadRequest, "The request does not name a valid host.")
		case !known:
			noSite(w)
		case !ok:
			plainError(w, http.StatusBadRequest, "This can only be asked over HTTPS.")
		default:
			// http.Redirect would clean the path.
			w.Header().Set("Location", "https://"+host+target)
			plainError(w, http.StatusPermanentRedirect, "This server is to be asked over HTTPS.")
		}
	}))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.TLS != nil || accessOf(r.Context()).source.Scheme == "https" {
			next.ServeHTTP(w, r)
			return
		}
		redirect.ServeHTTP(w, r)
	})
}

// secureHost is where a host has HTTPS, if it is one that this server accepts. A
// client that came by port 80 is sent to port 443, whatever ports those two lead
// to here. One that named another port has come without such a detour.
func (s *Server) secureHost(host string, security security, routes *routes) (secure string, known bool) {
	name, own := host, ""
	if colon := strings.LastIndexByte(host, ':'); colon >= 0 && !strings.HasSuffix(host, "]") {
		name = host[:colon]
	}
	if port := s.httpsPort.Load(); port != 0 && port != 443 {
		own = ":" + strconv.Itoa(int(port))
	}
	hosts := []string{name, name + own}
	if name != host {
		hosts = []string{name + own, name}
	}
	for _, each := range hosts {
		if _, ok := routes.byHost.Get(each, "https"); ok {
			return each, true
		}
	}
	// A site that takes all hosts takes invented ones too. Those that there is a
	// certificate for are not invented.
	return hosts[0], routes.fallback != nil && security.certificates.Has(name)
}

// originForm is the path and the query of a request's target, byte for byte, RFC
// 9112 §3.2.
func originForm(target string) (string, bool) {
	if _, rest, absolute := strings.Cut(target, "://"); absolute && target[0] != '/' {
		end := strings.IndexAny(rest, "/?")
		switch {
		case end < 0:
			return "/", true
		case rest[end] == '?':
			return "/" + rest[end:], true
		}
		return rest[end:], true
	}
	return target, strings.HasPrefix(target, "/")
}
