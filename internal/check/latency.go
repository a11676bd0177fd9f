package check

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"time"
)

const (
	// samples are how many requests are timed each way.
	samples = 5
	// slower is how much a proxy may add before that is worth a word. It has to
	// hold for one that is far from whoever checks it.
	slower = 500 * time.Millisecond
)

// latency compares the way through the proxy with the direct one, over
// connections that are open already.
func (c *checker) latency(ctx context.Context) finding {
	through, answered := c.median(ctx, c.proxy)
	if !answered {
		return skip("Clerk does not answer /v1/health through the proxy")
	}
	direct, answered := c.median(ctx, c.clerk)
	if !answered {
		return ok("an answer takes " + millis(through) + "; Clerk cannot be asked directly from here to compare")
	}
	return judgeLatency(through, direct)
}

func judgeLatency(through, direct time.Duration) finding {
	seen := fmt.Sprintf("an answer takes %s, directly from Clerk %s", millis(through), millis(direct))
	if through > direct+slower {
		return warn(seen+": the proxy takes long", "have the proxy keep its connections to Clerk open, and run it near its visitors or near Clerk")
	}
	return ok(seen)
}

// median is the time that an answer takes, and false where Clerk gives none.
func (c *checker) median(ctx context.Context, from *client) (time.Duration, bool) {
	var took []time.Duration
	for i := range samples + 1 {
		a, err := from.get(ctx, "/v1/health", nil)
		if err != nil || !a.fromClerk() && a.status != http.StatusOK {
			return 0, false
		}
		if i > 0 { // the first may have had to connect
			took = append(took, a.took)
		}
	}
	slices.Sort(took)
	return took[len(took)/2], true
}

func millis(d time.Duration) string {
	return fmt.Sprintf("%.1f ms", float64(d)/float64(time.Millisecond))
}
