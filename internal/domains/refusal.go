package domains

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"unicode"

	"github.com/clerk/clerk-sdk-go/v2"
)

// A Refusal is an answer of the Backend API that is an error.
type Refusal struct {
	// Status is the answer's HTTP status.
	Status int
	// Code, Message and TraceID are Clerk's own. They are empty when something
	// else answered in Clerk's place.
	Code, Message, TraceID string
}

func newRefusal(status int, body []byte) *Refusal {
	refusal := &Refusal{Status: status}
	var answer clerk.APIErrorResponse
	if json.Unmarshal(body, &answer) != nil || len(answer.Errors) == 0 {
		return refusal
	}
	first := answer.Errors[0]
	refusal.Code = printable(first.Code)
	refusal.Message = printable(cmp.Or(first.LongMessage, first.Message))
	refusal.TraceID = printable(answer.TraceID)
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
		return "Clerk has had too many requests of this instance; wait a minute"
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

// printable is text of others that may be shown: a line that does nothing to the
// terminal, and ends.
func printable(s string) string {
	const longest = 500
	s = strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return ' '
	}, s)
	if runes := []rune(s); len(runes) > longest {
		s = string(runes[:longest]) + "…"
	}
	return strings.TrimSpace(s)
}
