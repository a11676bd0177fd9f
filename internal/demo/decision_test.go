package demo

import (
	"net/http"
	"net/http/httptest"
	"testing"
)

func TestEveryReasonIsExplained(t *testing.T) {
	for reason, explained := range map[string]bool{
		"session-token-and-uat-missing":                                  true,
		"session-token-expired-refresh-non-eligible-no-refresh-cookie":   true,
		"session-token-but-no-client-uat":                                true,
		"satellite-needs-syncing":                                        true,
		"primary-domain-cross-origin-sync":                               true,
		"a-reason-of-next-year-that-is-shown-although-it-has-no-meaning": false,
	} {
		if got := wordsFor(reason) != ""; got != explained {
			t.Errorf("%s is explained: %t", reason, got)
		}
	}
}

func TestOnlyAHandshakeLeavesANote(t *testing.T) {
	for _, c := range []struct {
		name, status string
		code         int
		note         bool
	}{
		{"a handshake", "handshake", http.StatusTemporaryRedirect, true},
		{"a redirect to sign in", "signed-out", http.StatusTemporaryRedirect, false},
		{"a page", "signed-out", http.StatusOK, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			answer := httptest.NewRecorder()
			noteHandshakes(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("X-Clerk-Auth-Status", c.status)
				w.Header().Set("X-Clerk-Auth-Reason", "session-token-expired")
				w.WriteHeader(c.code)
			})).ServeHTTP(answer, httptest.NewRequest(http.MethodGet, "/", nil))
			cookies := answer.Result().Cookies()
			if noted := len(cookies) == 1 && cookies[0].Name == handshakeNote && cookies[0].Value == "session-token-expired"; noted != c.note {
				t.Errorf("it leaves %v", cookies)
			}
		})
	}
}
