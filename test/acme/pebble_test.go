package acme

import (
	"crypto/x509"
	"encoding/pem"
	"flag"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/letsencrypt/pebble/v2/ca"
	"github.com/letsencrypt/pebble/v2/core"
	"github.com/letsencrypt/pebble/v2/db"
	"github.com/letsencrypt/pebble/v2/va"
	"github.com/letsencrypt/pebble/v2/wfe"
	"github.com/miekg/dns"
)

// TestMain makes Pebble quick and the same each time, and runs more tests at once
// than there are processors: they wait rather than compute.
func TestMain(m *testing.M) {
	if os.Getenv(processVariable) != "" {
		runProcess()
		return
	}
	flag.Parse()
	flag.Set("test.parallel", "8")
	os.Setenv("PEBBLE_VA_NOSLEEP", "1")
	os.Setenv("PEBBLE_WFE_NONCEREJECT", "0")
	os.Setenv("PEBBLE_AUTHZREUSE", "0")
	os.Exit(withBinary(m.Run))
}

// A pebble is Let's Encrypt's ACME server for tests, in this process.
type pebble struct {
	directory string
	caFile    string // what its own certificate is trusted by
	root      *x509.Certificate
	roots     *x509.CertPool
	host      string       // a name that no other test has, as certmagic has one list of challenges a process
	orders    atomic.Int32 // that were placed
	store     *db.MemoryStore
}

type pebbleOptions struct {
	httpPort, tlsPort int
	validity          uint64 // seconds; 0: 90 days
	eabKeyID, eabKey  string // empty: accounts need no binding
	renewSoon         bool   // the authority suggests to renew after a second
	once              bool   // it refuses the host once there is a certificate
}

func startPebble(t *testing.T, o pebbleOptions) *pebble {
	quiet := log.New(io.Discard, "", 0)
	p := &pebble{store: db.NewMemoryStore(), roots: x509.NewCertPool()}
	if o.eabKeyID != "" {
		if err := p.store.AddExternalAccountKeyByID(o.eabKeyID, o.eabKey); err != nil {
			t.Fatal(err)
		}
	}
	authority := ca.New(quiet, p.store, "", "ecdsa", 0, 1, map[string]ca.Profile{"default": {ValidityPeriod: o.validity}})
	validation := va.New(quiet, o.httpPort, o.tlsPort, true, startDNS(t), p.store)
	frontend := wfe.New(quiet, p.store, validation, authority, []string{"pebble.test"}, true, o.eabKeyID != "", 0, 0)
	server := httptest.NewUnstartedServer(p.around(frontend.Handler(), o))
	server.Config.ErrorLog = quiet
	server.StartTLS()
	t.Cleanup(server.Close)

	p.directory = server.URL + wfe.DirectoryPath
	p.host = fmt.Sprintf("app-%d.example.test", server.Listener.Addr().(*net.TCPAddr).Port)
	p.caFile = filepath.Join(t.TempDir(), "ca.pem")
	own := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	if err := os.WriteFile(p.caFile, own, 0o600); err != nil {
		t.Fatal(err)
	}
	p.root = authority.GetRootCert(0).Cert
	p.roots.AddCert(p.root)
	return p
}

// around counts the orders, and does what Pebble has no options for.
func (p *pebble) around(handler http.Handler, o pebbleOptions) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/", handler)
	mux.HandleFunc("POST /order-plz", func(w http.ResponseWriter, r *http.Request) {
		p.orders.Add(1)
		handler.ServeHTTP(w, r)
	})
	mux.HandleFunc("/certZ/{serial}", func(w http.ResponseWriter, r *http.Request) {
		p.rememberOrder(r.PathValue("serial"))
		if o.once {
			p.store.AddBlockedDomain(p.host)
		}
		handler.ServeHTTP(w, r)
	})
	if o.renewSoon {
		mux.HandleFunc("/draft-ietf-acme-ari-03/renewalInfo/", func(w http.ResponseWriter, _ *http.Request) { // RFC 9773 §4.2
			now := time.Now().UTC()
			w.Header().Set("Content-Type", "application/json")
			fmt.Fprintf(w, `{"suggestedWindow":{"start":%q,"end":%q}}`, now.Format(time.RFC3339), now.Add(2*time.Second).Format(time.RFC3339))
		})
	}
	return mux
}

// rememberOrder lets Pebble find the order that a certificate came of when it is
// to be replaced. Pebble looks for it by the serial number as DER has it, whose
// first byte may be an additional zero, and keeps it without.
func (p *pebble) rememberOrder(serial string) {
	order, err := p.store.GetOrderByIssuedSerial(serial)
	if err != nil {
		return
	}
	order.RLock()
	defer order.RUnlock()
	p.store.AddOrderByIssuedSerial(&core.Order{
		Order: order.Order, AccountID: order.AccountID, CertificateObject: &core.Certificate{ID: "00" + serial},
	})
}

func (p *pebble) revoked(serial *big.Int) bool {
	return p.store.GetRevokedCertificateBySerial(serial) != nil
}

// startDNS answers that every name is on this machine.
func startDNS(t *testing.T) (address string) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &dns.Server{Listener: listener, Handler: dns.HandlerFunc(func(w dns.ResponseWriter, question *dns.Msg) {
		answer := new(dns.Msg).SetReply(question)
		if q := question.Question[0]; q.Qtype == dns.TypeA {
			answer.Answer = []dns.RR{&dns.A{
				Hdr: dns.RR_Header{Name: q.Name, Rrtype: dns.TypeA, Class: dns.ClassINET},
				A:   net.IPv4(127, 0, 0, 1),
			}}
		}
		w.WriteMsg(answer)
	})}
	go server.ActivateAndServe() // ends when the listener is closed
	t.Cleanup(func() { listener.Close() })
	return listener.Addr().String()
}
