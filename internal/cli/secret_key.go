package cli

import (
	"errors"
	"fmt"
	"os"

	"github.com/clerkproxy/clerkproxy/internal/config"
)

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
	key, worldReadable, err := config.ReadSecretKey(file)
	if err != nil {
		return "", fmt.Errorf("%s %w", file, err)
	}
	if worldReadable {
		warn(fmt.Sprintf("every user of this machine can read the secret key in %[1]s; type: chmod 600 %[1]s", file))
	}
	return key, nil
}
