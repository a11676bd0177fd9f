// Package freeport has ports for tests that must name one before anything listens
// there. Whatever can listen on port 0 and say which it got should do that instead.
package freeport

import (
	"net"
	"os"
	"strconv"
	"sync/atomic"
	"testing"
)

// Systems give ports above these to connections that go out and to those who listen
// on port 0, so that one of theirs that is free now may be anybody's a moment later.
const first, count = 10000, 6000

// Test binaries that run at the same time have neighbouring process ids: each goes
// through ports of its own.
const share = 40

var given atomic.Int64

// Address is a loopback address whose port is free over TCP and UDP, and which no one
// gets by chance.
func Address(t testing.TB) string {
	t.Helper()
	for range count {
		n := os.Getpid()*share + int(given.Add(1))
		address := net.JoinHostPort("127.0.0.1", strconv.Itoa(first+n%count))
		if free(address) {
			return address
		}
	}
	t.Fatal("no port is free")
	return ""
}

func free(address string) bool {
	stream, err := net.Listen("tcp", address)
	if err != nil {
		return false
	}
	defer stream.Close()
	datagrams, err := net.ListenPacket("udp", address)
	if err != nil {
		return false
	}
	return datagrams.Close() == nil
}
