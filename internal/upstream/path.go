package upstream

import (
	"net/url"
	"strings"
)

// SentPath is the path of a request's URL as the client sent it. url.URL's
// EscapedPath would re-encode a path that holds a character it thinks should
// have been escaped.
func SentPath(u *url.URL) string {
	if u.RawPath != "" {
		// A handler in front may have changed Path alone; then RawPath is void.
		if p, err := url.PathUnescape(u.RawPath); err == nil && p == u.Path {
			return u.RawPath
		}
	}
	return u.EscapedPath()
}

// SetPath makes u, which has its host already, request exactly the escaped path,
// byte for byte. The host is never read from the path.
func SetPath(u *url.URL, path string) {
	u.Path, u.RawPath = path, path
	if unescaped, err := url.PathUnescape(path); err == nil {
		u.Path = unescaped
	}
	if u.EscapedPath() == path {
		return
	}
	// The path holds a character that package url would escape. An opaque URL
	// is sent as it is; one that begins with two slashes needs the authority.
	u.Path, u.RawPath, u.Opaque = "", "", path
	if strings.HasPrefix(path, "//") {
		u.Opaque = "//" + u.Host + path
	}
}
