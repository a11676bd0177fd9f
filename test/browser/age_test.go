package browser

import (
	"fmt"
	"slices"
	"testing"
)

// A session token lives for a minute, and there is no hurrying it: the tests in
// this file wait, all at the same time. They are the first, for the others to
// fill the minute.

// clockSkew is how many seconds longer a server believes a token.
const clockSkew = 5

func TestTheTokenOfAnOpenPageIsRenewed(t *testing.T) {
	t.Parallel()
	b := open(t, startDemo(t))
	b.signIn()
	b.rememberToken()
	b.outlast("there is a valid token after the first has expired",
		`Date.now() / 1000 > Number(sessionStorage.exp) && `+tokenClaim("exp")+` > Date.now() / 1000`)
	b.until("the page says so", `document.querySelector("#renewals").textContent.startsWith("renewed")`)
	b.until("the renewal went through the proxy",
		`[...document.querySelectorAll("#requests .path")].some((path) => path.title.endsWith("/tokens"))`)
}

func TestAnExpiredTokenIsRepairedByOneHandshake(t *testing.T) {
	t.Parallel()
	address := startDemo(t)
	b := open(t, address)
	b.signIn()
	b.letTokenExpire(address)

	redirects := b.redirected(func() { b.visit(address + "/") })
	if want := []string{address + "/", address + "/__clerk/v1/client/handshake"}; !slices.Equal(redirects, want) {
		t.Errorf("the page was redirected by %q, want by %q", redirects, want)
	}
	b.decided("signed-in", "session-token-expired-refresh-non-eligible-no-refresh-cookie", "handshake", "signed in")
	if got := b.text("#name"); got != "Ada Lovelace" {
		t.Errorf("the page greets %q", got)
	}
	b.untilSignedIn()
	b.until("there is a valid token", tokenClaim("exp")+` > Date.now() / 1000`)
}

func TestAnExpiredTokenIsRefreshedWithoutARedirect(t *testing.T) {
	t.Parallel()
	address := startDemo(t)
	b := open(t, address)
	b.signIn()
	// A handshake leaves the cookie that the next time makes one unnecessary.
	b.loseToken()
	b.letTokenExpire(address)

	redirects := b.redirected(func() { b.visit(address + "/") })
	if len(redirects) > 0 {
		t.Errorf("the page was redirected by %q", redirects)
	}
	b.decided("signed-in", "session-token-expired", "refresh", "signed in")
	b.untilSignedIn()
	b.until("there is a valid token", tokenClaim("exp")+` > Date.now() / 1000`)
}

// loseToken has the page throw its session token away and load again.
func (b *tab) loseToken() {
	b.t.Helper()
	b.press("#lose-token")
	b.until("the page is there again", `document.querySelector("#steps li")?.textContent === "client-uat-but-no-session-token"`)
	b.decided("signed-in", "client-uat-but-no-session-token", "handshake", "signed in")
	b.untilSignedIn()
}

// letTokenExpire leaves for a page of the same origin on which no ClerkJS runs to
// renew anything, and waits there.
func (b *tab) letTokenExpire(address string) {
	b.t.Helper()
	b.rememberToken()
	b.visit(address + "/demo/icon.svg")
	b.outlast("the token has expired", fmt.Sprintf(`Date.now() / 1000 > Number(sessionStorage.exp) + %d`, clockSkew))
	if eval[float64](b, `Number(sessionStorage.exp)`) != eval[float64](b, tokenClaim("exp")) {
		b.t.Fatal("something renewed the token while no ClerkJS ran: there is nothing to show")
	}
}

// rememberToken notes when the current token expires where the next page finds
// it.
func (b *tab) rememberToken() {
	b.t.Helper()
	b.until("there is a session token", `document.cookie.includes("__session=")`)
	eval[float64](b, `sessionStorage.exp = `+tokenClaim("exp"))
}

// tokenClaim is an expression for a claim of the session token in the cookie.
func tokenClaim(name string) string {
	return fmt.Sprintf(`JSON.parse(atob(document.cookie.match(/(?:^|; )__session=([^;]+)/)[1].split(".")[1].replaceAll("-", "+").replaceAll("_", "/"))).%s`, name)
}
