package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"communewatch/collector/rehearsal"
	"communewatch/probes"
	"communewatch/probes/orders"
	calls "communewatch/probes/webrtc/report"
	"communewatch/probes/wire"
)

func TestMistakesOfRehearsals(t *testing.T) {
	dir, config := setup(t)
	must(t, "sites", "import", write(t, dir, "sites.csv", list), config)
	for _, c := range []struct {
		name   string
		args   []string
		stderr []string
	}{
		{"no name", []string{"rehearsal", "plan", config}, []string{"--meeting: give the meeting's name"}},
		{"several mistakes", []string{"rehearsal", "plan", "--meeting=m", "--profile=4k", "--steps=9", "--step-seconds=1", config}, []string{"--profile: ", "--steps: ", "--step-seconds: "}},
		{"no time", []string{"rehearsal", "plan", "--meeting=m", "--at=soon", config}, []string{`--at: "soon"`, "06:30"}},
		{"no language", []string{"rehearsal", "plan", "--meeting=m", "--lang=fr", config}, []string{`"fr"`}},
		{"above the hub", []string{"rehearsal", "plan", "--meeting=m", "--config", write(t, dir, "small.yaml", "data_dir: data\nrehearsal: {hub_mbps: 1}\n")}, []string{"--steps: ", "with --force"}},
		{"start without a collector", []string{"rehearsal", "start", "--meeting=m", config}, []string{"no collector is running", "serve"}},
		{"status without a collector", []string{"rehearsal", "status", config}, []string{"no collector is running"}},
		{"stop without a collector", []string{"rehearsal", "stop", config}, []string{"no collector is running"}},
		{"hold of nothing", []string{"rehearsal", "hold", config}, []string{"--for TIME", "--end"}},
		{"hold and end", []string{"rehearsal", "hold", "--end", "--for=3h", config}, []string{"leave out --for"}},
		{"show nothing", []string{"rehearsal", "show", config}, []string{"give the rehearsal's id"}},
		{"show what is no id", []string{"rehearsal", "show", "12", config}, []string{`"12"`, "r12"}},
		{"show what is not there", []string{"rehearsal", "show", "r12", config}, []string{"r12: no such rehearsal", "rehearsal list"}},
		{"compare one", []string{"rehearsal", "compare", "r1", config}, []string{"two rehearsals"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			code, out, errs := run(t, c.args...)
			if code != 1 {
				t.Errorf("exit code %d", code)
			}
			contains(t, "stderr", errs, c.stderr...)
			if planned := strings.Contains(out, "Mbit/s"); planned != (c.name == "above the hub") {
				t.Errorf("beside its problems it prints %q", out)
			}
		})
	}
	out, errs := must(t, "rehearsal", "list", config)
	if out != "" || !strings.Contains(errs, "no rehearsal yet") {
		t.Errorf("%q %q", out, errs)
	}
}

// A plan can be made beside a collector or without one.
func TestPlanOffline(t *testing.T) {
	dir, config := setup(t)
	must(t, "sites", "import", write(t, dir, "sites.csv", list), config)
	out, _ := must(t, "rehearsal", "plan", "--meeting=Giao ban", "--steps=1,all", config)
	contains(t, "plan", out, "bước 1: 1 điểm, trung tâm gửi 2,1 Mbit/s", "bước 2: 2 điểm", "Máy chủ không chạy")
	out, _ = must(t, "rehearsal", "plan", "--meeting=Giao ban", "--steps=1,all", "--lang=en", "--json", config)
	var p rehearsal.Plan
	if err := json.Unmarshal([]byte(out), &p); err != nil || len(p.Sites) != 2 || p.Estimates[1].Sites != 2 {
		t.Error(err, out)
	}
}

// office is an agent that answers every order to call at once, as if it had called.
type office struct {
	t            *testing.T
	base, secret string
	lossUp       int // of 1000 packets
	mu           sync.Mutex
	orders       []orders.Order
}

// connect opens the order channel and serves it until ctx ends.
func (o *office) connect(ctx context.Context, running *sync.WaitGroup) {
	o.t.Helper()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, o.base+orders.Path, nil)
	if err != nil {
		o.t.Fatal(err)
	}
	o.sign(req)
	req.Header.Set(orders.HeaderChecks, "conference/dedicated")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		o.t.Fatal(err)
	}
	if resp.StatusCode != http.StatusOK {
		o.t.Fatal(resp.Status)
	}
	running.Go(func() {
		defer resp.Body.Close()
		lines := bufio.NewScanner(resp.Body)
		for lines.Scan() {
			var order orders.Order
			if len(bytes.TrimSpace(lines.Bytes())) == 0 || json.Unmarshal(lines.Bytes(), &order) != nil {
				continue
			}
			o.mu.Lock()
			o.orders = append(o.orders, order)
			o.mu.Unlock()
			if order.Kind == orders.KindCall {
				o.call(ctx, &order)
			}
		}
	})
}

func (o *office) sign(req *http.Request) {
	req.Header.Set("Authorization", "Bearer "+o.secret)
	req.Header.Set(wire.HeaderAgent, "pc")
}

func (o *office) call(ctx context.Context, order *orders.Order) {
	flow := func(d probes.Direction, lost int) calls.Flow {
		return calls.Flow{Direction: d, Media: probes.MediaVideo, Sent: 1000, Received: 1000 - lost, Lost: lost, LossRatio: float64(lost) / 1000}
	}
	for _, r := range []orders.Report{
		{Phase: orders.PhaseAccepted}, {Phase: orders.PhaseStarted},
		{Phase: orders.PhaseDone, Outcome: "ok", Path: probes.PathDedicated, Proof: probes.ProofProved, Check: "conference", Result: &calls.Call{
			Service: "reflector", Profile: order.Call.Profile.Name, Rehearsal: true, MediaSeconds: 5, LimitedBy: "none", RTT: &calls.Spread{Median: 0.01, P95: 0.01, P99: 0.01, Max: 0.01},
			Flows: []calls.Flow{flow(probes.DirectionUp, o.lossUp), flow(probes.DirectionDown, 0)},
		}},
	} {
		r.Order = order.ID
		body, _ := json.Marshal(r)
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, o.base+orders.ReportPath, bytes.NewReader(body))
		if err != nil {
			return
		}
		o.sign(req)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			return // the test is over
		}
		if resp.Body.Close(); resp.StatusCode != http.StatusNoContent {
			o.t.Errorf("report of %s: %s", r.Phase, resp.Status)
		}
	}
}

func (o *office) told(k orders.Kind) (n int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for i := range o.orders {
		if o.orders[i].Kind == k {
			n++
		}
	}
	return n
}

// From the command line through the running collector to agents over their order channels, and back.
func TestARehearsalByTheCommandLine(t *testing.T) {
	dir, config := setup(t)
	must(t, "sites", "import", write(t, dir, "sites.csv", list), config)
	ctx, stop := context.WithCancel(t.Context())
	var log safeBuffer
	var running sync.WaitGroup
	defer func() { stop(); running.Wait(); http.DefaultClient.CloseIdleConnections() }()
	running.Go(func() { execute(ctx, []string{"serve", config}, &log, &log) })
	address := regexp.MustCompile(`listen=(127\.0\.0\.1:\d+)`)
	ready := func() bool {
		_, err := os.Stat(filepath.Join(dir, "data", "collector.sock"))
		return err == nil && address.MatchString(log.String())
	}
	for deadline := time.Now().Add(60 * time.Second); !ready(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("does not start:", log.String())
		}
	}
	base := "http://" + address.FindStringSubmatch(log.String())[1]
	secret := func(site string) string {
		s, _ := must(t, "token", "create", "--site", site, config)
		return strings.TrimSpace(s)
	}
	good := &office{t: t, base: base, secret: secret("s1")}
	bad := &office{t: t, base: base, secret: secret("s2"), lossUp: 90}
	good.connect(ctx, &running)

	out, _ := must(t, "rehearsal", "start", "--meeting=Giao ban", "--profile=360p", "--steps=1,all", "--step-seconds=5", config)
	contains(t, "start", out, "bước 1: 1 điểm, trung tâm gửi", "1/2 điểm chưa kết nối máy đo: s2", "2 điểm: ", "r1 Giao ban, 360p: ", "Tích Sơn (s1)", "Liên Bảo (s2)")

	bad.connect(ctx, &running)
	out, _ = must(t, "rehearsal", "start", "--meeting=Giao ban", "--profile=360p", "--steps=1,all", "--step-seconds=5", "--lang=en", config)
	contains(t, "start", out, "r2 Giao ban, 360p: Done", "No-go 1", "1. Have the line of 1 site looked at: the worst: 9 % of packets lost towards the hub: Liên Bảo (s2)", "9.0 % / 0.0 %")
	out, _ = must(t, "rehearsal", "status", config)
	contains(t, "status", out, "r2 Giao ban: ", "2 điểm: ")
	out, _ = must(t, "rehearsal", "list", config)
	contains(t, "list", out, "r1", "r2", "360p", "Giao ban")
	out, _ = must(t, "rehearsal", "compare", "r1", "r2", "--lang=en", config)
	contains(t, "compare", out, "Worse: 0", "The same: 2") // what was not known is no change
	out, _ = must(t, "rehearsal", "show", "r2", "--json", config)
	var rep rehearsal.Report
	if err := json.Unmarshal([]byte(out), &rep); err != nil || len(rep.Results) != 3 || rep.Verdict.Counts[rehearsal.NoGo] != 1 {
		t.Errorf("%v %.2000s", err, out)
	}

	out, _ = must(t, "rehearsal", "start", "--meeting=Mai", "--at=06:30", config)
	contains(t, "planned", out, "Bắt đầu lúc 06:30", "rehearsal status r3")
	out, _ = must(t, "rehearsal", "stop", "r3", config)
	typed, _ := must(t, "audit", "export", "--act", "rehearsal.", config)
	contains(t, "record", typed, "rehearsal.start,r1,Giao ban", "rehearsal.start,r2", "rehearsal.stop,r3", ",command,")
	contains(t, "stop", out, "đã dừng")

	out, _ = must(t, "rehearsal", "hold", "--for=3h", "--meeting=Giao ban", config)
	contains(t, "hold", out, "đã gửi lệnh tới 2 máy đo")
	code, _, errs := run(t, "rehearsal", "start", "--meeting=m", config)
	if contains(t, "start while held", errs, "a meeting is on", "hold --end"); code != 1 {
		t.Error("begun while a meeting is on")
	}
	out, _ = must(t, "rehearsal", "hold", "--end", "--lang=en", config)
	contains(t, "hold", out, "2 agents were told")
	for deadline := time.Now().Add(30 * time.Second); good.told(orders.KindHold) < 2 || bad.told(orders.KindHold) < 2; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("the agents heard of %d and %d holds", good.told(orders.KindHold), bad.told(orders.KindHold))
		}
	}
}
