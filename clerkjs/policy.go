package clerkjs

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// A Feature is something of Clerk's that a page loads from another origin than
// the Frontend API's, so that its Content-Security-Policy has to allow it.
type Feature string

const (
	// Images are the pictures of people and organizations, and the logos of
	// social connections, from img.clerk.com.
	Images Feature = "images"
	// BotProtection is the challenge that sign-up may show, by Cloudflare's
	// Turnstile. Leave it out only where bot protection is turned off in the
	// Clerk Dashboard.
	BotProtection Feature = "bot protection"
	// Protect is Clerk Protect.
	Protect Feature = "protect"
	// Billing is Clerk Billing: the forms of Stripe's for payment methods, and
	// the look-up of addresses.
	Billing Feature = "billing"
	// Telemetry is what ClerkJS reports to Clerk in a development instance. The
	// option telemetry of Clerk.load turns it off.
	Telemetry Feature = "telemetry"
)

// origins are those of createContentSecurityPolicyHeaders in @clerk/nextjs,
// without what is for staging instances.
var origins = map[Feature]struct{ connect, frame, img, script []string }{
	Images: {
		connect: []string{"https://img.clerk.com"},
		img:     []string{"https://img.clerk.com"},
	},
	BotProtection: {
		script: []string{"https://challenges.cloudflare.com"},
		frame:  []string{"https://challenges.cloudflare.com"},
	},
	Protect: {
		connect: []string{"https://*.protect.clerk.com:*"},
		script:  []string{"https://*.protect.clerk.com"},
		frame:   []string{"https://*.protect.clerk.com"},
	},
	Billing: {
		connect: []string{"https://api.stripe.com", "https://maps.googleapis.com"},
		script:  []string{"https://*.js.stripe.com", "https://js.stripe.com", "https://maps.googleapis.com"},
		frame:   []string{"https://*.js.stripe.com", "https://js.stripe.com", "https://hooks.stripe.com"},
	},
	Telemetry: {
		connect: []string{"https://clerk-telemetry.com", "https://*.clerk-telemetry.com"},
	},
}

// ContentSecurityPolicy is a page's own policy, with what ClerkJS needs on the
// page that answers the request; the package comment says what that is. The
// policy is the value of a Content-Security-Policy header, with several
// policies separated by commas if need be. An empty one stays empty: it forbids
// nothing.
func (p *Provider) ContentSecurityPolicy(r *http.Request, own string) string {
	n := p.needs(r)
	var policies []string
	for serialized := range strings.SplitSeq(own, ",") {
		if merged := n.merge(parsePolicy(serialized)).String(); merged != "" {
			policies = append(policies, merged)
		}
	}
	return strings.Join(policies, ", ")
}

// needs are the sources that ClerkJS needs on a page.
type needs struct {
	// self is the page's origin, what 'self' stands for, or empty.
	self string
	// inline is the source that allows the tags: a nonce, or the hash of the
	// inline one.
	inline string
	// nonce is the nonce source, if there is a nonce.
	nonce string

	connect, frame, img, script []string
}

func (p *Provider) needs(r *http.Request) needs {
	n := needs{img: []string{"data:"}}
	if public := p.publicURL(r); public != nil {
		n.self = originOf(public)
	}
	if nonce := p.Nonce(r); nonce != "" {
		n.nonce = "'nonce-" + nonce + "'"
		n.inline = n.nonce
	} else {
		n.inline = p.hash
	}
	// As little of an origin as will do. The path does not count after a
	// redirect, so the one to the exact version of a script passes.
	base := p.base(r)
	n.connect, n.script = []string{pathSource(base + "/")}, []string{pathSource(base + "/npm/")}
	if strings.HasPrefix(base, "/") {
		n.connect, n.script = []string{"'self'"}, []string{"'self'"}
	}
	for _, f := range p.features {
		n.connect = append(n.connect, origins[f].connect...)
		n.script = append(n.script, origins[f].script...)
		n.frame = append(n.frame, origins[f].frame...)
		n.img = append(n.img, origins[f].img...)
	}
	return n
}

// pathSource is a URL as a source: what separates directives and policies is
// escaped, CSP Level 3 §2.3.1.
func pathSource(url string) string { return separators.Replace(url) }

var separators = strings.NewReplacer(";", "%3B", ",", "%2C")

// merge adds the needs to a page's policy.
func (n needs) merge(page policy) policy {
	merged := page.clone()
	allow := func(names, fallbacks []string, list func(sources []string) []string) {
		d, found := page.effective(append(names[:len(names):len(names)], fallbacks...))
		if !found {
			return
		}
		own := slices.Contains(names, d.name)
		var missing []string
		for _, source := range list(d.sources) {
			if !n.covers(d.sources, source) {
				missing = append(missing, source)
			}
		}
		if len(missing) == 0 {
			return
		}
		name, inherited := d.name, d.sources
		if !own {
			// Of the names, the last is the one that every browser knows.
			name = names[len(names)-1]
			if name != "script-src" && name != "style-src" {
				inherited = n.places(inherited)
			}
		}
		merged.set(name, append(withoutNone(inherited), missing...))
	}
	fixed := func(sources ...string) func([]string) []string {
		return func([]string) []string { return sources }
	}
	defaults := []string{"default-src"}

	allow([]string{"script-src-elem", "script-src"}, defaults, func(sources []string) []string {
		var list []string
		if !allowsInline(sources) {
			list = append(list, n.inline)
		}
		// With 'strict-dynamic' hosts mean nothing: who has the nonce may load
		// further scripts.
		if !contains(sources, "'strict-dynamic'") {
			list = append(list, n.script...)
		}
		return list
	})
	allow([]string{"style-src-elem", "style-src"}, defaults, func(sources []string) []string {
		switch {
		case allowsInline(sources):
			return nil
		case !slices.ContainsFunc(sources, isNonceOrHash):
			return []string{"'unsafe-inline'"}
		case n.nonce != "":
			return []string{n.nonce}
		default:
			return nil // beside a nonce or a hash, 'unsafe-inline' means nothing
		}
	})
	allow([]string{"connect-src"}, defaults, fixed(n.connect...))
	allow([]string{"img-src"}, defaults, fixed(n.img...))
	allow([]string{"frame-src"}, []string{"child-src", "default-src"}, fixed(n.frame...))
	allow([]string{"worker-src"}, []string{"child-src", "script-src", "default-src"}, fixed("blob:"))
	return merged
}

// places are the sources that say from where, without those that are for
// scripts and styles. What 'strict-dynamic' allowed a page's own scripts to make
// workers of, it would no longer: that is 'self', as workers of other origins
// there are none.
func (n needs) places(sources []string) []string {
	var places []string
	for _, s := range sources {
		if !strings.HasPrefix(s, "'") || strings.EqualFold(s, "'self'") || strings.EqualFold(s, "'none'") {
			places = append(places, s)
		}
	}
	if contains(sources, "'strict-dynamic'") && !contains(places, "'self'") {
		places = append(places, "'self'")
	}
	return places
}

// covers reports whether a source is allowed by a list already. It may say no
// where the answer is yes; then one source too many is added.
func (n needs) covers(sources []string, source string) bool {
	scheme, _, isURL := strings.Cut(source, "://")
	for _, s := range sources {
		switch {
		case s == source, !isNonceOrHash(s) && strings.EqualFold(s, source):
			return true
		case source == "'self'":
			if s == "*" {
				return true
			}
		case !isURL:
		case s == "*", strings.EqualFold(s, scheme+":"):
			return true
		case strings.EqualFold(s, "'self'"):
			if n.self != "" && strings.HasPrefix(source, n.self+"/") {
				return true
			}
		case strings.HasSuffix(s, "/") && strings.HasPrefix(source, s),
			strings.Count(s, "/") == 2 && strings.HasPrefix(source, s+"/"):
			return true
		}
	}
	return false
}

// allowsInline reports whether a list allows inline scripts or styles at large:
// beside a nonce, a hash or 'strict-dynamic', 'unsafe-inline' means nothing. CSP
// Level 3 §6.7.3.2.
func allowsInline(sources []string) bool {
	return contains(sources, "'unsafe-inline'") && !contains(sources, "'strict-dynamic'") &&
		!slices.ContainsFunc(sources, isNonceOrHash)
}

func isNonceOrHash(source string) bool {
	source = strings.ToLower(source)
	for _, begin := range []string{"'nonce-", "'sha256-", "'sha384-", "'sha512-"} {
		if strings.HasPrefix(source, begin) {
			return true
		}
	}
	return false
}

func contains(sources []string, keyword string) bool {
	return slices.ContainsFunc(sources, func(s string) bool { return strings.EqualFold(s, keyword) })
}

// withoutNone is a copy of a list without 'none', which beside other sources
// means nothing, and which browsers warn of.
func withoutNone(sources []string) []string {
	return slices.DeleteFunc(slices.Clone(sources), func(s string) bool { return strings.EqualFold(s, "'none'") })
}

// A policy is a parsed Content-Security-Policy, with its directives in order.
type policy []directive

type directive struct {
	name    string // in lower case
	sources []string
}

// whiteSpace is ASCII whitespace as CSP has it.
const whiteSpace = "\t\n\f\r "

// parsePolicy parses a serialized policy as browsers do, CSP Level 3 §2.2.1: a
// directive that is not ASCII is passed over, and so is one that there was
// before.
func parsePolicy(serialized string) policy {
	var p policy
	for text := range strings.SplitSeq(serialized, ";") {
		d, ok := parseDirective(text)
		if !ok || p.index(d.name) >= 0 {
			continue
		}
		p = append(p, d)
	}
	return p
}

func parseDirective(text string) (directive, bool) {
	words := strings.FieldsFunc(text, func(c rune) bool { return strings.ContainsRune(whiteSpace, c) })
	if len(words) == 0 || strings.ContainsFunc(text, notInHeader) {
		return directive{}, false
	}
	return directive{strings.ToLower(words[0]), words[1:]}, true
}

// notInHeader reports what no header can hold, or what is not ASCII.
func notInHeader(c rune) bool {
	return (c < ' ' || c >= 0x7f) && !strings.ContainsRune(whiteSpace, c)
}

// lint says what a browser would pass over in a page's policy without a word.
func lint(serialized string) []string {
	var problems []string
	for one := range strings.SplitSeq(serialized, ",") {
		var seen policy
		for text := range strings.SplitSeq(one, ";") {
			d, ok := parseDirective(text)
			switch {
			case !ok && strings.Trim(text, whiteSpace) != "":
				problems = append(problems, fmt.Sprintf("has characters in it that are not ASCII: %q", strings.Trim(text, whiteSpace)))
			case !ok:
			case seen.index(d.name) >= 0:
				problems = append(problems, fmt.Sprintf("has the directive %s twice, of which the second means nothing; write one", d.name))
			default:
				seen = append(seen, d)
			}
		}
	}
	return problems
}

func (p policy) index(name string) int {
	return slices.IndexFunc(p, func(d directive) bool { return d.name == name })
}

// effective is the directive that counts, of names in the order in which each
// falls back to the next.
func (p policy) effective(names []string) (directive, bool) {
	for _, name := range names {
		if i := p.index(name); i >= 0 {
			return p[i], true
		}
	}
	return directive{}, false
}

// set gives a directive its sources, at the end if it is new.
func (p *policy) set(name string, sources []string) {
	if i := p.index(name); i >= 0 {
		(*p)[i].sources = sources
		return
	}
	*p = append(*p, directive{name, sources})
}

func (p policy) clone() policy { return slices.Clone(p) }

// String is the policy as it is serialized.
func (p policy) String() string {
	var b strings.Builder
	for i, d := range p {
		if i > 0 {
			b.WriteString("; ")
		}
		b.WriteString(d.name)
		for _, s := range d.sources {
			b.WriteString(" " + s)
		}
	}
	return b.String()
}
