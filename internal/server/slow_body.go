package server

import (
	"io"
	"net/http"
	"time"
)

// bodyTimeout is how long a client may take over the next piece of a request's
// body, also of one that nobody wants: net/http reads what is left of it before
// it goes on.
const bodyTimeout = time.Minute

// slowBody ends requests whose body does not come. A limit on the whole body
// would end large uploads over slow lines too.
func slowBody(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Body != nil && r.Body != http.NoBody {
			b := &timedBody{r.Body, http.NewResponseController(w)}
			b.extend()
			r.Body = b
		}
		next.ServeHTTP(w, r)
	})
}

// timedBody allows bodyTimeout for each Read. net/http lifts the deadline at the
// end of the body.
type timedBody struct {
	io.ReadCloser
	control *http.ResponseController
}

func (b *timedBody) Read(p []byte) (int, error) {
	b.extend()
	return b.ReadCloser.Read(p)
}

func (b *timedBody) extend() { _ = b.control.SetReadDeadline(time.Now().Add(bodyTimeout)) }
