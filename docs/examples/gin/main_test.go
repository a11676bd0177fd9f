package main

import (
	"testing"

	"github.com/gin-gonic/gin"

	"github.com/clerkproxy/clerkproxy/docs/examples/internal/exampletest"
)

func TestApplication(t *testing.T) {
	gin.SetMode(gin.TestMode) // prints no routes
	exampletest.Run(t, application)
}
