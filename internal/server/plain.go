package server

import (
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/clerkproxy/clerkproxy/internal/wire"
)

// plain does for plain exchanges what the server's handler does for requests: it
// counts them, finds their site, and keeps the access log.
type plain struct{ *Server }

// ServeExchange implements [wire.Handler].
func (p plain) ServeExchange(x *wire.Exchange) (answered bool) {
	now := p.current.Load()
	site := now.siteOf(x)
	if site == nil || site.plain == nil || x.TLS == nil && now.security.config != nil {
		return false
	}
	o := records.Get().(*observed)
	o.Responder, o.access.Start, o.answer.ending, o.answer.hsts = x.Responder, time.Now(), &p.ending, now.security.hsts
	if x.TLS != nil && now.config.HTTP3 {
		o.answer.altSvc = now.alternativeFor(x.Host, x.Fields.Has)
	}
	o.context = wire.RecordContext{Context: x.Context, Record: &o.access}
	x.Context, x.Responder = &o.context, o
	p.inFlight.add(1)
	site.inFlight.add(1)
	defer func() {
		site.inFlight.add(-1)
		p.inFlight.add(-1)
		v := recover()
		if answered || v != nil {
			p.end(now, site, x, o, v != nil)
		}
		x.Context, x.Responder = o.context.Context, o.Responder
		o.free()
		if v != nil {
			panic(v)
		}
	}()
	return site.plain.ServeExchange(x)
}

// siteOf is the site that has the host of an exchange, or nil.
func (c *current) siteOf(x *wire.Exchange) *site {
	if site := c.routes.fallback; site != nil && len(c.routes.sites) == 1 {
		return site
	}
	return c.routes.of(c.policy.SourceOf(x.Peer, x.TLS != nil, x.Host, &x.Fields))
}

// end completes the record of an exchange.
func (p plain) end(now *current, site *site, x *wire.Exchange, o *observed, cut bool) {
	logs := p.log.Enabled(x.Context, slog.LevelInfo)
	if !logs && p.onAccess == nil {
		return
	}
	path, _, _ := strings.Cut(x.Target, "?")
	a := &o.access
	a.Method, a.Path = truncate(x.Method, maxLoggedMethod), truncate(path, maxLoggedPath)
	site.note(a)
	if logs {
		source := now.policy.SourceOf(x.Peer, x.TLS != nil, x.Host, &x.Fields)
		a.RequestID = requestID(http.Header{requestIDHeader: x.Fields.Values(requestIDHeader)}, source.PeerTrusted)
		a.ClientIP, a.several = source.ClientIP, len(now.routes.sites) > 1
	}
	ended := x.Cut()
	if o.failed && ended == nil {
		ended = wire.ErrClientGone
	}
	a.finish(&o.answer, cut, ended)
	if p.onAccess != nil {
		p.onAccess(*a)
	}
	if logs {
		p.log.LogAttrs(x.Context, slog.LevelInfo, "request", a.attrs()...)
	}
}

// observed is an exchange of which a record is kept.
type observed struct {
	wire.Responder
	context wire.RecordContext
	access  Access
	answer  response // by Respond or by HTTP
	failed  bool     // to reach the client
}

var records = sync.Pool{New: func() any { return new(observed) }}

// free gives the record back, unless a request has it, which handlers may keep.
func (o *observed) free() {
	if o.answer.ResponseWriter == nil {
		*o = observed{}
		records.Put(o)
	}
}

// Respond implements [wire.Responder].
func (o *observed) Respond(status int, fields wire.Fields, length int64) {
	o.answer.status = status
	if hsts := o.answer.hsts; hsts != "" && !fields.Has(headerHSTS) {
		fields = append(fields, wire.Field{Name: headerHSTS, Value: hsts})
	}
	if altSvc := o.answer.altSvc; altSvc != "" && !o.answer.ending.Load() {
		fields = append(fields, wire.Field{Name: headerAltSvc, Value: altSvc})
	}
	o.Responder.Respond(status, fields, length)
}

// Write implements [wire.Responder].
func (o *observed) Write(p []byte) (int, error) {
	n, err := o.Responder.Write(p)
	o.answer.bytes += int64(n)
	o.failed = o.failed || err != nil
	return n, err
}

// Flush implements [wire.Responder].
func (o *observed) Flush() error {
	err := o.Responder.Flush()
	o.failed = o.failed || err != nil
	return err
}

// HTTP implements [wire.Responder].
func (o *observed) HTTP() (http.ResponseWriter, *http.Request) {
	w, r := o.Responder.HTTP()
	o.answer.ResponseWriter = w
	return &o.answer, r
}
