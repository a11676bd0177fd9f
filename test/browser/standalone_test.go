package browser

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/clerkproxy/clerkproxy/internal/freeport"
)

// applicationPage is all that an application needs: two scripts below the
// proxy's path, and a few lines that load them.
const applicationPage = `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>An application</title>
<link rel="icon" href="data:,">
<script defer crossorigin="anonymous" src="/__clerk/npm/@clerk/clerk-js@6/dist/clerk.browser.js"
  data-clerk-publishable-key="%s" data-clerk-proxy-url="/__clerk"></script>
<script defer crossorigin="anonymous" src="/__clerk/npm/@clerk/ui@1/dist/ui.browser.js"></script>
<div id="card"></div>
<script type="module">
  await Clerk.load({ ui: { ClerkUI: window.__internal_ClerkUICtor } });
  const show = ({ user }) => {
    document.body.dataset.state = user ? "signed-in" : "signed-out";
  };
  Clerk.addListener(show);
  show(Clerk);
  if (!Clerk.user) {
    Clerk.mountSignIn(document.querySelector("#card"), { routing: "hash", fallbackRedirectUrl: "/", initialValues: { emailAddress: "%s" } });
  }
</script>`

// An installation is what an operator runs: an application, and clerk-proxy in
// front of it, between the browser and an emulated Clerk. The processes know of
// each other by files and environment variables.
type installation struct {
	address string // of the proxy, where the application is too
	status  string // of the status page
	serve   *process

	mu       sync.Mutex
	visitors []string // the public hosts that the application was told
}

// install runs an installation on localhost, with further flags for serve.
func install(t *testing.T, flags ...string) *installation {
	t.Helper()
	listen := freeport.Address(t) // a proxy URL is registered before anything listens there
	address := "http://localhost" + listen[strings.LastIndex(listen, ":"):]
	return installAt(t, address, append([]string{"--listen", listen, "--host", "localhost"}, flags...)...)
}

// installAt runs an installation that browsers find at an address. The flags for
// serve say where that leads to.
func installAt(t *testing.T, address string, flags ...string) *installation {
	t.Helper()
	caFile := filepath.Join(t.TempDir(), "ca.pem")
	envFile := filepath.Join(t.TempDir(), "clerk.env")

	emulator := exec.Command(clerkProxy, "emulator", "--npm", npmDir,
		"--fapi-listen", "127.0.0.1:0", "--bapi-listen", "127.0.0.1:0",
		"--ca-file", caFile, "--env-file", envFile,
		"--proxy-url", address+"/__clerk", "--user", email+":"+password)
	emulator.Env = cleanEnv()
	publishableKey := start(t, "clerk-proxy emulator", emulator).says(`(pk_live_\S+)`)

	i := &installation{address: address}
	application := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		i.mu.Lock()
		i.visitors = append(i.visitors, r.Header.Get("X-Forwarded-Host"))
		i.mu.Unlock()
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		fmt.Fprintf(w, applicationPage, publishableKey, email)
	}))
	t.Cleanup(application.Close)

	serve := exec.Command("sh", append([]string{"-c", `set -a; . "$1"; shift; exec "$@"`, "sh", envFile,
		clerkProxy, "serve", "--app", application.URL, "--fapi-ca", caFile, "--admin-listen", "127.0.0.1:0"}, flags...)...)
	serve.Env = cleanEnv()
	i.serve = start(t, "clerk-proxy serve", serve)
	for listens := false; !listens || i.status == ""; {
		// Which comes first is not known.
		if url := i.serve.says(`msg=listening|msg="admin pages" url=(\S+)/`); url != "" {
			i.status = url
		} else {
			listens = true
		}
	}
	return i
}

func TestEmulatorServeAndApplication(t *testing.T) {
	t.Parallel()
	i := install(t)
	b := open(t, i.address+"/")
	b.signIn()
	b.visit(i.address + "/")
	b.untilSignedIn()

	i.serve.says(`path=/__clerk/v1/client/sign_ins/\w+/attempt_first_factor (.*)`)
	i.serve.mu.Lock()
	defer i.serve.mu.Unlock()
	for _, secret := range []string{"__session", "eyJ", "sk_live_", "_clerk_js_version", password} {
		if strings.Contains(i.serve.said.String(), secret) {
			t.Errorf("the log of serve holds %q", secret)
		}
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	for _, host := range i.visitors {
		if "http://"+host != i.address {
			t.Errorf("the application was told that its public host is %q", host)
		}
	}
}
