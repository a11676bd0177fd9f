package browser

import (
	"fmt"
	"testing"

	"github.com/chromedp/chromedp"
)

// The person whom the demo has from the start, and the code of every e-mail.
const (
	email    = "ada@example.com"
	password = "analytical-engine-1843"
	code     = "424242"
)

// What Clerk's card consists of. The names are Clerk's stable class names.
const (
	continueButton = ".cl-formButtonPrimary"
	identifier     = "input[name=identifier]"
	passwordInput  = "input[name=password]"
	codeInput      = "input[data-input-otp]"
	anotherMethod  = ".cl-footerActionLink"
	emailCode      = ".cl-alternativeMethodsBlockButton"
	fieldError     = ".cl-formFieldErrorText"
)

func TestSignInByPassword(t *testing.T) {
	t.Parallel()
	b := open(t, startDemo(t))
	b.signIn()
	b.untilServer("signed-in")

	if got := b.text("#name"); got != "Ada Lovelace" {
		t.Errorf("the page greets %q", got)
	}
	b.until("Clerk's user button is there", `document.querySelector(".cl-userButtonTrigger")`)
	b.until("the page lists the sign-in among what went through the proxy",
		`[...document.querySelectorAll("#requests .path")].some((path) => path.title.endsWith("/attempt_first_factor"))`)
	if got := eval[string](b, `document.querySelector("#elsewhere").textContent`); got != "0" {
		t.Errorf("the page counts %s requests to other origins", got)
	}
}

func TestSignInAtTheLoopbackAddress(t *testing.T) {
	t.Parallel()
	address := startDemo(t)
	b := open(t, "http://127.0.0.1"+address[len("http://localhost"):])
	b.signIn()
}

func TestSignInByEmailCode(t *testing.T) {
	t.Parallel()
	b := open(t, startDemo(t))
	b.begin()
	b.press(anotherMethod)
	b.press(emailCode)
	b.fill(codeInput, code)
	b.untilSignedIn()
}

func TestWrongPassword(t *testing.T) {
	t.Parallel()
	b := open(t, startDemo(t))
	b.begin()
	b.fill(passwordInput, "not "+password)
	b.press(continueButton)
	b.until("Clerk's card says that the password is wrong",
		fmt.Sprintf(`document.querySelector(%q)?.textContent.includes("password is incorrect")`, fieldError))
	if state := eval[string](b, `document.body.dataset.state`); state != "signed-out" {
		t.Errorf("with a wrong password one is %s", state)
	}

	eval[chromedp.Void](b, fmt.Sprintf(`document.querySelector(%q).select()`, passwordInput))
	b.do("typing the right one instead", chromedp.KeyEvent(password))
	b.press(continueButton)
	b.untilSignedIn()
}

func TestSignUp(t *testing.T) {
	t.Parallel()
	b := open(t, startDemo(t)+"/sign-up")
	b.fill("input[name=emailAddress]", "grace@example.com")
	b.fill(passwordInput, "nanosecond-wire-1906")
	b.press(continueButton)
	b.fill(codeInput, code)
	b.untilSignedIn()
	if got := eval[string](b, `Clerk.user.primaryEmailAddress.emailAddress`); got != "grace@example.com" {
		t.Errorf("signed up as %q", got)
	}
}

func TestReloadKeepsTheSession(t *testing.T) {
	t.Parallel()
	b := open(t, startDemo(t))
	b.signIn()
	before := eval[string](b, `Clerk.session.id`)
	b.do("reloading", chromedp.Reload())
	b.untilSignedIn()
	if after := eval[string](b, `Clerk.session.id`); after != before {
		t.Errorf("the session was %s, and is %s after reloading", before, after)
	}
}

func TestSignOut(t *testing.T) {
	t.Parallel()
	for name, signOut := range map[string]func(*tab){
		"by the page's button": func(b *tab) { b.press("#sign-out") },
		"by Clerk's user button": func(b *tab) {
			b.press(".cl-userButtonTrigger")
			b.press(".cl-userButtonPopoverActionButton__signOut")
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := open(t, startDemo(t))
			b.signIn()
			signOut(b)
			b.until("the sign-in card is back", fmt.Sprintf(`document.body?.dataset.state === "signed-out" && document.querySelector(%q)`, identifier))
			if eval[bool](b, `/(^|; )__session(_\w+)?=[^;]/.test(document.cookie)`) {
				t.Error("the session token is still in the cookie")
			}
			b.do("reloading", chromedp.Reload())
			b.until("nobody is signed in after reloading", `document.body?.dataset.state === "signed-out"`)
		})
	}
}

// begin gives the first step of Clerk's card the e-mail address that the page
// has filled in already.
func (b *tab) begin() {
	b.t.Helper()
	b.until("the card has the e-mail address", fmt.Sprintf(`document.querySelector(%q)?.value === %q`, identifier, email))
	b.press(continueButton)
	b.until("the card asks for the password", `location.hash.startsWith("#/factor-one")`)
}

func (b *tab) signIn() {
	b.t.Helper()
	b.begin()
	b.fill(passwordInput, password)
	b.press(continueButton)
	b.untilSignedIn()
}

func (b *tab) untilSignedIn() {
	b.t.Helper()
	b.until("somebody is signed in", `document.body?.dataset.state === "signed-in" && window.Clerk?.session`)
}
