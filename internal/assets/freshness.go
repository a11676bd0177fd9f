package assets

import (
	"net/http"
	"strings"
	"time"

	"github.com/clerkproxy/clerkproxy/internal/wire"
)

const (
	// staleWhileRevalidate is how long an answer is served after it went stale,
	// while a newer one is asked for, where it does not say so itself.
	staleWhileRevalidate = time.Minute
	// staleIfError is how long an answer is served after it went stale when the
	// Frontend API is down, where it does not say so itself.
	staleIfError = 24 * time.Hour
	// retryAfter is how long nobody asks again after that was found out.
	retryAfter = 10 * time.Second
	// maxNotFound is how long an answer that there is no such file is fresh at
	// most: one may be published at any moment.
	maxNotFound = time.Minute
	// maxSeconds is what a larger number of seconds means, RFC 9111 §1.2.2.
	maxSeconds = 1 << 31
	absent     = time.Duration(-1)
)

// directives are those of a Cache-Control header that matter here. Durations
// that it does not hold are absent. Of one that it holds twice the stricter
// counts, and one that is not a number is zero: such an answer is stale, RFC
// 9111 §4.2.1.
type directives struct {
	noStore, noCache, private     bool
	mustRevalidate, immutable     bool
	onlyIfCached                  bool
	maxAge, sharedMaxAge          time.Duration
	minFresh                      time.Duration
	whileRevalidate, staleIfError time.Duration
}

func parseDirectives(lines []string) directives {
	d := directives{maxAge: absent, sharedMaxAge: absent, minFresh: absent, whileRevalidate: absent, staleIfError: absent}
	for _, line := range lines {
		for line != "" {
			var name, value string
			name, value, line = nextDirective(line)
			d.set(name, value)
		}
	}
	return d
}

func (d *directives) set(name, value string) {
	switch strings.ToLower(name) {
	case "no-store":
		d.noStore = true
	case "no-cache": // naming fields or not, RFC 9111 §5.2.2.4
		d.noCache = true
	case "private": // likewise, §5.2.2.7
		d.private = true
	case "must-revalidate", "proxy-revalidate":
		d.mustRevalidate = true
	case "immutable":
		d.immutable = true
	case "only-if-cached":
		d.onlyIfCached = true
	case "max-age":
		least(&d.maxAge, value)
	case "s-maxage":
		least(&d.sharedMaxAge, value)
	case "min-fresh":
		most(&d.minFresh, value)
	case "stale-while-revalidate":
		least(&d.whileRevalidate, value)
	case "stale-if-error":
		least(&d.staleIfError, value)
	}
}

func least(d *time.Duration, value string) {
	if s := seconds(value); *d == absent || s < *d {
		*d = s
	}
}

func most(d *time.Duration, value string) {
	*d = max(*d, seconds(value))
}

// seconds reads delta-seconds; what is no number is zero.
func seconds(s string) time.Duration {
	n := int64(0)
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return 0
		}
		n = min(n*10+int64(s[i]-'0'), maxSeconds)
	}
	return time.Duration(n) * time.Second
}

// nextDirective cuts the first directive from a list. The end of a quoted string
// that has none is the next comma: nothing can hide a no-store behind a quote.
func nextDirective(s string) (name, value, rest string) {
	s = strings.TrimLeft(s, " \t,")
	end := strings.IndexAny(s, "=,")
	if end < 0 {
		return strings.Trim(s, " \t"), "", ""
	}
	name, rest = strings.Trim(s[:end], " \t"), s[end+1:]
	if s[end] == ',' {
		return name, "", rest
	}
	value = strings.TrimLeft(rest, " \t")
	if quoted, ok := strings.CutPrefix(value, `"`); ok {
		for i := 0; i < len(quoted); i++ {
			switch quoted[i] {
			case '\\':
				i++
			case '"':
				_, rest, _ = strings.Cut(quoted[i+1:], ",")
				return name, quoted[:i], rest
			}
		}
	}
	value, rest, _ = strings.Cut(rest, ",")
	return name, strings.Trim(value, " \t"), rest
}

// freshness is how long an answer may be used.
type freshness struct {
	born      time.Time // now minus this is its age, RFC 9111 §4.2.3
	lifetime  time.Duration
	immutable bool
	// After its lifetime, for how long it may be served while it is asked for,
	// and when it cannot be had.
	whileRevalidate, staleIfError time.Duration
}

func (f *freshness) age(now time.Time) time.Duration { return max(0, now.Sub(f.born)) }

// left is how long the answer is fresh; negative if it is stale.
func (f *freshness) left(now time.Time) time.Duration { return f.lifetime - f.age(now) }

// freshnessOf returns how long an answer may be used, or false if it says that
// it may not, or does not say that it may: there are no guesses here (RFC 9111
// §4.2.2), Clerk says what it means.
func freshnessOf(status int, h http.Header, asked, answered time.Time) (f freshness, ok bool) {
	d := parseDirectives(h["Cache-Control"])
	if len(h["Cache-Control"]) == 0 && saysNoCache(h["Pragma"]) {
		d.noCache = true
	}
	if d.noStore || d.noCache || d.private {
		return f, false
	}
	date, err := http.ParseTime(first(h, "Date"))
	if err != nil {
		date = answered // RFC 9110 §6.6.1
	}
	switch {
	case d.sharedMaxAge != absent:
		// For a shared cache it says what proxy-revalidate does, §5.2.2.10.
		f.lifetime, d.mustRevalidate = d.sharedMaxAge, true
	case d.maxAge != absent:
		f.lifetime = d.maxAge
	case len(h["Expires"]) == 1:
		expires, err := http.ParseTime(h["Expires"][0])
		if err != nil { // "0" for instance means the past, §5.3
			return f, false
		}
		f.lifetime = expires.Sub(date)
	}
	if status == http.StatusNotFound || status == http.StatusGone {
		f.lifetime = min(f.lifetime, maxNotFound)
	}
	apparent := max(0, answered.Sub(date))
	corrected := seconds(first(h, "Age")) + max(0, answered.Sub(asked))
	f.born = answered.Add(-max(apparent, corrected))
	f.immutable = d.immutable
	if !d.mustRevalidate {
		f.whileRevalidate, f.staleIfError = staleWhileRevalidate, staleIfError
		if d.whileRevalidate != absent {
			f.whileRevalidate = d.whileRevalidate
		}
		if d.staleIfError != absent {
			f.staleIfError = d.staleIfError
		}
	}
	return f, f.age(answered) < f.lifetime
}

func saysNoCache(pragma []string) bool {
	for _, line := range pragma {
		if parseDirectives([]string{line}).noCache {
			return true
		}
	}
	return false
}

// An ask is what a request wants of caches, RFC 9111 §5.2.1.
type ask struct {
	noStore, noCache, onlyIfCached bool
	maxAge, minFresh               time.Duration
}

func askOf(h wire.Header) ask {
	lines := h.Values("Cache-Control")
	if len(lines) == 0 {
		return ask{noCache: saysNoCache(h.Values("Pragma")), maxAge: absent, minFresh: absent} // §5.4
	}
	d := parseDirectives(lines)
	return ask{noStore: d.noStore, noCache: d.noCache, onlyIfCached: d.onlyIfCached, maxAge: d.maxAge, minFresh: d.minFresh}
}

// toleratesStale reports whether the request leaves it to the cache.
func (a ask) toleratesStale() bool { return !a.noCache && a.maxAge == absent && a.minFresh == absent }

// A use is what to do about a request with an answer that is kept.
type use struct {
	serve   bool
	refresh bool   // and ask for a newer one in the background
	fwd     string // or why to go forward, RFC 9211 §2.2
	detail  string
}

// judge decides whether an answer, nil if there is none, is good for a request.
// The lock of the cache is held.
func (a ask) judge(e *entry, now time.Time) use {
	if e == nil {
		return use{fwd: fwdURIMiss}
	}
	left := e.left(now)
	if left > 0 {
		switch {
		case a.noCache:
			return use{fwd: fwdRequest}
		case e.immutable: // nothing newer can be had by max-age=0, RFC 8246 §2
			return use{serve: true}
		case a.maxAge != absent && e.age(now) >= a.maxAge, a.minFresh != absent && left < a.minFresh:
			return use{fwd: fwdRequest}
		}
		return use{serve: true}
	}
	switch {
	case !a.toleratesStale():
	case now.Before(e.retry) && -left <= e.staleIfError:
		return use{serve: true, detail: detailStaleIfError}
	case -left <= e.whileRevalidate:
		return use{serve: true, refresh: !now.Before(e.retry), detail: detailStaleWhileRevalidate}
	}
	return use{fwd: fwdStale}
}
