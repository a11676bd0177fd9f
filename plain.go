package clerkproxy

import (
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/clerkproxy/clerkproxy/internal/upstream"
	"github.com/clerkproxy/clerkproxy/internal/wire"
)

// Most exchanges are plain: a request that is there as a whole, and an answer
// of known length. clerk-proxy's own server hands those over as lists of fields,
// and they are forwarded here without the detours that net/http takes. Every
// rule is the same; whatever is not plain goes the way that forward.go has.

// ServeExchange implements [wire.Handler].
func (m *middleware) ServeExchange(w *wire.Exchange) bool {
	p := m.proxy
	x, target, ok := p.matchPlain(w)
	if !ok {
		return false
	}
	p.counts.inFlight.Add(1)
	defer p.counts.inFlight.Add(-1)
	request := &w.Onward
	request.Fields = p.outboundFields(request.Fields[:0], w.Fields, &x)
	request.Method, request.Target, request.Host, request.Body = w.Method, target, p.target.host, w.Body
	start := time.Now()
	if p.assets != nil {
		hit, found, kept := p.assets.Find(request, w.Inbound[:0])
		if found {
			note(w.Context, start, "")
			w.Inbound = p.inboundFields(hit.Fields, target, &x)
			w.Respond(hit.Status, w.Inbound, int64(len(hit.Body)))
			_, _ = w.Write(hit.Body)
		}
		if kept {
			return found
		}
	}
	answer, err := p.lane.Exchange(request, w, w.Inbound[:0])
	if err == upstream.ErrNoConnection {
		return false
	}
	note(w.Context, start, answer.Fields.Get(traceID))
	switch {
	case err != nil:
		p.refusePlain(w, err)
	case answer.Length < 0:
		p.forwardRest(w, x, &answer)
	default:
		p.answerPlain(w, x, target, &answer)
	}
	return true
}

// matchPlain decides whether a request is forwarded here, and to what. All that
// is unusual is match's to decide.
func (p *Proxy) matchPlain(w *wire.Exchange) (x exchange, target string, ok bool) {
	path, _, _ := strings.Cut(w.Target, "?")
	rest, ok := p.below(path)
	if !ok || p.lane == nil || !p.inst.Live || p.enabled != nil || w.Method == http.MethodTrace || w.Method == http.MethodConnect {
		return x, "", false
	}
	x.source = p.front.SourceOf(w.Peer, w.TLS != nil, w.Host, &w.Fields)
	if x.source.Host == "" || !p.front.Hosts.Accepts(x.source.Host, x.source.Scheme) {
		return x, "", false
	}
	x.proxyURL, x.rest = p.proxyURL(x.source.Scheme, x.source.Host), rest
	target = w.Target[len(p.path):]
	if rest == "" {
		target = "/" + target
	}
	return x, p.target.path + target, true
}

// answerPlain passes an answer of known length on.
func (p *Proxy) answerPlain(w *wire.Exchange, x exchange, target string, answer *upstream.Answer) {
	w.Inbound = p.inboundFields(answer.Fields, target, &x)
	w.Respond(answer.Status, w.Inbound, answer.Length)
	buf := buffers.Get().(*[32 << 10]byte)
	defer buffers.Put(buf)
	w.Watch(p.idle, answer.Cut())
	for left := answer.Length; left > 0; {
		// What is there is sent before anything more is waited for.
		if answer.Buffered() == 0 && w.Flush() != nil {
			p.abandonPlain(w, answer)
		}
		n, err := answer.Read(buf[:])
		if n == 0 {
			w.Watch(0, nil)
			answer.Close()
			p.cutPlain(w, err)
		}
		w.Moved()
		if left -= int64(n); left == 0 {
			// The connection is free before the last bytes are passed on.
			w.Watch(p.idle, nil)
			answer.Close()
		}
		if _, err := w.Write(buf[:n]); err != nil {
			p.abandonPlain(w, answer)
		}
	}
	w.Watch(p.idle, nil)
	answer.Close()
}

// abandonPlain ends an exchange whose client is gone.
func (p *Proxy) abandonPlain(w *wire.Exchange, answer *upstream.Answer) {
	p.counts.errors.clientGone.Add(1)
	w.Watch(0, nil)
	answer.Close()
	panic(http.ErrAbortHandler)
}

// cutPlain ends an exchange whose answer cannot be completed.
func (p *Proxy) cutPlain(w *wire.Exchange, err error) {
	path, _, _ := strings.Cut(w.Target, "?")
	switch w.Cut() {
	case wire.ErrClientGone:
		p.counts.errors.clientGone.Add(1)
	case wire.ErrSilent:
		p.logCutShort(w.Context, w.Method, path, errUpstreamSilent.Error())
	default:
		p.logCutShort(w.Context, w.Method, path, upstream.Explain(err))
	}
	panic(http.ErrAbortHandler)
}

// forwardRest passes on an answer that is not plain, to a request that has been
// sent.
func (p *Proxy) forwardRest(w *wire.Exchange, x exchange, answer *upstream.Answer) {
	rw, r := w.HTTP()
	w.Watch(0, nil) // from here on it is the request's context that ends
	p.forward(rw, withoutBody(r), x, answer.Response)
}

// refusePlain answers a request that the Frontend API gave no answer to.
func (p *Proxy) refusePlain(w *wire.Exchange, err error) {
	if w.Cut() == wire.ErrSilent {
		err = context.DeadlineExceeded
	}
	rw, r := w.HTTP()
	p.refuse(rw, withoutBody(r), r.Context(), nil, err)
}

// withoutBody is a request whose body has been read.
func withoutBody(r *http.Request) *http.Request {
	r = r.WithContext(r.Context())
	r.Body, r.ContentLength = http.NoBody, 0
	return r
}
