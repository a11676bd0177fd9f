package metrics

import (
	"sync/atomic"
	"time"
)

// bounds are the upper bounds of a histogram's buckets. A script from memory
// takes less than a millisecond, an answer of the Frontend API some tens to
// hundreds; there they are close, so that percentiles mean something.
var bounds = [...]time.Duration{
	500 * time.Microsecond, 1 * time.Millisecond, 2500 * time.Microsecond, 5 * time.Millisecond,
	10 * time.Millisecond, 20 * time.Millisecond, 30 * time.Millisecond, 50 * time.Millisecond,
	75 * time.Millisecond, 100 * time.Millisecond, 150 * time.Millisecond, 200 * time.Millisecond,
	300 * time.Millisecond, 500 * time.Millisecond, 750 * time.Millisecond, 1 * time.Second,
	2 * time.Second, 5 * time.Second, 10 * time.Second, 30 * time.Second,
}

// A histogram counts durations. Prometheus' own does so with a loop that
// competes for the sum; this one needs two additions, and the status page can
// read it without a detour.
type histogram struct {
	buckets [len(bounds) + 1]atomic.Uint64 // each by itself, not cumulative
	sum     atomic.Int64
}

func (h *histogram) observe(d time.Duration) {
	i := 0
	for i < len(bounds) && d > bounds[i] {
		i++
	}
	h.buckets[i].Add(1)
	h.sum.Add(int64(d))
}

// read returns the histogram as Prometheus wants it.
func (h *histogram) read() (count uint64, sum float64, cumulative map[float64]uint64) {
	cumulative = make(map[float64]uint64, len(bounds))
	for i := range h.buckets {
		count += h.buckets[i].Load()
		if i < len(bounds) {
			cumulative[bounds[i].Seconds()] = count
		}
	}
	return count, time.Duration(h.sum.Load()).Seconds(), cumulative
}

// Durations are counts of durations by bucket, those of several histograms or
// of a stretch of time.
type Durations [len(bounds) + 1]uint64

func (d *Durations) add(h *histogram) {
	for i := range d {
		d[i] += h.buckets[i].Load()
	}
}

// Since returns the durations that came after those before.
func (d Durations) Since(before Durations) Durations {
	for i := range d {
		d[i] -= before[i]
	}
	return d
}

// Plus returns both together.
func (d Durations) Plus(other Durations) Durations {
	for i := range d {
		d[i] += other[i]
	}
	return d
}

// Quantile estimates the duration that a share q of them does not exceed, as
// Prometheus does: evenly distributed within a bucket. It is zero when there are
// none.
func (d Durations) Quantile(q float64) time.Duration {
	var count uint64
	for _, n := range d {
		count += n
	}
	if count == 0 {
		return 0
	}
	rank, below := q*float64(count), 0.0
	for i, n := range d[:len(bounds)] {
		if n > 0 && below+float64(n) >= rank {
			lower := time.Duration(0)
			if i > 0 {
				lower = bounds[i-1]
			}
			return lower + time.Duration((rank-below)/float64(n)*float64(bounds[i]-lower))
		}
		below += float64(n)
	}
	return bounds[len(bounds)-1]
}
