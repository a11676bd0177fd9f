//go:build !linux

package http3

import (
	"errors"
	"net"

	"golang.org/x/net/ipv4"
)

var errNotHere = errors.New("sockets are handed over on Linux only")

func send(*net.UnixConn, *ipv4.Message) (gone bool) { return true }

func receive(*net.UnixConn, *ipv4.Message) error { return errNotHere }

// Lines fails: nothing is handed over on this system.
func (s *Socket) Lines() (map[string]*net.UnixConn, error) { return nil, errNotHere }

// SetLines does nothing.
func (s *Socket) SetLines(map[string]*net.UnixConn) {}

// buffer is not known.
func (s *Socket) buffer() int { return 0 }
