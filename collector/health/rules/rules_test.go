package rules

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"communewatch/probes/settings"

	"github.com/google/go-cmp/cmp"
)

// t0 is a Monday, 08:00 in Vietnam.
var t0 = time.Date(2026, 11, 23, 1, 0, 0, 0, time.UTC)

func problemsOf(r Rules) (out []string) {
	r.Validate(func(at, format string, args ...any) { out = append(out, at+": "+fmt.Sprintf(format, args...)) })
	return out
}

func TestDefaultsAreValid(t *testing.T) {
	if got := problemsOf(Default()); got != nil {
		t.Error(got)
	}
}

func TestRulesFromYAML(t *testing.T) {
	const text = `
worse: {runs: 3}
overrides:
  - {field: icmp.loss_ratio, path: broadband, degraded: 0.02, bad: 0.1}
office_hours:
  - {days: [mon, fri], from: "07:30", to: "17:00", holidays: ["2026-09-02"]}
maintenance:
  - {sites: [s1], from: 2026-09-02T08:00:00+07:00, to: 2026-09-02T10:00:00+07:00, note: "thay thiết bị"}
`
	r := Default()
	if err := settings.Read("c.yaml", []byte(text), &r).Err(); err != nil {
		t.Fatal(err)
	}
	if got := problemsOf(r); got != nil {
		t.Fatal(got)
	}
	if r.Worse != (Delay{Runs: 3, For: 45 * time.Second}) || len(r.Limits) != len(Default().Limits) || *r.Overrides[0].Bad != 0.1 {
		t.Errorf("%+v", r)
	}
}

func TestEveryMistakeIsReported(t *testing.T) {
	v := func(f float64) *float64 { return &f }
	r := Default()
	r.Overrides = []Limit{
		{Field: "icmp.los_ratio", Degraded: v(1)},
		{Field: "check.error"},
		{Field: "icmp.loss_ratio", Layer: "wan", Path: "lan2", Target: "Big Name", Degraded: v(0.1), Bad: v(0.05)},
		{Field: "http.cert_expiry_seconds", Degraded: v(5)},
	}
	r.LossRuns, r.Worse.Runs = 0, 0
	r.Silence.Interval = 0
	r.Maintenance = []Maintenance{{From: t0, To: t0}, {}}
	r.OfficeHours = []OfficeHours{{Days: []string{"t2"}, From: "7h", To: "17:00", Zone: "Asia/Nowhere", Holidays: []string{"2/9"}}}
	got := problemsOf(r)
	for _, want := range []string{
		"overrides[0].field", "overrides[1].field", "overrides[2].layer", "overrides[2].path", "overrides[2].target", "overrides[2].bad",
		"limits[11].below", "loss_runs", "worse.runs", "silence.interval", "maintenance[0].to", "maintenance[1]",
		"office_hours[0].days", "office_hours[0].from", "office_hours[0].tz", "office_hours[0].holidays",
	} {
		if !slices.ContainsFunc(got, func(s string) bool { return strings.HasPrefix(s, want+": ") }) {
			t.Errorf("%s is not reported; got\n%s", want, strings.Join(got, "\n"))
		}
	}
}

func TestUses(t *testing.T) {
	r := Default()
	want := []string{"dns.query_seconds", "http.cert_expiry_seconds", "http.total_seconds", "icmp.df_ok", "icmp.jitter_seconds",
		"icmp.lost", "icmp.rtt_p95_seconds", "icmp.sent", "sip.cert_expiry_seconds", "snmp_ups.on_battery", "tcp.connect_seconds",
		"webrtc.mos_audio", "webrtc.rtt_p95_seconds", "webrtc.setup_seconds", "webrtc_flow.discard_ratio", "webrtc_flow.lost", "webrtc_flow.sent"}
	if diff := cmp.Diff(want, r.Facts()); diff != "" {
		t.Error(diff)
	}
	if r.Uses("icmp", "loss_ratio") || r.Uses("check", "outcome") || !r.Uses("icmp", "lost") {
		t.Error("a ratio is judged by its counts")
	}
}

func TestCalendar(t *testing.T) {
	night := newCalendar(OfficeHours{Days: []string{"fri"}, From: "22:00", To: "06:00"}, func(at, format string, args ...any) {
		t.Fatalf(at+": "+format, args...)
	})
	local, _ := time.LoadLocation(DefaultZone)
	at := func(day, hour int) time.Time { return time.Date(2026, 11, day, hour, 0, 0, 0, local) } // the 27th is a Friday
	for _, tc := range []struct {
		day, hour int
		open      bool
		nextDay   int
		nextHour  int
	}{
		{27, 21, false, 27, 22}, {27, 22, true, 28, 6}, {28, 5, true, 28, 6}, {28, 6, false, 34, 22}, {28, 22, false, 34, 22}, {26, 23, false, 27, 22},
	} {
		if got := night.Open(at(tc.day, tc.hour)); got != tc.open {
			t.Errorf("day %d %d:00: open %v", tc.day, tc.hour, got)
		}
		if got, want := night.Next(at(tc.day, tc.hour)), at(tc.nextDay, tc.nextHour); !got.Equal(want) {
			t.Errorf("day %d %d:00: next %v, want %v", tc.day, tc.hour, got, want)
		}
	}
	never := newCalendar(OfficeHours{From: "07:00", To: "17:00"}, func(string, string, ...any) {})
	if got := never.Next(t0); !got.IsZero() {
		t.Errorf("an office that never opens opens at %v", got)
	}
}
