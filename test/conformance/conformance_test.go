package conformance

import (
	"flag"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "write docs/conformance.md anew")

// A subject is one of the proxies that are compared.
type subject string

const (
	ours    subject = "ours"
	express subject = "express" // @clerk/express
	backend subject = "backend" // @clerk/backend
)

// A testCase is one request and what the upstream answers to it.
type testCase struct {
	// name is a sentence that says what is observed.
	name string
	// mount is the name of the mount; empty: the default one.
	mount string
	// request is what the client does; nil: it sends a plain GET.
	request []step
	// answer is what the upstream does when it has received the request; nil:
	// it sends a plain answer.
	answer []step
	// early lets the upstream answer without reading the request's body.
	early bool
	// torn says that the request becomes invalid in the middle of its body.
	torn bool
	// patience is how long the client waits for a yardstick that never
	// answers, and the upstream for one that never gives up. For our proxy
	// both wait for the event.
	patience time.Duration
	// want is what must be observed of our proxy, whatever the yardsticks do.
	want fields

	topic string
}

// topics are the rows of the contract, with their cases.
func topics() []testCase {
	var all []testCase
	for _, topic := range []struct {
		name  string
		cases []testCase
	}{
		{"Match", matchCases},
		{"Target", targetCases},
		{"Proxy URL, host and secret key", originCases},
		{"Client address", addressCases},
		{"Request headers", requestHeaderCases},
		{"Request body", requestBodyCases},
		{"Response", responseCases},
		{"Location", locationCases},
		{"Failures", failureCases},
		{"Malformed requests", malformedCases},
	} {
		for _, c := range topic.cases {
			c.topic = topic.name
			all = append(all, c)
		}
	}
	return all
}

// TestConformance sends every case through every proxy.
func TestConformance(t *testing.T) {
	cases := topics()
	checkNames(t, cases)

	running := map[string]*upstream{}
	for name := range upstreams {
		running[name] = startUpstream(t)
	}
	yard := startYardsticks(t, running)

	ledger := newLedger(cases)
	var plain atomic.Int64
	t.Run("upstream", func(t *testing.T) {
		for name, u := range running {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				bench := &bench{upstream: u, yard: yard, ours: map[string]string{}, lean: map[string]string{}, ledger: ledger}
				for _, m := range mounts {
					if m.upstream == name {
						bench.ours[m.Name], bench.lean[m.Name] = startOurs(t, m.withDefaults(), u, &plain)
					}
				}
				// An upstream takes one exchange at a time.
				for _, c := range cases {
					if m, _ := mountNamed(c.mount); m.upstream == name {
						t.Run(c.name, func(t *testing.T) { bench.run(t, c, m) })
					}
				}
				if len(u.stray) > 0 && name != "torn" {
					t.Errorf("the upstream received requests that belong to no case: %q", u.stray)
				}
			})
		}
	})
	ledger.close(t)
	ledger.checkDocument(t)
	if int(plain.Load()) < len(cases)/3 {
		t.Errorf("only %d of %d requests were taken for plain ones", plain.Load(), len(cases))
	}
	t.Logf("%d plain requests", plain.Load())
	t.Logf("%d cases: %d equal, %d different in a way that is on the list of %d differences (Node %s)",
		len(cases), len(cases)-ledger.different(), ledger.different(), len(differences), yard.Node)
}

func checkNames(t *testing.T, cases []testCase) {
	t.Helper()
	seen := map[string]bool{}
	for _, c := range cases {
		if seen[c.name] {
			t.Fatalf("two cases are called %q", c.name)
		}
		seen[c.name] = true
		if _, ok := mountNamed(c.mount); !ok {
			t.Fatalf("%s: there is no mount called %q", c.name, c.mount)
		}
		if len(c.want) == 0 {
			t.Fatalf("%s: says nothing of what it wants", c.name)
		}
	}
}

// A bench is an upstream and the proxies in front of it.
type bench struct {
	upstream *upstream
	yard     *yardsticks
	ours     map[string]string // addresses by mount
	lean     map[string]string // likewise, behind clerk-proxy's own front
	ledger   *ledger
}

func (b *bench) run(t *testing.T, c testCase, m mount) {
	own := b.observe(c, b.ours[m.Name], stuck)
	for name, want := range c.want {
		if got := own.get(name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	for _, broken := range invariants(own) {
		t.Error(broken)
	}
	// Behind the front everything is the same, whichever way a request takes.
	lean := b.observe(c, b.lean[m.Name], stuck)
	for _, name := range compare(own, lean) {
		t.Errorf("behind the front %s is %q, not %q", name, lean[name], own[name])
	}
	if t.Failed() {
		t.Logf("ours:%s", own.all())
	}

	observed := map[subject]fields{}
	for _, who := range []subject{express, backend} {
		addr, ok := b.yard.addr(m.upstream, who, m.yardstick())
		if !ok {
			continue
		}
		observed[who] = b.observe(c, addr, c.patience)
		if testing.Verbose() {
			for _, name := range compare(own, observed[who]) {
				t.Logf("%s: %s %q", who, name, observed[who].get(name))
			}
		}
	}
	b.ledger.enter(t, c, own, observed)
}

// observe puts one case through one proxy.
func (b *bench) observe(c testCase, addr string, patience time.Duration) fields {
	if patience == 0 {
		patience = stuck
	}
	answer, send := c.answer, c.request
	if answer == nil {
		answer = plain
	}
	if send == nil {
		send = get("/__clerk/v1/client")
	}
	x := newExchange(answer, c.early, c.torn, patience)
	end := b.upstream.begin(x)
	got := request(x, addr, b.upstream.names, send, patience)
	end()
	return observe(x, got, b.upstream)
}

// invariants are what holds for our proxy in every case. They return what is
// broken.
func invariants(f fields) (broken []string) {
	complain := func(format string, args ...any) { broken = append(broken, fmt.Sprintf(format, args...)) }
	for name, value := range f {
		if strings.HasPrefix(name, "client.") && strings.Contains(value, liveSecret) {
			complain("%s gives the secret key away", name)
		}
	}
	if n := f["upstream.requests"]; n == "0" || n == "none that is whole" {
		return broken
	}
	if f["upstream.requests"] != "1" {
		complain("the upstream received %s requests", f["upstream.requests"])
	}
	for name, want := range map[string]string{"host": "{upstream}", "clerk-secret-key": liveSecret} {
		if got := f.get("upstream.header." + name); got != want {
			complain("the upstream received %s %q, want %q", name, got, want)
		}
	}
	for _, name := range []string{"connection", "keep-alive", "proxy-connection", "proxy-authorization", "te", "trailer", "upgrade"} {
		if got := f.get("upstream.header." + name); got != absent {
			complain("the upstream received the hop-by-hop header %s: %q", name, got)
		}
	}
	address := f.get("upstream.header.x-forwarded-for")
	if a, err := netip.ParseAddr(address); err != nil || a.String() != address {
		complain("the upstream received the client's address as %q, which is not one in canonical form", address)
	}
	origin := f.get("upstream.header.clerk-proxy-url")
	if !strings.HasPrefix(origin, "http") || strings.HasSuffix(origin, "/") || strings.ContainsAny(origin, "\n, ") {
		complain("the upstream received the proxy URL %q", origin)
	}
	return broken
}

func (f fields) all() string {
	var b strings.Builder
	for name, value := range f {
		fmt.Fprintf(&b, "\n\t%s\t%q", name, value)
	}
	return b.String()
}

// A ledger keeps account of which differences were seen.
type ledger struct {
	cases []testCase
	mu    sync.Mutex
	run   map[string]bool
	seen  map[string]bool // cases that differ
	used  map[place]bool
}

func newLedger(cases []testCase) *ledger {
	return &ledger{cases: cases, run: map[string]bool{}, seen: map[string]bool{}, used: map[place]bool{}}
}

// enter checks that the observations differ where the list says so, and
// nowhere else.
func (l *ledger) enter(t *testing.T, c testCase, own fields, observed map[subject]fields) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.run[c.name] = true
	for who, theirs := range observed {
		for _, name := range compare(own, theirs) {
			l.seen[c.name] = true
			p, listed := listedAt(who, c.name, name)
			if !listed {
				t.Errorf("%s differs and is not on the list: {%s, %q, %q, %q}, theirs is %q",
					name, who, c.name, name, own.get(name), theirs.get(name))
				continue
			}
			l.used[place{who, c.name, name, p.ours}] = true
			if own.get(name) != p.ours {
				t.Errorf("%s is %q, the list of differences says %q", name, own.get(name), p.ours)
			}
		}
	}
}

// close checks that nothing on the list has gone away.
func (l *ledger) close(t *testing.T) {
	if len(l.run) != len(l.cases) {
		return // a part of the cases was asked for
	}
	for _, d := range differences {
		if len(d.at) == 0 {
			t.Errorf("difference %s is of no case", d.id)
		}
		for _, p := range d.at {
			for _, who := range p.subjects() {
				if !l.used[place{who, p.testCase, p.field, p.ours}] {
					t.Errorf("difference %s: there is none from %s in %s of %q", d.id, who, p.field, p.testCase)
				}
			}
		}
	}
}

func (l *ledger) different() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.seen)
}

func (p place) subjects() []subject {
	if p.who == both {
		return []subject{express, backend}
	}
	return []subject{p.who}
}

func listedAt(who subject, testCase, field string) (place, bool) {
	for _, d := range differences {
		for _, p := range d.at {
			if p.testCase == testCase && p.field == field && slices.Contains(p.subjects(), who) {
				return p, true
			}
		}
	}
	return place{}, false
}
