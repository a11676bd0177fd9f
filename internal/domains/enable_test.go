package domains

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"testing"
)

func TestEnable(t *testing.T) {
	for _, domain := range []string{"dmn_app", "app.dev"} {
		tr := newTrial()
		var checks []bool
		tr.CheckProxy = func(_ context.Context, proxyURL, id string, enabled bool) ([]string, error) {
			if proxyURL != newProxy || id != "dmn_app" {
				t.Errorf("checked %s for %s", proxyURL, id)
			}
			checks = append(checks, enabled)
			return nil, nil
		}
		var asked Change
		tr.Confirm = func(_ context.Context, change Change) error { asked = change; return nil }
		tr.ends(t, tr.Enable(t.Context(), domain, newProxy), newProxy, true, "Checked: Clerk is reached", "Done: signing in on app.dev works")
		if asked.Domain.Name != "app.dev" || asked.Domain.ProxyURL != "" || asked.ProxyURL != newProxy {
			t.Errorf("asked about %+v", asked)
		}
		if !slices.Equal(checks, []bool{false, true}) {
			t.Errorf("checked %v", checks)
		}
		if got := tr.backend.has("dmn_satellite"); got != "" {
			t.Errorf("the satellite has %s", got)
		}
	}
}

func TestEnableASatellite(t *testing.T) {
	for _, domain := range []string{"dmn_satellite", "satellite.dev"} {
		tr := newTrial()
		tr.ends(t, tr.Enable(t.Context(), domain, "https://satellite.dev/__clerk"), "", true, "Done: signing in on satellite.dev works")
		if got := tr.backend.has("dmn_satellite"); got != "https://satellite.dev/__clerk" {
			t.Errorf("the satellite has %q", got)
		}
	}
}

func TestEnableTwice(t *testing.T) {
	tr := newTrial()
	tr.backend.give("dmn_app", newProxy)
	tr.Confirm = func(context.Context, Change) error { t.Error("asked"); return nil }
	checked := false
	tr.CheckProxy = func(_ context.Context, _, _ string, enabled bool) ([]string, error) {
		checked = enabled
		return nil, nil
	}
	tr.ends(t, tr.Enable(t.Context(), "app.dev", newProxy), newProxy, true, "Nothing to do: app.dev uses the proxy "+newProxy+" already, and signing in works")
	if !checked {
		t.Error("it was not checked as an enabled proxy is")
	}

	tr.CheckProxy = breaks
	err := tr.Enable(t.Context(), "app.dev", newProxy)
	tr.ends(t, err, newProxy, true, "nobody can sign in", "nothing was changed: app.dev uses the proxy "+newProxy)
	if err == nil {
		t.Error("no error")
	}
	if got := tr.backend.patches(); got != nil {
		t.Errorf("sent %v", got)
	}
}

func TestEnableChangesNothing(t *testing.T) {
	declined := errors.New("declined")
	tests := []struct {
		name    string
		prepare func(*trial)
		domain  string
		asked   bool
		says    []string
	}{
		{"when the proxy does not work", func(tr *trial) {
			tr.CheckProxy = func(context.Context, string, string, bool) ([]string, error) {
				return []string{"it is down", "it is slow"}, nil
			}
		}, "app.dev", true, []string{"it is down", "it is slow", "nothing was changed: app.dev uses DNS"}},
		{"when the proxy cannot be checked", func(tr *trial) {
			tr.CheckProxy = func(context.Context, string, string, bool) ([]string, error) { return nil, errNetwork }
		}, "app.dev", false, []string{"nothing was changed", "the network is down"}},
		{"when the person says no", func(tr *trial) {
			tr.Confirm = func(context.Context, Change) error { return declined }
		}, "app.dev", true, []string{"declined"}},
		{"when Clerk refuses", func(tr *trial) {
			tr.backend.between = func(c call, serve func() (*http.Response, error)) (*http.Response, error) {
				if c.method == http.MethodPatch {
					return refuse(422, "invalid_proxy_configuration")
				}
				return serve()
			}
		}, "app.dev", true, []string{"nothing was changed, app.dev still uses DNS", "Clerk has called the proxy", "invalid_proxy_configuration: Clerk's own words."}},
		{"when Clerk does not know the key", func(tr *trial) {
			tr.Clerk = newTestClerk("https://api.clerk.com", "sk_live_other", tr.backend)
		}, "app.dev", false, []string{"does not accept the secret key", "clerk_key_invalid"}},
		{"when there is no network", func(tr *trial) {
			tr.backend.between = func(call, func() (*http.Response, error)) (*http.Response, error) { return nil, errNetwork }
		}, "app.dev", false, []string{"the network is down"}},
		{"when there is no such domain", func(*trial) {}, "other.dev", false, []string{`no domain "other.dev"`, "app.dev (dmn_app, primary)", "satellite.dev (dmn_satellite, satellite)"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tr := newTrial()
			tt.prepare(tr)
			err := tr.Enable(t.Context(), tt.domain, newProxy)
			tr.ends(t, err, "", tt.asked, tt.says...)
			if err == nil {
				t.Error("no error")
			}
		})
	}
}
