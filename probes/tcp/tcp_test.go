package tcp

import (
	"context"
	"net"
	"testing"
	"time"

	"communewatch/probes"
	"communewatch/probes/bind"
)

func listen(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

func run(t *testing.T, address string, o Options) ([]probes.Point, error) {
	t.Helper()
	p, err := New(probes.Target{Name: "x", Kind: probes.KindTCP, Address: address}, bind.Binding{}, o)
	if err != nil {
		t.Fatal(err)
	}
	return p.Probe(context.Background())
}

func TestConnects(t *testing.T) {
	l := listen(t)
	points, err := run(t, l.Addr().String(), DefaultOptions())
	if err != nil {
		t.Fatal(err)
	}
	if len(points) != 1 || points[0].Measurement != "tcp" {
		t.Fatalf("got %+v", points)
	}
	f, ok := points[0].Field("connect_seconds")
	if !ok || f.Num <= 0 || f.Num > 5 {
		t.Errorf("connect_seconds = %+v", f)
	}
}

func TestOutcomes(t *testing.T) {
	closed := listen(t)
	address := closed.Addr().String()
	closed.Close()
	if _, err := run(t, address, DefaultOptions()); probes.OutcomeOf(err) != probes.OutcomeRefused {
		t.Errorf("closed port: %v (%v)", probes.OutcomeOf(err), err)
	}
	if _, err := run(t, "no-such-name.invalid:80", Options{Timeout: 2 * time.Second}); probes.OutcomeOf(err) != probes.OutcomeUnresolved {
		t.Errorf("unknown name: %v (%v)", probes.OutcomeOf(err), err)
	}

	p, err := New(probes.Target{Address: "127.0.0.1:1"}, bind.Binding{Device: "no-such-device"}, DefaultOptions())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Probe(context.Background()); probes.OutcomeOf(err) != probes.OutcomeUnbound {
		t.Errorf("missing device: %v (%v)", probes.OutcomeOf(err), err)
	}
}

func TestValidate(t *testing.T) {
	for _, tc := range []struct {
		address string
		timeout time.Duration
		places  int
	}{
		{"10.0.0.1:80", time.Second, 0},
		{"[::1]:80", time.Second, 0},
		{"10.0.0.1", time.Second, 1},
		{"10.0.0.1:0", time.Second, 1},
		{":80", time.Second, 1},
		{"10.0.0.1:http", 0, 2},
		{"10.0.0.1:80", time.Hour, 1},
	} {
		n := 0
		Options{Timeout: tc.timeout}.Validate(probes.Target{Address: tc.address}, func(string, string, ...any) { n++ })
		if n != tc.places {
			t.Errorf("%+v: %d problems", tc, n)
		}
	}
}
