package api

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"communewatch/collector/health"
	"communewatch/collector/recall"
	"communewatch/probes"
	"communewatch/probes/wire"
)

// officeRows makes rows of an office with 20 checks, as its agent would send them.
type officeRows struct {
	rng  *rand.Rand
	rows []wire.Row
}

// officeChecks says how many checks of each kind there are.
var officeChecks = []struct {
	kind   string
	number int
}{{"icmp", 12}, {"tcp", 3}, {"dns", 3}, {"http", 2}}

func (o *officeRows) add(key string, at time.Time, fields ...wire.Field) {
	o.rows = append(o.rows, wire.Row{Key: []byte(key), Time: at.UnixNano(), Fields: fields})
}

func num(key string, v float64) wire.Field {
	return wire.Field{Key: []byte(key), Type: probes.TypeFloat, Num: v}
}
func text(key, v string) wire.Field {
	return wire.Field{Key: []byte(key), Type: probes.TypeString, Str: []byte(v)}
}

// run adds one run of every check.
func (o *officeRows) run(at time.Time) {
	rtt := func() float64 { return float64(2000+o.rng.IntN(900)) / 1e6 }
	for _, k := range officeChecks {
		for n := range k.number {
			down := (at.Unix()/3600+int64(n))%97 == 0 // an hour every four days
			tags := fmt.Sprintf("agent=pc,path=lan,site=s0,target=%s%d", k.kind, n)
			lost := 0.0
			if o.rng.IntN(50) == 0 {
				lost = 1
			}
			if !down {
				switch k.kind {
				case "icmp":
					r := rtt()
					o.add("icmp,"+tags, at, num("sent", 10), num("lost", lost), num("received", 10-lost), num("loss_ratio", lost/10),
						num("rtt_min_seconds", r*0.9), num("rtt_median_seconds", r), num("rtt_p95_seconds", r*1.3), num("rtt_max_seconds", r*1.5), num("jitter_seconds", rtt()/8))
				case "tcp":
					o.add("tcp,"+tags, at, num("connect_seconds", rtt()))
				case "dns":
					o.add("dns,"+tags+",resolver=r", at, num("query_seconds", rtt()), num("rcode", 0), num("answers", 2))
				case "http":
					o.add("http,"+tags, at, num("connect_seconds", rtt()), num("first_byte_seconds", rtt()), num("total_seconds", rtt()*3), num("status", 200))
				}
			}
			key := fmt.Sprintf("check,agent=pc,kind=%s,layer=lan,path=lan,site=s0,target=%s%d", k.kind, k.kind, n)
			if down {
				o.add(key, at, text("outcome", "timeout"), num("up", 0), num("took_seconds", 5), num("interval_seconds", 30), text("path_proof", "bound"), text("error", "no answer within 5 s"))
			} else {
				o.add(key, at, text("outcome", "ok"), num("up", 1), num("took_seconds", rtt()*9), num("interval_seconds", 30), text("path_proof", "bound"))
			}
		}
	}
}

// office is a house with days of such an office before t0. late has a newer row come first.
func office(t testing.TB, days int, late bool) *house {
	t.Helper()
	h := newHouse(t, 1)
	o := officeRows{rng: rand.New(rand.NewPCG(1, 2))}
	send := func() {
		if err := h.store.Append(t.Context(), o.rows); err != nil {
			t.Fatal(err)
		}
		o.rows = o.rows[:0]
	}
	if late {
		o.run(t0.Add(-30 * time.Second))
		send()
	}
	for at := t0.Add(-time.Duration(days) * 24 * time.Hour); at.Before(t0); at = at.Add(30 * time.Second) {
		if !late {
			h.mu.Lock()
			h.now = at
			h.mu.Unlock()
		}
		if o.run(at); len(o.rows) > 2000 {
			send()
		}
	}
	send()
	h.mu.Lock()
	h.now = t0
	h.mu.Unlock()
	return h
}

// A history that is read in pieces must be the one that the judge makes of everything at once.
func TestHistoryIsThePlainReplay(t *testing.T) {
	h := office(t, 2, false)
	from, to := t0.Add(-30*time.Hour), t0.Add(-time.Hour)
	got, err := h.replay(t.Context(), "s0", from, to)
	if err != nil {
		t.Fatal(err)
	}
	rules := h.judge.Rules()
	obs, err := recall.Checks(t.Context(), h.store, &rules, recall.Range{Site: "s0", From: from.Add(-historyWarmUp), To: to})
	if err != nil {
		t.Fatal(err)
	}
	want := health.Replay(rules, obs, from, to)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%.3000s", diff)
	}
	if n := len(want.Sites["s0"].Site); n < 5 {
		t.Errorf("only %d changes in a day: the test proves little", n)
	}
}

func TestALongHistoryIsKeptForAMoment(t *testing.T) {
	h := newHouse(t, 2)
	run := func(i int) {
		h.ping(t, "s1", "gw", t0.Add(time.Duration(i)*30*time.Second), 10, 0, probes.OutcomeOK)
	}
	for i := range 40 {
		run(i)
	}
	changes := func(length string) int {
		return len(decode[History](t, h.get(t, "/api/v1/sites/s1/history?range="+length)).Site)
	}
	h.at(t0.Add(40 * time.Minute)) // silent for 20
	if n := changes("24h"); n != 3 {
		t.Fatalf("%d stays", n)
	}
	for i := 40; i < 80; i++ {
		run(i) // late
	}
	h.at(t0.Add(40*time.Minute + 29*time.Second))
	if n := changes("24h"); n != 3 {
		t.Errorf("worked out again within half a minute: %d stays", n)
	}
	if n := changes("2h"); n != 2 {
		t.Errorf("late rows are not in a short history: %d stays", n)
	}
	if n := len(decode[History](t, h.get(t, "/api/v1/sites/s0/history?range=24h")).Site); n != 1 {
		t.Errorf("another site's: %d stays", n)
	}
	h.at(t0.Add(40*time.Minute + 31*time.Second))
	if n := changes("24h"); n != 2 {
		t.Errorf("late rows are not in a long history after half a minute: %d stays", n)
	}
}

func TestFewHistoriesAreKept(t *testing.T) {
	var s answers
	for i := range 3 * historyKept {
		s.keep(question{site: fmt.Sprint(i)}, answer{made: t0.Add(time.Duration(i) * time.Second)})
	}
	_, newest := s.find(question{site: fmt.Sprint(3*historyKept - 1)}, 24*time.Hour, t0.Add(3*historyKept*time.Second))
	if len(s.kept) != historyKept || !newest {
		t.Errorf("%d are kept; the newest: %v", len(s.kept), newest)
	}
}
