package domains

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"strings"
	"testing"
	"testing/synctest"
	"time"
)

const (
	oldProxy = "https://app.dev/old"
	newProxy = "https://app.dev/__clerk"
)

// A switch with stand-ins, and what it told.
type trial struct {
	*Switch
	backend *backend
	told    []string
}

// newTrial has a proxy and a Frontend API that work, records that are there, and
// a person who says yes.
func newTrial() *trial {
	b := newBackend()
	tr := &trial{backend: b}
	tr.Switch = &Switch{
		Clerk:       newTestClerk("https://api.clerk.com", testKey, b),
		CheckProxy:  func(context.Context, string, string, bool) ([]string, error) { return nil, nil },
		CheckDirect: func(context.Context, string, bool) error { return nil },
		Resolver: standInDNS{
			"clerk.app.dev.":       "frontend-api.clerk.services.",
			"clerk.satellite.dev.": "frontend-api.clerk.services.",
			"clkmail.app.dev.":     "mail.x.clerk.services.",
		},
		Confirm: func(context.Context, Change) error { return nil },
		Tell:    func(line string) { tr.told = append(tr.told, line) },
	}
	return tr
}

// ends checks what an Enable or Disable came to: what the domain app.dev then
// has, what was said, and whether it came to a change at all.
func (tr *trial) ends(t *testing.T, err error, has string, asked bool, says ...string) {
	t.Helper()
	if got := tr.backend.has("dmn_app"); got != has {
		t.Errorf("the domain has %q, want %q", got, has)
	}
	var notAsked *NotAskedError
	if errors.As(err, &notAsked) == asked {
		t.Errorf("the error is %T", err)
	}
	text := strings.Join(tr.told, "\n") + "\n" + fmt.Sprint(err)
	for _, each := range says {
		if !strings.Contains(text, each) {
			t.Errorf("it does not say %q, but\n%s", each, text)
		}
	}
	if strings.Contains(text, testKey) {
		t.Errorf("it says the key:\n%s", text)
	}
}

// breaks is a CheckProxy that finds nothing wrong until the proxy is enabled.
func breaks(_ context.Context, _, _ string, enabled bool) ([]string, error) {
	if enabled {
		return []string{"nobody can sign in"}, nil
	}
	return nil, nil
}

// A change of proxies is the harder half of both commands: what holds for it
// holds for going from and to DNS.
func TestAChangeThatBreaksSigningInIsUndone(t *testing.T) {
	for _, former := range []string{"", oldProxy} {
		t.Run("from "+named(former), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				tr := newTrial()
				tr.backend.give("dmn_app", former)
				tr.CheckProxy = breaks
				err := tr.Enable(t.Context(), "app.dev", newProxy)
				tr.ends(t, err, former, true, "nobody can sign in", "app.dev uses "+named(former)+" again, as before")
				if got := tr.backend.patches(); len(got) != 2 {
					t.Errorf("got %v", got)
				}
			})
		})
	}
}

func TestAChangeIsGivenTimeToWork(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := newTrial()
		tr.Patience = 10 * time.Second
		worksAt := time.Now().Add(5 * time.Second)
		tr.CheckProxy = func(_ context.Context, _, _ string, enabled bool) ([]string, error) {
			if enabled && time.Now().Before(worksAt) {
				return []string{"not yet"}, nil
			}
			return nil, nil
		}
		tr.ends(t, tr.Enable(t.Context(), "app.dev", newProxy), newProxy, true, "Done")

		tr.backend.give("dmn_app", "")
		started := time.Now()
		worksAt = started.Add(time.Hour)
		tr.ends(t, tr.Enable(t.Context(), "app.dev", newProxy), "", true, "not yet", "uses DNS again")
		if took := time.Since(started); took < 5*time.Second || took > 10*time.Second {
			t.Errorf("it took %s", took)
		}
	})
}

func TestWhenSigningInCannotBeCheckedTheChangeIsUndone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := newTrial()
		tr.CheckProxy = func(_ context.Context, _, _ string, enabled bool) ([]string, error) {
			if enabled {
				return nil, errNetwork
			}
			return nil, nil
		}
		tr.ends(t, tr.Enable(t.Context(), "app.dev", newProxy), "", true, "the network is down", "app.dev uses DNS again, as before")
	})
}

func TestAnInterruptUndoesTheChange(t *testing.T) {
	interruptions := map[string]func(tr *trial, interrupt func()){
		"while signing in is checked": func(tr *trial, interrupt func()) {
			tr.CheckProxy = func(ctx context.Context, _, _ string, enabled bool) ([]string, error) {
				if enabled {
					interrupt()
					<-ctx.Done()
				}
				return nil, ctx.Err()
			}
		},
		"while Clerk makes the change": func(tr *trial, interrupt func()) {
			tr.CheckProxy = func(ctx context.Context, _, _ string, _ bool) ([]string, error) { return nil, ctx.Err() }
			tr.backend.between = func(c call, serve func() (*http.Response, error)) (*http.Response, error) {
				if c.method == http.MethodPatch {
					interrupt()
				}
				return serve()
			}
		},
		"while it waits to check once more": func(tr *trial, interrupt func()) {
			tr.Patience = time.Hour
			tr.CheckProxy = func(_ context.Context, _, _ string, enabled bool) ([]string, error) {
				if !enabled {
					return nil, nil
				}
				time.AfterFunc(time.Millisecond, interrupt)
				return []string{"not yet"}, nil
			}
		},
	}
	for name, prepare := range interruptions {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				tr := newTrial()
				ctx, interrupt := context.WithCancel(t.Context())
				prepare(tr, interrupt)
				tr.ends(t, tr.Enable(ctx, "app.dev", newProxy), "", true, "interrupted", "app.dev uses DNS again, as before")
				if got := tr.backend.patches(); len(got) != 2 {
					t.Errorf("got %v", got)
				}
			})
		})
	}
}

func TestAnInterruptBeforeTheChangeChangesNothing(t *testing.T) {
	tr := newTrial()
	ctx, interrupt := context.WithCancel(t.Context())
	tr.Confirm = func(context.Context, Change) error { interrupt(); return nil }
	tr.ends(t, tr.Enable(ctx, "app.dev", newProxy), "", false, "nothing was changed", "context canceled")
	if got := tr.backend.patches(); got != nil {
		t.Errorf("sent %v", got)
	}
}

func TestAnUnansweredChange(t *testing.T) {
	tests := []struct {
		name    string
		between func(b *backend, c call, serve func() (*http.Response, error)) (*http.Response, error)
		has     string
		says    []string
	}{
		{"that was made is checked like any other", func(_ *backend, c call, serve func() (*http.Response, error)) (*http.Response, error) {
			answer, err := serve()
			if c.method == http.MethodPatch {
				return nil, errNetwork
			}
			return answer, err
		}, newProxy, []string{"Done"}},
		{"with a gateway's page, too", func(_ *backend, c call, serve func() (*http.Response, error)) (*http.Response, error) {
			answer, err := serve()
			if c.method == http.MethodPatch {
				return page(504, "<html>")
			}
			return answer, err
		}, newProxy, []string{"Done"}},
		{"that was not made is told", func(_ *backend, c call, serve func() (*http.Response, error)) (*http.Response, error) {
			if c.method == http.MethodPatch {
				return nil, errNetwork
			}
			return serve()
		}, "", []string{"the network is down", "app.dev still uses DNS"}},
		{"after which Clerk says no more is told with what to type", func(_ *backend, c call, serve func() (*http.Response, error)) (*http.Response, error) {
			if c.number == 3 { // the domains are read to find one, before the change, and after it
				return nil, errNetwork
			}
			answer, err := serve()
			if c.method == http.MethodPatch {
				return nil, errNetwork
			}
			return answer, err
		}, newProxy, []string{"it is not known whether app.dev still uses DNS or already the proxy " + newProxy, "clerk-proxy domains", "type: clerk-proxy disable dmn_app"}},
		{"that somebody else's came after is left", func(b *backend, c call, serve func() (*http.Response, error)) (*http.Response, error) {
			if c.method == http.MethodPatch {
				b.give("dmn_app", oldProxy)
				return nil, errNetwork
			}
			return serve()
		}, oldProxy, []string{"somebody else has changed app.dev meanwhile, and it uses the proxy " + oldProxy}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tr := newTrial()
			tr.backend.between = func(c call, serve func() (*http.Response, error)) (*http.Response, error) {
				return tt.between(tr.backend, c, serve)
			}
			tr.ends(t, tr.Enable(t.Context(), "app.dev", newProxy), tt.has, true, tt.says...)
		})
	}
}

// What has lost one answer may lose some more, and a gateway gives up on Clerk
// before Clerk is done.
func TestAnUnansweredChangeIsLookedFor(t *testing.T) {
	tests := []struct {
		name      string
		effect    time.Duration // after the change was sent
		dark      time.Duration // how long nothing is answered from then on
		has, says string
	}{
		{"while the network is down", 0, 5 * time.Second, newProxy, "Done"},
		{"while it takes effect", 5 * time.Second, 0, newProxy, "Done"},
		{"no longer than a change may take to work", time.Hour, 0, "", "app.dev still uses DNS"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				tr := newTrial()
				tr.Patience = 10 * time.Second
				var sent time.Time
				tr.backend.between = func(c call, serve func() (*http.Response, error)) (*http.Response, error) {
					if c.method == http.MethodPatch {
						sent = time.Now()
						time.AfterFunc(tt.effect, func() { tr.backend.give("dmn_app", newProxy) })
						return nil, errNetwork
					}
					if !sent.IsZero() && time.Since(sent) < tt.dark {
						return nil, errNetwork
					}
					return serve()
				}
				tr.ends(t, tr.Enable(t.Context(), "app.dev", newProxy), tt.has, true, tt.says)
			})
		})
	}
}

func TestAChangeThatClerkDoesNotMake(t *testing.T) {
	tr := newTrial()
	tr.backend.between = func(c call, serve func() (*http.Response, error)) (*http.Response, error) {
		if c.method == http.MethodPatch {
			return answer(200, tr.backend.domain("dmn_app"))
		}
		return serve()
	}
	tr.ends(t, tr.Enable(t.Context(), "app.dev", newProxy), "", true, "Clerk agreed, but app.dev still uses DNS")
}

func TestSomebodyElse(t *testing.T) {
	tests := []struct {
		name    string
		others  string // what somebody gives the domain
		confirm bool   // while the person is asked; otherwise once it is changed
		has     string
		says    []string
	}{
		{"who changes the domain while the person thinks is not overruled", oldProxy, true, oldProxy,
			[]string{"nothing was changed: somebody else has changed app.dev meanwhile, and it uses the proxy " + oldProxy}},
		{"who makes the same change is not undone", newProxy, true, newProxy,
			[]string{"Somebody else has just changed it", "nobody can sign in"}},
		{"who changes the domain after us is left alone", "https://app.dev/theirs", false, "https://app.dev/theirs",
			[]string{"nobody can sign in", "somebody else has changed app.dev meanwhile; it uses the proxy https://app.dev/theirs, and was left so"}},
		{"who puts the former value back has done it for us", "", false, "",
			[]string{"nobody can sign in", "app.dev uses DNS again"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tr := newTrial()
			tr.CheckProxy = func(ctx context.Context, proxyURL, id string, enabled bool) ([]string, error) {
				if enabled && !tt.confirm {
					tr.backend.give("dmn_app", tt.others)
				}
				return breaks(ctx, proxyURL, id, enabled)
			}
			tr.Confirm = func(context.Context, Change) error {
				if tt.confirm {
					tr.backend.give("dmn_app", tt.others)
				}
				return nil
			}
			tr.ends(t, tr.Enable(t.Context(), "app.dev", newProxy), tt.has, true, tt.says...)
		})
	}
}

// Whatever the order, nobody is left with a proxy that does not work. Clerk's API
// cannot keep one from overwriting the other in the last moment, so the one that
// works may be lost.
func TestTwoAtOnce(t *testing.T) {
	const theirs = "https://app.dev/theirs"
	for range 50 {
		b := newBackend()
		both := make(chan error)
		run := func(proxyURL string, check func(context.Context, string, string, bool) ([]string, error)) {
			tr := newTrial()
			tr.Switch.Clerk = newTestClerk("https://api.clerk.com", testKey, b)
			tr.CheckProxy = check
			both <- tr.Enable(t.Context(), "app.dev", proxyURL)
		}
		go run(newProxy, breaks)
		go run(newProxy, breaks)
		first, second := <-both, <-both
		if first == nil || second == nil || b.has("dmn_app") != "" {
			t.Fatalf("both break: it has %q; %v; %v", b.has("dmn_app"), first, second)
		}

		works := func(_ context.Context, proxyURL, _ string, enabled bool) ([]string, error) {
			if enabled && b.has("dmn_app") != proxyURL {
				return []string{"Clerk does not know this proxy"}, nil
			}
			return nil, nil
		}
		go run(newProxy, breaks)
		go run(theirs, works)
		first, second = <-both, <-both
		if got := b.has("dmn_app"); got != theirs && got != "" || first == nil && second == nil {
			t.Fatalf("one works: it has %q; %v; %v", got, first, second)
		}
	}
}

func TestPuttingBackIsTriedUntilItWorks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := newTrial()
		backAt := time.Now().Add(30 * time.Second)
		tr.CheckProxy = breaks
		changed := false
		tr.backend.between = func(c call, serve func() (*http.Response, error)) (*http.Response, error) {
			if changed && time.Now().Before(backAt) {
				// Whatever it is, it may pass.
				if c.method == http.MethodPatch {
					return refuse(422, "invalid_proxy_configuration")
				}
				if c.number%2 == 0 {
					return refuse(429, "too_many_requests")
				}
				return serve()
			}
			changed = changed || c.method == http.MethodPatch
			return serve()
		}
		tr.ends(t, tr.Enable(t.Context(), "app.dev", newProxy), "", true, "app.dev uses DNS again, as before")
		if time.Now().Before(backAt) {
			t.Error("it did not wait for the network")
		}
	})
}

func TestWhenPuttingBackFailsItSaysWhatIsAndWhatToType(t *testing.T) {
	tests := []struct {
		name, former string
		// answer is given to every change but the first.
		answer func(*backend) (*http.Response, error)
		says   []string
	}{
		{"the network stays down", "", func(*backend) (*http.Response, error) { return nil, errNetwork },
			[]string{"That failed: ", "putting back DNS failed", "the network is down", "app.dev is left using the proxy " + newProxy, "type: clerk-proxy disable dmn_app"}},
		{"Clerk refuses the former proxy", oldProxy, func(*backend) (*http.Response, error) { return refuse(422, "invalid_proxy_configuration") },
			[]string{"putting back the proxy " + oldProxy + " failed", "invalid_proxy_configuration", "app.dev is left using the proxy " + newProxy, "type: clerk-proxy enable dmn_app " + oldProxy}},
		{"Clerk agrees and does nothing", "", func(b *backend) (*http.Response, error) { return answer(200, b.domain("dmn_app")) },
			[]string{"putting back DNS failed", "changed nothing", "type: clerk-proxy disable dmn_app"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				tr := newTrial()
				tr.backend.give("dmn_app", tt.former)
				tr.CheckProxy = breaks
				tr.backend.between = func(c call, serve func() (*http.Response, error)) (*http.Response, error) {
					if c.method == http.MethodPatch && c.number > 1 {
						return tt.answer(tr.backend)
					}
					return serve()
				}
				started := time.Now()
				tr.ends(t, tr.Enable(t.Context(), "app.dev", newProxy), newProxy, true, tt.says...)
				if took := time.Since(started); took != restoreTimeout {
					t.Errorf("it took %s", took)
				}
			})
		})
	}
}
