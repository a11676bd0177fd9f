package metrics

import (
	"maps"
	"slices"
)

// A Snapshot is what has been counted up to a moment. The difference of two is
// what happened in between.
type Snapshot struct {
	Kinds [kinds]KindSnapshot // by [Kind]
	Sites []SiteSnapshot      // what is no site's first, then by Config.Sites
}

// Classes are counts by class of status: the first digit, 0 for what is none.
type Classes [classes]uint64

// Sum is the count of all classes.
func (c Classes) Sum() (sum uint64) {
	for _, n := range c {
		sum += n
	}
	return sum
}

// Plus returns both together.
func (c Classes) Plus(other Classes) Classes {
	for i := range c {
		c[i] += other[i]
	}
	return c
}

// KindSnapshot is of the requests of a kind.
type KindSnapshot struct {
	Classes   Classes
	Bytes     uint64
	Durations Durations
}

// SiteSnapshot is of the requests of a site, and of its proxy.
type SiteSnapshot struct {
	SiteStats
	Classes Classes
}

// Snapshot reads all counters.
func (m *Metrics) Snapshot() Snapshot {
	var s Snapshot
	for _, named := range m.served() {
		site := SiteSnapshot{SiteStats: named.SiteStats}
		for _, k := range Kinds() {
			site.Classes = site.Classes.Plus(named.site.classes(k))
		}
		s.Sites = append(s.Sites, site)
	}
	for _, k := range Kinds() {
		of := &s.Kinds[k]
		for class := range m.durations[k] {
			of.Durations.add(&m.durations[k][class])
		}
		for _, site := range m.all() {
			of.Classes = of.Classes.Plus(site.classes(k))
			of.Bytes += site.bytes[k].Load()
		}
	}
	return s
}

// classes are the requests of a kind by class of status.
func (s *Site) classes(k Kind) (c Classes) {
	for code := range s.requests[k] {
		c[code/100] += s.requests[k][code].Load()
	}
	return c
}

// all are the sites that there have been: their sum only grows.
func (m *Metrics) all() []*Site { return slices.Collect(maps.Values(*m.sites.Load())) }

// servedSite is a site that is served now, with what its proxy has counted.
type servedSite struct {
	SiteStats
	site *Site
}

// served are the sites that are served now, and the requests that are no site's.
func (m *Metrics) served() []servedSite {
	served := []servedSite{{site: m.Site("")}}
	if m.config.Sites != nil {
		for _, stats := range m.config.Sites() {
			served = append(served, servedSite{stats, m.Site(stats.Name)})
		}
	}
	return served
}
