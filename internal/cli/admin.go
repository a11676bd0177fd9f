package cli

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"

	"github.com/clerkproxy/clerkproxy"
	"github.com/clerkproxy/clerkproxy/internal/admin"
	"github.com/clerkproxy/clerkproxy/internal/check"
	"github.com/clerkproxy/clerkproxy/internal/config"
	"github.com/clerkproxy/clerkproxy/internal/instance"
	"github.com/clerkproxy/clerkproxy/internal/metrics"
	"github.com/clerkproxy/clerkproxy/internal/server"
)

// overview is what an operator sees of a server.
type overview struct {
	server  *server.Server
	events  admin.Events
	metrics *metrics.Metrics
	pages   *admin.Server
}

// follow takes note of each request that ends. It is for server.Config.
func (o *overview) follow(a server.Access) {
	o.metrics.Site(a.Site).Request(metrics.Request{
		Kind:     a.Kind(),
		Status:   a.Status,
		Bytes:    a.Bytes,
		Duration: a.Duration,
		Upstream: a.Upstream,
	})
	o.metrics.Decision(a.AuthStatus, a.AuthReason)
}

// of says which server it is. Until then nothing can be followed.
func (o *overview) of(srv *server.Server, profiles bool, log *slog.Logger) {
	o.server = srv
	health := admin.NewHealth(admin.HealthConfig{Serving: srv.Ready, Answers: o.answers, Origins: o.origins})
	built := buildVersion()
	o.metrics = metrics.New(metrics.Config{
		Version:      built.module,
		Revision:     built.revision,
		Sites:        o.siteStats,
		Certificates: o.certificates,
		InFlight:     srv.InFlight,
		Ready:        health.Ready,
		LastAnswer:   health.LastAnswer,
		Reloads:      o.reloads,
	})
	o.pages = admin.New(admin.Config{
		Version:      built.module,
		Health:       health,
		Metrics:      o.metrics,
		InFlight:     srv.InFlight,
		Certificates: o.certificates,
		Sites:        o.sites,
		Reloads:      o.reloads,
		Events:       &o.events,
		Check:        o.check,
		Profiles:     profiles,
		Logger:       log,
	})
}

// show serves the pages until the function that it returns is called: until the
// last request has ended. A process that takes over gets the port at once.
func (o *overview) show(serving context.Context, srv *server.Server, pages config.Admin, log *slog.Logger) (end func()) {
	o.of(srv, pages.Pprof, log)
	ctx, cancel := context.WithCancel(context.WithoutCancel(serving))
	context.AfterFunc(serving, func() {
		if errors.Is(context.Cause(serving), server.ErrReplaced) {
			cancel()
		}
	})
	ended := make(chan struct{})
	go func() { defer close(ended); o.pages.Run(ctx, pages.Listen) }() // ends with ctx
	return func() {
		cancel()
		<-ended
	}
}

func (o *overview) answers() (n uint64) {
	for _, site := range o.server.Served() {
		n += site.Proxy.Stats().Upstream.Answers
	}
	return n
}

// origins are the Frontend APIs of sites that use theirs.
func (o *overview) origins() (all []admin.Origin) {
	seen := map[string]bool{}
	for _, site := range o.server.Served() {
		url := site.Site.Proxy.FrontendAPIURL
		if isLive(site.Proxy) && !seen[url] {
			seen[url] = true
			all = append(all, admin.Origin{URL: url, RootCAs: site.Site.Proxy.RootCAs})
		}
	}
	return all
}

// isLive reports whether a proxy is used: Clerk proxies production instances
// only.
func isLive(p *clerkproxy.Proxy) bool {
	publishable, _ := p.Keys()
	inst, err := instance.ParsePublishableKey(publishable)
	return err == nil && inst.Live
}

func (o *overview) siteStats() (all []metrics.SiteStats) {
	for _, site := range o.server.Served() {
		all = append(all, metrics.SiteStats{Name: site.Name, Stats: site.Proxy.Stats()})
	}
	return all
}

func (o *overview) certificates() (all []metrics.Certificate) {
	for _, info := range o.server.Certificates() {
		all = append(all, metrics.Certificate{Name: info.Names[0], Issuer: info.Issuer, NotAfter: info.NotAfter, Failure: info.Failure})
	}
	return all
}

func (o *overview) sites() (all []admin.Site) {
	for _, served := range o.server.Served() {
		c := served.Site
		site := admin.Site{Name: served.Name, AssetCache: c.Proxy.AssetCache}
		if isLive(served.Proxy) {
			site.ProxyURL, site.FrontendAPI = c.Proxy.ProxyURL, c.Proxy.FrontendAPIURL
		}
		if c.AppURL != nil {
			site.App = c.AppURL.String()
		}
		all = append(all, site)
	}
	return all
}

func (o *overview) reloads() metrics.Reloads {
	r := o.server.Reloads()
	return metrics.Reloads{Succeeded: r.Succeeded, Failed: r.Failed, LastFailed: r.LastError != "", LastSuccess: r.LastSuccess}
}

// check looks at the proxies of all sites from outside, one after another.
func (o *overview) check(ctx context.Context, found func(check.Report)) error {
	var errs []error
	checked := 0
	for _, site := range o.server.Served() {
		c, ok := checkOf(site)
		if !ok {
			continue
		}
		checked++
		so := check.Report{ProxyURL: c.ProxyURL}
		c.OnStep = func(step check.Step) {
			so.Steps = append(so.Steps[:len(so.Steps):len(so.Steps)], step)
			found(so)
		}
		report, err := check.Run(ctx, c)
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", c.ProxyURL, err))
			continue
		}
		found(report)
	}
	if checked == 0 {
		return errors.New("no site has a public URL that is known here; name its hosts, or give the whole proxy URL")
	}
	return errors.Join(errs...)
}

// checkOf is how to check a site; it is not ok where nobody knows its public URL.
func checkOf(site server.Served) (c check.Config, ok bool) {
	proxy := site.Site.Proxy
	url := proxy.ProxyURL
	if strings.HasPrefix(url, "/") {
		host := ""
		for _, each := range site.Site.Hosts {
			if !strings.HasPrefix(each, "*") {
				host = each
				break
			}
		}
		if host == "" {
			return c, false
		}
		url = "https://" + host + url
	}
	if !isLive(site.Proxy) {
		return c, false
	}
	c = check.Config{ProxyURL: url, FrontendAPIURL: proxy.FrontendAPIURL, ClerkRootCAs: proxy.RootCAs}
	c.PublishableKey, c.SecretKey = site.Proxy.Keys()
	c.BackendAPIURL = os.Getenv("CLERK_API_URL") // as clerk-proxy check has it
	if site.Site.Authentication != nil {
		c.BackendAPIURL = site.Site.Authentication.BackendAPIURL
	}
	return c, true
}
