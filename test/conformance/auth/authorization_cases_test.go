package auth_test

import (
	"fmt"

	"github.com/clerk/clerk-sdk-go/v2"
	"github.com/clerkproxy/clerkproxy/auth"
)

// authorizationCases ask a great many things of a number of sessions.
func authorizationCases() (cases []testCase) {
	sessions := map[string]m{
		"version 1":         {"org_id": "org_1", "org_role": "org:admin", "org_permissions": []string{"org:a:read"}, "fea": "u:chat,o:reports", "pla": "u:gold,o:team", "fva": []int{5, -1}},
		"version 1, bare":   {"org_id": "org_1", "org_role": "admin"},
		"version 2":         {"v": 2, "fea": "u:chat,o:reports,uo:both", "pla": "u:gold,o:team", "o": m{"id": "org_1", "rol": "admin", "per": "read,write", "fpm": "1,3"}, "fva": []int{5, 20}},
		"no organization":   {"v": 2, "fea": "u:chat", "pla": "u:gold", "fva": []int{70, 9}},
		"nothing":           {"v": 2},
		"pending":           {"sts": "pending", "org_id": "org_1", "org_role": "org:admin"},
		"no factors":        {"fva": []int{-1, -1}},
		"second alone":      {"fva": []int{-1, 5}},
		"fresh":             {"fva": []int{0, 0}},
		"exactly":           {"fva": []int{10, 60}},
		"stale":             {"fva": []int{2000, 2000}},
		"factor nonsense":   {"fva": []any{"a", 5}},
		"factor fractions":  {"fva": []float64{-0.5, 5}},
		"one factor":        {"fva": []int{5}},
		"three factors":     {"fva": []int{5, 5, 5}},
		"role without org":  {"org_role": "org:admin"},
		"permission no org": {"org_permissions": []string{"org:a:read"}},
	}
	var all []requirement
	ask := func(js m, r auth.Requirement) { all = append(all, requirement{js, r}) }
	for _, role := range []string{"org:admin", "admin", "org:org:admin", "member", "Admin", "org:"} {
		ask(m{"role": role}, auth.Requirement{Role: role})
	}
	for _, permission := range []string{"org:a:read", "a:read", "org:reports:read", "org:reports:write", "reports:read", "org:both:write", "org:chat:read", "x", "org:a:rea"} {
		ask(m{"permission": permission}, auth.Requirement{Permission: permission})
	}
	for _, id := range []string{"chat", "user:chat", "u:chat", "org:chat", "o:chat", "reports", "organization:reports", "user:reports", "both", "u:both", "o:both", "x:chat", "gold", "team", "org:team", "user:gold", "org:", ":chat"} {
		ask(m{"feature": id}, auth.Requirement{Feature: id})
		ask(m{"plan": id}, auth.Requirement{Plan: id})
	}
	for name, policy := range map[string]clerk.SessionReverificationPolicy{
		"strict_mfa": clerk.SessionReverificationStrictMFA, "strict": clerk.SessionReverificationStrict,
		"moderate": clerk.SessionReverificationModerate, "lax": clerk.SessionReverificationLax,
	} {
		ask(m{"reverification": name}, auth.Requirement{Reverification: policy})
	}
	for _, level := range []string{"first_factor", "second_factor", "multi_factor", "third_factor"} {
		for _, minutes := range []int64{-5, 1, 5, 6, 61, 5000} {
			ask(m{"reverification": m{"level": level, "afterMinutes": minutes}},
				auth.Requirement{Reverification: clerk.SessionReverificationPolicy{Level: clerk.SessionReverificationLevel(level), AfterMinutes: minutes}})
		}
	}
	ask(m{}, auth.Requirement{})
	ask(m{"role": "admin", "permission": "org:a:read"}, auth.Requirement{Role: "admin", Permission: "org:a:read"})
	ask(m{"role": "admin", "feature": "chat"}, auth.Requirement{Role: "admin", Feature: "chat"})
	ask(m{"role": "admin", "feature": "none"}, auth.Requirement{Role: "admin", Feature: "none"})
	ask(m{"plan": "gold", "feature": "chat", "reverification": "lax"}, auth.Requirement{Plan: "gold", Feature: "chat", Reverification: clerk.SessionReverificationLax})
	for name, change := range sessions {
		for i := range all {
			cases = append(cases, testCase{name: fmt.Sprintf("has/%s/%v", name, all[i].js), options: plain(live), cookies: signedIn(live, session(live, change)), has: all[i : i+1]})
		}
	}
	return cases
}
