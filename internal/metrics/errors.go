package metrics

import "github.com/clerkproxy/clerkproxy"

// An ErrorCount is how many requests failed for a reason.
type ErrorCount struct {
	Reason string // as the label has it
	Count  uint64
}

// Errors are the errors of a proxy, by reason.
func Errors(e clerkproxy.ErrorStats) []ErrorCount {
	return []ErrorCount{
		{"unreachable", e.Unreachable},
		{"timeout", e.Timeout},
		{"cut", e.Cut},
		{"client_gone", e.ClientGone},
		{"client_body", e.ClientBody},
		{"refused", e.Refused},
		{"shutdown", e.Shutdown},
	}
}
