package cli

import (
	"os"
	"runtime"
)

// ballast is never touched, so it is address space and no memory. But the
// collector takes it for memory in use: it lets as much garbage pile up as there
// is in use, and so 8 MiB more.
const ballast = 8 << 20

// collectLate makes the garbage of a server that holds a few megabytes worth
// collecting, until the function that it returns is called. A large GOGC would do
// that too, but let the garbage of a server that holds much, for ten thousand
// clients or a full cache, grow to a multiple of that. What GOGC and GOMEMLIMIT
// say is left alone.
func collectLate() (end func()) {
	if os.Getenv("GOGC") != "" || os.Getenv("GOMEMLIMIT") != "" {
		return func() {}
	}
	held := make([]byte, ballast)
	return func() { runtime.KeepAlive(held) }
}
