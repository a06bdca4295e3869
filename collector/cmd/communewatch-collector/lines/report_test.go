package lines

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"communewatch/collector/reports"
	"communewatch/collector/web/report/sheets"
	"communewatch/probes"
)

// A terminal's report writes all numbers as its language does, and a unit once.
func TestTextIsOfOneLanguage(t *testing.T) {
	from := time.Date(2026, 10, 1, 0, 0, 0, 0, time.FixedZone("", 7*3600))
	availability, loss := 0.99987, 0.0004
	f := reports.Figures{Period: 100_000, OK: 99_622, Down: 378, Availability: &availability, Known: 1, Outages: 2, Sent: 1000, Loss: &loss,
		RTT: &reports.Distribution{Count: 30, P50: 0.001, P95: 0.0011}}
	r := &reports.Report{Period: reports.Period{Kind: reports.Month, From: from, To: from.AddDate(0, 1, 0)}, Hours: reports.Office, Made: from, DataTo: from,
		Paths: []reports.Group{{Layer: probes.LayerBroadband, Lines: 1, Figures: f}}}
	for lang, want := range map[string][]string{
		"vi": {"99,99\u00a0%", " 6,3 ", "1,1\u00a0ms", "Độ trễ khứ hồi (p95)"},
		"en": {"99.99%", " 6.3 ", "1.1\u00a0ms"},
	} {
		var out bytes.Buffer
		if err := write(&out, r, "text", sheets.Options{Lang: lang}); err != nil {
			t.Fatal(err)
		}
		for _, text := range want {
			if !strings.Contains(out.String(), text) {
				t.Errorf("%s: no %q in\n%s", lang, text, out.String())
			}
		}
		if strings.Contains(out.String(), "(ms)") {
			t.Errorf("%s: the unit is there twice", lang)
		}
	}
}
