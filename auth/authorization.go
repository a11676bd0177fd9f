package auth

import (
	"slices"
	"strings"

	"github.com/clerk/clerk-sdk-go/v2"
)

// A Requirement is what [Session.Has] asks of a session. Of its fields, those
// that are set must all be met. The empty Requirement is never met.
type Requirement struct {
	// Role is the person's role in the active organization: org:admin, or admin
	// for short.
	Role string

	// Permission is one in the active organization: org:invoices:create, or
	// invoices:create for short. Only custom permissions are in a token; the
	// system's own, org:sys_…, are not.
	Permission string

	// Feature and Plan are what is paid for, by the person, the organization or
	// either: user:chat, org:chat or chat.
	Feature, Plan string

	// Reverification is how recently the person must have proved who they are:
	// [clerk.SessionReverificationStrictMFA], -Strict, -Moderate, -Lax or one of
	// your own. Zero: not asked.
	Reverification clerk.SessionReverificationPolicy
}

// Has reports whether the session meets a requirement. What a token does not
// say is not granted. See
// https://clerk.com/docs/guides/secure/authorization-checks
func (s *Session) Has(r Requirement) bool {
	if s == nil || s.UserID == "" || s.pending() || r == (Requirement{}) {
		return false
	}
	if r.Role != "" && (s.OrgID == "" || s.OrgRole == "" || withOrg(s.OrgRole) != withOrg(r.Role)) {
		return false
	}
	if r.Permission != "" && (s.OrgID == "" || !slices.Contains(s.OrgPermissions, withOrg(r.Permission))) {
		return false
	}
	if r.Feature != "" && !granted(s.features, r.Feature) {
		return false
	}
	if r.Plan != "" && !granted(s.plans, r.Plan) {
		return false
	}
	none := clerk.SessionReverificationPolicy{}
	return r.Reverification == none || s.verifiedWithin(r.Reverification)
}

// withOrg puts the prefix org: before a role or permission that may have it.
func withOrg(name string) string {
	for strings.HasPrefix(name, "org:") {
		name = name[len("org:"):]
	}
	return "org:" + name
}

// granted looks for a feature or plan, with or without a scope before it.
func granted(list []scoped, wanted string) bool {
	scope, id, explicit := strings.Cut(wanted, ":")
	if !explicit {
		id = wanted
	}
	return slices.ContainsFunc(list, func(s scoped) bool {
		if s.id != id {
			return false
		}
		switch scope {
		case "o", "org", "organization":
			return s.org || !explicit
		case "u", "user":
			return s.user || !explicit
		default:
			return !explicit
		}
	})
}

// factorAges are the minutes since the person last proved who they are with a
// first and with a second factor; -1 for a factor that they do not have.
func (s *Session) factorAges() (first, second float64, ok bool) {
	if len(s.factorAge) != 2 {
		return 0, 0, false
	}
	first, ok1 := s.factorAge[0].(float64)
	second, ok2 := s.factorAge[1].(float64)
	valid := func(age float64) bool { return age == -1 || age >= 0 }
	return first, second, ok1 && ok2 && valid(first) && valid(second)
}

// verifiedWithin reports whether the person's proof is as fresh as the policy
// asks. A person without a second factor is asked for the first only; one
// without a first factor cannot be asked for both.
func (s *Session) verifiedWithin(policy clerk.SessionReverificationPolicy) bool {
	first, second, ok := s.factorAges()
	if !ok || policy.AfterMinutes <= 0 {
		return false
	}
	limit := float64(policy.AfterMinutes)
	firstFresh := first != -1 && first < limit
	secondFresh := second != -1 && second < limit
	switch policy.Level {
	case clerk.SessionReverificationLevelFirstFactor:
		return firstFresh
	case clerk.SessionReverificationLevelSecondFactor:
		if second == -1 {
			return firstFresh
		}
		return secondFresh
	case clerk.SessionReverificationLevelMultiFactor:
		if second == -1 {
			return firstFresh
		}
		return firstFresh && secondFresh
	}
	return false
}
