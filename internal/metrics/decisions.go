package metrics

import (
	"strings"
	"sync/atomic"
)

// handshakeReasons are those of package auth. One that is not among them is
// counted as other, so that a label has no value that a token may have put there.
var handshakeReasons = [...]string{
	"active-organization-mismatch",
	"client-uat-but-no-session-token",
	"dev-browser-missing",
	"dev-browser-sync",
	"primary-domain-cross-origin-sync",
	"primary-responds-to-syncing",
	"satellite-needs-syncing",
	"session-token-but-no-client-uat",
	"session-token-expired",
	"session-token-iat-before-client-uat",
	"session-token-iat-in-the-future",
	"session-token-nbf",
	"other",
}

// decisions count who was found to be signed in.
type decisions struct {
	signedIn, signedOut atomic.Uint64
	handshakes          map[string]*atomic.Uint64 // by reason; not changed after init
}

func (d *decisions) init() {
	d.handshakes = make(map[string]*atomic.Uint64, len(handshakeReasons))
	for _, reason := range handshakeReasons {
		d.handshakes[reason] = new(atomic.Uint64)
	}
}

// Decision counts what package auth decided about a request, by the status and
// the reason of its State: signed-in, signed-out or handshake. Others count for
// nothing. It does not allocate.
func (m *Metrics) Decision(status, reason string) {
	switch d := &m.decisions; status {
	case "signed-in":
		d.signedIn.Add(1)
	case "signed-out":
		d.signedOut.Add(1)
	case "handshake":
		// What follows says why there was no refresh instead.
		reason, _, _ = strings.Cut(reason, "-refresh-")
		count := d.handshakes[reason]
		if count == nil {
			count = d.handshakes["other"]
		}
		count.Add(1)
	}
}
