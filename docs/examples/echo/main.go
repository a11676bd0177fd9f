// Command echo is an application on Echo that knows who is signed in.
package main

import (
	"log"
	"net/http"

	"github.com/labstack/echo/v4"
	"github.com/labstack/echo/v4/middleware"

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
	e := echo.New()
	e.Use(middleware.Recover())
	require := echo.WrapMiddleware(authn.Require)
	e.GET("/", home)
	e.GET("/account", account, require)
	api := e.Group("/api", require)
	api.GET("/me", me)
	return proxy.Middleware(authn.Middleware(e))
}

func home(c echo.Context) error {
	session, ok := auth.FromContext(c.Request().Context())
	if !ok {
		return c.String(http.StatusOK, "Hello, stranger.\n")
	}
	return c.String(http.StatusOK, "Hello, "+session.UserID+"\n")
}

func account(c echo.Context) error {
	session, _ := auth.FromContext(c.Request().Context())
	return c.String(http.StatusOK, "The account of "+session.UserID+"\n")
}

func me(c echo.Context) error {
	session, _ := auth.FromContext(c.Request().Context())
	return c.JSON(http.StatusOK, map[string]string{"id": session.UserID})
}
