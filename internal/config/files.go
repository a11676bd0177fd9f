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
)

// maxFile is far more than a configuration, a key or a bundle of authorities
// has.
const maxFile = 4 << 20

// Files are the files that a configuration was made of, with what was in them.
type Files struct{ read map[string][]byte }

// A Digest stands for the content of all files.
type Digest [sha256.Size]byte

// open reads a file and takes note of it, unless it is a pipe or the like, which
// can be read but once. Its error follows the file's name.
func (f *Files) open(name string) ([]byte, fs.FileMode, error) {
	content, mode, err := readFile(name)
	if err != nil || mode.IsRegular() {
		if f.read == nil {
			f.read = map[string][]byte{}
		}
		f.read[name] = content
	}
	return content, mode, err
}

// Digest is that of the files as they were read.
func (f *Files) Digest() Digest {
	return f.digest(func(name string) []byte { return f.read[name] })
}

// DigestNow is that of the files as they are now.
func (f *Files) DigestNow() Digest {
	return f.digest(func(name string) []byte {
		content, _, _ := readFile(name) // one that cannot be read is as good as empty
		return content
	})
}

// digest reads contents rather than times: a secret that Kubernetes has mounted
// changes by a symbolic link, and an editor may write twice within the
// resolution of a file's time.
func (f *Files) digest(content func(name string) []byte) Digest {
	all := sha256.New()
	for _, name := range slices.Sorted(maps.Keys(f.read)) {
		each := sha256.Sum256(content(name))
		fmt.Fprintf(all, "%q %x\n", name, each)
	}
	return Digest(all.Sum(nil))
}

func readFile(name string) ([]byte, fs.FileMode, error) {
	file, err := os.Open(name)
	if err != nil {
		return nil, 0, FileError(err)
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return nil, 0, FileError(err)
	}
	content, err := io.ReadAll(io.LimitReader(file, maxFile+1))
	switch {
	case err != nil:
		return nil, 0, FileError(err)
	case len(content) > maxFile:
		return nil, 0, fmt.Errorf("is larger than %d bytes", maxFile)
	}
	return content, info.Mode(), nil
}

// FileError is what went wrong with a file, for a message that names the file.
func FileError(err error) error {
	if path, ok := errors.AsType[*fs.PathError](err); ok {
		err = path.Err
	}
	return fmt.Errorf("cannot be read: %w", err)
}
