package forwarded

import (
	"net/netip"
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

// HostSet is a set of hosts that are accepted. An entry is a host name, or
// *. and a domain for every name below it; with a port it accepts that port
// only. The empty set accepts every host.
type HostSet struct {
	exact    map[string]bool
	suffixes []string
}

// ParseHostSet checks and collects the entries; bad is the first that is not
// valid.
func ParseHostSet(entries []string) (set HostSet, bad string, ok bool) {
	for _, entry := range entries {
		domain, wildcard := strings.CutPrefix(entry, "*")
		if wildcard {
			if !strings.HasPrefix(domain, ".") || CanonicalHost(domain[1:], "") == "" {
				return HostSet{}, entry, false
			}
			set.suffixes = append(set.suffixes, strings.ToLower(domain))
			continue
		}
		host := CanonicalHost(entry, "")
		if host == "" {
			return HostSet{}, entry, false
		}
		if set.exact == nil {
			set.exact = make(map[string]bool)
		}
		set.exact[host] = true
	}
	return set, "", true
}

// Accepts reports whether a host, as [Source] gives it for the scheme, is in
// the set.
func (s HostSet) Accepts(host, scheme string) bool {
	if len(s.exact) == 0 && len(s.suffixes) == 0 {
		return true
	}
	name, withPort := host, host
	if i := strings.LastIndexByte(host, ':'); i >= 0 && host[len(host)-1] != ']' {
		name = host[:i]
	} else if scheme == "https" {
		withPort += ":443"
	} else {
		withPort += ":80"
	}
	if s.exact[name] || s.exact[withPort] {
		return true
	}
	for _, suffix := range s.suffixes {
		if below(name, suffix) || below(withPort, suffix) {
			return true
		}
	}
	return false
}

func below(host, suffix string) bool {
	return len(host) > len(suffix) && strings.HasSuffix(host, suffix)
}
