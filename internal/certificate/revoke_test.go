package certificate

import (
	"os"
	"strings"
	"testing"
)

func TestTheStorageOfAnotherUserIsNotWrittenTo(t *testing.T) {
	own := &settings{storageDir: t.TempDir()}
	if err := own.checkOwner(); err != nil {
		t.Errorf("one's own: %v", err)
	}
	another := &settings{storageDir: "/"} // root's
	if os.Geteuid() == 0 {
		another.storageDir = t.TempDir()
		if err := os.Chown(another.storageDir, 12345, -1); err != nil {
			t.Fatal(err)
		}
	}
	if err := another.checkOwner(); err == nil || !strings.Contains(err.Error(), "could not read what this one writes; run this as that user") {
		t.Errorf("another's: %v", err)
	}
}

func TestCheckingLeavesNothingBehind(t *testing.T) {
	dir := t.TempDir()
	c := Config{ACME: &ACME{Hosts: []string{"app.dev"}, Storage: dir + "/a/b"}}
	if err := c.Check(); err != nil {
		t.Error(err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("there is %v, %v", left, err)
	}
	c.ACME.Storage = "/dev/null/storage"
	if err := c.Check(); err == nil || !strings.Contains(err.Error(), "/dev/null/storage cannot be made: not a directory") {
		t.Errorf("got %v", err)
	}
}
