package main

import (
	"testing"

	"github.com/clerkproxy/clerkproxy/docs/examples/internal/exampletest"
)

func TestApplication(t *testing.T) { exampletest.Run(t, application) }
