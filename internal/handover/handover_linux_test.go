package handover

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// A process is one that serves sockets and offers them.
type process struct {
	offer    *Offer
	replaced chan struct{}
	log      *logBook
}

type logBook struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *logBook) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *logBook) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

func serve(t *testing.T, path string, sockets map[string][]net.Listener) *process {
	t.Helper()
	p := &process{replaced: make(chan struct{}, 1), log: new(logBook)}
	p.offer = &Offer{
		Sockets:  func() map[string][]net.Listener { return sockets },
		Replaced: func() { p.replaced <- struct{}{} },
		Logger:   slog.New(slog.NewTextHandler(p.log, nil)),
	}
	if err := p.offer.Open(path); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.offer.Close)
	return p
}

func listen(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

func takeOver(t *testing.T, path string) *Predecessor {
	t.Helper()
	p, err := Ask(t.Context(), path)
	if err != nil || p == nil {
		t.Fatalf("got %v, %v", p, err)
	}
	t.Cleanup(func() {
		p.Close()
		for _, sockets := range p.Sockets {
			closeAll(sockets)
		}
	})
	return p
}

// hello connects to an address, and is heard on one of the sockets.
func hello(t *testing.T, address net.Addr, socket net.Listener) {
	t.Helper()
	client, err := net.Dial(address.Network(), address.String())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if _, err := io.WriteString(client, "hello"); err != nil {
		t.Fatal(err)
	}
	server, err := socket.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	heard := make([]byte, 5)
	if _, err := io.ReadFull(server, heard); err != nil || string(heard) != "hello" {
		t.Fatalf("heard %q, %v", heard, err)
	}
}

func TestASuccessorHasTheVerySameSockets(t *testing.T) {
	path := filepath.Join(t.TempDir(), "clerk-proxy.sock")
	web, web6, admin := listen(t), listen(t), listen(t)
	former := serve(t, path, map[string][]net.Listener{"web": {web, web6}, "admin": {admin}})

	// A connection that waits to be accepted when the former process ends.
	waiting, err := net.Dial("tcp", web.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer waiting.Close()

	p := takeOver(t, path)
	if len(p.Sockets) != 2 || len(p.Sockets["web"]) != 2 || len(p.Sockets["admin"]) != 1 {
		t.Fatalf("got %v", p.Sockets)
	}
	if got := p.Sockets["web"][1].Addr().String(); got != web6.Addr().String() {
		t.Errorf("the second socket is that of %s", got)
	}
	if len(former.replaced) > 0 {
		t.Error("the former process was told to end before its successor serves")
	}
	hello(t, admin.Addr(), admin) // both serve
	hello(t, admin.Addr(), p.Sockets["admin"][0])
	if err := p.Replace(); err != nil {
		t.Fatal(err)
	}
	<-former.replaced

	next := serve(t, path, p.Sockets)
	for _, l := range []net.Listener{web, web6, admin} {
		l.Close()
	}
	former.offer.Close()
	first, err := p.Sockets["web"][0].Accept()
	if err != nil || first.RemoteAddr().String() != waiting.LocalAddr().String() {
		t.Errorf("the connection that waited: %v, %v", first, err)
	}
	hello(t, web.Addr(), p.Sockets["web"][0])

	// And so on: the former one's end has left the socket of the next.
	again := takeOver(t, path)
	hello(t, web6.Addr(), again.Sockets["web"][1])
	if err := again.Replace(); err != nil {
		t.Fatal(err)
	}
	<-next.replaced
}

func TestASuccessorThatFailsChangesNothing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "clerk-proxy.sock")
	web := listen(t)
	former := serve(t, path, map[string][]net.Listener{"web": {web}})
	for range 2 {
		takeOver(t, path).Close()
	}
	takeOver(t, path) // after those before it
	if len(former.replaced) > 0 {
		t.Error("the process was told to end")
	}
	hello(t, web.Addr(), web)
	if said := former.log.String(); strings.Count(said, "this process goes on") != 2 {
		t.Errorf("it said:\n%s", said)
	}
}

func TestASuccessorThatIsLateFindsTheFirst(t *testing.T) {
	path := filepath.Join(t.TempDir(), "clerk-proxy.sock")
	web := listen(t)
	former := serve(t, path, map[string][]net.Listener{"web": {web}})
	first := takeOver(t, path)

	late := make(chan *Predecessor)
	go func() {
		p, err := Ask(t.Context(), path)
		if err != nil {
			t.Error(err)
		}
		late <- p
	}()
	if err := first.Replace(); err != nil {
		t.Fatal(err)
	}
	<-former.replaced
	second := serve(t, path, first.Sockets)
	p := <-late
	if p == nil {
		t.Fatal("it found nobody")
	}
	defer closeAll(p.Sockets["web"])
	if err := p.Replace(); err != nil {
		t.Fatal(err)
	}
	<-second.replaced // not the one that had been replaced already
}

// A process that ends at once after it was replaced leaves no moment in which
// nobody offers.
func TestWhoAsksBetweenTwoOffersFindsTheSecond(t *testing.T) {
	path := filepath.Join(t.TempDir(), "clerk-proxy.sock")
	web := listen(t)
	former := serve(t, path, map[string][]net.Listener{"web": {web}})
	second := takeOver(t, path)
	if err := second.Replace(); err != nil {
		t.Fatal(err)
	}
	<-former.replaced
	closed := make(chan struct{})
	go func() { former.offer.Close(); close(closed) }() // ends when the second offers

	// For half of the time that the former process gives it, on a busy machine.
	for n, end := 0, time.Now().Add(offerTimeout/2); n < 500 && time.Now().Before(end); n++ {
		if p, again, err := ask(t.Context(), path); p != nil || !again || err != nil {
			t.Fatalf("got %v, %v, %v before the second offers", p, again, err)
		}
	}
	serve(t, path, second.Sockets)
	if third := takeOver(t, path); len(third.Sockets["web"]) != 1 {
		t.Errorf("got %v", third.Sockets)
	}
	<-closed
}

func TestNobodyToTakeOverFrom(t *testing.T) {
	dir := t.TempDir()
	path := func(name string) string { return filepath.Join(dir, name) }

	// A process that was killed leaves its socket behind.
	dead, err := net.ListenUnix("unixpacket", &net.UnixAddr{Name: path("dead"), Net: "unixpacket"})
	if err != nil {
		t.Fatal(err)
	}
	dead.SetUnlinkOnClose(false)
	dead.Close()
	// One is killed when it is asked.
	dying, err := net.ListenUnix("unixpacket", &net.UnixAddr{Name: path("dying"), Net: "unixpacket"})
	if err != nil {
		t.Fatal(err)
	}
	defer dying.Close()
	go func() {
		if c, err := dying.Accept(); err == nil {
			c.Close()
		}
	}()
	// One ends, and has closed its sockets.
	serve(t, path("ending"), nil)

	for _, name := range []string{"missing", "dead", "dying", "ending"} {
		if p, err := Ask(t.Context(), path(name)); p != nil || err != nil {
			t.Errorf("%s: got %v, %v", name, p, err)
		}
		web := listen(t)
		serve(t, path(name), map[string][]net.Listener{"web": {web}})
		takeOver(t, path(name))
	}
}

func TestAPredecessorThatDiesMidwayLeavesItsSockets(t *testing.T) {
	path := filepath.Join(t.TempDir(), "clerk-proxy.sock")
	web := listen(t)
	former := serve(t, path, map[string][]net.Listener{"web": {web}})
	p := takeOver(t, path)
	former.offer.Close()
	web.Close()
	if err := p.Replace(); err == nil {
		t.Error("it is said to end, though it has")
	}
	hello(t, web.Addr(), p.Sockets["web"][0])
}

func TestOnlyThisUserCanConnect(t *testing.T) {
	path := filepath.Join(t.TempDir(), "clerk-proxy.sock")
	p := serve(t, path, nil)
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("got %v, %v", info.Mode(), err)
	}
	p.offer.Close()
	if _, err := os.Lstat(path); !os.IsNotExist(err) {
		t.Errorf("the socket is left behind: %v", err)
	}
	if entries, _ := os.ReadDir(filepath.Dir(path)); len(entries) != 0 {
		t.Errorf("left behind: %v", entries)
	}
	for _, tt := range []struct {
		peer, own int
		want      bool
	}{{1000, 1000, true}, {0, 1000, true}, {1001, 1000, false}, {1000, 0, false}} {
		if got := mayHandOver(tt.peer, tt.own); got != tt.want {
			t.Errorf("user %d with a process of %d: %v", tt.peer, tt.own, got)
		}
	}
}

func TestAnotherFileIsLeftAlone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "clerk-proxy.yaml")
	if err := os.WriteFile(path, []byte("listen: :8080\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		path: "there is another file",
		filepath.Join(t.TempDir(), strings.Repeat("x", 120)): "choose a shorter one",
		filepath.Join(t.TempDir(), "run", "socket"):          "there is no such directory",
		filepath.Join(path, "socket"):                        "clerk-proxy.yaml/socket: ",
	} {
		if err := new(Offer).Open(path); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("it is opened, not %s: %v", want, err)
		}
		// At the start, not when it is to be replaced.
		if p, err := Ask(t.Context(), path); p != nil || err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("it is asked, not %s: %v, %v", want, p, err)
		}
	}
	// Another program's socket is not talked to.
	stream, err := net.Listen("unix", filepath.Join(t.TempDir(), "docker.sock"))
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Close()
	if p, err := Ask(t.Context(), stream.Addr().String()); p != nil || err == nil {
		t.Errorf("got %v, %v", p, err)
	}
}

func TestWhatIsNotSaidRightIsRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "clerk-proxy.sock")
	web := listen(t)
	former := serve(t, path, map[string][]net.Listener{"web": {web}})
	for _, packet := range []string{"", "hand over", `{"say":"serving"}`, `{"say":"hand over","sockets":["web"]}`, strings.Repeat(" ", maxMessage+1)} {
		c, err := net.DialUnix("unixpacket", nil, &net.UnixAddr{Name: path, Net: "unixpacket"})
		if err != nil {
			t.Fatal(err)
		}
		_, _ = c.Write([]byte(packet))
		if n, err := c.Read(make([]byte, 100)); n > 0 {
			t.Errorf("%.40q was answered: %v", packet, err)
		}
		c.Close()
	}
	takeOver(t, path)
	if len(former.replaced) > 0 {
		t.Error("the process was told to end")
	}
}

// Other sockets than those that listen are passed along, and left to the successor
// right before it is told so.
func TestOtherSocketsArePassedToo(t *testing.T) {
	path := filepath.Join(t.TempDir(), "clerk-proxy.sock")
	udp, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer udp.Close()
	pair, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_SEQPACKET|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	var ends [2]net.Conn
	for i, fd := range pair {
		file := os.NewFile(uintptr(fd), "line")
		if ends[i], err = net.FileConn(file); err != nil {
			t.Fatal(err)
		}
		file.Close()
		defer ends[i].Close()
	}
	said := make(chan string, 4)
	web := listen(t)
	offer := &Offer{
		Sockets: func() map[string][]net.Listener { return map[string][]net.Listener{"web": {web}} },
		Conns: func() (map[string][]net.Conn, func()) {
			return map[string][]net.Conn{"udp": {udp.(*net.UDPConn)}, "line": {ends[1]}}, func() { said <- "done" }
		},
		Passed:   func(passed bool) { said <- fmt.Sprint("passed ", passed) },
		Replaced: func() { said <- "replaced" },
		Logger:   slog.New(slog.DiscardHandler),
	}
	if err := offer.Open(path); err != nil {
		t.Fatal(err)
	}
	defer offer.Close()
	p := takeOver(t, path)
	if len(p.Sockets) != 1 || len(p.Conns) != 2 {
		t.Fatalf("got %v and %v", p.Sockets, p.Conns)
	}
	defer p.Conns["udp"][0].Close()
	defer p.Conns["line"][0].Close()
	if c, ok := p.Conns["udp"][0].(*net.UDPConn); !ok || c.LocalAddr().String() != udp.LocalAddr().String() {
		t.Errorf("got %v", p.Conns["udp"])
	}
	if len(said) > 0 {
		t.Errorf("too early: %s", <-said)
	}
	if err := p.Replace(); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"passed true", "replaced", "done"} {
		if got := <-said; got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	if _, err := ends[0].Write([]byte("hello")); err != nil {
		t.Fatal(err)
	}
	heard := make([]byte, 10)
	if n, err := p.Conns["line"][0].Read(heard); string(heard[:n]) != "hello" {
		t.Errorf("heard %q, %v", heard[:n], err)
	}
}
