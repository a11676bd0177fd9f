package browser

import (
	"context"
	"fmt"
	"io"
	"math"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
)

// The page shows what goes on, without a word to anybody else and by its own
// Content-Security-Policy: open would fail the test otherwise.
func TestStatusPage(t *testing.T) {
	t.Parallel()
	i := install(t)
	for _, path := range []string{"/", "/__clerk/v1/client", "/__clerk/v1/nothing", "/__clerk/npm/@clerk/clerk-js@6/dist/clerk.browser.js"} {
		i.get(t, path)
	}

	b := open(t, i.status+"/")
	b.until("all is well", `document.querySelector("#verdict").dataset.state === "good"`)
	if got := b.text("#verdict"); !strings.Contains(got, "Everything works") || !strings.Contains(got, "Clerk: it answered") {
		t.Errorf("the page says %q", got)
	}
	for _, kind := range []string{"frontend_api", "asset", "app"} {
		b.until("requests for "+kind+" are counted", fmt.Sprintf(`document.querySelector("#kinds [data-key=%s]")?.lastElementChild.textContent > 0`, kind))
	}
	b.until("there is the site", `document.querySelector("#sites tbody").textContent.includes("`+i.address[len("http://"):strings.LastIndex(i.address, ":")]+`")`)
	b.until("a line is drawn", `document.querySelector("#requests .stroke").getAttribute("d").split("L").length > 2`)
	if label := eval[string](b, `document.querySelector("#requests svg").getAttribute("aria-label")`); !strings.HasPrefix(label, "Now ") {
		t.Errorf("to those who do not see it, the line is %q", label)
	}

	b.press("#check-now")
	b.until("the check has ended", `document.querySelector("#check-when").textContent.endsWith("ago")`)
	if n := eval[int](b, `document.querySelectorAll("#check-steps [data-status=ok]").length`); n < 5 {
		t.Errorf("%d steps are fine: %s", n, b.text("#check-steps"))
	}
}

// What is said first is the worst of what is known.
func TestTheVerdictOfTheStatusPage(t *testing.T) {
	t.Parallel()
	i := install(t)
	b := open(t, i.status+"/")
	b.until("all is well", `document.querySelector("#verdict").dataset.state === "good"`)
	for _, tt := range []struct{ change, want string }{
		{`{}`, "good: Everything works"},
		{`{checks: [{name: "serving", status: "failed", reason: "draining"}]}`, "warn: Draining, 0 requests to go"},
		{`{checks: [{name: "serving", status: "failed", reason: "starting"}]}`, "bad: Not ready"},
		{`{checks: [{name: "frontend_api", status: "degraded", reason: ""}]}`, "bad: Clerk does not answer"},
		{`{current: {failures: 0.5, inFlight: 0}}`, "warn: Works, with failures"},
		{`{reloads: {lastFailed: true}}`, "warn: Works, with the former configuration"},
		{`{certificates: [{notAfter: 0}, {notAfter: 30 * day}, {notAfter: 3 * day}]}`, "warn: Works, but a certificate is about to end"},
		{`{certificates: [{notAfter: 30 * day}, {notAfter: -1}]}`, "bad: A certificate has ended"},
		{`{check: {reports: [{status: "ok"}, {status: "fail"}]}}`, "warn: Works, but the check has found a fault"},
		{`{check: {reports: [{status: "warn"}]}}`, "good: Everything works"},
	} {
		said := eval[string](b, `(() => {
			const day = 86400000;
			const well = {now: 0, checks: [], current: {failures: 0, inFlight: 0}, reloads: {}, certificates: [], check: null};
			showVerdict({...well, ...`+tt.change+`});
			return document.querySelector("#verdict").dataset.state + ": " + document.querySelector("#verdict-text").textContent;
		})()`)
		if said != tt.want {
			t.Errorf("%s: it says %s, not %s", tt.change, said, tt.want)
		}
	}
}

// When the server ends, the page says so.
func TestTheStatusPageNoticesTheEnd(t *testing.T) {
	t.Parallel()
	i := install(t)
	b := launch(t, i.status) // it is to fail in the end
	b.visit(i.status + "/")
	b.until("all is well", `document.querySelector("#verdict").dataset.state === "good"`)
	i.serve.stop()
	b.until("it is noticed", `document.querySelector("#verdict").textContent.includes("No answer from clerk-proxy")`)
}

// get makes a request to the proxy.
func (i *installation) get(t *testing.T, path string) {
	t.Helper()
	resp, err := http.Get(i.address + path)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		t.Fatal(err)
	}
}

// beBusy makes requests as people do, more and fewer of them, until ctx is done.
func (i *installation) beBusy(ctx context.Context) {
	paths := []string{
		"/", "/", "/__clerk/v1/client", "/__clerk/v1/client", "/__clerk/v1/client", "/__clerk/v1/environment",
		"/__clerk/v1/nothing", "/__clerk/npm/@clerk/clerk-js@6/dist/clerk.browser.js", "/__clerk/npm/@clerk/ui@1/dist/ui.browser.js",
	}
	var all sync.WaitGroup
	for person := range 8 {
		all.Go(func() {
			for n := person; ctx.Err() == nil; n++ {
				if resp, err := http.Get(i.address + paths[n*7%len(paths)]); err == nil {
					_, _ = io.Copy(io.Discard, resp.Body)
					resp.Body.Close()
				}
				s := float64(time.Now().UnixMilli()) / 1000
				pause := 90 + 50*math.Sin(s/9) + 30*math.Sin(s/3.7+float64(person))
				time.Sleep(time.Duration(pause) * time.Millisecond)
			}
		})
	}
	all.Wait()
}

// keepStatusScreenshot writes a picture of the status page for the documentation.
func (b *tab) keepStatusScreenshot(name, scheme string) {
	b.t.Helper()
	b.call("setting the scene", func(ctx context.Context) error {
		_, err := chromedp.Call(ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
			Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}},
		})
		return err
	})
	b.do("sizing the window", chromedp.EmulateViewport(1100, 860))
	b.keepScreenshot(name)
}
