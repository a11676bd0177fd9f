package config

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
)

// maxSecretKeyFile is far more than any key: a larger file is another one.
const maxSecretKeyFile = 4 << 10

// ReadSecretKey returns the key in a file, and whether every user of the machine
// can read it. Its error follows the name of the file, and does not hold what is
// in it.
func ReadSecretKey(name string) (key string, worldReadable bool, err error) {
	content, mode, err := readFile(name)
	if err != nil {
		return "", false, err
	}
	key, err = parseSecretKey(content)
	return key, isWorldReadable(mode), err
}

// parseSecretKey returns the key in a file's content, without what editors put
// around it and do not show: a newline, blanks, a byte order mark. Its errors do
// not hold what is in the file.
func parseSecretKey(content []byte) (string, error) {
	key := strings.TrimSpace(strings.TrimPrefix(string(content), "\ufeff"))
	switch {
	case len(content) > maxSecretKeyFile:
		return "", fmt.Errorf("is larger than %d bytes; it should hold the secret key alone", maxSecretKeyFile)
	case key == "":
		return "", errors.New("is empty; it should hold the secret key")
	case strings.ContainsAny(key, "\r\n"):
		return "", errors.New("has several lines; it should hold the secret key alone")
	case strings.ContainsAny(key, `"'`):
		return "", errors.New("has quotes in it; it should hold the secret key without any")
	case strings.Contains(key, "="):
		return "", errors.New("has an equals sign in it; it should hold the secret key alone, not a variable")
	}
	return key, nil
}

func isWorldReadable(mode fs.FileMode) bool { return mode.IsRegular() && mode.Perm()&0o004 != 0 }
