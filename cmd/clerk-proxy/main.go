// Command clerk-proxy puts Clerk's Frontend API behind a path on your own domain.
package main

import (
	"os"

	"github.com/clerkproxy/clerkproxy/internal/cli"
)

func main() {
	os.Exit(cli.Main(os.Args[1:]))
}
