// Command release builds the binary, and the archives that are published. What it
// builds depends on the source and on the version of Go alone: not on the
// directory, the time, the machine, or whether the source is a checkout or an
// archive.
package main

import (
	"cmp"
	"flag"
	"fmt"
	"os"
	"strings"
)

// module is where links lead to whatever an archive does not hold.
const module = "github.com/clerkproxy/clerkproxy"

func main() {
	binary := flag.String("binary", "", "build nothing but the binary, to this `file`")
	out := flag.String("out", "dist", "`directory` to write the archives to")
	list := flag.String("platforms", "", "`platforms` to build for, separated by commas (default linux/amd64,linux/arm64,darwin/arm64; with -binary, this one)")
	flag.Parse()
	if err := run(*binary, *out, *list); err != nil {
		fmt.Fprintln(os.Stderr, "release:", err)
		os.Exit(1)
	}
}

func run(binary, out, platforms string) error {
	if binary != "" {
		v, err := versionOf(".")
		if err != nil { // no git, or one that trusts nobody else's checkout
			fmt.Fprintln(os.Stderr, "release: the binary will not know its version:", err)
		}
		return build(".", v, cmp.Or(platforms, host()), binary)
	}
	return release(".", out, strings.Split(cmp.Or(platforms, "linux/amd64,linux/arm64,darwin/arm64"), ","))
}
