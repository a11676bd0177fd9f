package clerkproxy

import (
	"context"
	"net/http"
	"net/url"
	"strings"

	"github.com/clerkproxy/clerkproxy/internal/forwarded"
	"github.com/clerkproxy/clerkproxy/internal/upstream"
)

// outbound makes the request to the Frontend API, but for its body.
func (p *Proxy) outbound(ctx context.Context, r *http.Request, x *exchange) *http.Request {
	out := &http.Request{
		Method:        r.Method,
		URL:           p.targetURL(r.URL, x.rest),
		Host:          p.target.host,
		Header:        p.outboundHeader(r.Header, x),
		Proto:         "HTTP/1.1",
		ProtoMajor:    1,
		ProtoMinor:    1,
		ContentLength: r.ContentLength,
	}
	return out.WithContext(ctx)
}

// targetURL is the URL whose request target is the Frontend API's path, the
// rest of the request's own and its query, byte for byte. The host is fixed: it
// is never read from the path.
func (p *Proxy) targetURL(in *url.URL, rest string) *url.URL {
	if rest == "" {
		rest = "/"
	}
	u := &url.URL{Scheme: p.target.scheme, Host: p.target.host, RawQuery: in.RawQuery, ForceQuery: in.ForceQuery}
	upstream.SetPath(u, p.target.path+rest)
	return u
}

// outboundHeader copies what travels on and adds what Clerk asks of a proxy.
func (p *Proxy) outboundHeader(in http.Header, x *exchange) http.Header {
	out := make(http.Header, len(in)+6)
	nominated := in["Connection"]
	for name, values := range in {
		plain := forwarded.Plain(name)
		switch {
		case isHopByHop(name),
			len(nominated) > 0 && nominates(nominated, name),
			// The way of the secret key begins here.
			plain == "Clerk-Secret-Key", plain == "Clerk-Proxy-Url",
			(!x.source.PeerTrusted || plain != name) && p.front.Vouches(plain):
		default:
			out[name] = values
		}
	}
	out["Clerk-Proxy-Url"] = []string{x.proxyURL}
	out["Clerk-Secret-Key"] = *p.secretKey.Load()
	out["X-Forwarded-Host"] = []string{x.source.Host}
	out["X-Forwarded-Proto"] = []string{x.source.Scheme}
	delete(out, "X-Forwarded-For")
	if x.source.ClientIP.IsValid() {
		out["X-Forwarded-For"] = []string{x.source.ClientIP.String()}
	}
	if _, ok := out["User-Agent"]; !ok {
		out["User-Agent"] = nil // or the transport adds one of its own
	}
	return out
}

// isHopByHop reports whether a header is for one connection only and not
// forwarded, RFC 9110 §7.6.1. The name is in canonical form.
func isHopByHop(name string) bool {
	switch name {
	case "Connection", "Keep-Alive", "Proxy-Authenticate", "Proxy-Authorization", "Proxy-Connection",
		"Te", "Trailer", "Transfer-Encoding", "Upgrade":
		return true
	}
	return false
}

// nominates reports whether the values of a Connection header name a header
// that is, by that, for one connection only.
func nominates(connection []string, name string) bool {
	for _, value := range connection {
		for option := range strings.SplitSeq(value, ",") {
			if strings.EqualFold(strings.Trim(option, " \t"), name) {
				return true
			}
		}
	}
	return false
}
