package browser

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// patience is how long a step may take. It is long, as it only matters when
// something is wrong.
const patience = 30 * time.Second

// browsers limits how many are busy at a time: each is a dozen processes.
var browsers = make(chan struct{}, 2)

// expectedConsole are the errors that a page may write to the console.
var expectedConsole = []struct{ pattern, reason string }{
	{`status of 422 .*/v1/client/sign_ins`, "a wrong password or code is answered with 422, and Chromium reports every such answer"},
	{`status of 401 .*/api/me`, "so is a stranger who calls the API, with 401"},
}

// tab is a browser with one page, which is watched from its first request on.
type tab struct {
	t       *testing.T
	ctx     context.Context
	origins []string // those that the page may ask

	mu        sync.Mutex
	requests  []string // the URLs
	redirects []string // the URLs of those of the pages that were redirected
	console   []string
	errors    []string
}

// open starts a browser that shows the page at address. When the test ends it
// fails if a page asked any origin for anything but the address's own and those
// of the others, or wrote an error to the console.
func open(t *testing.T, address string, others ...string) *tab {
	t.Helper()
	b := launch(t, append([]string{address}, others...)...)
	t.Cleanup(b.check)
	b.visit(address)
	return b
}

// launch starts a browser for the addresses' origins, and watches it.
func launch(t *testing.T, addresses ...string) *tab {
	t.Helper()
	return launchWith(t, nil, addresses...)
}

// launchWith is launch with further options, which go before the usual ones.
func launchWith(t *testing.T, further []chromedp.ExecAllocatorOption, addresses ...string) *tab {
	t.Helper()
	browsers <- struct{}{}
	t.Cleanup(func() { <-browsers })

	b := &tab{t: t}
	for _, address := range addresses {
		u, err := url.Parse(address)
		if err != nil {
			t.Fatal(err)
		}
		b.origins = append(b.origins, origin(u))
	}
	options := append(slices.Clone(chromedp.DefaultExecAllocatorOptions[:]),
		chromedp.ExecPath(chromium),
		chromedp.UserDataDir(t.TempDir()),
		chromedp.NoSandbox,
		chromedp.DisableGPU,
		chromedp.WindowSize(1280, 900),
		chromedp.Flag("disable-quic", true),
		chromedp.Flag("disable-component-update", true),
		chromedp.Flag("disable-sync", true),
		// Chromium is not to look up anything by name either.
		chromedp.Flag("host-resolver-rules", "MAP * ~NOTFOUND, EXCLUDE localhost, EXCLUDE 127.0.0.1"),
	)
	allocator, stop := chromedp.NewExecAllocator(context.Background(), append(options, further...)...)
	ctx, closeTab := chromedp.NewContext(allocator, chromedp.WithListener(b.observe))
	t.Cleanup(func() {
		_ = chromedp.Cancel(ctx) // waits for the browser to end
		closeTab()
		stop()
	})
	// The browser lives as long as the context of this first call.
	if err := chromedp.Do(ctx); err != nil {
		t.Fatalf("starting Chromium: %v", err)
	}
	b.ctx = ctx
	b.call("watching the network", func(ctx context.Context) error {
		_, err := chromedp.Call(ctx, network.Enable, network.EnableParams{})
		return err
	})
	t.Cleanup(b.keepEvidence)
	return b
}

// observe is told of everything that happens in the page.
func (b *tab) observe(event any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch e := event.(type) {
	case *network.EventRequestWillBeSent:
		b.requests = append(b.requests, e.Request.URL)
		if e.RedirectResponse != nil && e.Type == network.ResourceTypeDocument {
			b.redirects = append(b.redirects, e.RedirectResponse.URL)
		}
	case *network.EventWebSocketCreated:
		b.requests = append(b.requests, e.URL)
	case *runtime.EventConsoleAPICalled:
		b.write(e.Type == runtime.ConsoleAPICalledTypeError, string(e.Type), spoken(e.Args))
	case *runtime.EventExceptionThrown:
		b.write(true, "exception", thrown(e.ExceptionDetails))
	case *log.EventEntryAdded:
		b.write(e.Entry.Level == log.EntryLevelError, string(e.Entry.Source), e.Entry.Text+" "+e.Entry.URL)
	}
}

func (b *tab) write(isError bool, kind, text string) {
	line := kind + ": " + withoutTokens(text)
	b.console = append(b.console, line)
	if isError {
		b.errors = append(b.errors, line)
	}
}

func spoken(args []*runtime.RemoteObject) string {
	var words []string
	for _, arg := range args {
		var text string
		if json.Unmarshal([]byte(arg.Value), &text) != nil {
			text = cmp.Or(arg.Description, string(arg.Value))
		}
		words = append(words, text)
	}
	return strings.Join(words, " ")
}

func thrown(e *runtime.ExceptionDetails) string {
	if e.Exception != nil {
		return e.Text + " " + e.Exception.Description
	}
	return e.Text
}

var jwt = regexp.MustCompile(`eyJ[\w-]+\.[\w-]+\.[\w-]*`)

// withoutTokens leaves out tokens and queries: a log is read by many.
func withoutTokens(text string) string {
	text = jwt.ReplaceAllString(text, "<token>")
	return regexp.MustCompile(`\?[^\s"']+`).ReplaceAllString(text, "")
}

// check fails the test for what the page should not have done.
func (b *tab) check() {
	for _, foreign := range distinct(b.foreignRequests()) {
		b.t.Errorf("the page asked another origin than %s: %s", strings.Join(b.origins, " and "), withoutTokens(foreign))
	}
	for _, line := range distinct(b.unexpectedErrors()) {
		b.t.Errorf("the page wrote an error to the console: %s", line)
	}
}

func distinct(lines []string) []string {
	slices.Sort(lines)
	return slices.Compact(lines)
}

// foreignRequests are the requests to other origins. What a page makes itself
// (data:, blob:) goes nowhere.
func (b *tab) foreignRequests() (foreign []string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, request := range b.requests {
		u, err := url.Parse(request)
		local := err == nil && (u.Scheme == "data" || u.Scheme == "blob" || request == "about:blank")
		if !local && (err != nil || !slices.Contains(b.origins, origin(u))) {
			foreign = append(foreign, request)
		}
	}
	return foreign
}

func origin(u *url.URL) string { return u.Scheme + "://" + u.Host }

func (b *tab) unexpectedErrors() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(b.errors), func(line string) bool {
		for _, expected := range expectedConsole {
			if regexp.MustCompile(expected.pattern).MatchString(line) {
				return true
			}
		}
		return false
	})
}

// call does something in the browser, and ends the test when it fails or takes
// too long.
func (b *tab) call(what string, f func(context.Context) error) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	if err := f(ctx); err != nil {
		b.t.Fatalf("%s: %v", what, err)
	}
}

// do performs steps one after the other.
func (b *tab) do(what string, steps ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	b.call(what, func(ctx context.Context) error { return chromedp.Do(ctx, steps...) })
}

func (b *tab) visit(address string) {
	b.t.Helper()
	b.do("opening "+address, chromedp.Navigate(address))
}

// redirected returns what redirected the page while f was under way, without
// queries.
func (b *tab) redirected(f func()) []string {
	b.mu.Lock()
	before := len(b.redirects)
	b.mu.Unlock()
	f()
	b.mu.Lock()
	defer b.mu.Unlock()
	var redirects []string
	for _, redirect := range b.redirects[before:] {
		address, _, _ := strings.Cut(redirect, "?")
		redirects = append(redirects, address)
	}
	return redirects
}

// until waits for a JavaScript expression to be true, across navigations.
func (b *tab) until(what, expression string) {
	b.t.Helper()
	b.untilWithin(patience, what, expression)
}

// outlast waits for the minute that a session token lives. There is nothing to do
// in this browser meanwhile, so that another test's may be busy.
func (b *tab) outlast(what, expression string) {
	b.t.Helper()
	<-browsers
	defer func() { browsers <- struct{}{} }()
	b.untilWithin(time.Minute+patience, what, expression)
}

func (b *tab) untilWithin(limit time.Duration, what, expression string) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, limit)
	defer cancel()
	poll := chromedp.Poll[chromedp.Void]("Boolean("+expression+")",
		chromedp.WithPollingTimeout(0), chromedp.WithPollingInterval(50*time.Millisecond))
	for {
		_, err := chromedp.Run(ctx, poll)
		if err == nil {
			return
		}
		if ctx.Err() != nil || !isNavigation(err) {
			b.t.Fatalf("waiting until %s: %v", what, err)
		}
	}
}

// isNavigation reports whether an expression was interrupted because the page
// was left for another.
func isNavigation(err error) bool {
	for _, sign := range []string{"context was destroyed", "Cannot find context", "navigated", "uniqueContextId not found"} {
		if strings.Contains(err.Error(), sign) {
			return true
		}
	}
	return false
}

// eval is what a JavaScript expression comes to; a promise is waited for.
func eval[T any](b *tab, expression string) T {
	b.t.Helper()
	var value T
	b.call("asking for "+expression, func(ctx context.Context) (err error) {
		value, err = chromedp.Run(ctx, chromedp.Evaluate[T](expression, chromedp.EvalAwaitPromise))
		return err
	})
	return value
}

// fill types a value into an input, once it is there and can be typed into.
func (b *tab) fill(css, value string) {
	b.t.Helper()
	input := chromedp.CSS(css)
	b.do("filling in "+css, chromedp.WaitVisible(input), chromedp.WaitEnabled(input), chromedp.SendKeys(input, value))
}

// press clicks on an element, once it is there and can be clicked.
func (b *tab) press(css string) {
	b.t.Helper()
	button := chromedp.CSS(css)
	b.do("pressing "+css, chromedp.WaitVisible(button), chromedp.WaitEnabled(button), chromedp.Click(button))
}

// screenshot takes a picture of what is in the window.
func (b *tab) screenshot() ([]byte, error) {
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	return chromedp.Run(ctx, chromedp.CaptureScreenshot())
}

// keepEvidence saves what was to be seen when a test failed.
func (b *tab) keepEvidence() {
	if !b.t.Failed() {
		return
	}
	// Not the test's own temporary directory: it ends with the test.
	dir, err := os.MkdirTemp("", "clerkproxy-"+strings.ReplaceAll(b.t.Name(), "/", "-")+"-")
	if err != nil {
		b.t.Log(err)
		return
	}
	if picture, err := b.screenshot(); err == nil {
		b.save(filepath.Join(dir, "page.png"), picture)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	var requests strings.Builder
	for _, request := range b.requests {
		fmt.Fprintln(&requests, withoutTokens(request))
	}
	b.save(filepath.Join(dir, "requests.txt"), []byte(requests.String()))
	b.save(filepath.Join(dir, "console.txt"), []byte(strings.Join(b.console, "\n")))
	b.t.Logf("the page's console:\n%s", strings.Join(b.console, "\n"))
}

func (b *tab) save(name string, content []byte) {
	if err := os.WriteFile(name, content, 0o600); err != nil {
		b.t.Log(err)
		return
	}
	b.t.Logf("see %s", name)
}
