package clerkproxy

import (
	"context"
	"net/http"
	"net/url"
	"strings"

	"github.com/clerkproxy/clerkproxy/internal/forwarded"
	"github.com/clerkproxy/clerkproxy/internal/upstream"
	"github.com/clerkproxy/clerkproxy/internal/wire"
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
		if p.travels(name, x) && (len(nominated) == 0 || !nominates(nominated, name)) {
			out[name] = values
		}
	}
	for _, f := range p.added(x) {
		if f.Value != "" {
			out[f.Name] = []string{f.Value}
		}
	}
	if _, ok := out["User-Agent"]; !ok {
		out["User-Agent"] = nil // or the transport adds one of its own
	}
	return out
}

// outboundFields does the same for a header that nominates nothing.
func (p *Proxy) outboundFields(out, in wire.Fields, x *exchange) wire.Fields {
	for _, f := range in {
		if p.travels(f.Name, x) {
			out = append(out, f)
		}
	}
	for _, f := range p.added(x) {
		if f.Value != "" {
			out = append(out, f)
		}
	}
	return out
}

// travels reports whether a header of the client's, its name in canonical form,
// goes to the Frontend API.
func (p *Proxy) travels(name string, x *exchange) bool {
	plain := forwarded.Plain(name)
	switch plain {
	case "Clerk-Secret-Key", "Clerk-Proxy-Url", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto":
		return false // the proxy's to say
	}
	if isHopByHop(name) {
		return false
	}
	return x.source.PeerTrusted && plain == name || !p.front.Vouches(plain)
}

// added is what Clerk asks of a proxy. It takes the place of what the client, or
// a proxy in front, says under the same names.
func (p *Proxy) added(x *exchange) [5]wire.Field {
	client := ""
	if x.source.ClientIP.IsValid() {
		client = x.source.ClientIP.String()
	}
	return [...]wire.Field{
		{Name: "Clerk-Proxy-Url", Value: x.proxyURL},
		{Name: "Clerk-Secret-Key", Value: *p.secretKey.Load()}, // its way begins here
		{Name: "X-Forwarded-For", Value: client},
		{Name: "X-Forwarded-Host", Value: x.source.Host},
		{Name: "X-Forwarded-Proto", Value: x.source.Scheme},
	}
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
