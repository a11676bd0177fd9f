package deploy

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/compose-spec/compose-go/v2/loader"
	"github.com/compose-spec/compose-go/v2/types"
)

// Compose's own loader takes the file, which gives the container no rights.
func TestCompose(t *testing.T) {
	project, err := loader.LoadWithContext(t.Context(), types.ConfigDetails{
		WorkingDir:  filepath.Join(repository, "deploy/compose"),
		ConfigFiles: []types.ConfigFile{{Filename: "compose.yaml", Content: read(t, "deploy/compose/compose.yaml")}},
	}, func(o *loader.Options) { o.SetProjectName("example", true) })
	if err != nil {
		t.Fatal(err)
	}
	service := project.Services["clerk-proxy"]
	if !service.ReadOnly || !slices.Equal(service.CapDrop, []string{"ALL"}) || !slices.Contains(service.SecurityOpt, "no-new-privileges:true") {
		t.Errorf("it has more rights than it needs: %+v", service)
	}
	if want := fmt.Sprintf("%d:%[1]d", imageUser); service.User != want {
		t.Errorf("it runs as %q, the image as %q", service.User, want)
	}
	if _, err := os.Stat(filepath.Join(service.Build.Context, "Dockerfile")); err != nil {
		t.Error(err)
	}

	secret := secretKey(t)
	var variables []string
	for name, value := range service.Environment {
		if name == "CLERK_SECRET_KEY_FILE" {
			if *value != "/run/secrets/"+service.Secrets[0].Source {
				t.Errorf("the secret is at %s", *value)
			}
			*value = secret
		}
		variables = append(variables, name+"="+*value)
	}
	config := effective(t, service.Command, variables...)
	if !slices.Equal(config.Listen, []string{":8080"}) || service.Ports[0].Target != 8080 {
		t.Errorf("it listens on %v, and port %d is published", config.Listen, service.Ports[0].Target)
	}
	outlasts(t, time.Duration(*service.StopGracePeriod), config.DrainDelay, config.DrainTimeout)
}
