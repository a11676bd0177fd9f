// Package check looks at a proxy for Clerk's Frontend API from outside, as Clerk
// and a browser do, and says of each step what it saw and what to do about it.
// The proxy can be any: this project's, an nginx, a function of some platform.
//
// What is asked of the proxy changes nothing behind it: a few dozen requests
// without a session, of which two are POSTs that Clerk either answers with its
// settings or refuses as malformed. The secret key is sent to Clerk's own APIs
// and never to the proxy. With it, Clerk is asked to call the proxy once itself.
//
// A step that cannot be decided is skipped and says why; it does not guess. Where
// a doubt is worth a word, it warns and says how to settle it.
package check

import (
	"context"
	"net/netip"
	"net/url"
	"regexp"
	"strings"
	"time"

	"github.com/clerkproxy/clerkproxy/internal/printable"
)

// Status is how a step ended.
type Status string

const (
	// OK is a step that found what should be there.
	OK Status = "ok"
	// Warn is worth knowing; people can sign in all the same.
	Warn Status = "warn"
	// Fail breaks signing in, keeps Clerk from accepting the proxy, or opens it
	// to abuse.
	Fail Status = "fail"
	// Skipped is a step that was not taken or could not be decided.
	Skipped Status = "skipped"
)

// A Step is one thing that was looked at. It holds no key, cookie or token.
type Step struct {
	// Name is the step's, such as certificate; it stays the same over versions.
	Name   string `json:"name"`
	Status Status `json:"status"`
	// Seen says what was found; of a skipped step, why it was skipped.
	Seen string `json:"seen"`
	// Advice says what to do. It may be empty.
	Advice string `json:"advice,omitempty"`
}

// A Report is what [Run] found. It can be shown to everybody.
type Report struct {
	ProxyURL string    `json:"proxy_url"`
	At       time.Time `json:"at"`
	// Status is the worst of the steps': Fail, Warn or OK.
	Status Status `json:"status"`
	// DomainID is the domain that the proxy is for, when that is known.
	DomainID string `json:"domain_id,omitempty"`
	// Enabled is true where Clerk serves an instance at the proxy URL. Until
	// the proxy URL is set at Clerk it is false, which is no fault.
	Enabled bool   `json:"enabled"`
	Steps   []Step `json:"steps"`
}

// Count is the number of steps that ended so.
func (r Report) Count(s Status) (n int) {
	for _, step := range r.Steps {
		if step.Status == s {
			n++
		}
	}
	return n
}

// Run checks a proxy. An error means that it could not be asked: the
// configuration is not valid, and then the error joins a [*ConfigError] for each
// problem; this machine has no network; or ctx ended. Whatever is wrong with the
// proxy is in the report.
func Run(ctx context.Context, config Config) (Report, error) {
	c, err := newChecker(config)
	if err != nil {
		return Report{}, err
	}
	defer c.close()
	limited, cancel := context.WithTimeout(ctx, c.timeout*requestsInARow)
	defer cancel()
	for _, s := range c.steps() {
		if config.OnStart != nil {
			config.OnStart(s.name)
		}
		step := c.take(limited, s)
		if err := ctx.Err(); err != nil {
			return c.report, err
		}
		if c.offline != nil {
			return c.report, c.offline
		}
		c.report.add(step)
		if config.OnStep != nil {
			config.OnStep(step)
		}
	}
	return c.report, nil
}

// requestsInARow is how many requests may take as long as each is allowed to
// before a check as a whole takes too long.
const requestsInARow = 12

// checker is a check under way: what the steps have found out for those after
// them.
type checker struct {
	Config
	target  *url.URL // the proxy URL
	host    string   // its host, without a port
	secret  string   // the secret key, while it is one that can be used
	timeout time.Duration

	proxy, clerk, backend *client

	report    Report
	offline   error        // this machine has no network
	blocked   string       // why nothing further can be asked of the proxy
	addresses []netip.Addr // of the host
	reachable []netip.Addr // those that accept a connection
	first     *answer      // to /v1/environment
	domainURL *string      // the proxy URL that Clerk has for the domain, once looked up
	healthy   *health      // what Clerk saw of the proxy
	script    *download    // ClerkJS
	watched   watched
}

// A step that is vital has to succeed for those that are of the proxy to be
// taken.
type step struct {
	name    string
	look    func(context.Context) finding
	vital   bool
	ofProxy bool
}

// steps are in the order in which things go wrong.
func (c *checker) steps() []step {
	return []step{
		{name: "keys", look: c.keys},
		{name: "name", look: c.name, vital: true},
		{name: "connection", look: c.connection, vital: true, ofProxy: true},
		{name: "certificate", look: c.certificate, vital: true, ofProxy: true},
		{name: "path", look: c.path, vital: true, ofProxy: true},
		{name: "domain", look: c.domain},
		{name: "health", look: c.health, ofProxy: true},
		{name: "address", look: c.address, ofProxy: true},
		{name: "spoofing", look: c.spoofing, ofProxy: true},
		{name: "environment", look: c.environment, ofProxy: true},
		{name: "cookies", look: c.cookies, ofProxy: true},
		{name: "posts", look: c.posts, ofProxy: true},
		{name: "redirects", look: c.redirects, ofProxy: true},
		{name: "clerkjs", look: c.clerkJS, ofProxy: true},
		{name: "caching", look: c.caching, ofProxy: true},
		{name: "secrecy", look: c.secrecy},
		{name: "acceptance", look: c.acceptance, ofProxy: true},
		{name: "latency", look: c.latency, ofProxy: true},
	}
}

// take takes a step, unless it cannot be taken any more.
func (c *checker) take(ctx context.Context, s step) Step {
	var f finding
	switch {
	case s.ofProxy && c.blocked != "":
		f = skip(c.blocked)
	case ctx.Err() != nil:
		f = skip("the proxy took so long to answer that there was no time left")
	default:
		f = s.look(ctx)
	}
	if f.status == Fail && s.vital && c.blocked == "" {
		c.blocked = "nothing more can be seen before this works: " + s.name
	}
	return Step{Name: s.name, Status: f.status, Seen: c.shown(f.seen), Advice: c.shown(f.advice)}
}

func (r *Report) add(s Step) {
	r.Steps = append(r.Steps, s)
	switch {
	case r.Count(Fail) > 0:
		r.Status = Fail
	case r.Count(Warn) > 0:
		r.Status = Warn
	default:
		r.Status = OK
	}
}

// finding is how a step ended.
type finding struct {
	status       Status
	seen, advice string
}

func ok(seen string) finding           { return finding{OK, seen, ""} }
func warn(seen, advice string) finding { return finding{Warn, seen, advice} }
func fail(seen, advice string) finding { return finding{Fail, seen, advice} }
func skip(why string) finding          { return finding{Skipped, why, ""} }

// secretKeys is what a secret key looks like, whoever's it is.
var secretKeys = regexp.MustCompile(`\bsk_(live|test)_[A-Za-z0-9_-]{8,}`)

// shown is a text that may repeat what came from outside, fit for a terminal, a
// page and a log: in one line, without control characters and without a key.
func (c *checker) shown(text string) string {
	if c.SecretKey != "" {
		text = strings.ReplaceAll(text, c.SecretKey, "sk_…")
	}
	text = secretKeys.ReplaceAllString(text, "sk_${1}_…")
	return printable.Line(text)
}
