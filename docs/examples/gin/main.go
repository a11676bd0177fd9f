// Command gin is an application on Gin that knows who is signed in.
package main

import (
	"log"
	"net/http"

	"github.com/gin-gonic/gin"

	"github.com/clerkproxy/clerkproxy"
	"github.com/clerkproxy/clerkproxy/auth"
)

func main() {
	proxy, err := clerkproxy.New(clerkproxy.Config{})
	if err != nil {
		log.Fatal(err)
	}
	authn, err := auth.New(auth.Config{Proxy: proxy})
	if err != nil {
		log.Fatal(err)
	}
	log.Fatal(http.ListenAndServe(":8080", application(proxy, authn)))
}

func application(proxy *clerkproxy.Proxy, authn *auth.Authenticator) http.Handler {
	router := gin.Default()
	router.GET("/", home)
	signedIn := router.Group("/", wrap(authn.Require))
	signedIn.GET("/account", account)
	signedIn.GET("/api/me", me)
	return proxy.Middleware(authn.Middleware(router))
}

// wrap makes a middleware for Gin of one for net/http that passes its
// ResponseWriter on as it is, as Require does.
func wrap(middleware func(http.Handler) http.Handler) gin.HandlerFunc {
	return func(c *gin.Context) {
		passed := false
		next := func(_ http.ResponseWriter, r *http.Request) {
			passed = true
			c.Request = r
			c.Next()
		}
		middleware(http.HandlerFunc(next)).ServeHTTP(c.Writer, c.Request)
		if !passed {
			c.Abort()
		}
	}
}

func home(c *gin.Context) {
	session, ok := auth.FromContext(c.Request.Context())
	if !ok {
		c.String(http.StatusOK, "Hello, stranger.\n")
		return
	}
	c.String(http.StatusOK, "Hello, %s\n", session.UserID)
}

func account(c *gin.Context) {
	session, _ := auth.FromContext(c.Request.Context())
	c.String(http.StatusOK, "The account of %s\n", session.UserID)
}

func me(c *gin.Context) {
	session, _ := auth.FromContext(c.Request.Context())
	c.JSON(http.StatusOK, gin.H{"id": session.UserID})
}
