package domains

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
)

// newProxied is a trial of a domain that uses a proxy.
func newProxied() *trial {
	tr := newTrial()
	tr.backend.give("dmn_app", oldProxy)
	return tr
}

func TestDisable(t *testing.T) {
	for _, domain := range []string{"dmn_app", "app.dev"} {
		tr := newProxied()
		type check struct {
			url     string
			enabled bool
		}
		var checks []check
		tr.CheckDirect = func(_ context.Context, url string, enabled bool) error {
			checks = append(checks, check{url, enabled})
			return nil
		}
		var asked Change
		tr.Confirm = func(_ context.Context, change Change) error { asked = change; return nil }
		tr.ends(t, tr.Disable(t.Context(), domain), "", true,
			"Checked: clerk.app.dev is an alias of frontend-api.clerk.services.", "Done: the Frontend API of app.dev answers without a proxy.")
		if asked.Domain.ProxyURL != oldProxy || asked.ProxyURL != "" {
			t.Errorf("asked about %+v", asked)
		}
		if want := []check{{"https://clerk.app.dev", false}, {"https://clerk.app.dev", true}}; !slices.Equal(checks, want) {
			t.Errorf("checked %v, want %v", checks, want)
		}
		if got := tr.backend.patches(); !slices.Equal(got, []string{`/v1/domains/dmn_app {"proxy_url":null}`}) {
			t.Errorf("sent %v", got)
		}
	}
}

func TestDisableTwice(t *testing.T) {
	tr := newTrial()
	tr.Confirm = func(context.Context, Change) error { t.Error("asked"); return nil }
	tr.ends(t, tr.Disable(t.Context(), "app.dev"), "", true, "Nothing to do: app.dev uses DNS already, and the Frontend API answers at https://clerk.app.dev")
	tr.CheckDirect = func(context.Context, string, bool) error { return errNetwork }
	if err := tr.Disable(t.Context(), "app.dev"); err == nil || !strings.Contains(err.Error(), "nothing was changed: app.dev uses DNS already") {
		t.Errorf("got %v", err)
	}
}

func TestDisableChangesNothing(t *testing.T) {
	tests := []struct {
		name    string
		prepare func(*trial)
		asked   bool
		says    []string
	}{
		{"when the CNAME is missing", func(tr *trial) { delete(tr.Resolver.(standInDNS), "clerk.app.dev.") }, true,
			[]string{"nothing was changed, app.dev uses the proxy " + oldProxy, "clerk.app.dev is not in DNS; make it a CNAME of frontend-api.clerk.services"}},
		{"when the CNAME leads elsewhere", func(tr *trial) { tr.Resolver.(standInDNS)["clerk.app.dev."] = "elsewhere.dev." }, true,
			[]string{"clerk.app.dev leads to elsewhere.dev in DNS; make it a CNAME of frontend-api.clerk.services"}},
		{"when DNS does not answer", func(tr *trial) { tr.Resolver = brokenDNS{} }, false,
			[]string{"nothing was changed: looking for the record of clerk.app.dev", "server misbehaving"}},
		{"when the person says no", func(tr *trial) {
			tr.Confirm = func(context.Context, Change) error { return errors.New("declined") }
		}, true, []string{"declined"}},
		{"when Clerk refuses", func(tr *trial) {
			tr.backend.between = func(c call, serve func() (*http.Response, error)) (*http.Response, error) {
				if c.method == http.MethodPatch {
					return refuse(403, "forbidden")
				}
				return serve()
			}
		}, true, []string{"nothing was changed, app.dev still uses the proxy " + oldProxy, "Clerk does not allow this"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tr := newProxied()
			tt.prepare(tr)
			err := tr.Disable(t.Context(), "app.dev")
			tr.ends(t, err, oldProxy, tt.asked, tt.says...)
			if err == nil {
				t.Error("no error")
			}
		})
	}
}

func TestDisableIsUndoneWhenTheFrontendAPIDoesNotAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := newProxied()
		tr.CheckDirect = func(_ context.Context, _ string, enabled bool) error {
			if enabled {
				return errors.New("no certificate for clerk.app.dev")
			}
			return nil
		}
		tr.ends(t, tr.Disable(t.Context(), "app.dev"), oldProxy, true,
			"Changed: app.dev uses DNS", "no certificate for clerk.app.dev", "app.dev uses the proxy "+oldProxy+" again, as before")
	})
}

// Clerk may have no certificate for the host before it is told to serve it.
func TestDisableWarnsWhenTheFrontendAPIDoesNotAnswerYet(t *testing.T) {
	tr := newProxied()
	tr.CheckDirect = func(_ context.Context, _ string, enabled bool) error {
		if enabled {
			return nil
		}
		return errors.New("no certificate for clerk.app.dev")
	}
	tr.ends(t, tr.Disable(t.Context(), "app.dev"), "", true, "Note: no certificate for clerk.app.dev. If it is so after the change too", "Done")
}

func TestDisableComplainsAboutRecordsForMail(t *testing.T) {
	tr := newProxied()
	delete(tr.Resolver.(standInDNS), "clkmail.app.dev.")
	tr.ends(t, tr.Disable(t.Context(), "app.dev"), "", true, "Note: clkmail.app.dev is not in DNS; make it a CNAME of mail.x.clerk.services.", "Done")
}

func TestDisableWhenClerkNamesNoRecords(t *testing.T) {
	tr := newProxied()
	tr.backend.domain("dmn_app").CNAMETargets = nil
	tr.ends(t, tr.Disable(t.Context(), "app.dev"), "", true, "Checked: clerk.app.dev is in DNS.", "Done")

	tr = newProxied()
	tr.backend.domain("dmn_app").CNAMETargets = nil
	delete(tr.Resolver.(standInDNS), "clerk.app.dev.")
	tr.ends(t, tr.Disable(t.Context(), "app.dev"), oldProxy, true, "clerk.app.dev is not in DNS; add the record that the Clerk Dashboard shows")
}

func TestDirect(t *testing.T) {
	tests := []struct {
		name    string
		handler http.HandlerFunc
		before  string // what it says of the domain while it has a proxy
		after   string
	}{
		{"Clerk", func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path != "/v1/environment" {
				http.NotFound(w, r)
			}
			w.Write([]byte(`{"object":"environment"}`))
		}, "", ""},
		{"Clerk, which does not know the host", func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(400)
			w.Write([]byte(`{"errors":[{"code":"host_invalid"}]}`))
		}, "", "/v1/environment answers 400 host_invalid"},
		{"a page", func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte("<html>")) }, "", "answers something that is not Clerk's"},
		{"a redirect", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/", http.StatusFound) }, "", "/v1/environment answers 302"},
		{"an answer that breaks off", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "100")
			w.Write([]byte("{"))
		}, "", "broke off"},
		{"somebody who hangs up", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, "does not answer", "does not answer"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			fapi := httptest.NewServer(tt.handler)
			t.Cleanup(fapi.Close)
			for enabled, want := range map[bool]string{false: tt.before, true: tt.after} {
				err := Direct{http.DefaultTransport}.Check(t.Context(), fapi.URL, enabled)
				if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
					t.Errorf("enabled %v: got %v, want %q", enabled, err, want)
				}
			}
		})
	}
}
