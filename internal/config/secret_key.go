package config

import (
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

// parseSecretKey returns the key in a file's content, without the newline that
// editors put at its end. Its errors do not hold what is in the file.
func parseSecretKey(content []byte) (string, error) {
	key := strings.TrimRight(string(content), "\r\n")
	switch {
	case len(content) > maxSecretKeyFile:
		return "", fmt.Errorf("is larger than %d bytes; it should hold the secret key alone", maxSecretKeyFile)
	case key == "":
		return "", fmt.Errorf("is empty; it should hold the secret key")
	}
	return key, nil
}

func isWorldReadable(mode fs.FileMode) bool { return mode.IsRegular() && mode.Perm()&0o004 != 0 }
