package running_test

import (
	"io/fs"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"communewatch/collector/runs"
	"communewatch/collector/web/fleet"
	"communewatch/collector/web/frame"
	"communewatch/collector/web/running"
	"communewatch/probes"
	"communewatch/probes/orders"
)

// shown is a run's table in a language.
func shown(t *testing.T, lang string, r runs.Run, kinds map[string]probes.Kind) string {
	t.Helper()
	words, err := fleet.Words()
	if err != nil {
		t.Fatal(err)
	}
	house, err := frame.New(frame.Options{Words: []fs.FS{words}, Bundle: fstest.MapFS{}})
	if err != nil {
		t.Fatal(err)
	}
	parts, err := frame.Templates(fstest.MapFS{"page.html": {Data: []byte(`{{define "page"}}{{template "ran" .}}{{end}}`)}}, "*.html")
	if err != nil {
		t.Fatal(err)
	}
	rec := httptest.NewRecorder()
	req := httptest.NewRequest("GET", "/?lang="+lang, nil)
	house.Render(rec, req, 200, parts, "page", running.Of(house.Frame(rec, req), r, kinds))
	return rec.Body.String()
}

func TestARunIsSaidInTheReadersLanguage(t *testing.T) {
	r := runs.Run{Site: "s1", Agent: "main", Phase: orders.PhaseDone, Reason: "no reply within 2s", Over: true, Checks: []runs.Check{
		{Name: "gateway", Phase: orders.PhaseDone, Outcome: "ok", Took: 12 * time.Millisecond},
		{Name: "hub", Phase: orders.PhaseDone, Outcome: "timeout", Reason: "no reply within 2s"},
		{Name: "switch", Phase: orders.PhaseDone, Outcome: "timeout"},
		{Name: "dns", Phase: orders.PhaseDone, Outcome: "unbound", Reason: "device eth9 is not there"},
		{Name: "web", Phase: orders.PhaseRefused, Reason: "it was run by order 3s ago; once in 10s is enough"},
		{Name: "later", Phase: orders.PhaseDone, Outcome: "something newer"},
		{Name: "waits", Phase: orders.PhaseAccepted},
	}}
	kinds := map[string]probes.Kind{"switch": probes.KindSNMP}
	vi := shown(t, "vi", r, kinds)
	for _, want := range []string{"Bình thường", "12\u00a0ms", "hub không trả lời", "switch không trả lời SNMP", "Không thấy cổng mạng", "Vừa đo theo lệnh cách đây 3s", "Đã nhận",
		`<code lang="en">no reply within 2s</code>`, `<code lang="en">device eth9 is not there</code>`} {
		if !strings.Contains(vi, want) {
			t.Errorf("no %q in\n%s", want, vi)
		}
	}
	if n := strings.Count(vi, "no reply within"); n != 1 {
		t.Errorf("what one check says is there %d times", n)
	}
	if en := shown(t, "en", r, kinds); !strings.Contains(en, "hub does not answer") || strings.Contains(en, "không") {
		t.Error(en)
	}
}

func TestARunThatCameToNothingSaysWhy(t *testing.T) {
	vi := shown(t, "vi", runs.Run{Over: true, Reason: "the agent did not answer; its version may be too old for this", Checks: []runs.Check{{Name: "a"}}}, nil)
	if !strings.Contains(vi, "Máy đo không trả lời") || strings.Contains(vi, "did not answer") {
		t.Error(vi)
	}
}
