package clerkproxy

import (
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"

	"github.com/clerkproxy/clerkproxy/internal/forwarded"
	"github.com/clerkproxy/clerkproxy/internal/upstream"
	"github.com/clerkproxy/clerkproxy/internal/wire"
)

// inboundHeader copies the headers of the Frontend API's answer.
func (p *Proxy) inboundHeader(h http.Header, resp *http.Response, requested *url.URL, x *exchange) {
	copyHeader(h, resp.Header)
	if locations := resp.Header["Location"]; len(locations) > 0 {
		rewritten := make([]string, len(locations))
		for i, location := range locations {
			rewritten[i] = p.rewriteLocation(location, requested, x.proxyURL)
		}
		h["Location"] = rewritten
	}
	if _, ok := h["Content-Type"]; !ok {
		h["Content-Type"] = nil // or the server guesses one from the body
	}
	for name := range resp.Trailer {
		if name != "Clerk-Secret-Key" {
			h.Add("Trailer", name)
		}
	}
}

// copyHeader copies the headers that are not for one connection only. An
// answer that echoes the request must not hand out the secret key.
func copyHeader(dst, src http.Header) {
	nominated := src["Connection"]
	for name, values := range src {
		if comesBack(name) && (len(nominated) == 0 || !nominates(nominated, name)) {
			dst[name] = values
		}
	}
}

// comesBack reports whether a header of the Frontend API's, its name in
// canonical form, goes to the client. Alt-Svc says where else Clerk's own host can
// be asked, RFC 7838: of this host it is not true.
func comesBack(name string) bool {
	return !isHopByHop(name) && name != "Clerk-Secret-Key" && name != "Alt-Svc"
}

// requested is the URL of a request target at the Frontend API.
func (p *Proxy) requested(target string) *url.URL {
	path, query, has := strings.Cut(target, "?")
	u := &url.URL{Scheme: p.target.scheme, Host: p.target.host, RawQuery: query, ForceQuery: has && query == ""}
	upstream.SetPath(u, path)
	return u
}

// inboundFields does what inboundHeader does for a plain answer, in place.
func (p *Proxy) inboundFields(fields wire.Fields, target string, x *exchange) wire.Fields {
	kept := fields[:0]
	for _, f := range fields {
		if !comesBack(f.Name) || f.Name == "Content-Length" { // which the answer has
			continue
		}
		if f.Name == "Location" {
			f.Value = p.rewriteLocation(f.Value, p.requested(target), x.proxyURL)
		}
		kept = append(kept, f)
	}
	return kept
}

// copyTrailer copies the trailers, known once the body has been read.
func copyTrailer(h http.Header, flusher interface{ Flush() error }, resp *http.Response) {
	if len(resp.Trailer) == 0 {
		return
	}
	// Trailers need chunks, which a short answer does without unless flushed.
	_ = flusher.Flush()
	announced := h["Trailer"]
	for name, values := range resp.Trailer {
		if !comesBack(name) {
			continue
		}
		if !nominates(announced, name) {
			name = http.TrailerPrefix + name
		}
		h[name] = values
	}
}

// rewriteLocation brings a redirect to the Frontend API back under the proxy,
// and leaves any other as it is.
func (p *Proxy) rewriteLocation(location string, requested *url.URL, proxyURL string) string {
	ref, err := url.Parse(location)
	if err != nil || location == "" || ref.Opaque != "" || ref.User != nil {
		return location
	}
	base := *requested
	if base.Opaque != "" {
		// The path could not be parsed; it is its text that counts here.
		base.Path, base.Opaque = strings.TrimPrefix(base.Opaque, "//"+base.Host), ""
	}
	u := base.ResolveReference(ref)
	if u.Scheme != "https" && u.Scheme != "http" || forwarded.CanonicalHost(u.Host, u.Scheme) != p.target.host {
		return location
	}
	path, ok := strings.CutPrefix(u.EscapedPath(), p.target.path)
	if !ok || path != "" && path[0] != '/' {
		return location
	}
	u.Scheme, u.Host, u.Path, u.RawPath = "", "", "", ""
	return proxyURL + path + u.String()
}

// buffers hold what travels through copyBody.
var buffers = sync.Pool{New: func() any { return new([32 << 10]byte) }}

// copyBody copies the answer's body as it arrives. What is there is sent before
// anything more is waited for, the headers too.
func copyBody(w io.Writer, flusher interface{ Flush() error }, resp *http.Response, idle *watchdog) error {
	if resp.Body == http.NoBody {
		return nil
	}
	buf := buffers.Get().(*[32 << 10]byte)
	defer buffers.Put(buf)
	idle.writing(true)
	// The end of a body of known length is flushed by the server, along with
	// what it has to say after it.
	for remaining := resp.ContentLength; ; {
		if remaining != 0 && !atHand(resp.Body) {
			// A ResponseWriter that cannot flush, such as that of
			// http.TimeoutHandler, passes the answer on in its own time.
			if err := flusher.Flush(); err != nil && !errors.Is(err, errors.ErrUnsupported) {
				return err
			}
		}
		idle.writing(false)
		n, readErr := resp.Body.Read(buf[:])
		idle.writing(true)
		if n > 0 {
			if _, err := w.Write(buf[:n]); err != nil {
				return err
			}
			remaining -= int64(n)
		}
		if readErr == io.EOF {
			return nil
		}
		if readErr != nil {
			_ = flusher.Flush() // what did arrive
			return readErr
		}
	}
}

// atHand reports whether the body's next bytes have already arrived, as far as
// the transport tells.
func atHand(body io.Reader) bool {
	b, ok := body.(interface{ Buffered() int })
	return ok && b.Buffered() > 0
}
