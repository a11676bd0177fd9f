package domains

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/clerk/clerk-sdk-go/v2"

	"github.com/clerkproxy/clerkproxy/internal/printable"
)

// A Refusal is an answer of the Backend API that is an error.
type Refusal struct {
	// Status is the answer's HTTP status.
	Status int
	// Code, Message and TraceID are Clerk's own. They are empty when something
	// else answered in Clerk's place.
	Code, Message, TraceID string
	// RetryAfter is how long Clerk wants to be left alone. Zero: it does not say.
	RetryAfter time.Duration
}

func newRefusal(status int, header http.Header, body []byte) *Refusal {
	refusal := &Refusal{Status: status}
	if seconds, err := strconv.ParseUint(header.Get("Retry-After"), 10, 16); err == nil {
		refusal.RetryAfter = time.Duration(seconds) * time.Second
	}
	var answer clerk.APIErrorResponse
	if json.Unmarshal(body, &answer) != nil || len(answer.Errors) == 0 {
		return refusal
	}
	first := answer.Errors[0]
	refusal.Code = shown(first.Code)
	refusal.Message = shown(cmp.Or(first.LongMessage, first.Message))
	refusal.TraceID = shown(answer.TraceID)
	return refusal
}

func (r *Refusal) Error() string {
	if r.Code == "" {
		return fmt.Sprintf("%s (status %d)", r.meaning(), r.Status)
	}
	text := fmt.Sprintf("%s (Clerk says %s: %s", r.meaning(), r.Code, r.Message)
	if r.TraceID != "" {
		text += "; trace " + r.TraceID
	}
	return text + ")"
}

// certain reports whether Clerk has refused, and changed nothing. A fault on the
// way, or of Clerk's, may come after the change.
func (r *Refusal) certain() bool {
	return r.Code != "" && r.Status >= 400 && r.Status < 500
}

// meaning is what the answer comes to.
// https://clerk.com/docs/guides/development/errors/backend-api
func (r *Refusal) meaning() string {
	switch {
	case r.Status == http.StatusUnauthorized:
		return "Clerk does not accept the secret key; copy it from the Clerk Dashboard, page API keys"
	case r.Status >= 500:
		return "Clerk's Backend API has a fault of its own; try again later"
	case r.Status == http.StatusTooManyRequests:
		wait := "a minute"
		if r.RetryAfter > 0 {
			wait = r.RetryAfter.String()
		}
		return "Clerk has had too many requests of this instance; wait " + wait
	case r.Code == "":
		return "what answers is not Clerk's Backend API; look at CLERK_API_URL"
	case r.Code == "invalid_proxy_configuration":
		return "Clerk has called the proxy, and finds that it does not work"
	case strings.HasPrefix(r.Code, "domain_update_forbidden"):
		return "Clerk lets only production instances use a proxy"
	case strings.HasPrefix(r.Code, "form_param"):
		return "Clerk does not take this proxy URL; it is https, on the domain itself or a name below it, and without a slash at its end"
	case r.Status == http.StatusPaymentRequired:
		return "the plan of the instance does not include this"
	case r.Status == http.StatusForbidden:
		return "Clerk does not allow this"
	case r.Status == http.StatusNotFound:
		return "Clerk does not know this domain"
	default:
		return "Clerk refuses"
	}
}

// shown is text of others that may be shown: a line that does nothing to the
// terminal, and ends.
func shown(s string) string {
	const longest = 500
	s = printable.Line(s)
	if runes := []rune(s); len(runes) > longest {
		s = string(runes[:longest]) + "…"
	}
	return strings.TrimSpace(s)
}
