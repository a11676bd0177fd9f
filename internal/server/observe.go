package server

import (
	"github.com/clerkproxy/clerkproxy"
	"github.com/clerkproxy/clerkproxy/internal/certificate"
	"github.com/clerkproxy/clerkproxy/internal/metrics"
	"github.com/clerkproxy/clerkproxy/internal/tracing"
)

// Kind is what the request was for, as it is counted. What was under a proxy's
// path and did not get to an upstream was refused.
func (a *Access) Kind() metrics.Kind {
	switch {
	case a.Target == TargetApp:
		return metrics.App
	case a.Target == TargetNone || a.Upstream == 0:
		return metrics.Refused
	case a.Asset:
		return metrics.Asset
	default:
		return metrics.FrontendAPI
	}
}

// traced is what the span of the request says.
func (a *Access) traced() tracing.Request {
	r := tracing.Request{
		Kind:      a.Kind().String(),
		Route:     a.route(),
		Site:      a.Site,
		Status:    a.Status,
		RequestID: a.RequestID,
		Aborted:   a.Aborted,
	}
	if a.Target == TargetClerk { // an application's paths are its own
		r.Path = a.Path
	}
	return r
}

// route is the pattern that the path of the request matched.
func (a *Access) route() string {
	switch {
	case a.Target != TargetClerk:
		return "/*"
	case a.Asset:
		return a.proxyPath + "/npm/*"
	default:
		return a.proxyPath + "/*"
	}
}

// InFlight is how many requests are under way, WebSockets among them.
func (s *Server) InFlight() int { return s.inFlight.now() }

// Certificates describes the certificates that the server has, or is to have.
func (s *Server) Certificates() []certificate.Info {
	if manager := s.current.Load().security.certificates; manager != nil {
		return manager.Certificates()
	}
	return nil
}

// A Served is a site that is served now.
type Served struct {
	Name  string
	Site  Site // as it was configured
	Proxy *clerkproxy.Proxy
}

// Served returns the sites that are served now, in the order of Config.Sites.
func (s *Server) Served() (all []Served) {
	for _, site := range s.current.Load().routes.sites {
		all = append(all, Served{site.name, site.config, site.proxy})
	}
	return all
}
