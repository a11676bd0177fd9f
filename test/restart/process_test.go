package restart

import (
	"bytes"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// patience is how long something may take that happens at once. Without an end to it
// nobody would learn what did not happen.
const patience = time.Minute

// A process is a running clerk-proxy.
type process struct {
	t       *testing.T
	command *exec.Cmd
	ended   chan struct{}
	err     error // once it has ended

	mu   sync.Mutex
	said bytes.Buffer
	more chan struct{} // closed and replaced when there is more
}

// start runs a command until the test ends, at the latest.
func start(t *testing.T, command *exec.Cmd) *process {
	t.Helper()
	p := &process{t: t, command: command, ended: make(chan struct{}), more: make(chan struct{})}
	command.Env = append(cleanEnv(), command.Env...)
	command.Stdout, command.Stderr = p, p
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { p.err = command.Wait(); close(p.ended) }() // the clean-up ends it
	t.Cleanup(func() {
		_ = command.Process.Kill()
		<-p.ended
		if t.Failed() {
			t.Logf("%d said:\n%s", command.Process.Pid, withoutRequests(p.output()))
		}
	})
	return p
}

// cleanEnv is this process's environment without anything of Clerk's.
func cleanEnv() (env []string) {
	for _, variable := range os.Environ() {
		if !strings.Contains(variable, "CLERK_") {
			env = append(env, variable)
		}
	}
	return env
}

// withoutRequests leaves out what there are thousands of.
func withoutRequests(log string) string {
	return regexp.MustCompile(`(?m)^.* msg=request .* status=(?:200|308) .*\n`).ReplaceAllString(log, "")
}

func (p *process) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	close(p.more)
	p.more = make(chan struct{})
	return p.said.Write(b)
}

func (p *process) output() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.said.String()
}

// says waits until the process has said what matches for the n-th time, and
// returns the last group of that match.
func (p *process) says(pattern string, n int) string {
	p.t.Helper()
	expression := regexp.MustCompile(pattern)
	late := time.After(patience)
	for {
		p.mu.Lock()
		output, more := p.said.String(), p.more
		p.mu.Unlock()
		if all := expression.FindAllStringSubmatch(output, n); len(all) == n {
			return all[n-1][len(all[n-1])-1]
		}
		select {
		case <-more:
		case <-late:
			p.t.Fatalf("%d has not said %s %d times:\n%s", p.command.Process.Pid, pattern, n, withoutRequests(p.output()))
		case <-p.ended:
			p.t.Fatalf("%d ended without saying %s: %v\n%s", p.command.Process.Pid, pattern, p.err, p.output())
		}
	}
}

func (p *process) signal(s syscall.Signal) {
	p.t.Helper()
	if err := p.command.Process.Signal(s); err != nil {
		p.t.Fatal(err)
	}
}

// end waits for the end of a process, and returns the error that it ended with.
func (p *process) end() error {
	p.t.Helper()
	select {
	case <-p.ended:
	case <-time.After(patience):
		p.t.Fatalf("%d does not end:\n%s", p.command.Process.Pid, withoutRequests(p.output()))
	}
	return p.err
}

// ends waits for the end of a process, which must be a good one.
func (p *process) ends() {
	p.t.Helper()
	if err := p.end(); err != nil {
		p.t.Errorf("%d ended with %v", p.command.Process.Pid, err)
	}
}
