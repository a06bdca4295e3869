package icmp

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"communewatch/probes"
	"communewatch/probes/bind"

	"go.uber.org/goleak"
)

func target(address string) probes.Target {
	return probes.Target{Name: "gw", Kind: probes.KindICMP, Path: probes.PathLAN, Layer: probes.LayerLAN, Address: address}
}

func value(t *testing.T, p probes.Point, key string) float64 {
	t.Helper()
	f, ok := p.Field(key)
	if !ok {
		t.Fatalf("no field %s in %v", key, p.Fields)
	}
	return f.Num
}

// skipWithoutPermission keeps the tests usable for those who may not ping.
func skipWithoutPermission(t *testing.T, err error) {
	t.Helper()
	if probes.OutcomeOf(err) == probes.OutcomeNoPermission {
		t.Skip("this user may not ping:", err)
	}
}

func TestLoopback(t *testing.T) {
	defer goleak.VerifyNone(t)
	o := DefaultOptions()
	o.Count, o.Interval, o.DFSize = 20, 10*time.Millisecond, 1500
	if !canForbidFragments {
		o.DFSize = 0
	}
	p, err := New(target("127.0.0.1"), bind.Binding{Path: probes.PathLAN}, o)
	if err != nil {
		t.Fatal(err)
	}
	points, err := p.Probe(t.Context())
	skipWithoutPermission(t, err)
	if err != nil || len(points) != 1 || points[0].Measurement != "icmp" {
		t.Fatalf("got %v, %v", points, err)
	}
	schema := probes.Schema()
	spec := schema[slices.IndexFunc(schema, func(m probes.MeasurementSpec) bool { return m.Name == "icmp" })]
	for _, f := range spec.Fields {
		if o.DFSize == 0 && strings.HasPrefix(f.Key, "df_") {
			continue
		}
		got, ok := points[0].Field(f.Key)
		if !ok || got.Type != f.Type {
			t.Errorf("field %s: got %v, present %v; the contract wants a %v", f.Key, got, ok, f.Type)
		}
	}
	for key, want := range map[string]float64{"sent": 20, "received": 20, "lost": 0, "loss_ratio": 0, "df_ok": 1} {
		if got := value(t, points[0], key); got != want {
			t.Errorf("%s = %v, want %v", key, got, want)
		}
	}
	if rtt := value(t, points[0], "rtt_median_seconds"); rtt <= 0 || rtt > 0.1 {
		t.Errorf("median of %v s over loopback", rtt)
	}
}

func TestCancelIsNoResult(t *testing.T) {
	defer goleak.VerifyNone(t)
	o := DefaultOptions()
	o.Count, o.Interval = 100, time.Second
	p, err := New(target("127.0.0.1"), bind.Binding{}, o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(50*time.Millisecond, cancel)
	begin := time.Now()
	points, err := p.Probe(ctx)
	skipWithoutPermission(t, err)
	if points != nil || probes.OutcomeOf(err) != probes.OutcomeCanceled {
		t.Errorf("got %v, %v; half a burst must not look like a result", points, err)
	}
	if took := time.Since(begin); took > 5*time.Second {
		t.Errorf("stopping took %v", took)
	}
}

// A machine that is too slow must not make its target look lossy.
func TestDeadlineKeepsWhatIsKnown(t *testing.T) {
	defer goleak.VerifyNone(t)
	o := DefaultOptions()
	o.Count, o.Interval, o.Wait = 1000, 10*time.Millisecond, 100*time.Millisecond
	p, err := New(target("127.0.0.1"), bind.Binding{}, o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	begin := time.Now()
	points, err := p.Probe(ctx)
	took := time.Since(begin) // a busy machine notices the deadline late
	skipWithoutPermission(t, err)
	if err != nil || len(points) != 1 {
		t.Fatalf("got %v, %v", points, err)
	}
	most := float64((took-o.Wait)/o.Interval) + 2
	if sent, lost := value(t, points[0], "sent"), value(t, points[0], "lost"); sent < 1 || sent > most || lost != 0 {
		t.Errorf("sent %v, lost %v in %v, of which the last 100 ms don't count, at one per 10 ms", sent, lost, took)
	}

	<-ctx.Done()
	points, err = p.Probe(ctx)
	if points != nil || probes.OutcomeOf(err) != probes.OutcomeOverrun {
		t.Errorf("no time at all: got %v, %v, want outcome overrun", points, err)
	}
}

func TestMissingBindingSendsNothing(t *testing.T) {
	for _, b := range []bind.Binding{
		{Path: probes.PathBroadband, Device: "nosuchdev0"},
		{Path: probes.PathBroadband, Source: mustAddr("192.0.2.77")},
	} {
		p, err := New(target("127.0.0.1"), b, DefaultOptions())
		if err != nil {
			t.Fatal(err)
		}
		points, err := p.Probe(t.Context())
		if points != nil || probes.OutcomeOf(err) != probes.OutcomeUnbound {
			t.Errorf("%+v: got %v, %v; want outcome unbound and no points", b, points, err)
		}
	}
}

func TestValidate(t *testing.T) {
	with := func(f func(*Options)) Options { o := DefaultOptions(); f(&o); return o }
	for _, tt := range []struct {
		name    string
		address string
		options Options
		want    []string // beginnings of the problems
	}{
		{"defaults", "192.0.2.1", DefaultOptions(), nil},
		{"name", "gw.example.vn", DefaultOptions(), nil},
		{"ipv6 with zone", "fe80::1%eth0", DefaultOptions(), nil},
		{"port", "192.0.2.1:80", DefaultOptions(), []string{`address: "192.0.2.1:80" is neither`}},
		{"url", "https://example.vn/", DefaultOptions(), []string{"address: "}},
		{"empty", "", DefaultOptions(), []string{"address: "}},
		{"option for ping", "-f", DefaultOptions(), []string{"address: "}},
		{"long", strings.Repeat("a", 300), DefaultOptions(), []string{"address: "}},
		{"multicast", "224.0.0.1", DefaultOptions(), []string{"address: 224.0.0.1 is not the address of a single host"}},
		{"broadcast", "255.255.255.255", DefaultOptions(), []string{"address: "}},
		{"unspecified", "::", DefaultOptions(), []string{"address: "}},
		{"family", "192.0.2.1", with(func(o *Options) { o.Network = "ip6" }), []string{"address: 192.0.2.1 is no ip6 address"}},
		{"all at once", "", Options{Count: 0, Interval: time.Millisecond, Wait: 0, Size: 23, DFSize: 100, Network: "tcp"},
			[]string{"count: 0: use 1 to 1000", "interval: 1ms: use 10ms to 1m0s", "wait: 0s: use", "size_bytes: 23: use 24", "df_size_bytes: ", `network: "tcp": use ip4`, "address: "}},
		{"too much", "192.0.2.1", Options{Count: 1001, Interval: time.Hour, Wait: time.Hour, Size: 65508, DFSize: 65536},
			[]string{"count: ", "interval: ", "wait: ", "size_bytes: ", "df_size_bytes: "}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var got []string
			tt.options.Validate(target(tt.address), func(at, format string, args ...any) {
				got = append(got, at+": "+fmt.Sprintf(format, args...))
			})
			if !slices.EqualFunc(got, tt.want, strings.HasPrefix) {
				t.Errorf("got %q, want %q", got, tt.want)
			}
			if _, err := New(target(tt.address), bind.Binding{}, tt.options); (err != nil) != (tt.want != nil) {
				t.Errorf("New: %v", err)
			} else if err != nil && probes.OutcomeOf(err) != probes.OutcomeBadConfig {
				t.Errorf("New: outcome %v", probes.OutcomeOf(err))
			}
		})
	}
}

func TestNewRefusesMixedFamilies(t *testing.T) {
	_, err := New(target("2001:db8::1"), bind.Binding{Source: mustAddr("192.0.2.1")}, DefaultOptions())
	if probes.OutcomeOf(err) != probes.OutcomeBadConfig {
		t.Errorf("got %v", err)
	}
}
