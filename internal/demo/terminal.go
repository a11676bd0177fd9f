package demo

import (
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"github.com/clerkproxy/clerkproxy/emulator"
)

// terminal is where the demo is watched from. Lines come from many requests at
// a time.
type terminal struct {
	mu  sync.Mutex
	out io.Writer
}

// Write is for the logger.
func (t *terminal) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.out.Write(p)
}

// welcome says where to go: to the primary domain, and to its satellite.
func (t *terminal) welcome(addresses []string) {
	satellite := ""
	if len(addresses) > 1 {
		satellite = "\n    Satellite " + addresses[1]
	}
	fmt.Fprintf(t, `
  clerkproxy demo: real ClerkJS, an emulated Clerk, no account and no network

    Open      %s%s

    E-mail    %s
    Password  %s
    Code      %s (for sign-in by e-mail, and for sign-up; nothing is sent)

    Stop      Ctrl-C

  Through the proxy:
`, addresses[0], satellite, userEmail, userPassword, emulator.Code)
}

func (t *terminal) request(at time.Time, r request) {
	site := ""
	if r.Site != "" {
		site = fmt.Sprintf("%-11s", r.Site)
	}
	fmt.Fprintf(t, "    %s  %s%-6s %d %8.1f ms  %s\n", at.Format(time.TimeOnly), site, r.Method, r.Status, r.Millis, r.Path)
}

func (t *terminal) goodbye() { fmt.Fprintln(t, "\n  Stopped; everybody who signed up is forgotten.") }

// address is what to open in a browser. It is localhost wherever the demo
// listens, as everybody trusts it: Clerk's cookies are Secure.
func address(addr net.Addr) string {
	tcp, ok := addr.(*net.TCPAddr)
	switch {
	case !ok:
		return "http://" + addr.String()
	case tcp.Port == 80:
		return "http://localhost"
	default:
		return fmt.Sprintf("http://localhost:%d", tcp.Port)
	}
}
