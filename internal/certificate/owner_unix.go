//go:build unix

package certificate

import (
	"fmt"
	"io/fs"
	"os"
	"syscall"
)

// checkOwner finds out whether what this process writes to the storage can be
// read by those who have it.
func (s *settings) checkOwner() error {
	info, err := os.Stat(s.storageDir)
	if err != nil {
		return fmt.Errorf("%s cannot be read: %w", s.storageDir, bare(err))
	}
	if owner, ok := ownerOf(info); ok && owner != os.Geteuid() {
		return fmt.Errorf("%s belongs to the user with the id %d, who could not read what this one writes; run this as that user", s.storageDir, owner)
	}
	return nil
}

func ownerOf(info fs.FileInfo) (uid int, ok bool) {
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return 0, false
	}
	return int(stat.Uid), true
}
