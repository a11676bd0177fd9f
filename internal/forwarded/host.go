package forwarded

import (
	"cmp"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// CanonicalHost checks a Host header's value and writes it in lower case,
// without the scheme's own port. It returns "" for what is not a host name or an
// IP address with an optional port: such a value must not end up in a URL.
func CanonicalHost(host, scheme string) string {
	name, port := host, ""
	if strings.HasPrefix(host, "[") {
		end := strings.IndexByte(host, ']')
		if end < 0 {
			return ""
		}
		a, err := netip.ParseAddr(host[1:end])
		if err != nil || !a.Is6() || a.Zone() != "" {
			return ""
		}
		name, port = host[:end+1], host[end+1:]
	} else {
		if colon := strings.IndexByte(host, ':'); colon >= 0 {
			name, port = host[:colon], host[colon:]
		}
		if !validName(name) {
			return ""
		}
	}
	name = strings.ToLower(name)
	if port == "" {
		return name
	}
	n, err := strconv.ParseUint(port[1:], 10, 16)
	if port[0] != ':' || err != nil || n == 0 {
		return ""
	}
	if scheme == "https" && n == 443 || scheme == "http" && n == 80 {
		return name
	}
	return name + ":" + strconv.FormatUint(n, 10)
}

func validName(name string) bool {
	if name == "" || len(name) > 253 || name[0] == '.' || strings.Contains(name, "..") {
		return false
	}
	for i := range len(name) {
		c := name[i]
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '.', c == '-', c == '_':
		default:
			return false
		}
	}
	return true
}

// CanonicalHostEntry checks an entry of a list of hosts and writes it in lower
// case: a host name or an IP address, or *. and a domain for every name below
// it; with a port it means that port only.
func CanonicalHostEntry(entry string) (string, bool) {
	domain, wildcard := strings.CutPrefix(entry, "*.")
	host := CanonicalHost(domain, "")
	if host == "" || wildcard && host[0] == '[' {
		return "", false
	}
	if wildcard {
		return "*." + host, true
	}
	return host, true
}

// A HostMap maps public hosts to values. The zero HostMap is empty.
type HostMap[T any] struct {
	exact map[string]T
	below []domain[T] // in the order of Get
}

// A domain has a value for every name below it.
type domain[T any] struct {
	suffix string // with the dot
	value  T
}

// Set maps the hosts of an entry, as [CanonicalHostEntry] writes it, to a value.
func (m *HostMap[T]) Set(entry string, value T) {
	if suffix, wildcard := strings.CutPrefix(entry, "*"); wildcard {
		m.below = append(m.below, domain[T]{suffix, value})
		slices.SortFunc(m.below, func(a, b domain[T]) int {
			return cmp.Or(strings.Count(b.suffix, ":")-strings.Count(a.suffix, ":"), len(b.suffix)-len(a.suffix))
		})
		return
	}
	if m.exact == nil {
		m.exact = make(map[string]T)
	}
	m.exact[entry] = value
}

// Get returns the value for a host, as [Source] gives it for the scheme. What
// says more goes first: a name before the domains that it is below, an entry with
// the port before one without, and the closest domain before those above it.
func (m *HostMap[T]) Get(host, scheme string) (value T, ok bool) {
	name, withPort := host, host
	if i := strings.LastIndexByte(host, ':'); i >= 0 && host[len(host)-1] != ']' {
		name = host[:i]
	} else if scheme == "https" {
		withPort += ":443"
	} else {
		withPort += ":80"
	}
	if value, ok = m.exact[withPort]; ok {
		return value, true
	}
	if value, ok = m.exact[name]; ok {
		return value, true
	}
	for _, d := range m.below {
		if below(name, d.suffix) || below(withPort, d.suffix) {
			return d.value, true
		}
	}
	return value, false
}

func below(host, suffix string) bool {
	return len(host) > len(suffix) && strings.HasSuffix(host, suffix)
}

// HostSet is a set of hosts that are accepted. The empty set accepts every host.
type HostSet struct{ hosts HostMap[struct{}] }

// ParseHostSet checks and collects entries, see [CanonicalHostEntry]; bad is the
// first that is not valid.
func ParseHostSet(entries []string) (set HostSet, bad string, ok bool) {
	for _, entry := range entries {
		canonical, ok := CanonicalHostEntry(entry)
		if !ok {
			return HostSet{}, entry, false
		}
		set.hosts.Set(canonical, struct{}{})
	}
	return set, "", true
}

// Accepts reports whether a host, as [Source] gives it for the scheme, is in
// the set.
func (s *HostSet) Accepts(host, scheme string) bool {
	if len(s.hosts.exact) == 0 && len(s.hosts.below) == 0 {
		return true
	}
	_, ok := s.hosts.Get(host, scheme)
	return ok
}
