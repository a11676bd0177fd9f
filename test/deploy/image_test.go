package deploy

import (
	"bytes"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// imageUser is the user and group of the container.
const imageUser = 65532

// finalStage are the instructions of the Dockerfile after its last FROM.
func finalStage(t *testing.T) (instructions [][2]string) {
	t.Helper()
	dockerfile := strings.ReplaceAll(string(read(t, "Dockerfile")), "\\\n", "")
	_, last, found := strings.Cut(dockerfile, "\nFROM scratch\n")
	if !found {
		t.Fatal("the image is not made from scratch")
	}
	for line := range strings.Lines(last) {
		if name, rest, ok := strings.Cut(strings.TrimSpace(line), " "); ok && name != "#" {
			instructions = append(instructions, [2]string{name, strings.TrimSpace(rest)})
		}
	}
	return instructions
}

// list reads the exec form of an instruction. The other form needs a shell.
func list(t *testing.T, text string) (words []string) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), &words); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return words
}

// In nothing but what the Dockerfile copies, as its user, without a capability and
// on a root that cannot be written to, the binary serves, finds the authorities to
// trust, and says that it is well.
func TestImage(t *testing.T) {
	clerk := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "Clerk") }))
	t.Cleanup(clerk.Close)
	authorities := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: clerk.Certificate().Raw})

	root := filepath.Join(t.TempDir(), "root")
	volume := filepath.Join(t.TempDir(), "volume")
	var entrypoint, arguments, health []string
	for _, instruction := range finalStage(t) {
		switch name, rest := instruction[0], instruction[1]; name {
		case "COPY":
			copyInto(t, root, rest, authorities)
		case "USER":
			if want := fmt.Sprintf("%d:%[1]d", imageUser); rest != want {
				t.Errorf("the user is %s, not %s: Kubernetes can tell that a number is not root", rest, want)
			}
		case "ENTRYPOINT":
			entrypoint = list(t, rest)
		case "CMD":
			arguments = list(t, rest)
		case "HEALTHCHECK":
			_, command, _ := strings.Cut(rest, "CMD ")
			health = list(t, command)
		case "EXPOSE", "LABEL":
		default:
			t.Errorf("this test does not know what %s does", name)
		}
	}
	if i := slices.Index(arguments, ":8080"); i < 0 {
		t.Fatalf("the arguments are %q", arguments)
	} else {
		arguments[i] = "127.0.0.1:0" // a port that is free here
	}
	if err := os.MkdirAll(volume, 0o700); err != nil {
		t.Fatal(err)
	}

	server := contained(root, volume, slices.Concat(entrypoint, arguments))
	server.Env = []string{
		"CLERK_PUBLISHABLE_KEY=pk_live_Y2xlcmsuYXBwLmRldiQ", "CLERK_SECRET_KEY=sk_live_7Qm2vX9bTz4kLw8n",
		"CLERK_PROXY_URL=https://app.dev/__clerk", "CLERK_FAPI_URL=" + clerk.URL, "CLERK_PROXY_ADMIN_LISTEN=127.0.0.1:0",
	}
	output, err := server.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = server.Process.Signal(syscall.SIGKILL)
		_ = server.Wait()
	})
	defer time.AfterFunc(time.Minute, func() { _ = server.Process.Kill() }).Stop() // which ends its output
	listening, admin := regexp.MustCompile(`msg=listening address=(\S+) `), regexp.MustCompile(`msg="admin pages" url=http://([^/]+)/`)
	var said bytes.Buffer
	var at, pages []string
	for part := make([]byte, 4<<10); at == nil || pages == nil; { // in either order
		n, err := output.Read(part)
		said.Write(part[:n])
		if err != nil {
			t.Fatalf("it does not serve, and said:\n%s", &said)
		}
		at, pages = listening.FindStringSubmatch(said.String()), admin.FindStringSubmatch(said.String())
	}
	go func() { _, _ = io.Copy(io.Discard, output) }() // ends with the process

	r, err := http.NewRequestWithContext(t.Context(), "GET", "http://"+at[1]+"/__clerk/v1/client", nil)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if body, err := io.ReadAll(answer.Body); err != nil || string(body) != "Clerk" {
		t.Errorf("it answers with status %d, %q: %v", answer.StatusCode, body, err)
	}
	for _, path := range []string{"", "--ready"} {
		check := contained(root, volume, append(slices.Clone(health), strings.Fields(path)...))
		check.Env = []string{"CLERK_PROXY_ADMIN_LISTEN=" + pages[1]}
		if said, err := check.CombinedOutput(); err != nil || len(said) > 0 {
			t.Errorf("%s %s: %v\n%s", strings.Join(health, " "), path, err, said)
		}
	}
	if os.Getuid() == 0 { // in a namespace of its own, the user keeps what it takes to make one
		hasNoRights(t, server.Process.Pid)
	}
}

// copyInto does what a COPY of the final stage does. From the stage that builds
// come the binary, the authorities and an empty directory.
func copyInto(t *testing.T, root, arguments string, authorities []byte) {
	t.Helper()
	var paths []string
	for _, word := range strings.Fields(arguments) {
		if !strings.HasPrefix(word, "--") {
			paths = append(paths, word)
		}
	}
	if len(paths) != 2 || !strings.Contains(arguments, "--from=build") {
		t.Fatalf("COPY %s: this test does not know what it does", arguments)
	}
	to := filepath.Join(root, paths[1])
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		t.Fatal(err)
	}
	var err error
	switch paths[0] {
	case "/clerk-proxy":
		var binary []byte
		if binary, err = os.ReadFile(clerkProxy); err == nil {
			err = os.WriteFile(to, binary, 0o755)
		}
	case "/etc/ssl/certs/ca-certificates.crt":
		err = os.WriteFile(to, authorities, 0o644)
	case "/state":
		err = os.MkdirAll(to, 0o700)
	default:
		t.Fatalf("the stage that builds has no %s", paths[0])
	}
	if err != nil {
		t.Fatal(err)
	}
}

// contained is a command with nothing but a read-only root, and a volume that it
// may write to. The process that it starts is the command's own.
func contained(root, volume string, args []string) *exec.Cmd {
	unshare := []string{"--mount", "--propagation=private"}
	user := fmt.Sprintf("--userspec=%d:%[1]d --groups=", imageUser)
	if os.Getuid() != 0 { // in a namespace in which this user is the image's
		unshare = append(unshare, "--user", "--keep-caps", fmt.Sprintf("--map-user=%d", imageUser), fmt.Sprintf("--map-group=%d", imageUser))
		user = ""
	}
	script := `root=$1 volume=$2; shift 2
mount --bind "$root" "$root" && mount -o remount,bind,ro "$root" && mount --bind "$volume" "$root/var/lib/clerk-proxy" && exec chroot ` + user + ` "$root" "$@"`
	return exec.Command("unshare", slices.Concat(unshare, []string{"sh", "-c", script, "sh", root, volume}, args)...)
}

// hasNoRights looks at a process.
func hasNoRights(t *testing.T, pid int) {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(status), "CapEff:\t0000000000000000\n") {
		t.Errorf("it has capabilities:\n%s", status)
	}
	if !strings.Contains(string(status), fmt.Sprintf("Uid:\t%d\t%[1]d\t%[1]d\t%[1]d\n", imageUser)) {
		t.Errorf("it is another user:\n%s", status)
	}
}
