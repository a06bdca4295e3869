package poll

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"communewatch/probes"
	"communewatch/probes/snmp/ask"
	"communewatch/probes/snmp/recording"
)

// device makes a device of lines of a recording. Later texts replace lines of earlier ones.
func device(t testing.TB, texts ...string) *recording.Recording {
	t.Helper()
	slices.Reverse(texts) // the first of two lines counts
	rec, err := recording.Parse(strings.NewReader(strings.Join(texts, "\n")))
	if err != nil || rec.Bad() > 0 {
		t.Fatal(err, rec.Problems())
	}
	return rec
}

func poll(t *testing.T, dev ask.Device, o Options, prev *State, now time.Time) ([]probes.Point, *State) {
	t.Helper()
	points, state, err := Poll(t.Context(), dev, o, prev, now)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range points {
		checkPoint(t, p)
	}
	return points, state
}

// checkPoint holds a point against the contract.
func checkPoint(t testing.TB, p probes.Point) {
	t.Helper()
	checkAgainst(t, probes.Schema(), p)
}

func checkAgainst(t testing.TB, schema []probes.MeasurementSpec, p probes.Point) {
	t.Helper()
	for _, m := range schema {
		if m.Name != p.Measurement {
			continue
		}
		for _, tag := range p.Tags {
			if err := probes.CheckName(tag.Value); err != nil {
				t.Errorf("%s: tag %s: %v", p.Measurement, tag.Key, err)
			}
			if !slices.ContainsFunc(m.Tags, func(s probes.TagSpec) bool { return s.Key == tag.Key }) {
				t.Errorf("%s: the contract has no tag %s", p.Measurement, tag.Key)
			}
		}
		seen := map[string]bool{}
		for _, f := range p.Fields {
			i := slices.IndexFunc(m.Fields, func(s probes.FieldSpec) bool { return s.Key == f.Key })
			if i < 0 || seen[f.Key] {
				t.Errorf("%s: field %s twice, or not in the contract", p.Measurement, f.Key)
				continue
			}
			seen[f.Key] = true
			s := m.Fields[i]
			switch {
			case s.Type != f.Type:
				t.Errorf("%s.%s is of type %v", p.Measurement, f.Key, f.Type)
			case len(s.Enum) > 0 && !slices.Contains(s.Enum, f.Str):
				t.Errorf("%s.%s = %q", p.Measurement, f.Key, f.Str)
			case math.IsNaN(f.Num) || math.IsInf(f.Num, 0) || !s.Signed && f.Num < 0:
				t.Errorf("%s.%s = %v", p.Measurement, f.Key, f.Num)
			case strings.HasPrefix(s.Unit, "ratio") && f.Num > 3:
				t.Errorf("%s.%s = %v", p.Measurement, f.Key, f.Num)
			case len(f.Str) > probes.MaxText:
				t.Errorf("%s.%s has %d bytes", p.Measurement, f.Key, len(f.Str))
			}
		}
		return
	}
	t.Errorf("the contract has no measurement %q", p.Measurement)
}

// find returns the point of a measurement, and of an interface if one is named.
func find(t *testing.T, points []probes.Point, measurement, iface string) probes.Point {
	t.Helper()
	for _, p := range points {
		if p.Measurement == measurement && (iface == "" || p.Tags.Get("interface") == iface) {
			return p
		}
	}
	t.Fatalf("no %s %s in %v", measurement, iface, points)
	return probes.Point{}
}

// fields writes some fields of a point, those that are not there as -.
func fields(p probes.Point, keys ...string) string {
	var out []string
	for _, k := range keys {
		f, ok := p.Field(k)
		switch {
		case !ok:
			out = append(out, "-")
		case f.Type == probes.TypeString:
			out = append(out, f.Str)
		case f.Type == probes.TypeBool:
			out = append(out, fmt.Sprint(f.Num != 0))
		default:
			out = append(out, fmt.Sprintf("%.6g", f.Num))
		}
	}
	return strings.Join(out, " ")
}

func want(t *testing.T, p probes.Point, keys, values string) {
	t.Helper()
	if got := fields(p, strings.Fields(keys)...); got != values {
		t.Errorf("%s %v: %s\n got %s\nwant %s", p.Measurement, p.Tags, keys, got, values)
	}
}

var begin = time.Date(2026, 11, 26, 8, 0, 0, 0, time.UTC)

const system = `1.3.6.1.2.1.1.1.0|4|a switch
1.3.6.1.2.1.1.2.0|6|1.3.6.1.4.1.99999.1
1.3.6.1.2.1.1.3.0|67|100000
`

// port is an interface with all its counters.
type port struct {
	index                 int
	name                  string
	oper                  int
	mbps                  int
	wide                  bool
	hollow                bool // with 64-bit counters of octets that stay at 0
	in, out, packets, bad uint64
	discontinuity         int
}

func (p port) String() string {
	line := func(oid, tag string, v any) string {
		return fmt.Sprintf("1.3.6.1.2.1.%s.%d|%s|%v\n", oid, p.index, tag, v)
	}
	low := func(n uint64) uint32 { return uint32(n) }
	s := line("2.2.1.1", "2", p.index) + line("2.2.1.2", "4", "port "+p.name) + line("2.2.1.3", "2", 6) +
		line("2.2.1.5", "66", min(p.mbps*1_000_000, 1<<32-1)) + line("2.2.1.7", "2", 1) + line("2.2.1.8", "2", p.oper) + line("2.2.1.9", "67", 500) +
		line("2.2.1.10", "65", low(p.in)) + line("2.2.1.11", "65", low(p.packets)) + line("2.2.1.13", "65", 0) + line("2.2.1.14", "65", low(p.bad)) +
		line("2.2.1.16", "65", low(p.out)) + line("2.2.1.17", "65", low(p.packets)) + line("2.2.1.19", "65", 0) + line("2.2.1.20", "65", 0)
	if p.name != "" {
		s += line("31.1.1.1.1", "4", p.name) + line("31.1.1.1.15", "66", p.mbps) + line("31.1.1.1.19", "67", p.discontinuity)
	}
	if p.hollow {
		s += line("31.1.1.1.6", "70", 0) + line("31.1.1.1.10", "70", 0)
	}
	if p.wide {
		s += line("31.1.1.1.6", "70", p.in) + line("31.1.1.1.10", "70", p.out) +
			line("31.1.1.1.7", "70", p.packets) + line("31.1.1.1.11", "70", p.packets)
	}
	return s
}

func ticks(seconds float64) string {
	return fmt.Sprintf("1.3.6.1.2.1.1.3.0|67|%d\n", uint64(seconds*100)%(1<<32))
}

// Known truth in, the same truth out: what an interface moved between two polls, through wraps and resets.
func TestWhatCountersSay(t *testing.T) {
	const keys = "in_bps out_bps in_packets in_errors counters_reset counter_bits window_seconds"
	eth := port{index: 1, name: "Gi0/1", oper: 1, mbps: 1000, wide: true, in: 1<<40 + 3, out: 5, packets: 1000, bad: 7}
	slow := eth
	slow.wide, slow.mbps = false, 100
	hollow := slow
	hollow.hollow = true
	moved := func(p port, octets, packets uint64) port {
		p.in, p.out, p.packets, p.bad = p.in+octets, p.out+octets*2, p.packets+packets, p.bad+1
		return p
	}
	for _, c := range []struct {
		name          string
		first, second port
		up            float64       // seconds of uptime at the second poll; at the first it was 1000
		after         time.Duration // between the two by our clock
		want          string
	}{
		{"64 bits", eth, moved(eth, 75_000_000, 600), 1060, time.Minute, "1e+07 2e+07 600 1 false 64 60"},
		{"by the device's clock", eth, moved(eth, 75_000_000, 600), 1060, 61 * time.Second, "1e+07 2e+07 600 1 false 64 60"},
		{"a device whose clock is a dream", eth, moved(eth, 75_000_000, 600), 1600, time.Minute, "1e+07 2e+07 600 1 false 64 60"},
		{"64 bits that never count", hollow, moved(hollow, 75_000_000, 600), 1060, time.Minute, "1e+07 2e+07 600 1 false 32 60"},
		{"nothing moved", eth, eth, 1060, time.Minute, "0 0 0 0 false 64 60"},
		{"32 bits", slow, moved(slow, 75_000_000, 600), 1060, time.Minute, "1e+07 2e+07 600 1 false 32 60"},
		{"32 bits wrap", port{index: 1, name: "Gi0/1", oper: 1, mbps: 100, in: 1<<32 - 5_000_000, out: 1<<32 - 1, packets: 1<<32 - 100, bad: 1<<32 - 1},
			port{index: 1, name: "Gi0/1", oper: 1, mbps: 100, in: 70_000_000, out: 149_999_999, packets: 500, bad: 0}, 1060, time.Minute, "1e+07 2e+07 600 1 false 32 60"},
		{"32 bits, too far for a wrap", slow, port{index: 1, name: "Gi0/1", oper: 1, mbps: 100, in: slow.in, out: 0, packets: 2000, bad: 8}, 1060, time.Minute, "- - - - true - -"},
		{"32 bits, too long ago", slow, moved(slow, 75_000_000, 600), 1000 + 3600, time.Hour, "- - 600 1 false - 3600"},
		{"32 bits on a gigabit", port{index: 1, name: "Gi0/1", oper: 1, mbps: 1000, in: 100}, port{index: 1, name: "Gi0/1", oper: 1, mbps: 1000, in: 200}, 1060, time.Minute, "- - 0 0 false - 60"},
		{"64 bits go back", eth, port{index: 1, name: "Gi0/1", oper: 1, mbps: 1000, wide: true, in: 1<<40 - 1, out: 9, packets: 2000, bad: 8}, 1060, time.Minute, "- - - - true - -"},
		{"64 bits leap", eth, moved(eth, 1<<60, 600), 1060, time.Minute, "- - - - true - -"},
		{"64 bits rise by more than the line carries", eth, moved(eth, 8_300_000_000, 600), 1060, time.Minute, "- - - - true - -"},
		{"64 bits of a line that is full", eth, moved(eth, 3_750_000_000, 600), 1060, time.Minute, "5e+08 1e+09 600 1 false 64 60"},
		{"64 bits beside a made-up speed", port{index: 1, name: "br0", oper: 1, mbps: 10, wide: true}, port{index: 1, name: "br0", oper: 1, mbps: 10, wide: true, in: 3_750_000_000}, 1060, time.Minute, "5e+08 0 0 0 false 64 60"},
		{"32 bits rise by more than the line carries", slow, moved(slow, 830_000_000, 600), 1060, time.Minute, "- - - - true - -"},
		{"packets rise by more than the line carries", slow, moved(slow, 75_000_000, 20_000_000), 1060, time.Minute, "- - - - true - -"},
		{"restart", eth, moved(eth, 75_000_000, 600), 10, time.Minute, "- - - - true - -"},
		{"declared discontinuous", eth, func() port { p := moved(eth, 75_000_000, 600); p.discontinuity = 1; return p }(), 1060, time.Minute, "- - - - true - -"},
		{"another index", eth, func() port { p := moved(eth, 75_000_000, 600); p.index = 7; return p }(), 1060, time.Minute, "- - - - true - -"},
		{"another width", eth, moved(slow, 75_000_000, 600), 1060, time.Minute, "- - - 1 false - 60"},
		{"no speed, no belief in wraps", port{index: 1, name: "tun", oper: 1, in: 1<<32 - 1}, port{index: 1, name: "tun", oper: 1, in: 1000}, 1060, time.Minute, "- - - - true - -"},
		{"no speed", port{index: 1, name: "tun", oper: 1, in: 0}, port{index: 1, name: "tun", oper: 1, in: 7500}, 1060, time.Minute, "1000 0 0 0 false 32 60"},
		{"no time", eth, moved(eth, 10, 1), 1000, 0, "- - - - - - -"},
	} {
		t.Run(c.name, func(t *testing.T) {
			points, state := poll(t, device(t, system, ticks(1000), c.first.String()), Options{}, nil, begin)
			tag := Tag(c.first.name)
			want(t, find(t, points, "snmp_if", tag), keys+" changed", "- - - - - - - -")
			points, _ = poll(t, device(t, system, ticks(c.up), c.second.String()), Options{}, state, begin.Add(c.after))
			p := find(t, points, "snmp_if", tag)
			p.Fields = slices.Clone(p.Fields)
			for i, f := range p.Fields { // by our clock, the poll itself took a moment
				switch {
				case f.Key == "window_seconds":
					p.Fields[i].Num = math.Round(f.Num)
				case strings.HasSuffix(f.Key, "_bps") && f.Num > 1e6:
					p.Fields[i].Num = math.Round(f.Num/1e4) * 1e4
				}
			}
			want(t, p, keys, c.want)
		})
	}
}

func TestUseOfALineAndItsChanges(t *testing.T) {
	was := port{index: 1, name: "Gi0/1", oper: 1, mbps: 100, wide: true}
	is := was
	is.oper, is.in = 2, 100e6/8*60/4
	const more = `1.3.6.1.2.1.2.2.1.9.1|67|106000
1.3.6.1.2.1.31.1.1.1.18.1|4x|c490c6b0e1bb9d6e67202000
1.3.6.1.2.1.10.7.2.1.19.1|2|2
1.3.6.1.2.1.2.1.0|2|1
`
	points, state := poll(t, device(t, system, more, was.String(), ticks(1000)), Options{}, nil, begin)
	want(t, find(t, points, "snmp_device", ""), "interfaces interfaces_up partial restarted uptime_seconds", "1 1 false - 1000")
	points, state = poll(t, device(t, system, is.String(), ticks(1060), more), Options{}, state, begin.Add(time.Minute))
	p := find(t, points, "snmp_if", "gi0-1")
	want(t, p, "name alias admin_up oper_up speed_bps duplex changed", "Gi0/1 Đường true false 1e+08 half true")
	if f, _ := p.Field("in_use_ratio"); math.Abs(f.Num-0.25) > 0.001 {
		t.Errorf("use of the line: %v", f.Num)
	}
	points, _ = poll(t, device(t, system, is.String(), ticks(1120), more), Options{}, state, begin.Add(2*time.Minute))
	want(t, find(t, points, "snmp_if", "gi0-1"), "changed oper_up", "false false")
}

func TestUptime(t *testing.T) {
	const wrap = 1 << 32 / 100.
	engine := func(boots int, seconds float64) string {
		return fmt.Sprintf("1.3.6.1.6.3.10.2.1.2.0|2|%d\n1.3.6.1.6.3.10.2.1.3.0|2|%d\n", boots, int64(seconds))
	}
	host := func(seconds float64) string {
		return fmt.Sprintf("1.3.6.1.2.1.25.1.1.0|67|%d\n", uint64(seconds*100)%(1<<32))
	}
	for _, c := range []struct {
		name          string
		first, second string
		after         time.Duration
		want          string // restarted, uptime at the second poll
	}{
		{"goes on", ticks(5000), ticks(5300), 5 * time.Minute, "false 5300"},
		{"restarted", ticks(5000), ticks(100), 5 * time.Minute, "true 100"},
		{"restarted long ago", ticks(5000), ticks(7000), time.Hour, "true 7000"},
		{"wrapped after 497 days", ticks(wrap - 100), ticks(wrap + 200), 5 * time.Minute, fmt.Sprintf("false %.6g", wrap+200)},
		{"restarted shortly before the wrap", ticks(wrap - 100), ticks(20), 30 * time.Second, "true 20"},
		{"wrapped before we came", ticks(1000) + engine(3, wrap+1000), ticks(1300) + engine(3, wrap+1300), 5 * time.Minute, fmt.Sprintf("false %.6g", wrap+1300)},
		{"an engine time of its own making", ticks(1000) + engine(3, 77_000_000), ticks(1300) + engine(3, 77_000_300), 5 * time.Minute, "false 1300"},
		{"only the agent restarted", ticks(5000) + host(90000), ticks(10) + host(90300), 5 * time.Minute, "false 90300"},
		{"both restarted", ticks(5000) + host(90000), ticks(10) + host(60), 5 * time.Minute, "true 60"},
		{"fast restart", ticks(50) + engine(7, 50), ticks(55) + engine(8, 55), 60 * time.Second, "true 55"},
		{"an answer that was slow", ticks(5000), ticks(5280), 5 * time.Minute, "false 5280"},
		{"our clock slept", ticks(5000), ticks(15000), 5 * time.Minute, "false 15000"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, state := poll(t, device(t, system, c.first), Options{}, nil, begin)
			points, _ := poll(t, device(t, system, c.second), Options{}, state, begin.Add(c.after))
			want(t, find(t, points, "snmp_device", ""), "restarted uptime_seconds", c.want)
		})
	}
}

func TestTagsOfInterfaces(t *testing.T) {
	for name, want := range map[string]string{
		"GigabitEthernet1/0/24": "gigabitethernet1-0-24", "Gi1/0.100": "gi1-0.100", "eth0": "eth0", " Port #3 ": "port-3",
		"Cổng 2": "c-ng-2", "...": "", "": "", "Red Hat, Inc. Device 0001": "red-hat-inc.-device-0001", "_x": "x",
		strings.Repeat("Ab1", 40): strings.Repeat("ab1", 21),
	} {
		if got := Tag(name); got != want {
			t.Errorf("Tag(%q) = %q, want %q", name, got, want)
		}
	}
	var lines strings.Builder
	for i, name := range []string{"Gi1/0", "Gi1-0", "", "!!!", strings.Repeat("x", 70) + "1", strings.Repeat("x", 70) + "2", "if-3"} {
		lines.WriteString(strings.ReplaceAll(port{index: i + 1, name: name, oper: 1}.String(), "port ", ""))
	}
	points, _ := poll(t, device(t, system, lines.String()), Options{}, nil, begin)
	tags := map[string]bool{}
	for _, p := range points {
		if p.Measurement == "snmp_if" {
			tags[p.Tags.Get("interface")] = true
		}
	}
	if len(tags) != 7 || !tags["gi1-0-1"] || !tags["gi1-0-2"] {
		t.Errorf("tags: %v", slices.Sorted(maps.Keys(tags)))
	}
}

func TestWhichInterfacesGetRows(t *testing.T) {
	lines := "1.3.6.1.2.1.2.2.1.3.1|2|24\n" + port{index: 1, name: "lo", oper: 1}.String() +
		port{index: 2, name: "Gi1", oper: 1}.String() + port{index: 3, name: "Gi2", oper: 2}.String()
	count := func(o Options) (n int, row probes.Point) {
		points, _ := poll(t, device(t, system, lines), o, nil, begin)
		for _, p := range points {
			if p.Measurement == "snmp_if" {
				n++
			}
		}
		return n, find(t, points, "snmp_device", "")
	}
	for _, c := range []struct {
		o    Options
		rows int
	}{
		{Options{}, 2}, {Options{UpOnly: true}, 1},
		{Options{Wanted: func(tag string) bool { return tag == "gi2" }}, 1},
		{Options{Wanted: func(string) bool { return false }}, 0},
	} {
		n, dev := count(c.o)
		if n != c.rows {
			t.Errorf("%+v: %d rows, want %d", c.o, n, c.rows)
		}
		want(t, dev, "interfaces interfaces_up", "2 1")
	}
}

// broken is a device whose walk of a branch ends early, and which dies at a branch.
type broken struct {
	*recording.Recording
	short, dies ask.OID
	dead        bool
	asked       int
}

func (b *broken) Walk(ctx context.Context, root ask.OID, limit int) ([]ask.Var, error) {
	b.asked++
	if b.dead || b.dies != "" && root.Below(b.dies) {
		b.dead = true
		return nil, fmt.Errorf("%w: %w", context.DeadlineExceeded, ask.ErrPartial)
	}
	vars, err := b.Recording.Walk(ctx, root, limit)
	if b.short != "" && root.Below(b.short) {
		return vars[:len(vars)/2], fmt.Errorf("it hangs: %w", ask.ErrPartial)
	}
	return vars, err
}

func (b *broken) Get(ctx context.Context, oids ...ask.OID) ([]ask.Var, error) {
	b.asked++
	if b.dead {
		return nil, context.DeadlineExceeded
	}
	return b.Recording.Get(ctx, oids...)
}

func TestPartialTablesAreNamed(t *testing.T) {
	ports := port{index: 1, name: "Gi1", oper: 1}.String() + port{index: 2, name: "Gi2", oper: 1}.String()
	whole := device(t, system, ports, "1.3.6.1.2.1.2.1.0|2|2\n")
	for name, c := range map[string]struct {
		dev  ask.Device
		o    Options
		want string
	}{
		"whole":               {whole, Options{}, "false -"},
		"a walk that ended":   {&broken{Recording: whole, short: "1.3.6.1.2.1.2"}, Options{}, "true ifTable"},
		"two":                 {&broken{Recording: whole, short: "1.3.6.1.2.1"}, Options{}, "true dot3StatsTable hrPrinterTable hrProcessorTable hrStorageTable ifTable ifXTable entPhySensorTable prtMarkerTable"},
		"more are announced":  {device(t, system, ports, "1.3.6.1.2.1.2.1.0|2|3\n"), Options{}, "true ifTable"},
		"a column is shorter": {device(t, system, ports, "1.3.6.1.2.1.2.2.1.2.3|4|Gi3\n"), Options{}, "true ifTable"},
		"more than wanted":    {whole, Options{MaxRows: 1}, "true ifTable"},
	} {
		t.Run(name, func(t *testing.T) {
			points, _ := poll(t, c.dev, c.o, nil, begin)
			got := strings.Fields(fields(find(t, points, "snmp_device", ""), "partial", "partial_tables"))
			wanted := strings.Fields(c.want)
			slices.Sort(got)
			slices.Sort(wanted)
			if !slices.Equal(got, wanted) {
				t.Errorf("got %v, want %v", got, wanted)
			}
		})
	}
}

func TestAColumnWithoutEndMakesNoInterfaces(t *testing.T) {
	var column strings.Builder
	for i := range 3000 {
		fmt.Fprintf(&column, "1.3.6.1.2.1.2.2.1.1.%d|2|%d\n", i+1, i+1)
	}
	count := func(dev ask.Device, o Options) (n int) {
		points, _ := poll(t, dev, o, nil, begin)
		for _, p := range points {
			if p.Measurement == "snmp_if" {
				n++
			}
		}
		return n
	}
	if n := count(device(t, "1.3.6.1.2.1.1.3.0|67|100", column.String()), Options{}); n != 0 {
		t.Errorf("%d interfaces made of their numbers", n)
	}
	for i := range 3000 {
		fmt.Fprintf(&column, "1.3.6.1.2.1.2.2.1.8.%d|2|1\n", i+1)
	}
	if n := count(device(t, "1.3.6.1.2.1.1.3.0|67|100", column.String()), Options{MaxRows: 200}); n != 200 {
		t.Errorf("%d interfaces where 200 are wanted at most", n)
	}
}

func TestADeviceThatDiesDuringThePoll(t *testing.T) {
	rec := device(t, system, port{index: 1, name: "Gi1", oper: 1}.String())
	dev := &broken{Recording: rec, dies: hrStorageTable}
	points, state, err := Poll(t.Context(), dev, Options{}, nil, begin)
	if probes.OutcomeOf(err) != probes.OutcomeTimeout || state == nil {
		t.Fatalf("%v, %v", state, err)
	}
	want(t, find(t, points, "snmp_device", ""), "partial partial_tables interfaces", "true entPhySensorTable hrPrinterTable hrStorageTable lldpRemTable prtMarkerTable 1")
	asked := dev.asked
	before, after, err := Poll(t.Context(), dev, Options{}, state, begin)
	if len(before) != 0 || after != state || err == nil || dev.asked != asked+1 {
		t.Errorf("a dead device: %d points, %v, %d more questions", len(before), err, dev.asked-asked)
	}
}

func TestTablesThatAreNotThereAreNotAskedForAgainSoon(t *testing.T) {
	var state *State
	questions := func(after time.Duration, uptime float64) int {
		dev := &broken{Recording: device(t, system, port{index: 1, name: "Gi1", oper: 1}.String(), ticks(uptime))}
		_, state = poll(t, dev, Options{}, state, begin.Add(after))
		return dev.asked
	}
	first := questions(0, 1000)
	if n := questions(time.Minute, 1060); n >= first/2 {
		t.Errorf("%d questions at first, and %d a minute later", first, n)
	}
	if n := questions(2*time.Minute, 10); n != first {
		t.Errorf("%d questions after a restart, want %d", n, first)
	}
	if n := questions(2*time.Minute+missingFor, 10+missingFor.Seconds()); n != first {
		t.Errorf("%d questions an hour later, want %d", n, first)
	}
}

func TestHostileValuesMakeNoFields(t *testing.T) {
	dev := device(t, `1.3.6.1.2.1.1.1.0|2|5
1.3.6.1.2.1.1.2.0|4|1.3.6.1.4.1.9
1.3.6.1.2.1.1.3.0|4|yesterday
1.3.6.1.2.1.2.1.0|2|-1
1.3.6.1.2.1.2.2.1.8.1|4|up
1.3.6.1.2.1.2.2.1.10.1|4|many
1.3.6.1.2.1.2.2.1.5.1|2|-100
1.3.6.1.2.1.2.2.1.2.1|4x|e96e636f646500ff0d0a
1.3.6.1.2.1.25.3.3.1.2.1|2|101
1.3.6.1.2.1.25.3.3.1.2.2|2|-1
1.3.6.1.2.1.25.2.3.1.2.1|6|1.3.6.1.2.1.25.2.1.4
1.3.6.1.2.1.25.2.3.1.3.1|4|/
1.3.6.1.2.1.25.2.3.1.4.1|2|-4096
1.3.6.1.2.1.25.2.3.1.5.1|2|0
1.3.6.1.2.1.99.1.1.1.1.5|2|8
1.3.6.1.2.1.99.1.1.1.2.5|2|99
1.3.6.1.2.1.99.1.1.1.4.5|2|2147483647
1.3.6.1.2.1.33.1.2.1.0|2|77
1.3.6.1.2.1.33.1.2.4.0|2|4000
`)
	points, _ := poll(t, dev, Options{}, nil, begin)
	want(t, find(t, points, "snmp_device", ""), "uptime_seconds cpu_ratio storage_used_ratio temperature_celsius memory_used_ratio", "- - - - -")
	want(t, find(t, points, "snmp_if", "ncode"), "name oper_up speed_bps", "éncode ÿ - -")
	for _, p := range points {
		if p.Measurement == "snmp_ups" {
			t.Errorf("a UPS out of nothing: %v", p)
		}
	}
}

// FuzzPoll takes lines of a few bytes: what stands before is the same for all, so that the fuzzer, which shortens every
// find byte by byte, has little to shorten.
func FuzzPoll(f *testing.F) {
	for _, seed := range []string{
		"2.2.1.8.1|2|1", "31.1.1.1.6.1|70|5", "33.1.2.1.0|2|2", "25.3.5.1.1.1|2|3\n43.10.2.1.4.1.1|65|1", "1.3.0|67|9", "99.1.1.1.4.5|2|-5",
		"L4.1.1.5.0.1.1|4x|0102", "1.2.0|6|1.3.6.1.4.1.9.1\nV9.9.643.1.2.1.1.3.1|2|0\nV9.9.644.1.4.8.1.11.1|2|8", "1.2.0|6|1.3.6.1.4.1.318\nV318.1.1.1.4.1.1.0|2|3",
	} {
		f.Add(seed)
	}
	root := func(line string) string {
		if rest, ok := strings.CutPrefix(line, "L"); ok {
			return "1.0.8802.1.1.2.1." + rest
		}
		if rest, ok := strings.CutPrefix(line, "V"); ok {
			return "1.3.6.1.4.1." + rest
		}
		return "1.3.6.1.2.1." + line
	}
	base := device(f, system).Vars()
	schema := probes.Schema()
	f.Fuzz(func(t *testing.T, text string) {
		vars := slices.Clone(base)
		for line := range strings.SplitSeq(text, "\n") {
			if rec, err := recording.Parse(strings.NewReader(root(line))); err == nil {
				vars = append(vars, rec.Vars()...)
			}
		}
		slices.Reverse(vars) // of two of one name the first counts
		rec := recording.New(vars)
		var state *State
		for i := range 2 {
			points, next, err := Poll(t.Context(), rec, Options{MaxRows: 50}, state, begin.Add(time.Duration(i)*time.Minute))
			if err != nil && !errors.Is(err, ask.ErrPartial) {
				t.Fatal(err)
			}
			state = next
			for _, p := range points {
				checkAgainst(t, schema, p)
			}
		}
	})
}
