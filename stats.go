package clerkproxy

import (
	"sync/atomic"

	"github.com/clerkproxy/clerkproxy/internal/upstream"
)

// Stats is what a [Proxy] has done since it was made, and what it is doing. The
// counts only grow; each is exact, but they are not all of the same instant.
type Stats struct {
	// InFlight is how many requests are being forwarded now.
	InFlight int64
	// Upstream are the connections to the Frontend API. It is zero when
	// Config.Transport is set.
	Upstream UpstreamStats
	// Assets is the cache of Clerk's scripts. It is zero without one.
	Assets AssetStats
	// Errors are the requests to which the Frontend API's answer was not
	// passed on whole.
	Errors ErrorStats
}

// UpstreamStats are the connections to the Frontend API and what went over them.
type UpstreamStats struct {
	// Requests were to be sent to the Frontend API, those that fill the cache
	// among them. It exceeds the requests of clients by the former, and falls
	// short of them by what the cache answers.
	Requests uint64
	// Answers are the requests whose answer has begun, whatever its status.
	Answers uint64
	// Opened is how many connections were opened. As a connection serves many
	// requests, those that found one open are about Requests less Opened.
	Opened uint64
	// Failed is how many connections could not be opened: the name look-up or
	// the TCP handshake failed.
	Failed uint64
	// Open is how many connections there are now, in use or idle.
	Open int64
}

// AssetStats is the cache of Clerk's scripts. Each request for one is counted
// once, as Hits, Stale, Shared or Misses.
type AssetStats struct {
	// Hits were answered from memory.
	Hits uint64
	// Stale were answered from memory with a copy that was no longer fresh,
	// while it was asked for a newer one or the Frontend API was down.
	Stale uint64
	// Shared were answered by the fetch that another request had begun.
	Shared uint64
	// Misses are all others: those the Frontend API was asked for.
	Misses uint64
	// Entries is how many answers are in memory now.
	Entries int
	// Bytes is the memory that is taken now, by what is kept and by what is
	// being fetched. Config.AssetCache is its limit.
	Bytes int64
}

// ErrorStats are the requests to which the Frontend API's answer was not passed
// on whole. What the Frontend API answers, errors too, is not among them.
type ErrorStats struct {
	// Refused were not forwarded: their host or method is not accepted, or
	// their path is not the proxy's.
	Refused uint64
	// ClientBody had a body that could not be read, was too large, or did not
	// arrive in time.
	ClientBody uint64
	// ClientGone were given up by the client.
	ClientGone uint64
	// Unreachable is how often the Frontend API could not be reached, or gave
	// an answer that is not valid: 502.
	Unreachable uint64
	// Timeout is how often the Frontend API did not answer in time: 504.
	Timeout uint64
	// Cut is how often its answer ended before it was whole.
	Cut uint64
	// Shutdown were ended by the server: 503.
	Shutdown uint64
}

// Stats returns what has been counted so far. It costs little enough to be
// called every second.
func (p *Proxy) Stats() Stats {
	s := Stats{InFlight: p.counts.inFlight.Load(), Errors: p.counts.errors.stats()}
	if own, ok := p.conns.(*upstream.Transport); ok {
		s.Upstream = UpstreamStats(own.Stats())
	}
	if p.assets != nil {
		s.Assets = AssetStats(p.assets.Stats())
	}
	return s
}

// counts are what the proxy itself counts.
type counts struct {
	inFlight atomic.Int64
	errors   errorCounts
}

type errorCounts struct {
	refused, clientBody, clientGone, unreachable, timeout, cut, shutdown atomic.Uint64
}

// of is the count of an answer of the proxy's own.
func (c *errorCounts) of(e *proxyError) *atomic.Uint64 {
	switch e {
	case errUpstream:
		return &c.unreachable
	case errUpstreamTimeout:
		return &c.timeout
	case errClientBody, errClientTooLarge, errClientStalled:
		return &c.clientBody
	case errShutdown:
		return &c.shutdown
	default:
		return &c.refused
	}
}

func (c *errorCounts) stats() ErrorStats {
	return ErrorStats{
		Refused:     c.refused.Load(),
		ClientBody:  c.clientBody.Load(),
		ClientGone:  c.clientGone.Load(),
		Unreachable: c.unreachable.Load(),
		Timeout:     c.timeout.Load(),
		Cut:         c.cut.Load(),
		Shutdown:    c.shutdown.Load(),
	}
}
