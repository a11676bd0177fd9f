//go:build !linux

package handover

import (
	"context"
	"errors"
	"log/slog"
	"net"
)

var errNotHere = errors.New("sockets are handed over on Linux only")

// A Predecessor is the process that has served so far.
type Predecessor struct {
	Sockets map[string][]net.Listener
	Conns   map[string][]net.Conn
}

// Ask fails: there is no handover on this system.
func Ask(context.Context, string) (*Predecessor, error) { return nil, errNotHere }

// Replace fails.
func (p *Predecessor) Replace() error { return errNotHere }

// Close does nothing.
func (p *Predecessor) Close() error { return nil }

// An Offer offers a process's sockets to its successor.
type Offer struct {
	Sockets  func() map[string][]net.Listener
	Conns    func() (conns map[string][]net.Conn, done func())
	Passed   func(passed bool)
	Replaced func()
	Logger   *slog.Logger
}

// Open fails.
func (o *Offer) Open(string) error { return errNotHere }

// Close does nothing.
func (o *Offer) Close() {}
