package browser

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
)

func TestAStrangerIsNotRedirected(t *testing.T) {
	t.Parallel()
	address := startDemo(t)
	b := launch(t, address)
	t.Cleanup(b.check)
	redirects := b.redirected(func() { b.visit(address + "/") })
	if len(redirects) > 0 {
		t.Errorf("the page was redirected by %q", redirects)
	}
	b.decided("signed-out", "session-token-and-uat-missing", "signed out")
}

func TestAProtectedPageSendsStrangersToSignInAndBack(t *testing.T) {
	t.Parallel()
	address := startDemo(t)
	b := open(t, address+"/account")
	if got := eval[string](b, `location.pathname`); got != "/" {
		t.Fatalf("a stranger is at %s", got)
	}
	b.signIn()
	b.until("the person is back", `location.pathname === "/account"`)
	b.decided("signed-in", "session token verified", "signed in")
	if user := eval[string](b, `document.querySelector(".person code").textContent`); !strings.HasPrefix(user, "user_") {
		t.Errorf("the account page shows the user %q", user)
	}

	// Who is signed in already is let through by the sign-in page.
	b.visit(address + "/?redirect_url=" + address + "/account")
	if got := eval[string](b, `location.pathname`); got != "/account" {
		t.Errorf("someone who is signed in is at %s", got)
	}
	// But not to anywhere.
	b.visit(address + "/?redirect_url=https://example.com/")
	if got := eval[string](b, `location.origin`); got != address {
		t.Errorf("a link leads on to %s", got)
	}
}

func TestAnAPIAnswersWhoIsSignedIn(t *testing.T) {
	t.Parallel()
	b := open(t, startDemo(t))
	b.until("ClerkJS runs", `document.body?.dataset.state === "signed-out"`)
	b.call401()
	b.signIn()
	b.untilServer("signed-in")
	b.untilSignedIn()
	b.press("#call")
	b.until("the API answers", `document.querySelector("#answer").textContent === "200 OK"`)
	answer := b.text("#body")
	for _, want := range []string{eval[string](b, `Clerk.session.id`), eval[string](b, `Clerk.user.id`), email} {
		if !strings.Contains(answer, want) {
			t.Errorf("the answer lacks %s:\n%s", want, answer)
		}
	}
}

func (b *tab) call401() {
	b.t.Helper()
	b.press("#call")
	b.until("the API refuses a stranger", `document.querySelector("#answer").textContent === "401 Unauthorized"`)
	if answer := b.text("#body"); !strings.Contains(answer, "authentication_invalid") {
		b.t.Errorf("a stranger is told:\n%s", answer)
	}
}

func TestASatelliteFollowsThePrimaryDomain(t *testing.T) {
	t.Parallel()
	primary, satellite := startSatellite(t)
	b := open(t, satellite, primary)
	b.decided("signed-out", "session-token-and-uat-missing", "signed out")

	// Sign in there to be signed in here.
	redirects := b.redirected(func() {
		b.press("#sign-in-link")
		b.until("Clerk's card is there, on the primary domain", at(primary)+` && document.querySelector("`+identifier+`")`)
		b.signIn()
		b.untilAt(satellite, "signed-in")
	})
	want := []string{
		satellite + "/", satellite + "/__clerk/v1/client/handshake",
		primary + "/__clerk/v1/client/sync", satellite + "/__clerk/v1/client/link",
		satellite + "/__clerk/v1/client/handshake",
	}
	if !slices.Equal(redirects, want) {
		t.Errorf("the satellite was synchronized by %q, want by %q", redirects, want)
	}
	b.decided("signed-in", "satellite-needs-syncing", "handshake", "signed in")
	session := eval[string](b, `Clerk.session.id`)
	b.visit(primary)
	b.untilAt(primary, "signed-in")
	if got := eval[string](b, `Clerk.session.id`); got != session {
		t.Errorf("the session is %s on the primary domain, and %s on the satellite", got, session)
	}

	// Sign out here to be signed out there.
	b.visit(satellite)
	b.untilAt(satellite, "signed-in")
	b.press("#sign-out")
	b.untilAt(satellite, "signed-out")
	b.press(".sites a:not([aria-current])")
	b.untilAt(primary, "signed-out")
	b.decided("signed-out", "primary-domain-cross-origin-sync", "handshake", "signed out")

	// And the other way round. Who is signed in has no card to fill in.
	b.signIn()
	b.untilAt(primary, "signed-in")
	b.visit(satellite)
	b.untilAt(satellite, "signed-out")
	b.press("#sign-in-link")
	b.untilAt(satellite, "signed-in")
	b.visit(primary)
	b.untilAt(primary, "signed-in")
	b.press("#sign-out")
	b.untilAt(primary, "signed-out")
	b.visit(satellite)
	b.until("ClerkJS finds the session at its end", at(satellite)+` && document.body?.dataset.state === "signed-out"`)
	b.do("loading the satellite again", chromedp.Reload())
	b.untilAt(satellite, "signed-out")
}

// decided makes sure of what the server says about the page's request.
func (b *tab) decided(outcome string, steps ...string) {
	b.t.Helper()
	b.untilServer(outcome)
	got := eval[[]string](b, `[...document.querySelectorAll("#steps li")].map((step) => step.textContent)`)
	if !slices.Equal(got, steps) {
		b.t.Errorf("the server decided by way of %q, want %q", got, steps)
	}
}

// untilServer waits for a page that the server made for someone who is signed in,
// or for a stranger.
func (b *tab) untilServer(outcome string) {
	b.t.Helper()
	b.until("the server says "+outcome, fmt.Sprintf(`document.readyState !== "loading" && document.body?.dataset.server === %q`, outcome))
}

// untilAt waits until the server and ClerkJS say the same on a page of an origin.
func (b *tab) untilAt(origin, outcome string) {
	b.t.Helper()
	b.until(outcome+" at "+origin, fmt.Sprintf(`%s && document.body?.dataset.server === %[2]q && document.body.dataset.state === %[2]q`, at(origin), outcome))
}

// at is an expression for being at an origin.
func at(origin string) string { return fmt.Sprintf(`location.origin === %q`, origin) }

func (b *tab) text(css string) string {
	b.t.Helper()
	return eval[string](b, fmt.Sprintf(`document.querySelector(%q).textContent`, css))
}
