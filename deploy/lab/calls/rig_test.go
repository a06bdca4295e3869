package calls

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"communewatch/deploy/lab/relay"
	"communewatch/probes/webrtc/call"
	"communewatch/probes/webrtc/reflector"
	"communewatch/probes/webrtc/report"
)

// specVariable holds the JSON of a call when this program is to make that call and nothing else, in whatever network it
// was started in.
const specVariable = "COMMUNEWATCH_TEST_CALL"

func TestMain(m *testing.M) {
	if text := os.Getenv(specVariable); text != "" {
		os.Exit(callAlone(text))
	}
	goleak.VerifyTestMain(m)
}

// callAlone makes a call and writes its report as JSON.
func callAlone(text string) int {
	var spec call.Spec
	err := json.Unmarshal([]byte(text), &spec)
	if err == nil {
		var c *report.Call
		c, err = call.Run(context.Background(), spec, nil)
		json.NewEncoder(os.Stdout).Encode(c)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

const token = "a-token-of-the-tests"

// rig is a reflector behind a relay.
type rig struct {
	reflector *reflector.Reflector
	server    *httptest.Server // its signalling
	relay     *relay.Relay
	stop      func() // the reflector, as if it died
	close     func() // all of it
}

// newRig starts a reflector on a free port of loopback, and a relay before it. pages are served beside the signalling.
func newRig(t *testing.T, line relay.Line, pages http.Handler) *rig {
	t.Helper()
	// The tests run on whatever machine there is, with others beside them: a reflector that refuses calls because the
	// processors are busy would be right, and of no use here.
	limits := reflector.Limits{CPU: 10, Residence: time.Minute}
	r, err := reflector.Open(reflector.Options{Media: "127.0.0.1:0", Tokens: []string{token}, Limits: limits})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- r.Run(ctx) }()
	mux := http.NewServeMux()
	mux.Handle("/whip/", r.Handler())
	if pages != nil {
		mux.Handle("/", pages)
	}
	g := &rig{reflector: r, server: httptest.NewServer(mux)}
	g.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		g.server.CloseClientConnections()
		g.server.Close()
	})
	t.Cleanup(func() { g.close() })
	g.close = g.stop
	g.relay, err = relay.Listen(relay.Config{Listen: netip.MustParseAddrPort("127.0.0.1:0"), Hub: g.server.URL, Seed: 1, Log: 200_000})
	if err != nil {
		t.Fatal(err)
	}
	g.close = func() {
		g.relay.Close()
		g.stop()
	}
	if err := g.relay.Set(line); err != nil {
		t.Fatal(err)
	}
	return g
}

// books returns what the relay did to the one call there was. It waits for the call's end.
func (g *rig) books(t *testing.T) relay.Books {
	t.Helper()
	for begin := time.Now(); ; time.Sleep(5 * time.Millisecond) {
		if ended := g.relay.Ended(); len(ended) == 1 {
			return ended[0]
		} else if time.Since(begin) > 60*time.Second {
			t.Fatalf("%d calls have ended, %d are on", len(ended), g.relay.Calls())
		}
	}
}
