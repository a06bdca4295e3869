package lines_test

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"communewatch/deploy/lab/lines"
	"communewatch/probes"
	"communewatch/probes/bind"
	"communewatch/probes/icmp"

	"go.uber.org/goleak"
)

// childEnv makes the test binary one ping by an unprivileged user; its value is the address.
const childEnv = "LINES_PING"

func TestMain(m *testing.M) {
	if address := os.Getenv(childEnv); address != "" {
		o := icmp.DefaultOptions()
		o.Count, o.Interval = 5, 10*time.Millisecond
		r := probe(address, bind.Binding{}, o)
		_ = json.NewEncoder(os.Stdout).Encode(r)
		return
	}
	// The tests wait much and compute little, so more of them can run side by side than there are processors.
	flag.Parse()
	if err := flag.Set("test.parallel", "8"); err != nil {
		panic(err)
	}
	goleak.VerifyTestMain(m)
}

// result is a finished run.
type result struct {
	Fields  map[string]float64
	Outcome string
	Error   string
	took    time.Duration
}

func (r result) count(key string) int { return int(r.Fields[key]) }

func (r result) String() string {
	return fmt.Sprintf("%s after %v (%s): %v", r.Outcome, r.took.Round(time.Millisecond), r.Error, r.Fields)
}

// probe pings once from the host of the calling thread.
func probe(address string, b bind.Binding, o icmp.Options) result {
	target := probes.Target{Name: "far", Kind: probes.KindICMP, Path: b.Path, Layer: probes.Layer(b.Path), Address: address}
	begin := time.Now()
	var points []probes.Point
	p, err := icmp.New(target, b, o)
	if err == nil {
		points, err = p.Probe(context.Background())
	}
	r := result{Fields: map[string]float64{}, Outcome: probes.OutcomeOf(err).String(), took: time.Since(begin)}
	if err != nil {
		r.Error = err.Error()
	}
	for _, p := range points {
		for _, f := range p.Fields {
			r.Fields[f.Key] = f.Num
		}
	}
	return r
}

func ping(t *testing.T, from *lines.Space, address string, b bind.Binding, o icmp.Options) result {
	t.Helper()
	var r result
	if err := from.Do(func() error { r = probe(address, b, o); return nil }); err != nil {
		t.Fatal(err)
	}
	return r
}

// options are n pings, 10 ms apart. The wait is long, since a test machine may be busy with other things for a
// second, and an answer that comes too late is a lost one.
func options(n int) icmp.Options {
	o := icmp.DefaultOptions()
	o.Count, o.Interval, o.Wait = n, 10*time.Millisecond, 3*time.Second
	return o
}

// modes are the two kinds of socket: for root, whether ping sockets are open decides.
var modes = map[string]bool{"ping socket": true, "raw socket": false}

// oneLine is a site and a far host on one cable; far is 10.1.0.1.
func oneLine(t *testing.T) (site, far *lines.Space) {
	t.Helper()
	site, far = lines.New(t), lines.New(t)
	site.Cable(t, "wan", "10.1.0.2/24", far, "far", "10.1.0.1/24")
	return site, far
}

// TestLostIsWhatTheFilterDropped compares the probe's loss with the counters of packet filters that drop requests
// on their way there, answers on their way back, or both.
func TestLostIsWhatTheFilterDropped(t *testing.T) {
	lines.Need(t)
	const pings = 300
	for _, tt := range []struct {
		name, request, reply string // what to drop: nft expressions
		exactly              int    // lost, where the filter leaves no choice; else -1
	}{
		{"3 % of requests", "numgen inc mod 100 < 3", "", 9},
		{"every third request", "numgen inc mod 3 0", "", 100},
		{"5 % of replies", "", "numgen inc mod 100 < 5", 15},
		{"both ways", "numgen inc mod 50 < 1", "numgen inc mod 7 0", 48},
		{"random", "numgen random mod 100 < 10", "numgen random mod 100 < 10", -1},
		{"everything", "numgen inc mod 1 0", "", pings},
		{"nothing", "", "", 0},
	} {
		for mode, open := range modes {
			t.Run(tt.name+", "+mode, func(t *testing.T) {
				t.Parallel()
				onCalmMachine(t, func(v *verdict) {
					site, far := oneLine(t)
					site.AllowPing(t, open)
					far.Filter(t, `table ip truth { counter requests {}; counter dropped {};
					chain in { type filter hook input priority 0; icmp type echo-request counter name requests; `+drop("echo-request", tt.request)+` }
					chain out { type filter hook output priority 0; `+drop("echo-reply", tt.reply)+` }; }`)
					r := ping(t, site, "10.1.0.1", bind.Binding{Path: probes.PathBroadband, Device: "wan"}, options(pings))
					truth := far.Counters(t)
					if truth["requests"] != pings {
						v.Errorf("%d requests arrived, want %d", truth["requests"], pings)
					}
					if r.count("sent") != pings || r.count("lost") != truth["dropped"] || r.count("received") != pings-truth["dropped"] {
						v.Errorf("%d were dropped, but got %v", truth["dropped"], r)
					}
					if tt.exactly >= 0 && r.count("lost") != tt.exactly {
						v.Errorf("lost %d, want exactly %d", r.count("lost"), tt.exactly)
					}
					if want := float64(truth["dropped"]) / pings; r.Fields["loss_ratio"] != want {
						v.Errorf("loss ratio %v, want %v", r.Fields["loss_ratio"], want)
					}
					if r.count("send_errors")+r.count("duplicates")+r.count("reordered")+r.count("clock_steps") != 0 {
						v.Errorf("got %v", r)
					}
					if want := map[bool]string{true: "timeout", false: "ok"}[truth["dropped"] == pings]; r.Outcome != want {
						v.Errorf("got %v, want outcome %s", r, want)
					}
				})
			})
		}
	}
}

func drop(kind, share string) string {
	if share == "" {
		return ""
	}
	return "icmp type " + kind + " " + share + " counter name dropped drop;"
}

// TestResponder checks delays, duplicates, order and loss against the log of a host that answers by a script.
func TestResponder(t *testing.T) {
	lines.Need(t)
	const ms = time.Millisecond
	for _, tt := range []struct {
		name   string
		script lines.Script
	}{
		{"20 ms", func(int) []time.Duration { return []time.Duration{20 * ms} }},
		{"duplicates", func(n int) []time.Duration {
			if n%4 == 0 {
				return []time.Duration{5 * ms, 25 * ms, 45 * ms}
			}
			return []time.Duration{5 * ms}
		}},
		{"every fifth overtaken by two", func(n int) []time.Duration {
			if n%5 == 0 {
				return []time.Duration{55 * ms}
			}
			return []time.Duration{5 * ms}
		}},
		{"bursts of loss", func(n int) []time.Duration {
			if n%20 < 6 {
				return nil
			}
			return []time.Duration{5 * ms}
		}},
		{"everything at once", func(n int) []time.Duration {
			switch n % 9 {
			case 1:
				return nil
			case 3:
				return []time.Duration{30 * ms, 90 * ms}
			case 7:
				return []time.Duration{120 * ms}
			}
			return []time.Duration{time.Duration(n%4) * 2 * ms}
		}},
		{"answers after their time", func(n int) []time.Duration {
			if n%10 == 2 {
				return []time.Duration{2000 * ms}
			}
			return []time.Duration{5 * ms}
		}},
	} {
		for mode, open := range modes {
			t.Run(tt.name+", "+mode, func(t *testing.T) {
				t.Parallel()
				const pings, wait = 60, 1500 * ms
				onCalmMachine(t, func(v *verdict) {
					site := lines.New(t)
					site.AllowPing(t, open)
					responder := site.Responder(t, "tun", "10.5.0.1/24", tt.script)
					o := options(pings)
					o.Interval, o.Wait = 20*ms, wait
					r := ping(t, site, "10.5.0.2", bind.Binding{Path: probes.PathDedicated, Device: "tun"}, o)
					if seen := responder.Seen(); seen != pings {
						v.Errorf("%d pings arrived: %v", seen, r)
						return
					}
					compare(v, r, truth(responder.Answers(), pings, o.Wait))
				})
			})
		}
	}
}

// account is what a run should have found.
type account struct {
	received, duplicates, reordered, runs, longest int
	min, mean                                      time.Duration
}

// truth works out from the responder's log what the probe should have found. It is done when the last ping that was
// still open is answered.
func truth(log []lines.Answer, pings int, wait time.Duration) account {
	var a account
	next, sum := 0, time.Duration(0)
	got := make([]bool, pings)
	for _, answer := range log {
		if a.received == pings {
			break
		}
		switch {
		case answer.Took > wait:
		case got[answer.N]:
			a.duplicates++
		default:
			got[answer.N] = true
			a.received++
			sum += answer.Took
			if a.min == 0 || answer.Took < a.min {
				a.min = answer.Took
			}
			if answer.N < next {
				a.reordered++
			}
			next = max(next, answer.N+1)
		}
	}
	a.mean = sum / time.Duration(max(a.received, 1))
	run := 0
	for _, ok := range got {
		if ok {
			run = 0
			continue
		}
		if run == 0 {
			a.runs++
		}
		run++
		a.longest = max(a.longest, run)
	}
	return a
}

func compare(v *verdict, r result, want account) {
	got := account{received: r.count("received"), duplicates: r.count("duplicates"), reordered: r.count("reordered"),
		runs: r.count("loss_runs"), longest: r.count("longest_loss_run"), min: want.min, mean: want.mean}
	if got != want {
		v.Errorf("got  %+v\nwant %+v", got, want)
	}
	// The responder knows neither the way through the kernel nor how long either process waited for a processor.
	const tolerance = 5e-3
	for key, d := range map[string]time.Duration{"rtt_min_seconds": want.min, "rtt_mean_seconds": want.mean} {
		if off := r.Fields[key] - d.Seconds(); off < -1e-4 || off > tolerance {
			v.Errorf("%s = %.6f, but the responder took %.6f", key, r.Fields[key], d.Seconds())
		}
	}
}

// TestDontFragment sends packets around the size that the line carries.
func TestDontFragment(t *testing.T) {
	lines.Need(t)
	for _, tt := range []struct {
		name  string
		size  int
		inner int // MTU behind the router
		want  float64
	}{
		{"as large as the line", 1500, 1500, 1},
		{"one byte too large", 1501, 1500, 0},
		{"fits the narrow part", 1400, 1400, 1},
		{"too large for the narrow part", 1401, 1400, 0},
	} {
		for mode, open := range modes {
			t.Run(tt.name+", "+mode, func(t *testing.T) {
				t.Parallel()
				site, router := oneLine(t)
				router.Router(t)
				far := lines.New(t)
				router.Cable(t, "on", "10.2.0.1/24", far, "far", "10.2.0.2/24")
				router.MTU(t, "on", tt.inner)
				far.MTU(t, "far", tt.inner)
				site.Route(t, "10.2.0.0/24", "10.1.0.1", "wan", 0)
				far.Route(t, "10.1.0.0/24", "10.2.0.1", "far", 0)
				site.AllowPing(t, open)
				o := options(5)
				o.DFSize = tt.size
				r := ping(t, site, "10.2.0.2", bind.Binding{Path: probes.PathBroadband, Device: "wan"}, o)
				if got, ok := r.Fields["df_ok"]; !ok || got != tt.want || r.count("df_size_bytes") != tt.size {
					t.Errorf("%d bytes: got %v", tt.size, r)
				}
				if r.Outcome != "ok" || r.count("received") != 5 {
					t.Errorf("the check of the size spoiled the burst: %v", r)
				}
			})
		}
	}
}

// TestRefusedBySystem covers the ways in which the system itself says no. Neither may hang or pass for "no
// permission", and every refused attempt is a lost one.
func TestRefusedBySystem(t *testing.T) {
	lines.Need(t)
	for _, tt := range []struct {
		name    string
		prepare func(t *testing.T, site *lines.Space)
		outcome string
	}{
		{"no route", func(*testing.T, *lines.Space) {}, "unreachable"},
		{"prohibited by a route", func(t *testing.T, site *lines.Space) { site.Command(t, "ip", "route", "add", "prohibit", "10.9.9.9") }, "unreachable"},
		{"local firewall", func(t *testing.T, site *lines.Space) {
			site.Route(t, "0.0.0.0/0", "10.1.0.1", "wan", 0)
			site.Filter(t, "table ip f { chain out { type filter hook output priority 0; icmp type echo-request drop; }; }")
		}, "timeout"},
	} {
		for mode, open := range modes {
			t.Run(tt.name+", "+mode, func(t *testing.T) {
				t.Parallel()
				site, _ := oneLine(t)
				site.AllowPing(t, open)
				tt.prepare(t, site)
				r := ping(t, site, "10.9.9.9", bind.Binding{Path: probes.PathBroadband}, options(10))
				if r.Outcome != tt.outcome || r.count("sent") != 10 || r.count("send_errors") != 10 || r.count("lost") != 10 || r.Fields["loss_ratio"] != 1 {
					t.Errorf("got %v, want %s and 10 of 10 refused", r, tt.outcome)
				}
				if _, ok := r.Fields["rtt_min_seconds"]; ok {
					t.Errorf("a round-trip time without an answer: %v", r)
				}
				if r.took < 90*time.Millisecond || r.took > 3*time.Second {
					t.Errorf("took %v for 10 attempts, 10 ms apart", r.took)
				}
			})
		}
	}
}

// TestUnprivileged pings as a user without any capability: possible if ping sockets are open, else it says what
// would make it so.
func TestUnprivileged(t *testing.T) {
	lines.Need(t)
	for mode, open := range modes {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			site, _ := oneLine(t)
			site.AllowPing(t, open)
			var r result
			err := site.Do(func() error {
				child := exec.Command("/proc/self/exe")
				child.Env = append(os.Environ(), childEnv+"=10.1.0.1")
				child.Dir = "/"
				child.Stderr = os.Stderr
				child.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
				out, err := child.Output()
				if err != nil {
					return err
				}
				return json.Unmarshal(out, &r)
			})
			if err != nil {
				t.Fatal(err)
			}
			if open {
				if r.Outcome != "ok" || r.count("received") != 5 {
					t.Errorf("got %v", r)
				}
				return
			}
			if r.Outcome != "no_permission" || len(r.Fields) != 0 {
				t.Errorf("got %v", r)
			}
			for _, fix := range []string{"net.ipv4.ping_group_range", "CAP_NET_RAW"} {
				if !strings.Contains(r.Error, fix) {
					t.Errorf("error %q does not name %s", r.Error, fix)
				}
			}
		})
	}
}

// TestProve asks the routers of two lines which of them the packets take.
func TestProve(t *testing.T) {
	lines.Need(t)
	site, far := lines.New(t), lines.New(t)
	for i, line := range []string{"one", "two"} {
		router := lines.New(t).Router(t)
		site.Cable(t, line, fmt.Sprintf("10.%d.0.2/24", i+1), router, "site", fmt.Sprintf("10.%d.0.1/24", i+1))
		router.Cable(t, "far", fmt.Sprintf("10.%d.0.1/24", i+11), far, line, fmt.Sprintf("10.%d.0.2/24", i+11))
		router.Route(t, "10.9.9.9/32", fmt.Sprintf("10.%d.0.2", i+11), "far", 0)
		far.Route(t, fmt.Sprintf("10.%d.0.0/24", i+1), fmt.Sprintf("10.%d.0.1", i+11), line, 0)
		site.Route(t, "0.0.0.0/0", fmt.Sprintf("10.%d.0.1", i+1), line, i)
		router.Route(t, fmt.Sprintf("10.%d.0.0/24", 2-i), fmt.Sprintf("10.%d.0.2", i+1), "site", 0) // answers to the other line's address
		if line == "two" {
			router.Filter(t, "table ip f { counter silenced {}; chain out { type filter hook output priority 0; icmp type time-exceeded meta mark != 1 oifname site ip daddr 10.2.0.22 counter name silenced drop; }; }")
		}
	}
	far.Address(t, "lo", "10.9.9.9/32")
	site.Address(t, "two", "10.2.0.22/24")

	one, two := prefixes("10.1.0.1/32"), prefixes("10.2.0.0/24")
	for _, tt := range []struct {
		name  string
		bind  bind.Binding
		hop   bind.Hop
		proof probes.Proof
		seen  string
	}{
		{"no hop asked", bind.Binding{}, bind.Hop{}, probes.ProofUnproven, ""},
		{"no hop asked, device", bind.Binding{Device: "one"}, bind.Hop{}, probes.ProofBound, ""},
		{"expected router", bind.Binding{}, bind.Hop{TTL: 1, Expect: one, Refuse: two}, probes.ProofProved, "10.1.0.1"},
		{"another line's router", bind.Binding{}, bind.Hop{TTL: 1, Expect: two, Refuse: one}, probes.ProofWrong, "10.1.0.1"},
		{"source alone goes the wrong way", bind.Binding{Source: netip.MustParseAddr("10.2.0.2")}, bind.Hop{TTL: 1, Expect: two, Refuse: one}, probes.ProofWrong, "10.1.0.1"},
		{"device goes the right way", bind.Binding{Device: "two", Source: netip.MustParseAddr("10.2.0.2")}, bind.Hop{TTL: 1, Expect: two, Refuse: one}, probes.ProofProved, "10.2.0.1"},
		{"a router nobody named", bind.Binding{}, bind.Hop{TTL: 1, Expect: two}, probes.ProofUnproven, "10.1.0.1"},
		{"a router nobody named, device", bind.Binding{Device: "one"}, bind.Hop{TTL: 1, Expect: two}, probes.ProofBound, "10.1.0.1"},
		{"refused wins", bind.Binding{}, bind.Hop{TTL: 1, Expect: one, Refuse: one}, probes.ProofWrong, "10.1.0.1"},
		{"silent router", bind.Binding{Device: "two", Source: netip.MustParseAddr("10.2.0.22")}, bind.Hop{TTL: 1, Expect: two}, probes.ProofBound, ""},
		{"nearer than the hop", bind.Binding{}, bind.Hop{TTL: 5, Expect: prefixes("10.9.9.0/24")}, probes.ProofProved, "10.9.9.9"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var proof probes.Proof
			var seen netip.Addr
			begin := time.Now()
			err := site.Do(func() (err error) {
				proof, seen, err = bind.Prove(t.Context(), tt.bind, netip.MustParseAddr("10.9.9.9"), tt.hop)
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
			if got := seen.IsValid(); got != (tt.seen != "") || got && seen != netip.MustParseAddr(tt.seen) || proof != tt.proof {
				t.Errorf("got %s by %v, want %s by %s", proof, seen, tt.proof, tt.seen)
			}
			if took := time.Since(begin); took > 3*time.Second {
				t.Errorf("took %v", took)
			}
		})
	}
}

func prefixes(s ...string) (p []netip.Prefix) {
	for _, s := range s {
		p = append(p, netip.MustParsePrefix(s))
	}
	return p
}
