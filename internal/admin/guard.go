package admin

import (
	"net"
	"net/http"
	"net/netip"
	"time"
)

// writeTimeout is how long an answer may take to be taken, but for profiles,
// which say themselves how long they take.
const writeTimeout = 30 * time.Second

// guard keeps out what is none of a visitor's.
func guard(next http.Handler) http.Handler {
	// A page elsewhere may not press a button here.
	next = http.NewCrossOriginProtection().Handler(next)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !meantForUs(r) {
			http.Error(w, "421 Misdirected Request: this address answers to localhost and loopback addresses only.", http.StatusMisdirectedRequest)
			return
		}
		h := w.Header()
		h.Set("Cache-Control", "no-store")
		h.Set("Content-Security-Policy", "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("X-Content-Type-Options", "nosniff")
		_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(writeTimeout))
		next.ServeHTTP(w, r)
	})
}

// meantForUs reports whether a request over the loopback interface names it. One
// that does not comes from a browser on this machine, led here by a name that
// somebody lets lead to loopback: to that page this would be its own origin.
func meantForUs(r *http.Request) bool {
	local, _ := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	if local == nil {
		return true
	}
	if to, err := netip.ParseAddrPort(local.String()); err != nil || !to.Addr().Unmap().IsLoopback() {
		return true
	}
	host := r.Host
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	if host == "localhost" {
		return true
	}
	ip, err := netip.ParseAddr(trimBrackets(host))
	return err == nil && ip.Unmap().IsLoopback()
}

func trimBrackets(host string) string {
	if len(host) > 1 && host[0] == '[' && host[len(host)-1] == ']' {
		return host[1 : len(host)-1]
	}
	return host
}
