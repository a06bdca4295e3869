package health

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"communewatch/probes/settings"

	"github.com/google/go-cmp/cmp"
)

func problemsOf(r Rules) (out []string) {
	r.Validate(func(at, format string, args ...any) { out = append(out, at+": "+fmt.Sprintf(format, args...)) })
	return out
}

func TestDefaultsAreValid(t *testing.T) {
	if got := problemsOf(DefaultRules()); got != nil {
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
	rules := DefaultRules()
	if err := settings.Read("c.yaml", []byte(text), &rules).Err(); err != nil {
		t.Fatal(err)
	}
	if got := problemsOf(rules); got != nil {
		t.Fatal(got)
	}
	if rules.Worse != (Delay{Runs: 3, For: 45 * time.Second}) || len(rules.Limits) != len(DefaultRules().Limits) || *rules.Overrides[0].Bad != 0.1 {
		t.Errorf("%+v", rules)
	}
}

func TestEveryMistakeIsReported(t *testing.T) {
	v := func(f float64) *float64 { return &f }
	rules := DefaultRules()
	rules.Overrides = []Limit{
		{Field: "icmp.los_ratio", Degraded: v(1)},
		{Field: "check.error"},
		{Field: "icmp.loss_ratio", Layer: "wan", Path: "lan2", Target: "Big Name", Degraded: v(0.1), Bad: v(0.05)},
		{Field: "http.cert_expiry_seconds", Degraded: v(5)},
	}
	rules.LossRuns, rules.Worse.Runs = 0, 0
	rules.Silence.Interval = 0
	rules.Maintenance = []Maintenance{{From: t0, To: t0}, {}}
	rules.OfficeHours = []OfficeHours{{Days: []string{"t2"}, From: "7h", To: "17:00", Zone: "Asia/Nowhere", Holidays: []string{"2/9"}}}
	got := problemsOf(rules)
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
	r := DefaultRules()
	want := []string{"dns.query_seconds", "http.cert_expiry_seconds", "http.total_seconds", "icmp.df_ok", "icmp.jitter_seconds",
		"icmp.lost", "icmp.rtt_p95_seconds", "icmp.sent", "tcp.connect_seconds"}
	if diff := cmp.Diff(want, r.Facts()); diff != "" {
		t.Error(diff)
	}
	if r.Uses("icmp", "loss_ratio") || r.Uses("check", "outcome") || !r.Uses("icmp", "lost") {
		t.Error("a ratio is judged by its counts")
	}
}
