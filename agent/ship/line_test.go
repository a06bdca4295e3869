package ship

import (
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"communewatch/probes"
	"communewatch/probes/bind"
	"communewatch/probes/wire"
)

// steppedClock is a true clock that a test can make time pass on.
type steppedClock struct{ passed atomic.Int64 }

func (c *steppedClock) Now() (time.Time, int) {
	return time.Now().Add(time.Duration(c.passed.Load())), 1
}
func (c *steppedClock) Boot() string { return "b1" }

// The seconds that a slow line takes for a connection are no error of the agent's clock, be it the first connection or
// a later one, or one that takes the place of one just lost.
func TestTimeOfConnectingIsNoErrorOfTheClock(t *testing.T) {
	clock := &steppedClock{}
	var handshakes, slow atomic.Int64
	c := newCollector(func(w http.ResponseWriter, p post) bool {
		now, _ := clock.Now()
		w.Header().Set(wire.HeaderReceivedAt, strconv.FormatInt(now.UnixMilli(), 10))
		if ms, err := strconv.ParseInt(p.header.Get(wire.HeaderSentAt), 10, 64); err != nil || now.Sub(time.UnixMilli(ms)).Abs() > 2*time.Second {
			slow.Add(1)
		}
		return take(w, p)
	})
	srv := httptest.NewUnstartedServer(c)
	srv.TLS = &tls.Config{GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
		handshakes.Add(1)
		clock.passed.Add(int64(5500 * time.Millisecond))
		return nil, nil
	}}
	srv.StartTLS()
	defer srv.Close()
	roots := x509.NewCertPool()
	roots.AddCert(srv.Certificate())

	sp := openSpool(t, t.TempDir(), "b1")
	sh, stop := startWith(t, clock, Options{Collectors: []Collector{{URL: srv.URL, TLS: &tls.Config{RootCAs: roots}}}}, sp)
	const lives = 5
	for i := range lives {
		put(t, sp, 1, "a f=1 1\n", "a f=2 1\n")
		eventually(t, "the batch is taken", func() bool { return sh.Stats().Sent == uint64(2*i+1) })
		put(t, sp, 1, "a f=3 1\n")
		eventually(t, "another on the same connection", func() bool { return sh.Stats().Sent == uint64(2*i+2) })
		srv.CloseClientConnections()
	}
	st := sh.Stats()
	if st.ClockOffset.Abs() > 2*time.Second || slow.Load() > 0 {
		t.Errorf("offset %v; %d of %d batches were stamped long before they were sent", st.ClockOffset, slow.Load(), st.Sent)
	}
	if n := handshakes.Load(); st.Failures != 0 || n < lives || n > lives+1 {
		t.Errorf("%d failures and %d handshakes, want one for each of %d connections", st.Failures, n, lives)
	}
	stop()
}

func TestCollectorsNameIsLookedUpOverItsPath(t *testing.T) {
	var log logLines
	sp := openSpool(t, t.TempDir(), "b1")
	put(t, sp, 1, "a f=1 1\n")
	_, stop := start(t, Options{Log: log.logger(), Collectors: []Collector{{
		URL:     "http://collector.invalid:8086",
		Binding: bind.Binding{Path: probes.PathDedicated, Source: netip.MustParseAddr("127.0.0.1")},
	}}}, sp)
	eventually(t, "it says where it looked", func() bool { return log.count("over path dedicated") > 0 })
	stop()
}
