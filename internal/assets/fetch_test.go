package assets

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// A slow origin answers with the headers at once when told to, and with a body
// that the test writes.
type slow struct {
	origin
	headers chan *http.Response
}

func newSlow() *slow {
	s := &slow{headers: make(chan *http.Response)}
	s.answer = func(r *http.Request) (*http.Response, error) {
		select {
		case resp := <-s.headers:
			if resp == nil {
				return nil, errors.New("no answer")
			}
			return resp, nil
		case <-r.Context().Done():
			return nil, r.Context().Err()
		}
	}
	return s
}

// begin sends headers and returns where the body goes.
func (s *slow) begin(length int64, header http.Header) *io.PipeWriter {
	r, w := io.Pipe()
	s.headers <- &http.Response{
		Status: "200 OK", StatusCode: 200, Header: header, ContentLength: length,
		Body: r,
	}
	return w
}

// underWay is how many fetches can be joined, and the room that all take.
func (c *Cache) underWay() (fetches int, held int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.fetches), c.store.held
}

// A client asks in a goroutine of its own.
type client struct {
	result
	done   bool
	cancel context.CancelFunc
}

func begins(t *testing.T, c *Cache, header ...string) *client {
	ctx, cancel := context.WithCancel(t.Context())
	cl := &client{cancel: cancel}
	go func() {
		cl.result = do(c, request(ctx, "GET", file, header...))
		cl.done = true
	}()
	synctest.Wait()
	return cl
}

func bubble(t *testing.T, name string, f func(t *testing.T)) {
	t.Run(name, func(t *testing.T) { synctest.Test(t, f) })
}

func TestOneFetchHoweverManyAsk(t *testing.T) {
	bubble(t, "they share it, and the store has it after", func(t *testing.T) {
		s := newSlow()
		c := newCache(s)
		var clients []*client
		for range 50 {
			clients = append(clients, begins(t, c))
		}
		w := s.begin(6, immutable())
		io.WriteString(w, "one")
		late := begins(t, c)
		io.WriteString(w, "two")
		w.Close()
		synctest.Wait()
		for i, cl := range append(clients, late) {
			want := "clerkproxy; fwd=uri-miss; collapsed"
			if i == 0 {
				want = "clerkproxy; fwd=uri-miss; stored"
			}
			if cl.body != "onetwo" || cl.err != nil || cl.ContentLength != 6 {
				t.Errorf("%d got %q, %v", i, cl.body, cl.err)
			}
			wantStatus(t, cl.result, want)
		}
		if wantStatus(t, get(t, c, file), "clerkproxy; hit"); s.calls() != 1 {
			t.Errorf("%d calls", s.calls())
		}
	})
	bubble(t, "they get what has arrived, not only the end", func(t *testing.T) {
		s := newSlow()
		c := newCache(s)
		end := make(chan struct{})
		go func() {
			w := s.begin(-1, immutable())
			io.WriteString(w, "begin")
			<-end
			w.Close()
		}()
		for range 2 {
			resp, err := c.RoundTrip(request(t.Context(), "GET", file))
			if err != nil {
				t.Fatal(err)
			}
			buf := make([]byte, 5)
			if _, err := io.ReadFull(resp.Body, buf); err != nil || string(buf) != "begin" || resp.ContentLength != -1 {
				t.Errorf("got %q, %v, length %d", buf, err, resp.ContentLength)
			}
			if n := resp.Body.(interface{ Buffered() int }).Buffered(); n != 0 {
				t.Errorf("%d at hand", n)
			}
			defer resp.Body.Close()
		}
		close(end)
	})
	bubble(t, "the first may go away before the headers", func(t *testing.T) {
		s := newSlow()
		c := newCache(s)
		first, second := begins(t, c), begins(t, c)
		first.cancel()
		synctest.Wait()
		if !first.done || !errors.Is(first.err, context.Canceled) {
			t.Errorf("the first: %v, %v", first.done, first.err)
		}
		w := s.begin(4, immutable())
		io.WriteString(w, "body")
		w.Close()
		synctest.Wait()
		if second.body != "body" || second.err != nil {
			t.Errorf("the second: %q, %v", second.body, second.err)
		}
	})
	bubble(t, "all may go away while it arrives, and the store has it", func(t *testing.T) {
		s := newSlow()
		c := newCache(s)
		first, second := begins(t, c), begins(t, c)
		w := s.begin(4, immutable())
		io.WriteString(w, "bo")
		first.cancel()
		second.cancel()
		synctest.Wait()
		if !errors.Is(first.err, context.Canceled) || !errors.Is(second.err, context.Canceled) {
			t.Errorf("got %v, %v", first.err, second.err)
		}
		io.WriteString(w, "dy")
		w.Close()
		synctest.Wait()
		if res := get(t, c, file); res.body != "body" || s.calls() != 1 {
			t.Errorf("got %q after %d calls", res.body, s.calls())
		}
	})
	bubble(t, "what is not for everybody they get on their own", func(t *testing.T) {
		s := newSlow()
		c := newCache(s)
		clients := []*client{begins(t, c, "Cookie", "a"), begins(t, c, "Cookie", "b")}
		s.begin(1, immutable("Set-Cookie", "x=y")).Close()
		synctest.Wait()
		if s.calls() != 3 {
			t.Fatalf("%d calls", s.calls())
		}
		for range clients {
			w := s.begin(3, immutable("Set-Cookie", "x=y"))
			io.WriteString(w, "own")
			w.Close()
			synctest.Wait()
		}
		for _, cl := range clients {
			if cl.body != "own" || cl.Header.Get("Set-Cookie") == "" {
				t.Errorf("got %q %v", cl.body, cl.err)
			}
			wantStatus(t, cl.result, "clerkproxy; fwd=uri-miss")
		}
	})
	bubble(t, "those whom Vary tells apart get their own", func(t *testing.T) {
		s := newSlow()
		c := newCache(s)
		german, french := begins(t, c, "Accept-Language", "de"), begins(t, c, "Accept-Language", "fr")
		w := s.begin(2, immutable("Vary", "Accept-Language"))
		io.WriteString(w, "de")
		w.Close()
		w = s.begin(2, immutable("Vary", "Accept-Language"))
		io.WriteString(w, "fr")
		w.Close()
		synctest.Wait()
		if german.body != "de" || french.body != "fr" || s.calls() != 2 {
			t.Errorf("got %q and %q after %d calls", german.body, french.body, s.calls())
		}
	})
	bubble(t, "a failure is everybody's", func(t *testing.T) {
		s := newSlow()
		c := newCache(s)
		clients := []*client{begins(t, c), begins(t, c)}
		s.headers <- nil
		synctest.Wait()
		for _, cl := range clients {
			if cl.err == nil || cl.err.Error() != "no answer" {
				t.Errorf("got %v", cl.err)
			}
		}
		if s.calls() != 1 {
			t.Errorf("%d calls", s.calls())
		}
	})
	bubble(t, "they all validate with one question", func(t *testing.T) {
		o := fixed(200, http.Header{"Cache-Control": {"max-age=1, must-revalidate"}, "Etag": {`"v1"`}}, "body")
		release := make(chan struct{})
		good := o.answer
		o.answer = func(r *http.Request) (*http.Response, error) {
			if r.Header.Get("If-None-Match") == "" {
				return good(r)
			}
			<-release
			return &http.Response{StatusCode: 304, Header: http.Header{"Cache-Control": {"max-age=1"}}, Body: http.NoBody}, nil
		}
		c := newCache(o)
		get(t, c, file)
		time.Sleep(2 * time.Second)
		clients := []*client{begins(t, c), begins(t, c), begins(t, c)}
		close(release)
		synctest.Wait()
		for i, cl := range clients {
			want := "clerkproxy; fwd=stale; fwd-status=304; collapsed"
			if i == 0 {
				want = "clerkproxy; fwd=stale; fwd-status=304; stored"
			}
			if cl.body != "body" {
				t.Errorf("got %q, %v", cl.body, cl.err)
			}
			wantStatus(t, cl.result, want)
		}
		if o.calls() != 2 {
			t.Errorf("%d calls", o.calls())
		}
	})
	bubble(t, "of one that is stale there is one question in the background", func(t *testing.T) {
		o := fixed(200, http.Header{"Cache-Control": {"max-age=1"}}, "body")
		c := newCache(o)
		get(t, c, file)
		time.Sleep(2 * time.Second)
		release := make(chan struct{})
		good := o.answer
		o.answer = func(r *http.Request) (*http.Response, error) {
			<-release
			return good(r)
		}
		for range 20 {
			wantStatus(t, get(t, c, file), "clerkproxy; hit; ttl=-1; detail=stale-while-revalidate")
		}
		synctest.Wait()
		if o.calls() != 2 {
			t.Errorf("%d calls", o.calls())
		}
		close(release)
		synctest.Wait()
		wantStatus(t, get(t, c, file), "clerkproxy; hit")
	})
}

func TestABodyThatIsNotWhole(t *testing.T) {
	broken := errors.New("connection reset")
	for name, test := range map[string]struct {
		length int64
		sent   string
		end    error
		want   error
	}{
		"one that breaks off":                       {length: 10, sent: "body", end: broken, want: broken},
		"one without a length that breaks off":      {length: -1, sent: "body", end: broken, want: broken},
		"one that is shorter than it says":          {length: 10, sent: "body", want: io.ErrUnexpectedEOF},
		"one that is longer than it says":           {length: 3, sent: "body", want: io.ErrUnexpectedEOF},
		"one that says it is huge, to get the room": {length: 1 << 19, sent: "body", want: io.ErrUnexpectedEOF},
	} {
		bubble(t, name+" breaks off for everybody and is not kept", func(t *testing.T) {
			s := newSlow()
			c := newCache(s)
			clients := []*client{begins(t, c), begins(t, c)}
			w := s.begin(test.length, immutable())
			go func() {
				io.WriteString(w, test.sent)
				w.CloseWithError(test.end)
			}()
			synctest.Wait()
			for _, cl := range clients {
				if !cl.done || !errors.Is(cl.err, test.want) {
					t.Errorf("got %v", cl.err)
				}
			}
			again := begins(t, c)
			if s.calls() != 2 {
				t.Error("kept")
			}
			again.cancel()
			if _, held := c.underWay(); held != fetchOverhead {
				t.Errorf("%d bytes held", held)
			}
			s.headers <- nil
		})
	}
	bubble(t, "one of which nothing comes for long breaks off, as a timeout", func(t *testing.T) {
		s := newSlow()
		c := newCache(s)
		s.answer = func(r *http.Request) (*http.Response, error) {
			pr, pw := io.Pipe()
			context.AfterFunc(r.Context(), func() { pw.CloseWithError(r.Context().Err()) })
			go io.WriteString(pw, "body")
			return &http.Response{StatusCode: 200, Header: immutable(), ContentLength: 9, Body: pr}, nil
		}
		res := do(c, request(t.Context(), "GET", file))
		var timeout interface{ Timeout() bool }
		if !errors.As(res.err, &timeout) || !timeout.Timeout() || res.body != "body" {
			t.Errorf("got %q, %v", res.body, res.err)
		}
	})
	bubble(t, "so does one of which not even the headers come", func(t *testing.T) {
		res := do(newCache(newSlow()), request(t.Context(), "GET", file))
		if res.err != errSilent {
			t.Errorf("got %v", res.err)
		}
	})
}

// endless is a body that is as long as it says nowhere.
type endless struct{ left, read int }

func (e *endless) Read(p []byte) (int, error) {
	if e.left == 0 {
		return 0, io.EOF
	}
	n := min(len(p), e.left)
	for i := range n {
		p[i] = 'a' + byte((e.read+i)%26)
	}
	e.left -= n
	e.read += n
	return n, nil
}

func TestABodyThatIsTooLarge(t *testing.T) {
	const size, max = 3 << 20, 1 << 20
	oversized := func(e *endless, length int64) *origin {
		whole := *e
		return &origin{answer: func(r *http.Request) (*http.Response, error) {
			own := whole
			if r.Header["Cookie"] == nil {
				return &http.Response{StatusCode: 200, Header: immutable(), ContentLength: length, Body: io.NopCloser(e)}, nil
			}
			return &http.Response{StatusCode: 200, Header: immutable(), ContentLength: length, Body: io.NopCloser(&own)}, nil
		}}
	}
	var want strings.Builder
	io.Copy(&want, &endless{left: size})

	bubble(t, "is not fetched for all if it says so", func(t *testing.T) {
		o := oversized(&endless{left: size}, size)
		c := New(o, Config{MaxBytes: max})
		res := get(t, c, file)
		wantStatus(t, res, "clerkproxy; fwd=uri-miss")
		if res.body != want.String() || c.store.bytes() != 0 {
			t.Errorf("got %d bytes, %d are kept", len(res.body), c.store.bytes())
		}
	})
	bubble(t, "reaches the fast and the slow whole if it does not, and is not kept", func(t *testing.T) {
		e := &endless{left: size}
		o := oversized(e, -1)
		joined, goOn := make(chan struct{}), make(chan struct{})
		body := o.answer
		o.answer = func(r *http.Request) (*http.Response, error) {
			<-joined
			return body(r)
		}
		c := New(o, Config{MaxBytes: max})
		var fast result
		var got []byte
		var err error
		var wg sync.WaitGroup
		wg.Go(func() {
			var resp *http.Response
			if resp, err = c.RoundTrip(request(t.Context(), "GET", file)); err != nil {
				return
			}
			defer resp.Body.Close()
			<-goOn
			got, err = io.ReadAll(resp.Body)
		})
		wg.Go(func() { fast = do(c, request(t.Context(), "GET", file)) })
		synctest.Wait()
		close(joined)
		synctest.Wait() // the fast one is as far as it gets
		if e.read > max/8+window+2*fetchChunk {
			t.Errorf("%d bytes ahead of the slow one", e.read)
		}
		close(goOn)
		wg.Wait()
		if err != nil || string(got) != want.String() || fast.err != nil || fast.body != want.String() {
			t.Errorf("the slow got %d bytes, %v; the fast %d, %v", len(got), err, len(fast.body), fast.err)
		}
		synctest.Wait()
		if c.store.bytes() != 0 {
			t.Errorf("%d bytes are kept", c.store.bytes())
		}
	})
	bubble(t, "is not read on when nobody is left", func(t *testing.T) {
		e := &endless{left: 1 << 40}
		c := New(oversized(e, -1), Config{MaxBytes: max})
		resp, err := c.RoundTrip(request(t.Context(), "GET", file))
		if err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		resp.Body.Close()
		synctest.Wait() // and the bubble ends only if the fetch does
		if _, held := c.underWay(); held != 0 {
			t.Errorf("%d bytes held", held)
		}
	})
}

func TestThereAreOnlySoManyFetches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSlow()
		c := newCache(s)
		for i := range 2 * maxFetches {
			ctx, cancel := context.WithCancel(t.Context())
			go do(c, request(ctx, "GET", file+"?"+strings.Repeat("x", i)))
			synctest.Wait()
			cancel()
		}
		synctest.Wait()
		if n, _ := c.underWay(); n != maxFetches {
			t.Errorf("%d fetches", n)
		}
		time.Sleep(fetchIdle)
		synctest.Wait()
		if n, held := c.underWay(); n != 0 || held != 0 {
			t.Errorf("%d fetches, %d bytes held", n, held)
		}
	})
}

func TestThroughARealTransport(t *testing.T) {
	proceed := make(chan struct{})
	origin := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header()["Cache-Control"] = []string{"max-age=60"}
		io.WriteString(w, "begin ")
		w.(http.Flusher).Flush()
		<-proceed
		io.WriteString(w, "end")
	}))
	defer origin.Close()
	u, err := url.Parse(origin.URL)
	if err != nil {
		t.Fatal(err)
	}
	c := newCache(&http.Transport{DisableCompression: true})
	ask := func(ctx context.Context) *http.Response {
		r := request(ctx, "GET", file)
		r.URL.Scheme, r.URL.Host = u.Scheme, u.Host
		resp, err := c.RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		return resp
	}

	ctx, cancel := context.WithCancel(t.Context())
	first := ask(ctx)
	second := ask(t.Context())
	if _, err := io.ReadFull(first.Body, make([]byte, 6)); err != nil {
		t.Fatal(err)
	}
	cancel()
	if _, err := io.ReadAll(first.Body); !errors.Is(err, context.Canceled) {
		t.Errorf("the first, gone, got %v", err)
	}
	close(proceed)
	if b, err := io.ReadAll(second.Body); err != nil || string(b) != "begin end" {
		t.Errorf("the second got %q, %v", b, err)
	}
	third := ask(t.Context())
	if b, _ := io.ReadAll(third.Body); string(b) != "begin end" || third.Header.Get(cacheStatus) != hit || third.ContentLength != 9 {
		t.Errorf("the third got %q %v", b, third.Header)
	}
}

func TestWhatArrivesCountsToo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSlow()
		c := New(s, Config{MaxBytes: 1 << 20})
		body := strings.Repeat("x", 100<<10)
		var wg sync.WaitGroup
		var bodies []*io.PipeWriter
		for i := range 20 {
			wg.Go(func() {
				if res := do(c, request(t.Context(), "GET", file+"?"+strings.Repeat("x", i))); res.err != nil || res.body != body {
					t.Errorf("got %d bytes, %v", len(res.body), res.err)
				}
			})
			w := s.begin(-1, immutable())
			io.WriteString(w, body)
			bodies = append(bodies, w)
			synctest.Wait()
			if _, held := c.underWay(); held > c.store.max {
				t.Fatalf("%d bytes held", held)
			}
		}
		for _, w := range bodies {
			w.Close()
		}
		wg.Wait()
	})
}

func TestAnAnswerWithTrailersIsNotKept(t *testing.T) {
	for name, announced := range map[string]bool{"that it announces": true, "that it does not": false} {
		t.Run(name, func(t *testing.T) {
			o := &origin{}
			o.answer = func(*http.Request) (*http.Response, error) {
				resp := &http.Response{StatusCode: 200, Header: immutable(), ContentLength: -1}
				if announced {
					resp.Trailer = http.Header{"X-Sum": nil}
				}
				body := &endless{left: 100}
				resp.Body = io.NopCloser(readerFunc(func(p []byte) (int, error) {
					n, err := body.Read(p)
					if err == io.EOF {
						resp.Trailer = http.Header{"X-Sum": {"1"}}
					}
					return n, err
				}))
				return resp, nil
			}
			c := newCache(o)
			if res := get(t, c, file); announced && res.Trailer.Get("X-Sum") != "1" {
				t.Error("the trailer got lost")
			}
			calls := o.calls()
			if res := get(t, c, file); o.calls() == calls || len(res.body) != 100 {
				t.Errorf("kept, or broken: %d bytes", len(res.body))
			}
		})
	}
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }
