package config

import (
	"fmt"

	"github.com/clerkproxy/clerkproxy/internal/admin"
	"github.com/clerkproxy/clerkproxy/internal/server"
)

// Admin says where operators look. It counts at the start only.
type Admin struct {
	// Listen is the address of the admin pages, host:port, or off.
	Listen string `yaml:"listen"`
	// Pprof serves profiles there too.
	Pprof bool `yaml:"pprof"`
}

// On is whether there are admin pages.
func (a Admin) On() bool { return a.Listen != admin.Off }

// Problems are what is wrong with it, by the keys of Admin.
func (a Admin) Problems() []Problem {
	if !a.On() {
		return nil
	}
	if server.CheckAddress(a.Listen) != nil {
		return []Problem{{Key: "listen", Text: fmt.Sprintf("%q is not an address to listen on; write host:port, or off", a.Listen)}}
	}
	return nil
}
