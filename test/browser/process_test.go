package browser

import (
	"bufio"
	"context"
	"io"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// process is a running clerk-proxy.
type process struct {
	t       *testing.T
	name    string
	command *exec.Cmd
	stopped sync.Once

	mu    sync.Mutex
	said  strings.Builder
	lines chan string
}

// start runs a command until the test ends, and then expects it to stop when it
// is asked to.
func start(t *testing.T, name string, command *exec.Cmd) *process {
	t.Helper()
	p := &process{t: t, name: name, command: command, lines: make(chan string, 10000)}
	reader, writer := io.Pipe()
	command.Stdout, command.Stderr = writer, writer
	if err := command.Start(); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	var reading sync.WaitGroup
	reading.Go(func() { p.listen(reader) })
	t.Cleanup(func() {
		p.stop()
		writer.Close()
		reading.Wait()
		if t.Failed() {
			t.Logf("%s said:\n%s", name, p.said.String())
		}
	})
	return p
}

func (p *process) listen(output io.Reader) {
	defer close(p.lines)
	scanner := bufio.NewScanner(output)
	for scanner.Scan() {
		p.mu.Lock()
		p.said.WriteString(scanner.Text() + "\n")
		p.mu.Unlock()
		select {
		case p.lines <- scanner.Text():
		default: // nobody waits for a line any more
		}
	}
}

// stop asks the process to end as an operator does, and fails the test if it
// does not, or not in good order.
func (p *process) stop() { p.stopped.Do(p.end) }

func (p *process) end() {
	_ = p.command.Process.Signal(syscall.SIGTERM)
	ended := make(chan error, 1)
	go func() { ended <- p.command.Wait() }()
	select {
	case err := <-ended:
		if err != nil {
			p.t.Errorf("%s did not end in good order: %v", p.name, err)
		}
	case <-time.After(20 * time.Second):
		p.t.Errorf("%s did not end within 20 s of SIGTERM", p.name)
		_ = p.command.Process.Kill()
		<-ended
	}
}

// says waits for a line of output that the pattern matches, and returns the
// first group of the match.
func (p *process) says(pattern string) string {
	p.t.Helper()
	expression := regexp.MustCompile(pattern)
	ctx, cancel := context.WithTimeout(p.t.Context(), patience)
	defer cancel()
	for {
		select {
		case line, ok := <-p.lines:
			if !ok {
				p.t.Fatalf("%s ended without saying %s", p.name, pattern)
			}
			if match := expression.FindStringSubmatch(line); match != nil {
				return match[len(match)-1]
			}
		case <-ctx.Done():
			p.t.Fatalf("%s did not say %s", p.name, pattern)
		}
	}
}

// cleanEnv is this process's environment without anything of Clerk's.
func cleanEnv() []string {
	var env []string
	for _, variable := range os.Environ() {
		if !strings.HasPrefix(variable, "CLERK_") && !strings.HasPrefix(variable, "NEXT_PUBLIC_CLERK_") {
			env = append(env, variable)
		}
	}
	return env
}

// startDemo runs `clerk-proxy demo` and returns the address that it prints.
func startDemo(t *testing.T) string {
	t.Helper()
	return runDemo(t, "127.0.0.1:0").says(`Open +(http://\S+)`)
}

// startSatellite runs `clerk-proxy demo --satellite` and returns the addresses
// of both domains.
func startSatellite(t *testing.T) (primary, satellite string) {
	t.Helper()
	demo := runDemo(t, "127.0.0.1:0", "--satellite")
	return demo.says(`Open +(http://\S+)`), demo.says(`Satellite +(http://\S+)`)
}

func runDemo(t *testing.T, listen string, flags ...string) *process {
	t.Helper()
	command := exec.Command(clerkProxy, append([]string{"demo", "--listen", listen, "--npm", npmDir}, flags...)...)
	command.Env = cleanEnv()
	return start(t, "clerk-proxy demo", command)
}
