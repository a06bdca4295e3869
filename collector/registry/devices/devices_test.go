package devices_test

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"communewatch/collector/registry"
	"communewatch/collector/registry/devices"
	"communewatch/inventory"
	"communewatch/probes"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var t0 = time.Date(2026, 11, 23, 8, 0, 0, 0, time.UTC)

func open(t testing.TB, file string) *registry.Registry {
	t.Helper()
	r, err := registry.Open(t.Context(), file, registry.Options{Log: slog.New(slog.DiscardHandler), Now: func() time.Time { return t0 }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
	return r
}

func openNew(t testing.TB) *devices.Store {
	return open(t, filepath.Join(t.TempDir(), "registry.db")).Devices()
}

// seen is a sighting of one switch unless facts say otherwise: "serial=FOC1".
func seen(at time.Duration, facts ...string) devices.Sighting {
	s := devices.Sighting{Site: "s1", Agent: "pc", Target: "switch", Path: "lan", Key: "main", Kind: "snmp", At: t0.Add(at)}
	for _, f := range facts {
		name, value, _ := strings.Cut(f, "=")
		s.Facts = append(s.Facts, probes.Fact{Name: probes.FactName(name), Value: value, Source: "snmp 1.2.3", Confidence: 0.9})
	}
	return s
}

func see(t testing.TB, s *devices.Store, list ...devices.Sighting) {
	t.Helper()
	if err := s.See(t.Context(), list); err != nil {
		t.Fatal(err)
	}
}

func all(t testing.TB, s *devices.Store) []devices.Device {
	t.Helper()
	n, err := s.Since(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	return n.Devices
}

// values are the present facts of a device as "name=value", sorted.
func values(d devices.Device) []string {
	var out []string
	for _, f := range d.Facts {
		out = append(out, string(f.Name)+"="+f.Value)
	}
	slices.Sort(out)
	return out
}

var cisco = []string{"vendor=Cisco", "model=WS-C2960-24TT-L", "serial=FOC1010X104", "version=12.2(55)SE"}

func with(facts []string, more ...string) []string {
	out := slices.Clone(facts)
	for _, m := range more {
		name, _, _ := strings.Cut(m, "=")
		out = append(slices.DeleteFunc(out, func(f string) bool { return strings.HasPrefix(f, name+"=") }), m)
	}
	return out
}

func TestSeenAgainAndAfterARestart(t *testing.T) {
	file := filepath.Join(t.TempDir(), "registry.db")
	first := open(t, file)
	see(t, first.Devices(), seen(0, cisco...), seen(time.Hour, cisco...))
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	s := open(t, file).Devices()
	before := all(t, s)
	if len(before) != 1 || before[0].ID != 1 || !before[0].First.Equal(t0) || !before[0].Last.Equal(t0.Add(time.Hour)) {
		t.Fatalf("%+v", before)
	}
	if got := before[0].Facts[0]; !got.From.Equal(t0) || !got.To.Equal(t0.Add(time.Hour)) || got.Confidence != 0.9 {
		t.Errorf("%+v", got)
	}
	if g := before[0].Sightings; len(g) != 1 || g[0].Kind != "snmp" || g[0].Target != "switch" {
		t.Errorf("%+v", g)
	}
	see(t, s, seen(0, cisco...), seen(time.Hour, cisco...)) // sent again
	if diff := cmp.Diff(before, all(t, s)); diff != "" {
		t.Errorf("a replay changed: %s", diff)
	}
	see(t, s, seen(2*time.Hour, cisco...)) // known again after the restart
	if got := all(t, s); len(got) != 1 || !got[0].Last.Equal(t0.Add(2*time.Hour)) {
		t.Errorf("%+v", got)
	}
}

// Whatever the order in which rows arrive, the same is known in the end.
func TestOrderOfArrivalDoesNotMatter(t *testing.T) {
	var list []devices.Sighting
	for i, version := range []string{"1.0", "1.0", "1.1", "1.1", "1.1", "1.2", "1.0", "1.0"} {
		list = append(list, seen(time.Duration(i)*time.Hour, with(cisco, "version="+version)...))
	}
	var want []devices.Fact
	for round := range 20 {
		s := openNew(t)
		if round > 0 {
			rand.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
		}
		for _, sg := range list {
			see(t, s, sg)
		}
		see(t, s, list...)
		got, err := s.History(t.Context(), 1)
		if err != nil {
			t.Fatal(err)
		}
		got = slices.DeleteFunc(got, func(f devices.Fact) bool { return f.Name != probes.FactVersion })
		for i := range got {
			if f := got[i]; i > 0 && (f.Value == got[i-1].Value || f.From.Before(got[i-1].To)) {
				t.Fatalf("%+v", got)
			}
		}
		d := all(t, s)
		if len(d) != 1 || !slices.Contains(values(d[0]), "version=1.0") || !d[0].Last.Equal(t0.Add(7*time.Hour)) {
			t.Fatalf("%+v", d)
		}
		if round == 0 {
			want = got
			if len(want) != 4 {
				t.Fatalf("%+v", want)
			}
		} else if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("order %v: %s", list, diff)
		}
	}
}

func TestTwoAgentsSeeOneDevice(t *testing.T) {
	s := openNew(t)
	other := seen(time.Minute, with(cisco, "model=WS-C2960")...)
	other.Agent, other.Target, other.Key, other.Kind = "laptop", "lan", "x7", "sweep"
	see(t, s, seen(0, cisco...), other)
	d := all(t, s)
	if len(d) != 1 || len(d[0].Sightings) != 2 {
		t.Fatalf("%+v", d)
	}
	if got := values(d[0]); !slices.Contains(got, "model=WS-C2960") || !slices.Contains(got, "model=WS-C2960-24TT-L") {
		t.Error("what the two say must stand side by side:", got)
	}
	// Each goes on, one of them with less than what identifies.
	weak := seen(2*time.Minute, "address=10.0.0.2", "class=switch")
	see(t, s, weak, other)
	if d := all(t, s); len(d) != 1 {
		t.Errorf("%+v", d)
	}
}

func TestMovesToAnotherSite(t *testing.T) {
	s := openNew(t)
	moved := seen(48*time.Hour, cisco...)
	moved.Site, moved.Target = "s2", "sw"
	see(t, s, seen(0, cisco...), moved)
	d := all(t, s)
	if len(d) != 1 || d[0].Site != "s2" || len(d[0].Sightings) != 2 {
		t.Fatalf("%+v", d)
	}
	see(t, s, seen(time.Hour, cisco...)) // late: it was still at the first
	if d := all(t, s); len(d) != 1 || d[0].Site != "s2" || !d[0].Last.Equal(moved.At) {
		t.Errorf("%+v", d)
	}
}

func TestJunkSerialsJoinNothing(t *testing.T) {
	for _, junk := range []string{"0123456789", "None", "To be filled by O.E.M.", "N/A", "Default string"} {
		s := openNew(t)
		for i := range 3 {
			sg := seen(time.Duration(i)*time.Minute, "vendor=Acme", "model=X", "serial="+junk)
			sg.Key = fmt.Sprint("k", i)
			see(t, s, sg)
		}
		if d := all(t, s); len(d) != 3 {
			t.Errorf("%q: %d devices", junk, len(d))
		}
	}
}

func TestReplacedAtItsPlace(t *testing.T) {
	s := openNew(t)
	see(t, s, seen(0, cisco...), seen(time.Hour, with(cisco, "serial=FOC2222X222")...), seen(2*time.Hour, with(cisco, "serial=FOC2222X222")...))
	d := all(t, s)
	if len(d) != 2 || !d[0].Last.Equal(t0) || !d[1].First.Equal(t0.Add(time.Hour)) {
		t.Fatalf("%+v", d)
	}
	see(t, s, seen(30*time.Minute, "class=switch")) // late, with nothing to identify: it is what stood there then
	if d := all(t, s); len(d) != 2 || !d[0].Last.Equal(t0.Add(30*time.Minute)) {
		t.Errorf("%+v", d)
	}
}

// Two devices that turn out to be one: the older number stays, the younger one leads to it, nothing is lost.
func TestTwoBecomeOne(t *testing.T) {
	s := openNew(t)
	ctx := t.Context()
	byMAC := seen(0, "mac=00:1b:0d:63:c2:26", "vendor=Cisco")
	byMAC.Target, byMAC.Key = "sweep", "x1"
	see(t, s, byMAC)
	bySerial := seen(time.Minute, cisco...)
	see(t, s, bySerial)
	if _, err := s.Say(ctx, devices.Statement{Device: 2, Name: "reachable", Value: "no", Source: "x", By: "Lan"}); err != nil {
		t.Fatal(err)
	}
	before, err := s.Since(ctx, 0)
	if err != nil || len(before.Devices) != 2 {
		t.Fatal(err, before)
	}
	see(t, s, seen(2*time.Minute, with(cisco, "mac=00:1b:0d:63:c2:26")...))
	news, err := s.Since(ctx, before.Revision)
	if err != nil || len(news.Devices) != 1 || news.Became[2] != 1 {
		t.Fatalf("%v %+v", err, news)
	}
	d, err := s.Device(ctx, 2)
	if err != nil || d.ID != 1 || len(d.Sightings) != 2 || len(d.Statements) != 1 || !d.First.Equal(t0) || !d.Last.Equal(t0.Add(2*time.Minute)) {
		t.Errorf("%v %+v", err, d)
	}
	if got := values(d); !slices.Contains(got, "serial=FOC1010X104") || !slices.Contains(got, "mac=00:1b:0d:63:c2:26") {
		t.Error(got)
	}
	if _, err := s.Say(ctx, devices.Statement{Device: 2, Name: "isolated", Value: "VLAN 9", Source: "x", By: "Lan"}); err != nil {
		t.Error("the old number is good for ever:", err)
	}
	see(t, s, byMAC, bySerial, seen(time.Hour, cisco...)) // replays and what comes next
	if got := all(t, s); len(got) != 1 || got[0].ID != 1 || len(got[0].Statements) != 2 {
		t.Errorf("%+v", got)
	}
}

// The command line has the file open too, and a transaction that was undone must leave nothing behind in memory.
func TestAnotherProcessWritesToo(t *testing.T) {
	file := filepath.Join(t.TempDir(), "registry.db")
	a, b := open(t, file).Devices(), open(t, file).Devices()
	see(t, a, seen(0, cisco...))
	see(t, b, seen(time.Hour, cisco...))
	other := seen(2*time.Hour, with(cisco, "serial=FOC9999X999")...)
	other.Key = "other"
	see(t, b, other)
	see(t, a, other, seen(3*time.Hour, cisco...))
	if _, err := b.Say(t.Context(), devices.Statement{Device: 2, Name: "reachable", Value: "no", Source: "x", By: "Lan"}); err != nil {
		t.Fatal(err)
	}
	if d := all(t, a); len(d) != 2 || !d[0].Last.Equal(t0.Add(3*time.Hour)) || len(d[1].Statements) != 1 {
		t.Errorf("%+v", d)
	}
}

func TestPrune(t *testing.T) {
	clock := t0
	r, err := registry.Open(t.Context(), filepath.Join(t.TempDir(), "registry.db"), registry.Options{Log: slog.New(slog.DiscardHandler), Now: func() time.Time { return clock }})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	s := r.Devices()
	laptop := seen(0, "class=pc", "mac=00:1b:0d:63:c2:26")
	laptop.Key = "laptop"
	spoken := seen(0, "class=printer", "mac=00:1b:0d:63:c2:27")
	spoken.Key = "printer"
	see(t, s, seen(0, cisco...), laptop, spoken)
	if _, err := s.Say(t.Context(), devices.Statement{Device: 3, Name: "model", Value: "X", Source: "x", By: "Lan"}); err != nil {
		t.Fatal(err)
	}
	before, err := s.Since(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		days int
		want []devices.ID
	}{{30, []devices.ID{1, 2, 3}}, {500, []devices.ID{1, 3}}} {
		clock = t0.AddDate(0, 0, c.days)
		if err := s.Prune(t.Context()); err != nil {
			t.Fatal(err)
		}
		var got []devices.ID
		for _, d := range all(t, s) {
			got = append(got, d.ID)
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("after %d days: %v, want %v", c.days, got, c.want)
		}
	}
	if n, err := s.Since(t.Context(), before.Revision); err != nil || !n.All || len(n.Devices) != 2 {
		t.Errorf("who asks for news must hear that some are gone: %v %+v", err, n)
	}
	again := laptop
	again.At = clock
	see(t, s, again)
	if got := all(t, s); len(got) != 3 || got[2].ID != 4 {
		t.Errorf("a number is never used again: %+v", got)
	}
}

// A run's rows may be torn apart by the bounds of a batch.
func TestRowsOfOneMomentBelongTogether(t *testing.T) {
	s := openNew(t)
	see(t, s, seen(0, "vendor=Cisco", "model=X"))
	see(t, s, seen(0, "serial=FOC1010X104"))
	if d := all(t, s); len(d) != 1 || len(d[0].Facts) != 3 {
		t.Errorf("%+v", d)
	}
}

func TestSinceTellsWhatChanged(t *testing.T) {
	s := openNew(t)
	a, b := seen(0, cisco...), seen(0, with(cisco, "serial=FOC9999X999")...)
	b.Key = "other"
	see(t, s, a, b)
	n, err := s.Since(t.Context(), 0)
	if err != nil || len(n.Devices) != 2 || !n.All {
		t.Fatal(err, n)
	}
	if n, err = s.Since(t.Context(), n.Revision); err != nil || len(n.Devices) != 0 || n.All {
		t.Fatal(err, n)
	}
	a.At = t0.Add(time.Hour)
	see(t, s, a)
	if n, err = s.Since(t.Context(), n.Revision); err != nil || len(n.Devices) != 1 || n.Devices[0].ID != 1 {
		t.Fatal(err, n)
	}
}

func TestHostile(t *testing.T) {
	s := openNew(t)
	nasty := "'; DROP TABLE devices; --\x00\u202e<script>"
	sg := seen(0, "model="+nasty, "serial="+nasty)
	sg.Facts = append(sg.Facts, slices.Repeat([]probes.Fact{{Name: "descr", Value: "x"}}, 1000)...)
	see(t, s, sg)
	d := all(t, s)
	if len(d) != 1 || !slices.Contains(values(d[0]), "model="+nasty) {
		t.Errorf("%+v", d)
	}
	// A fact that flaps does not fill the disk.
	for i := range 200 {
		see(t, s, seen(time.Duration(i+1)*time.Minute, with(cisco, fmt.Sprint("version=", i))...))
	}
	h, err := s.History(t.Context(), all(t, s)[0].ID)
	if err != nil || len(h) > 150 {
		t.Error(err, len(h))
	}
}

func TestAsManyAsASiteMayHave(t *testing.T) {
	if testing.Short() {
		t.Skip("makes 2,000 devices; run without -short")
	}
	s := openNew(t)
	var list []devices.Sighting
	for i := range 2010 {
		sg := seen(0, fmt.Sprintf("serial=SN%08d", i), "vendor=Acme")
		sg.Key = fmt.Sprint("k", i)
		list = append(list, sg)
	}
	see(t, s, list...)
	elsewhere := seen(0, "serial=ELSEWHERE1", "vendor=Acme")
	elsewhere.Site = "s2"
	see(t, s, elsewhere)
	if d := all(t, s); len(d) != 2001 {
		t.Error(len(d))
	}
}

func TestPeople(t *testing.T) {
	s := openNew(t)
	ctx := t.Context()
	see(t, s, seen(0, cisco...))
	say := devices.Statement{Device: 1, Name: "model", Value: "WS-C2960-24TT-L", Source: "ảnh nhãn máy 12/QĐ", By: "Lan"}
	for _, bad := range []devices.Statement{{}, {Device: 1, Name: "model", Value: "x", By: "Lan"}, {Device: 1, Name: "model", Value: "x\ny", Source: "s", By: "Lan"},
		{Device: 1, Name: "model", Value: "x", Source: "s"}, {Device: 7, Name: "model", Value: "x", Source: "s", By: "Lan"}} {
		if _, err := s.Say(ctx, bad); err == nil {
			t.Errorf("%+v was taken", bad)
		}
	}
	if _, err := s.Say(ctx, say); err != nil {
		t.Fatal(err)
	}
	say.Value = "WS-C2960-24TT-S"
	if _, err := s.Say(ctx, say); err != nil {
		t.Fatal(err)
	}
	day, _ := inventory.ParseDate("2026-03-01")
	if _, err := s.AddTicket(ctx, devices.Ticket{Device: 1, Day: day, Kind: "repair", Cost: 1_500_000, Note: "thay nguồn", By: "Lan"}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.AddTicket(ctx, devices.Ticket{Device: 1, Kind: "party", Cost: -1}); err == nil || strings.Count(err.Error(), "\n") < 2 {
		t.Error("all mistakes at once:", err)
	}
	d, err := s.Device(ctx, 1)
	if err != nil || len(d.Statements) != 2 || d.Statements[0].Value != "WS-C2960-24TT-S" || len(d.Tickets) != 1 || d.Tickets[0].Day != day {
		t.Fatalf("%v %+v", err, d)
	}
	if err := s.Withdraw(ctx, 1, "model", "Lan"); err != nil {
		t.Fatal(err)
	}
	if err := s.Withdraw(ctx, 1, "model", "Lan"); err == nil {
		t.Error("withdrawn twice")
	}
	if d, _ := s.Device(ctx, 1); len(d.Statements) != 0 {
		t.Error(d.Statements)
	}
	audits, err := s.Audits(ctx, "d1", 0)
	if err != nil || len(audits) != 4 || audits[0].Action != "withdraw model" || audits[0].Before != "WS-C2960-24TT-S" || audits[3].By != "Lan" {
		t.Errorf("%v %+v", err, audits)
	}
}

func TestIDs(t *testing.T) {
	for _, bad := range []string{"", "d", "17", "d0", "d-1", "d01", "d+1", "D1", "d99999999999999999999"} {
		if id, err := devices.ParseID(bad); err == nil {
			t.Error(bad, id)
		}
	}
	if id, err := devices.ParseID("d17"); err != nil || id.String() != "d17" {
		t.Error(id, err)
	}
}

func BenchmarkSee(b *testing.B) {
	s := openNew(b)
	for i := range 10_000 {
		sg := seen(0, with(cisco, fmt.Sprintf("serial=FOC%07d", i), "mac="+fmt.Sprintf("00:11:22:%02x:%02x:%02x", i>>16, i>>8&255, i&255))...)
		sg.Site, sg.Key = fmt.Sprint("s", i/80), fmt.Sprint("k", i)
		if err := s.See(context.Background(), []devices.Sighting{sg}); err != nil {
			b.Fatal(err)
		}
	}
	b.ResetTimer()
	for i := 0; b.Loop(); i++ {
		n := i % 10_000
		sg := seen(time.Duration(1+i/10_000)*time.Hour, with(cisco, fmt.Sprintf("serial=FOC%07d", n))...)
		sg.Site, sg.Key = fmt.Sprint("s", n/80), fmt.Sprint("k", n)
		if err := s.See(context.Background(), []devices.Sighting{sg}); err != nil {
			b.Fatal(err)
		}
	}
}
