package cost_test

import (
	"math"
	"testing"
	"time"

	"communewatch/collector/assign"
	"communewatch/collector/assign/cost"
	"communewatch/collector/reports"
	"communewatch/probes"
	"communewatch/probes/webrtc/media"
)

func near(got, want, share float64) bool { return math.Abs(got-want) <= share*want }

func TestPingsAreCountedToTheByte(t *testing.T) {
	c := assign.Check{Kind: probes.KindICMP, Interval: 10 * time.Second, Options: map[string]any{"count": int64(20), "interval": "500ms", "size_bytes": int64(100)}}
	got := cost.Of(&c)
	const bits = 20 * (20 + 8 + 100) * 8.0 // each way
	if got.UpBPS != bits/10 || got.DownBPS != bits/10 || got.PacketsPerSecond != 4 || got.PeakUpBPS != 128*8*2 {
		t.Errorf("%+v", got)
	}
	c.Options["df_size_bytes"] = int64(1500)
	if with := cost.Of(&c); with.UpBPS != (bits+1500*8)/10 {
		t.Errorf("%+v", with)
	}
}

// A call takes what agents' budgets are held against, and a little for what goes with it.
func TestCallsAreCountedAsAgentsDo(t *testing.T) {
	for name, want := range map[string]float64{"720p": 2.2e6, "1080p": 4.2e6} { // docs/agent.md
		c := assign.Check{Kind: probes.KindWebRTC, Options: map[string]any{"profile": name}}
		got := cost.Of(&c)
		p, _ := media.Named(name)
		if wire := media.WireBPS(p); got.PeakUpBPS < wire || !near(got.PeakUpBPS, want, 0.05) {
			t.Errorf("%s: %+v", name, got)
		}
		if !near(got.UpBPS, want*15/900, 0.06) || got.UpBPS != got.DownBPS || got.MediaMinutesPerDay != 24 {
			t.Errorf("%s: %+v", name, got)
		}
	}
	own := assign.Check{Kind: probes.KindWebRTC, Interval: time.Hour, Options: map[string]any{"profile": "mine", "duration": "30s",
		"profiles": map[string]any{"mine": map[string]any{"video_kbps": int64(1000), "fps": int64(25)}}}}
	if got := cost.Of(&own); !near(got.PeakUpBPS, 1.07e6, 0.05) || got.MediaMinutesPerDay != 12 {
		t.Errorf("%+v", got)
	}
	plain := cost.Of(&assign.Check{Kind: probes.KindWebRTC})
	ramp := cost.Of(&assign.Check{Kind: probes.KindWebRTC, Options: map[string]any{"ramp": map[string]any{"enabled": true}}})
	if more := (ramp.UpBPS - plain.UpBPS) * 900; !near(more, 2*(500+1000+2000+4000)*1000, 0.1) || ramp.PeakUpBPS < 4e6 {
		t.Errorf("a ramp to 4 Mbit/s costs %g bits more; %+v", more, ramp)
	}
	tight := cost.Of(&assign.Check{Kind: probes.KindWebRTC, Options: map[string]any{"ramp": map[string]any{"enabled": true}, "line_kbps": int64(5000)}})
	if tight.PeakUpBPS > 2.5e6 {
		t.Errorf("steps above the budget are not tried: %+v", tight)
	}
	if got := cost.Of(&assign.Check{Kind: probes.KindWebRTC, Options: map[string]any{"profile": "unknown"}}); got.UpBPS != 0 {
		t.Errorf("%+v", got)
	}
}

// What the far end decides is at least of the right size, and grows with what is asked.
func TestOtherKinds(t *testing.T) {
	of := func(kind probes.Kind, address string, options map[string]any) cost.Cost {
		return cost.Of(&assign.Check{Kind: kind, Address: address, Interval: time.Second, Options: options})
	}
	between := func(what string, bps, least, most float64) {
		t.Helper()
		if bps/8 < least || bps/8 > most {
			t.Errorf("%s: %g bytes, want %g to %g", what, bps/8, least, most)
		}
	}
	between("tcp", of(probes.KindTCP, "h:1", nil).UpBPS, 180, 280) // SYN, ACK, FIN, ACK with timestamps
	resolver := map[string]any{"name": "a", "address": "10.0.0.1"}
	one, two := of(probes.KindDNS, "a.vn", map[string]any{"resolvers": []any{resolver}}), of(probes.KindDNS, "a.vn", map[string]any{"resolvers": []any{resolver, resolver}})
	between("dns", one.UpBPS, 60, 120)
	if two.UpBPS != 2*one.UpBPS {
		t.Error(one, two)
	}
	get, head, plain := of(probes.KindHTTP, "https://p/", nil), of(probes.KindHTTP, "https://p/", map[string]any{"method": "HEAD"}), of(probes.KindHTTP, "http://p/", map[string]any{"method": "HEAD"})
	between("https", get.DownBPS, 30_000, 100_000)
	between("https HEAD", head.DownBPS, 3000, 8000)
	between("http HEAD", plain.DownBPS, 300, 1500)
	between("a small body", of(probes.KindHTTP, "https://p/", map[string]any{"max_body": int64(1000)}).DownBPS, 4000, 9000)
	between("sip", of(probes.KindSIP, "sip:h", nil).UpBPS, 400, 700)
	between("sip over tls", of(probes.KindSIP, "sip:h;transport=tls", nil).DownBPS, 4000, 8000)
	between("sips", of(probes.KindSIP, "sips:h", nil).DownBPS, 4000, 8000)
	between("stun", of(probes.KindSTUN, "h", nil).UpBPS, 48, 48)
	between("h323", of(probes.KindH323, "h", nil).UpBPS, 180, 280)
	if both := of(probes.KindH323, "h", map[string]any{"gatekeeper": true}); both.UpBPS <= of(probes.KindH323, "h", nil).UpBPS {
		t.Error(both)
	}
	between("snmp", of(probes.KindSNMP, "h", nil).DownBPS, 5000, 40_000)
	between("machine", of(probes.KindMachine, "", nil).UpBPS, 0, 0)
	between("sweep", of(probes.KindSweep, "10.0.0.0/24", nil).UpBPS, 100_000, 2_000_000)
	if small := of(probes.KindSweep, "10.0.0.0/28", nil); small.UpBPS*16 != of(probes.KindSweep, "10.0.0.0/24", nil).UpBPS {
		t.Error(small)
	}
	for _, kind := range probes.Kinds() {
		c := of(kind, "not an address", map[string]any{"count": "x", "ramp": 1, "resolvers": "x", "duration": int64(3)})
		if math.IsNaN(c.UpBPS) || math.IsInf(c.UpBPS, 0) || c.UpBPS < 0 {
			t.Errorf("%s: %+v", kind, c)
		}
	}
}

func TestSumsAndWarnings(t *testing.T) {
	ping := assign.Check{Kind: probes.KindICMP, Path: probes.PathDedicated, Interval: 10 * time.Second}
	call := assign.Check{Kind: probes.KindWebRTC, Path: probes.PathDedicated}
	lan := assign.Check{Kind: probes.KindSNMP, Path: probes.PathLAN}
	agents := []map[probes.Path]cost.Cost{cost.ByPath([]assign.Check{ping, call, lan}), cost.ByPath([]assign.Check{ping, call})}
	lines := cost.Lines(agents, map[probes.Path]cost.Speed{probes.PathDedicated: {UpBPS: 1e6, DownBPS: 4e6}})
	if len(lines) != 2 || lines[0].Path != probes.PathLAN || lines[1].Path != probes.PathDedicated {
		t.Fatalf("%+v", lines)
	}
	l, one := lines[1], cost.Of(&ping).Add(cost.Of(&call))
	if !near(l.UpBPS, 2*one.UpBPS, 1e-9) || l.PeakUpBPS != one.PeakUpBPS || !near(l.Peak, l.PeakUpBPS/1e6, 1e-9) || !near(l.Average, l.UpBPS/1e6, 1e-9) || l.MediaMinutesPerDay != 48 {
		t.Errorf("%+v", l)
	}
	if average, peak := l.Over(cost.DefaultLimits()); !average || !peak {
		t.Error("two agents that call over 1 Mbit/s are too much")
	}
	if average, peak := lines[0].Over(cost.DefaultLimits()); average || peak {
		t.Error("a line of unknown speed can't be too slow")
	}
	if c := cost.Reporting([]assign.Check{ping, call}); c.UpBPS < 300 || c.UpBPS > 3000 {
		t.Errorf("%+v", c)
	}
}

func TestSpeedsAreThoseInForce(t *testing.T) {
	list := []reports.Agreement{
		{Site: "s1", Layer: probes.LayerDedicated, Contract: reports.Contract{DownMbps: 10, From: "2025-01-01"}},
		{Site: "s1", Layer: probes.LayerDedicated, Contract: reports.Contract{DownMbps: 20, UpMbps: 5, From: "2026-01-01"}},
		{Site: "s1", Layer: probes.LayerDedicated, Contract: reports.Contract{DownMbps: 90, From: "2027-01-01"}},
		{Site: "s1", Layer: probes.LayerBroadband, Contract: reports.Contract{DownMbps: 300, To: "2026-10-31"}},
		{Site: "s1", Layer: probes.LayerConference, Contract: reports.Contract{DownMbps: 1}},
	}
	got := cost.Speeds(list, "2026-11-26")
	if want := (cost.Speed{UpBPS: 5e6, DownBPS: 20e6}); len(got) != 1 || len(got["s1"]) != 1 || got["s1"][probes.PathDedicated] != want {
		t.Errorf("%+v", got)
	}
	if got := cost.Speeds(list, "2025-06-01"); got["s1"][probes.PathDedicated] != (cost.Speed{UpBPS: 10e6, DownBPS: 10e6}) {
		t.Errorf("%+v", got)
	}
}
