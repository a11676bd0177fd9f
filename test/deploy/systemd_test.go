package deploy

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// exposure is systemd's own measure, from 0 to 10, times ten. What is left is that
// the service has a network, and that addresses are not limited.
const exposure = "15"

func TestSystemd(t *testing.T) {
	dir := t.TempDir()
	unit := string(read(t, "deploy/systemd/clerk-proxy.service"))
	service := filepath.Join(dir, "clerk-proxy.service")
	files := []string{service}
	contents := []string{strings.Replace(unit, "/usr/local/bin/clerk-proxy", clerkProxy, 1)}
	sockets := map[string]bool{} // by what --listen calls them
	for _, name := range []string{"clerk-proxy.socket", "clerk-proxy-http.socket"} {
		socket := string(read(t, "deploy/systemd/"+name))
		sockets["systemd:"+setting(t, socket, "FileDescriptorName")] = true
		files, contents = append(files, filepath.Join(dir, name)), append(contents, socket)
	}
	for i, name := range files {
		if err := os.WriteFile(name, []byte(contents[i]), 0o644); err != nil {
			t.Fatal(err)
		}
	}

	t.Run("systemd takes the units", func(t *testing.T) {
		said, err := exec.Command("systemd-analyze", append([]string{"verify", "--man=no"}, files...)...).CombinedOutput()
		if err != nil {
			t.Errorf("%v", err)
		}
		for line := range strings.Lines(string(said)) {
			// What systemd before 253 says, as the unit tells.
			if strings.Contains(line, dir) && !strings.Contains(line, "Failed to parse service type, ignoring: notify-reload") {
				t.Error(line)
			}
		}
	})

	t.Run("the service is not exposed", func(t *testing.T) {
		said, err := exec.Command("systemd-analyze", "security", "--offline=true", "--threshold="+exposure, "--no-pager", service).CombinedOutput()
		if err != nil {
			t.Errorf("%v\n%s", err, said)
		}
	})

	t.Run("what it is started with is good", func(t *testing.T) {
		variables := []string{"CLERK_PROXY_ACME_STORAGE=" + t.TempDir()}
		for line := range strings.Lines(string(read(t, "deploy/systemd/environment"))) {
			line = strings.TrimSpace(line)
			if line == "" || strings.HasPrefix(line, "#") {
				continue
			}
			switch name, value, _ := strings.Cut(line, "="); name {
			case "CLERK_PUBLISHABLE_KEY":
				line = name + "=pk_live_Y2xlcmsuYXBwLmRldiQ"
			case "CLERK_SECRET_KEY_FILE":
				if credential := setting(t, unit, "LoadCredential"); value != "/run/credentials/clerk-proxy.service/"+strings.Split(credential, ":")[0] {
					t.Errorf("the secret key is looked for at %s", value)
				}
				line = name + "=" + secretKey(t)
			}
			variables = append(variables, line)
		}
		_, args, _ := strings.Cut(setting(t, unit, "ExecStart"), " ")
		config := effective(t, strings.Fields(args), variables...)
		for _, address := range append(config.Listen, config.HTTPListen...) {
			if !sockets[address] {
				t.Errorf("no unit has the socket %s", address)
			}
		}
		patience, err := time.ParseDuration(setting(t, unit, "TimeoutStopSec"))
		if err != nil {
			t.Fatal(err)
		}
		outlasts(t, patience, config.DrainDelay, config.DrainTimeout)
	})
}

// setting is the last value of a unit's setting.
func setting(t *testing.T, unit, name string) string {
	t.Helper()
	found := regexp.MustCompile(`(?m)^`+name+`=(.+)$`).FindAllStringSubmatch(unit, -1)
	if found == nil {
		t.Fatalf("the unit has no %s", name)
	}
	return found[len(found)-1][1]
}
