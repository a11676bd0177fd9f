package config

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"slices"
	"syscall"
	"time"
)

// maxFile is far more than a configuration, a key or a bundle of authorities
// has.
const maxFile = 4 << 20

// pipeTimeout is how long what is at the other end of a pipe may take. While a
// file is waited for, no other configuration takes effect.
const pipeTimeout = 10 * time.Second

// Files are the files that a configuration was made of, with what was in them.
type Files struct{ read map[string][]byte }

// Digests stand for the contents of files, by their names.
type Digests map[string][sha256.Size]byte

// Changed are the names of the files of d that have another content in now.
func (d Digests) Changed(now Digests) (names []string) {
	for _, name := range slices.Sorted(maps.Keys(d)) {
		if now[name] != d[name] {
			names = append(names, name)
		}
	}
	return names
}

// open reads a file and takes note of it, unless it is a pipe or the like, which
// can be read but once. Its error follows the file's name.
func (f *Files) open(name string) ([]byte, fs.FileMode, error) {
	content, mode, err := readFile(name)
	if !isPipe(mode) {
		if f.read == nil {
			f.read = map[string][]byte{}
		}
		f.read[name] = content
	}
	return content, mode, err
}

// Digests are those of the files as they were read.
func (f *Files) Digests() Digests {
	return f.digests(func(name string) []byte { return f.read[name] })
}

// DigestsNow are those of the files as they are now.
func (f *Files) DigestsNow() Digests {
	return f.digests(func(name string) []byte {
		content, _, _ := readFile(name) // one that cannot be read is as good as empty
		return content
	})
}

// digests reads contents rather than times: a secret that Kubernetes has mounted
// changes by a symbolic link, and an editor may write twice within the
// resolution of a file's time.
func (f *Files) digests(content func(name string) []byte) Digests {
	all := Digests{}
	for name := range f.read {
		all[name] = sha256.Sum256(content(name))
	}
	return all
}

// isPipe also takes in sockets and devices: /dev/stdin may be any of them.
func isPipe(mode fs.FileMode) bool {
	return mode&(fs.ModeNamedPipe|fs.ModeSocket|fs.ModeDevice) != 0
}

func readFile(name string) ([]byte, fs.FileMode, error) { return readWithin(name, pipeTimeout) }

func readWithin(name string, timeout time.Duration) ([]byte, fs.FileMode, error) {
	// Without O_NONBLOCK, a pipe into which nobody writes is waited for before
	// there is anything that could have a deadline.
	file, err := os.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, 0, FileError(err)
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return nil, 0, FileError(err)
	}
	deadline := time.Now().Add(timeout)
	_ = file.SetReadDeadline(deadline) // files on disks have none, and need none
	content, err := io.ReadAll(io.LimitReader(file, maxFile+1))
	for isPipe(info.Mode()) && err == nil && len(content) == 0 && time.Now().Before(deadline) {
		time.Sleep(20 * time.Millisecond) // whoever writes may not be there yet
		content, err = io.ReadAll(io.LimitReader(file, maxFile+1))
	}
	switch {
	case err != nil:
		return nil, info.Mode(), FileError(err)
	case len(content) > maxFile:
		return nil, info.Mode(), fmt.Errorf("is larger than %d bytes", maxFile)
	}
	return content, info.Mode(), nil
}

// FileError is what went wrong with a file, for a message that names the file.
func FileError(err error) error {
	if path, ok := errors.AsType[*fs.PathError](err); ok {
		err = path.Err
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		err = errors.New("nothing comes out of it")
	}
	return fmt.Errorf("cannot be read: %w", err)
}
