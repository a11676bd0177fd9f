package freeport

import (
	"net"
	"testing"
)

func TestNoAddressTwice(t *testing.T) {
	seen := map[string]bool{}
	for range 100 {
		address := Address(t)
		if seen[address] {
			t.Fatalf("%s was given twice", address)
		}
		seen[address] = true
	}
}

func TestAPortThatIsTakenIsPassedOver(t *testing.T) {
	for _, network := range []string{"tcp", "udp"} {
		address := Address(t)
		if network == "tcp" {
			l, err := net.Listen(network, address)
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
		} else {
			l, err := net.ListenPacket(network, address)
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
		}
		if free(address) {
			t.Errorf("%s is taken over %s", address, network)
		}
	}
}
