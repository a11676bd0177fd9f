package cli

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
)

// maxSecretKeyFile is far more than any key: a larger file is another one.
const maxSecretKeyFile = 4 << 10

// secretKey returns the key from the file or from the environment. It takes no
// sides when there are two: the wrong one would be noticed late.
func secretKey(file string, warn func(string)) (string, error) {
	fromEnvironment := os.Getenv("CLERK_SECRET_KEY")
	switch {
	case file == "":
		return fromEnvironment, nil
	case fromEnvironment != "":
		return "", errors.New("is set along with CLERK_SECRET_KEY; leave one of them out")
	}
	key, worldReadable, err := readSecretKeyFile(file)
	if err != nil {
		return "", fmt.Errorf("%s %w", file, err)
	}
	if worldReadable {
		warn(fmt.Sprintf("every user of this machine can read the secret key in %[1]s; type: chmod 600 %[1]s", file))
	}
	return key, nil
}

// readSecretKeyFile returns the key in a file, without the newline that editors
// put at its end. Its errors do not hold what is in the file.
func readSecretKeyFile(name string) (key string, worldReadable bool, err error) {
	file, err := os.Open(name)
	if err != nil {
		return "", false, unnamed(err)
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return "", false, unnamed(err)
	}
	content, err := io.ReadAll(io.LimitReader(file, maxSecretKeyFile+1))
	if err != nil {
		return "", false, unnamed(err)
	}
	key = strings.TrimRight(string(content), "\r\n")
	switch {
	case len(content) > maxSecretKeyFile:
		return "", false, fmt.Errorf("is larger than %d bytes; it should hold the secret key alone", maxSecretKeyFile)
	case key == "":
		return "", false, fmt.Errorf("is empty; it should hold the secret key")
	}
	return key, info.Mode().IsRegular() && info.Mode().Perm()&0o004 != 0, nil
}

// unnamed is what went wrong with a file, for a message that names the file.
func unnamed(err error) error {
	if path, ok := err.(*fs.PathError); ok {
		return fmt.Errorf("cannot be read: %w", path.Err)
	}
	return fmt.Errorf("cannot be read: %w", err)
}
