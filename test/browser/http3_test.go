package browser

import (
	"fmt"
	"slices"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/clerkproxy/clerkproxy/internal/freeport"
)

// TestSignInOverHTTP3 is the same, where UDP gets through.
func TestSignInOverHTTP3(t *testing.T) {
	t.Parallel()
	address := freeport.Address(t)
	cert, key, trust := selfSigned(t, secureHost)
	i := installAt(t, secureAddress, "--listen", address, "--host", secureHost, "--tls-cert", cert, "--tls-key", key, "--http3")
	b := launchWith(t, []chromedp.ExecAllocatorOption{
		chromedp.Flag("host-resolver-rules", fmt.Sprintf("MAP %s:443 %s, MAP * ~NOTFOUND, EXCLUDE 127.0.0.1", secureHost, address)),
		chromedp.Flag("ignore-certificate-errors-spki-list", trust),
		// Chromium follows Alt-Svc for certificates of public authorities only.
		chromedp.Flag("disable-quic", false),
		chromedp.Flag("origin-to-force-quic-on", secureHost+":443"),
	}, secureAddress)
	t.Cleanup(b.check)

	b.visit(secureAddress + "/page")
	b.signIn()
	b.visit(secureAddress + "/")
	b.untilSignedIn()
	protocols := eval[[]string](b, `[...performance.getEntriesByType("navigation"), ...performance.getEntriesByType("resource")]
		.filter((entry) => entry.name.startsWith("https:")).map((entry) => entry.nextHopProtocol)`)
	if len(protocols) < 3 || slices.ContainsFunc(protocols, func(p string) bool { return p != "h3" }) {
		t.Errorf("it was spoken %q", protocols)
	}
	i.serve.says(`path=/ status=(200)`)
}
