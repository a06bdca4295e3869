package agent

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"communewatch/agent/checks"
	"communewatch/agent/orders"
	"communewatch/agent/schedule"
	"communewatch/probes"
	said "communewatch/probes/orders"
	"communewatch/probes/webrtc/report"
	"communewatch/probes/wire"
)

// talker is a webrtc check's probe that calls nobody. By schedule it goes on until it is stopped and says so on
// scheduled; without that it finds everybody busy.
type talker struct {
	scheduled chan context.Context
	breaks    error // of ordered calls
}

func (p talker) Probe(ctx context.Context) ([]probes.Point, error) {
	if p.scheduled == nil {
		return nil, probes.Errorf(probes.OutcomeBusy, "call again later")
	}
	select {
	case p.scheduled <- ctx:
	default:
	}
	<-ctx.Done()
	return nil, ctx.Err()
}

func (p talker) Call(ctx context.Context, profile said.Profile, d time.Duration, started func()) ([]probes.Point, *report.Call, error) {
	started()
	timer := time.NewTimer(d)
	defer timer.Stop()
	rep := &report.Call{Service: "reflector", Profile: profile.Name, Rehearsal: true, LimitedBy: "none"}
	rows := []probes.Point{{Measurement: "webrtc", Fields: []probes.Field{probes.String("profile", profile.Name), probes.Bool("rehearsal", true)}}}
	select {
	case <-ctx.Done():
		return rows, rep, ctx.Err()
	case <-timer.C:
	}
	rep.MediaSeconds = d.Seconds()
	return rows, rep, p.breaks
}

// probeFunc is a probe that is a function.
type probeFunc func(ctx context.Context) ([]probes.Point, error)

func (f probeFunc) Probe(ctx context.Context) ([]probes.Point, error) { return f(ctx) }

// head is a collector that tells what a test wants it to.
type head struct {
	orders  chan string
	reports chan said.Report
	checks  chan string
}

func (h *head) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set(wire.HeaderReceivedAt, "1")
	switch r.URL.Path {
	case said.Path:
		select {
		case h.checks <- r.Header.Get(said.HeaderChecks):
		default:
		}
		w.Header().Set("Content-Type", said.ContentType)
		_, _ = io.WriteString(w, "\n")
		_ = http.NewResponseController(w).Flush()
		for {
			select {
			case <-r.Context().Done():
				return
			case line := <-h.orders:
				_, _ = io.WriteString(w, line)
				_ = http.NewResponseController(w).Flush()
			}
		}
	case said.ReportPath:
		body, _ := io.ReadAll(r.Body)
		rep, err := said.ReadReport(body)
		if err != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		h.reports <- rep
		w.WriteHeader(http.StatusNoContent)
	}
}

func (h *head) tell(t *testing.T, o said.Order) {
	t.Helper()
	line, err := said.AppendLine(nil, &o)
	if err == nil {
		err = o.Validate()
	}
	if err != nil {
		t.Fatal(err)
	}
	h.orders <- string(line)
}

// until waits for a report of an order in a phase that nothing follows.
func (h *head) until(t *testing.T, id string) said.Report {
	t.Helper()
	for deadline := time.After(30 * time.Second); ; {
		select {
		case r := <-h.reports:
			if r.Order == id && r.Phase.Final() {
				return r
			}
		case <-deadline:
			t.Fatalf("nothing was said of order %s", id)
		}
	}
}

// running starts an agent whose check "hub" is a webrtc check, or keeps it as it is without one.
func running(t *testing.T, probe probes.Probe) (*head, *memory, *Agent) {
	t.Helper()
	h := &head{orders: make(chan string), reports: make(chan said.Report, 100), checks: make(chan string, 1)}
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	a, m := newAgent(t, "- {name: hub, kind: tcp, address: '127.0.0.1:1', path: lan, interval: 2s, options: {timeout: 100ms}}", Options{}, nil)
	a.cfg.Collectors[0].URL = server.URL
	if probe != nil {
		a.current().Checks[0].Target.Kind, a.current().Checks[0].Probe = probes.KindWebRTC, probe
	}
	a.takeOrders(orders.NewGate(a.cfg.meetings, time.Now))
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- a.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return h, m, a
}

func order(id string, d time.Duration) said.Order {
	return said.Order{ID: id, Kind: said.KindCall, Expires: said.Seconds(20 * time.Second),
		Call: &said.Call{Duration: said.Seconds(d), Profile: said.Profile{Name: "audio", AudioBPS: 32_000}}}
}

// rows returns the lines kept that begin so.
func (m *memory) rows(measurement string) (list []string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for line := range strings.Lines(m.lines.String()) {
		if strings.HasPrefix(line, measurement+",") {
			list = append(list, line)
		}
	}
	return list
}

// What an ordered call measures goes to the collector twice: at once as a report, and as rows with all other results,
// but without a verdict.
func TestOrderedCallLeavesAReportAndRows(t *testing.T) {
	h, m, _ := running(t, talker{})
	if got := <-h.checks; got != "hub/lan" {
		t.Errorf("the agent says it can call with %q", got)
	}
	h.tell(t, order("r1", time.Second))
	r := h.until(t, "r1")
	if r.Phase != said.PhaseDone || r.Outcome != "ok" || r.Check != "hub" || r.Path != probes.PathLAN || r.Proof != probes.ProofUnproven ||
		r.Result == nil || !r.Result.Rehearsal || r.Result.MediaSeconds != 1 {
		t.Errorf("got %+v with %+v", r, r.Result)
	}
	calls := m.rows("webrtc")
	if len(calls) != 1 || !strings.Contains(calls[0], "rehearsal=true") || !strings.Contains(calls[0], "target=hub") {
		t.Errorf("rows %q", calls)
	}
	// The schedule's own runs go on, and alone say how the target is.
	for deadline := time.Now().Add(30 * time.Second); len(m.rows("check")) == 0; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("no scheduled run left a verdict")
		}
	}
	for _, row := range m.rows("check") {
		if !strings.Contains(row, `outcome="busy"`) && !strings.Contains(row, `outcome="held"`) {
			t.Errorf("the ordered call has a verdict: %s", row)
		}
	}
}

// A rehearsal may bring the hub to its knees, and the sites that call it then are well all the same.
func TestOrderedCallThatFailsIsNotHeldAgainstTheSite(t *testing.T) {
	h, m, _ := running(t, talker{breaks: probes.Errorf(probes.OutcomeTimeout, "no answer to the offer")})
	for _, id := range []string{"r1", "r2"} {
		h.tell(t, order(id, time.Second))
		if r := h.until(t, id); r.Phase != said.PhaseDone || r.Outcome != "timeout" || r.Reason != "no answer to the offer" || r.Result == nil {
			t.Errorf("got %+v", r)
		}
	}
	if rows := m.rows("webrtc"); len(rows) != 2 {
		t.Errorf("rows %q, want what both calls measured", rows)
	}
	for _, row := range m.rows("check") {
		if strings.Contains(row, `outcome="timeout"`) {
			t.Errorf("a verdict of an ordered call: %s", row)
		}
	}
}

// What is stopped on purpose leaves no row that speaks against the line.
func TestStoppedCallLeavesNoEvidence(t *testing.T) {
	h, m, _ := running(t, talker{})
	h.tell(t, order("r1", time.Minute))
	for r := range h.reports {
		if r.Phase == said.PhaseStarted {
			break
		}
	}
	h.tell(t, said.Order{ID: "s1", Kind: said.KindStop, Expires: said.Seconds(time.Second), Stop: "r1"})
	if r := h.until(t, "r1"); r.Outcome != "canceled" || r.Reason != "stopped by order" {
		t.Errorf("got %+v", r)
	}
	h.tell(t, order("r2", time.Minute))
	h.tell(t, said.Order{ID: "h1", Kind: said.KindHold, Expires: said.Seconds(time.Second), Hold: &said.Hold{For: said.Seconds(time.Hour), Note: "Giao ban"}})
	if r := h.until(t, "r2"); r.Outcome != "held" || !strings.Contains(r.Reason, "Giao ban") {
		t.Errorf("got %+v", r)
	}
	if rows := m.rows("webrtc"); len(rows) > 0 {
		t.Errorf("rows of calls that were ended: %q", rows)
	}
	for _, row := range m.rows("check") {
		if !strings.Contains(row, `outcome="held"`) && !strings.Contains(row, `outcome="busy"`) {
			t.Errorf("a row that speaks against the line: %s", row)
		}
	}
}

// A hold ends the schedule's test that is under way, and keeps the next from beginning.
func TestHoldKeepsTheScheduleOffTheLine(t *testing.T) {
	p := talker{scheduled: make(chan context.Context, 1)}
	h, m, _ := running(t, p)
	testing := <-p.scheduled
	h.tell(t, said.Order{ID: "h1", Kind: said.KindHold, Expires: said.Seconds(time.Second), Hold: &said.Hold{For: said.Seconds(time.Hour)}})
	h.until(t, "h1")
	<-testing.Done()
	before := len(m.rows("check")) + 1 // a run may have timed out just then
	for deadline := time.Now().Add(30 * time.Second); len(m.rows("check")) < before+2; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the runs that were held left no rows")
		}
	}
	for _, row := range m.rows("check")[before:] {
		if !strings.Contains(row, `outcome="held"`) {
			t.Errorf("got %s", row)
		}
	}
}

func TestAgentWithoutConferenceCheckSaysSo(t *testing.T) {
	h, _, _ := running(t, nil)
	if got := <-h.checks; got != "" {
		t.Errorf("the agent says it can call with %q", got)
	}
	h.tell(t, order("r1", time.Second))
	if r := h.until(t, "r1"); r.Phase != said.PhaseRefused || !strings.Contains(r.Reason, "no check of kind webrtc") {
		t.Errorf("got %+v", r)
	}
}

func TestMeetingOfTheSettingsHoldsScheduledTests(t *testing.T) {
	now := time.Now()
	cfg, err := ParseConfig("test.yaml", fmt.Appendf(nil, `
site: s1
collectors: [{url: 'http://127.0.0.1:1', token: x}]
orders: {enabled: false}
meetings: [{from: '%s', to: '%s', note: Giao ban}]
checks: [{name: hub, kind: tcp, address: '127.0.0.1:1', path: lan, options: {timeout: 100ms}}]
`, now.Add(-time.Hour).Format(time.RFC3339), now.Add(time.Hour).Format(time.RFC3339)))
	if err != nil {
		t.Fatal(err)
	}
	a, err := New(cfg, Options{Log: quiet()})
	if err != nil {
		t.Fatal(err)
	}
	if a.orders != nil {
		t.Error("it would take orders")
	}
	a.current().Checks[0].Target.Kind, a.current().Checks[0].Probe = probes.KindWebRTC, talker{}
	a.takeOrders(orders.NewGate(cfg.meetings, time.Now))
	res := a.maker.Runner.Run(t.Context(), a.current().Checks[0])
	if res.Outcome != probes.OutcomeHeld || !strings.Contains(res.Error, "Giao ban") {
		t.Errorf("got %v: %s", res.Outcome, res.Error)
	}
}

// Whoever restarts a PC in the middle of a meeting has no media tests begin, whether or not the collector is there.
func TestHoldOutlivesTheAgent(t *testing.T) {
	h, _, a := running(t, talker{})
	h.tell(t, said.Order{ID: "h1", Kind: said.KindHold, Expires: said.Seconds(time.Second), Hold: &said.Hold{For: said.Seconds(time.Hour), Note: "Giao ban"}})
	h.until(t, "h1")
	again, err := New(a.cfg, Options{Log: quiet()})
	if err != nil {
		t.Fatal(err)
	}
	run := func() schedule.Result {
		again.current().Checks[0].Target.Kind, again.current().Checks[0].Probe = probes.KindWebRTC, talker{}
		again.takeOrders(orders.NewGate(nil, time.Now))
		return again.maker.Runner.Run(t.Context(), again.current().Checks[0])
	}
	if res := run(); res.Outcome != probes.OutcomeHeld || !strings.Contains(res.Error, "by the collector's word") || !strings.Contains(res.Error, "Giao ban") {
		t.Errorf("after a restart: %v: %s", res.Outcome, res.Error)
	}
	h.tell(t, said.Order{ID: "h2", Kind: said.KindHold, Expires: said.Seconds(time.Second), Hold: &said.Hold{}})
	h.until(t, "h2")
	if res := run(); res.Outcome != probes.OutcomeBusy {
		t.Errorf("after a restart with the hold ended: %v: %s", res.Outcome, res.Error)
	}
}

// Two checks of one office don't measure each other: the second waits, and is not cut off for having waited.
func TestTestsWithMediaTakeTurns(t *testing.T) {
	gate := orders.NewGate(nil, time.Now)
	_, leave, err := gate.Test(t.Context(), time.Second, 0)
	if err != nil {
		t.Fatal(err)
	}
	a, _ := newAgent(t, `- {name: hub, kind: webrtc, address: 'http://127.0.0.1:1/whip', path: lan, options: {token: x, timeout: 1s, duration: 3s}}`, Options{}, nil)
	check := a.current().Checks[0]
	before := check.Timeout
	begun := make(chan struct{})
	check.Probe = probeFunc(func(ctx context.Context) ([]probes.Point, error) {
		close(begun)
		end, ok := ctx.Deadline()
		if left := time.Until(end); !ok || left > a.cfg.Checks[0].options.Bound+checks.Grace {
			t.Errorf("it may go on for %v, want what a run may take", left)
		}
		return nil, nil
	})
	a.takeOrders(gate)
	if check.Timeout-before != orders.Patience || before-a.cfg.Checks[0].options.Bound-checks.Grace != orders.Patience {
		t.Errorf("runs end after %v, want %v more for the wait", check.Timeout, orders.Patience)
	}
	done := make(chan schedule.Result, 1)
	go func() { done <- a.maker.Runner.Run(t.Context(), check) }()
	select {
	case <-begun:
		t.Error("it began beside the other")
	case <-done:
		t.Error("it did not wait")
	case <-time.After(50 * time.Millisecond):
	}
	leave()
	if res := <-done; res.Outcome != probes.OutcomeOK {
		t.Errorf("got %v: %s", res.Outcome, res.Error)
	}
}

// A run by hand keeps to the meetings of the settings that it goes by, unless it is told not to.
func TestRunByHandKeepsToMeetings(t *testing.T) {
	now := time.Now()
	base, err := ParseConfig("test.yaml", fmt.Appendf(nil, `
site: s1
state_dir: '%s'
collectors: [{url: 'http://127.0.0.1:1', token: x}]
meetings: [{from: '%s', to: '%s', note: Giao ban}]
checks: []
`, t.TempDir(), now.Add(-time.Hour).Format(time.RFC3339), now.Add(time.Hour).Format(time.RFC3339)))
	if err != nil {
		t.Fatal(err)
	}
	outcome := func() probes.Outcome {
		cfg, err := ParseCheck([]byte(`{"checks": [{"name": "probe", "kind": "webrtc", "path": "lan", "address": "http://127.0.0.1:1/whip", "options": {"token": "x", "timeout": "2s"}}]}`), &base)
		if err != nil {
			t.Fatal(err)
		}
		res, err := Once(t.Context(), cfg, Options{Log: quiet()})
		if err != nil {
			t.Fatal(err)
		}
		return res[0].Outcome
	}
	if got := outcome(); got != probes.OutcomeHeld {
		t.Errorf("while a meeting is on: %v", got)
	}
	base.DuringMeetings()
	if got := outcome(); got == probes.OutcomeHeld {
		t.Errorf("told not to care: %v", got)
	}
}
