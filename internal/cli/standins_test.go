package cli

import (
	"encoding/binary"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"
)

// brittle is in front of a proxy that is healthy until it is enabled.
func brittle(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 || args[2] != "break" && args[2] != "hang" {
		ts.Fatalf("usage: brittle NAME ADDRESS break|hang")
	}
	s := of(ts)
	front := httptest.NewServer(&httputil.ReverseProxy{
		// The proxy goes by the host that it is asked for.
		Rewrite: func(r *httputil.ProxyRequest) { r.Out.URL.Scheme, r.Out.URL.Host = "http", args[1] },
		ModifyResponse: func(resp *http.Response) error {
			switch r := resp.Request; {
			case !strings.HasSuffix(r.URL.Path, "/v1/environment") || resp.StatusCode != http.StatusOK:
			case args[2] == "break":
				resp.StatusCode = http.StatusBadGateway
			default:
				s.keep(r.Context())
			}
			return nil
		},
	})
	ts.Defer(front.Close)
	ts.Setenv(args[0], front.URL)
}

func hanging(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 0 {
		ts.Fatalf("usage: hanging")
	}
	select {
	case <-of(ts).held:
	case <-of(ts).ctx.Done():
		ts.Fatalf("nobody asks")
	}
}

func tunnel(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: tunnel NAME ADDRESS")
	}
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		there, err := net.Dial("tcp", args[1])
		if r.Method != http.MethodConnect || err != nil {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		defer there.Close()
		here, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		defer here.Close()
		io.WriteString(here, "HTTP/1.1 200 OK\r\n\r\n")
		go func() { // ends with either connection
			io.Copy(there, here)
			there.Close()
		}()
		io.Copy(here, there)
	}))
	ts.Defer(proxy.Close)
	ts.Setenv(args[0], proxy.URL)
}

func dns(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 1 {
		ts.Fatalf("usage: dns NAME HOST=TARGET...")
	}
	server, err := net.ListenPacket("udp", "127.0.0.1:0")
	ts.Check(err)
	aliases := map[string]string{}
	for _, each := range args[1:] {
		host, target, _ := strings.Cut(each, "=")
		aliases[host] = target
	}
	go func() { // ends when the server is closed
		query := make([]byte, 4096)
		for {
			n, from, err := server.ReadFrom(query)
			if err != nil {
				return
			}
			server.WriteTo(answerDNS(query[:n], aliases), from)
		}
	}()
	ts.Defer(func() { server.Close() })
	ts.Setenv(args[0], server.LocalAddr().String())
}

// answerDNS answers a question about an alias with it, and with an address of its
// target where one is asked for; about anything else, that there is no such name
// (RFC 1035 §4).
func answerDNS(query []byte, aliases map[string]string) []byte {
	var labels []string
	end := 12
	for query[end] != 0 {
		next := end + 1 + int(query[end])
		labels = append(labels, string(query[end+1:next]))
		end = next
	}
	end += 5 // the root, the type and the class
	asked := binary.BigEndian.Uint16(query[end-4:])
	target, known := aliases[strings.ToLower(strings.Join(labels, "."))]

	const cname, a = 5, 1
	record := func(name []byte, kind uint16, data []byte) []byte {
		b := binary.BigEndian.AppendUint16(name, kind)
		b = append(b, 0, 1, 0, 0, 0, 60) // class and time to live
		b = binary.BigEndian.AppendUint16(b, uint16(len(data)))
		return append(b, data...)
	}
	var name []byte
	for label := range strings.SplitSeq(target, ".") {
		name = append(append(name, byte(len(label))), label...)
	}
	name = append(name, 0)

	answer := append([]byte{}, query[:2]...)
	if !known {
		answer = append(answer, 0x81, 0x83, 0, 1, 0, 0, 0, 0, 0, 0)
		return append(answer, query[12:end]...)
	}
	records, count := record([]byte{0xc0, 12}, cname, name), byte(1)
	if asked == a {
		records, count = append(records, record(name, a, []byte{127, 0, 0, 1})...), 2
	}
	answer = append(answer, 0x81, 0x80, 0, 1, 0, count, 0, 0, 0, 0)
	answer = append(answer, query[12:end]...)
	return append(answer, records...)
}
