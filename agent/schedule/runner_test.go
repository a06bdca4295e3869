package schedule

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"communewatch/probes"
)

type stillClock struct{}

func (stillClock) Now() (time.Time, int) { return time.UnixMilli(1_790_000_000_123).Add(456), 1 }

type probeFunc func(ctx context.Context) ([]probes.Point, error)

func (f probeFunc) Probe(ctx context.Context) ([]probes.Point, error) { return f(ctx) }

func newRunner() *Runner {
	return &Runner{Site: "s08707", Agent: "main", Clock: stillClock{}, Log: slog.New(slog.DiscardHandler)}
}

func newCheck(p probeFunc) *Check {
	return &Check{
		Target:   probes.Target{Name: "hub", Kind: probes.KindTCP, Path: probes.PathDedicated, Layer: probes.LayerConference, Address: "10.0.0.1:443"},
		Interval: 30 * time.Second, Timeout: 2 * time.Second, Probe: p, Bound: probes.ProofBound,
	}
}

func measured() []probes.Point {
	return []probes.Point{{Measurement: "tcp", Tags: probes.Tags{{Key: "resolver", Value: "r1"}}, Fields: []probes.Field{probes.Float("connect_seconds", 0.01)}}}
}

func verdict(t *testing.T, r Result) probes.Point {
	t.Helper()
	if len(r.Points) == 0 {
		t.Fatalf("no rows: %+v", r)
	}
	p := r.Points[len(r.Points)-1]
	if p.Measurement != "check" {
		t.Fatalf("the last row is %q, want check", p.Measurement)
	}
	return p
}

func tagsOf(p probes.Point) string {
	var parts []string
	for _, tag := range p.Tags {
		parts = append(parts, tag.Key+"="+tag.Value)
	}
	return strings.Join(parts, ",")
}

func TestRowsCarryIdentityAndVerdict(t *testing.T) {
	res := newRunner().Run(t.Context(), newCheck(func(context.Context) ([]probes.Point, error) { return measured(), nil }))
	if len(res.Points) != 2 {
		t.Fatalf("%d rows, want the measurement and the verdict", len(res.Points))
	}
	if got, want := tagsOf(res.Points[0]), "agent=main,path=dedicated,resolver=r1,site=s08707,target=hub"; got != want {
		t.Errorf("tags %s, want %s", got, want)
	}
	v := verdict(t, res)
	if got, want := tagsOf(v), "agent=main,kind=tcp,layer=conference,path=dedicated,site=s08707,target=hub"; got != want {
		t.Errorf("verdict's tags %s, want %s", got, want)
	}
	if !v.Time.Equal(res.Points[0].Time) || v.Time.UnixNano()%1e6 != 0 {
		t.Errorf("times %v and %v, want the same whole millisecond", v.Time, res.Points[0].Time)
	}
	up, _ := v.Field("up")
	interval, _ := v.Field("interval_seconds")
	proof, _ := v.Field("path_proof")
	if up.Num != 1 || interval.Num != 30 || proof.Str != "bound" {
		t.Errorf("verdict %+v", v.Fields)
	}
	if _, has := v.Field("error"); has {
		t.Error("a run that went well has an error field")
	}
}

func TestRowsFollowTheContract(t *testing.T) {
	spec := map[string]probes.MeasurementSpec{}
	for _, m := range probes.Schema() {
		spec[m.Name] = m
	}
	res := newRunner().Run(t.Context(), newCheck(func(context.Context) ([]probes.Point, error) { return nil, errors.New("no") }))
	v, m := verdict(t, res), spec["check"]
	for _, f := range v.Fields {
		if s, ok := m.Field(f.Key); !ok || s.Type != f.Type {
			t.Errorf("field %s of type %v is not in the contract", f.Key, f.Type)
		}
	}
	for _, s := range m.Fields {
		if _, ok := v.Field(s.Key); !ok {
			t.Errorf("field %s of the contract is missing", s.Key)
		}
	}
	if len(v.Tags) != len(m.Tags) {
		t.Errorf("tags %v, want those of the contract %v", v.Tags, m.Tags)
	}
}

func TestOutcomes(t *testing.T) {
	unbound := probes.Errorf(probes.OutcomeUnbound, "no such device")
	for _, c := range []struct {
		name  string
		probe probeFunc
		edit  func(*Check)
		want  probes.Outcome
		rows  int // measured ones
		err   string
	}{
		{"a failure keeps what was measured", func(context.Context) ([]probes.Point, error) { return measured(), errors.New("bad status") }, nil, probes.OutcomeFailed, 1, "bad status"},
		{"own trouble does not", func(context.Context) ([]probes.Point, error) { return measured(), unbound }, nil, probes.OutcomeUnbound, 0, "no such device"},
		{"a run under overload does: who looks at it is told", func(context.Context) ([]probes.Point, error) {
			return measured(), probes.Errorf(probes.OutcomeOverloaded, "packets left 40 ms late")
		}, nil, probes.OutcomeOverloaded, 1, "packets left 40 ms late"},
		{"a run left out has nothing", func(context.Context) ([]probes.Point, error) {
			return measured(), probes.Errorf(probes.OutcomeHeld, "a meeting is on")
		}, nil, probes.OutcomeHeld, 0, "a meeting is on"},
		{"a missing device stops the run", func(context.Context) ([]probes.Point, error) { panic("ran") }, func(c *Check) { c.Ready = func() error { return unbound } }, probes.OutcomeUnbound, 0, "no such device"},
		{"the wrong path stops the run", func(context.Context) ([]probes.Point, error) { panic("ran") }, func(c *Check) {
			c.Prove = func(context.Context) (probes.Proof, error) { return probes.ProofWrong, errors.New("hop 2 is 10.9.9.9") }
		}, probes.OutcomeWrongPath, 0, "hop 2 is 10.9.9.9"},
		{"a panic is an outcome", func(context.Context) ([]probes.Point, error) { panic("index out of range") }, nil, probes.OutcomePanic, 0, "probe crashed: index out of range"},
		{"the deadline is a timeout", func(ctx context.Context) ([]probes.Point, error) { <-ctx.Done(); return nil, ctx.Err() }, nil, probes.OutcomeTimeout, 0, "context deadline exceeded"},
		{"so is a deadline under another name", func(ctx context.Context) ([]probes.Point, error) { <-ctx.Done(); return nil, context.Canceled }, nil, probes.OutcomeTimeout, 0, "context canceled"},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				check := newCheck(c.probe)
				if c.edit != nil {
					c.edit(check)
				}
				res := newRunner().Run(t.Context(), check)
				v := verdict(t, res)
				out, _ := v.Field("outcome")
				up, _ := v.Field("up")
				text, _ := v.Field("error")
				if res.Outcome != c.want || out.Str != c.want.String() || up.Num != 0 || text.Str != c.err || len(res.Points)-1 != c.rows {
					t.Errorf("outcome %v, row %q up %v error %q with %d measured rows; want %v %q %d", res.Outcome, out.Str, up.Num, text.Str, len(res.Points)-1, c.want, c.err, c.rows)
				}
			})
		})
	}
}

func TestCanceledRunIsNoMeasurement(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	res := newRunner().Run(ctx, newCheck(func(ctx context.Context) ([]probes.Point, error) {
		cancel()
		return measured(), fmt.Errorf("read: %w", ctx.Err())
	}))
	if res.Outcome != probes.OutcomeCanceled || res.Points != nil {
		t.Errorf("outcome %v with %d rows, want canceled without rows", res.Outcome, len(res.Points))
	}
}

func TestMissedSlotHasARow(t *testing.T) {
	v := verdict(t, newRunner().Missed(newCheck(nil)))
	if out, _ := v.Field("outcome"); out.Str != "overrun" {
		t.Errorf("outcome %q, want overrun", out.Str)
	}
}

func TestStampsOfACheckRise(t *testing.T) {
	r, c := newRunner(), newCheck(func(context.Context) ([]probes.Point, error) { return nil, nil })
	a, b, d := r.Run(t.Context(), c), r.Missed(c), r.Run(t.Context(), c)
	if !a.Start.Before(b.Start) || !b.Start.Before(d.Start) {
		t.Errorf("stamps %v, %v, %v do not rise, so rows would replace each other", a.Start, b.Start, d.Start)
	}
}

func TestProofCountsOnlyIfStronger(t *testing.T) {
	for _, c := range []struct{ proved, want probes.Proof }{
		{probes.ProofProved, probes.ProofProved},
		{probes.ProofUnproven, probes.ProofBound},
	} {
		check := newCheck(func(context.Context) ([]probes.Point, error) { return nil, nil })
		check.Prove = func(context.Context) (probes.Proof, error) { return c.proved, nil }
		if got := newRunner().Run(t.Context(), check).Proof; got != c.want {
			t.Errorf("hop says %s: proof %s, want %s", c.proved, got, c.want)
		}
	}
}

func TestCleanError(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{"read udp 127.0.0.1:43212->127.0.0.53:53: i/o timeout", "read udp 127.0.0.53:53: i/o timeout"},
		{"read tcp [fe80::1%eth0]:43212->[::1]:53: connection reset by peer", "read tcp [::1]:53: connection reset by peer"},
		{"dial tcp 10.0.0.1:80: connect: connection refused", "dial tcp 10.0.0.1:80: connect: connection refused"},
		{"has expired: current time 2026-11-23T17:03:05+07:00 is after 2026-01-02T03:04:05Z", "has expired: current time [time] is after [time]"},
		{"at 2026-11-23 17:03:05.123456789 +0700 +07", "at [time] +07"},
		{"expired on 2026-11-23", "expired on 2026-11-23"},
		{"one\ntwo\x00three\x1b[31m\n", "one; two three [31m"},
		{"bad \xff byte", "bad   byte"},
		{"  ", ""},
		{strings.Repeat("x", 600), strings.Repeat("x", 509) + "..."},
		{"\tTích Sơn", "Tích Sơn"},
	} {
		if got := CleanError(c.in); got != c.want {
			t.Errorf("CleanError(%q) = %q, want %q", c.in, got, c.want)
		}
	}
	if got := CleanError(strings.Repeat("ơ", 400)); len(got) > probes.MaxText || !utf8.ValidString(got) {
		t.Errorf("cut in the middle of a letter: %d bytes, valid %v", len(got), utf8.ValidString(got))
	}
}
