package rehearse

import (
	"strings"
	"testing"
	"time"

	"communewatch/collector/phrase"
	"communewatch/collector/rehearsal"
	"communewatch/probes"
)

// A line that loses is what the operator of a line can act on, so it is told before what is wrong with the room.
func TestBadMediaAreToldFirst(t *testing.T) {
	lost := 0.09
	silent := rehearsal.Cell{Mark: rehearsal.NoGo, Why: rehearsal.Why{Code: rehearsal.CodeSilent, Text: "codec"}}
	row := rehearsal.Row{Site: "s1", Overall: rehearsal.NoGo, Decided: rehearsal.ColumnEndpoint, Why: silent.Why,
		Call:  rehearsal.Cell{Mark: rehearsal.AtRisk, Why: rehearsal.Why{Code: rehearsal.CodeLoss, Loss: 0.04, Direction: probes.DirectionUp}},
		Cells: map[rehearsal.Column]rehearsal.Cell{rehearsal.ColumnEndpoint: silent}, Steps: []rehearsal.StepLoss{{Up: &lost}}}
	clean := row
	clean.Site, clean.Call = "s2", rehearsal.Cell{Mark: rehearsal.Go, Why: rehearsal.Why{Code: rehearsal.CodeClean}}
	rep := rehearsal.Report{Record: rehearsal.Record{ID: 7, Created: time.Unix(0, 0)}, Verdict: rehearsal.Verdict{Rows: []rehearsal.Row{row, clean}}}
	var out strings.Builder
	if err := printReport(&out, phrase.Vietnamese, &rep, nil); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	for i, want := range map[int]string{3: "MẤT/TRỄ LÊN/XUỐNG", 4: "9,0 % / -", 5: "codec không trả lời"} {
		if !strings.Contains(lines[len(lines)-6+i], want) {
			t.Errorf("%q is not in %q", want, lines[len(lines)-6+i])
		}
	}
	if !strings.HasSuffix(lines[len(lines)-2], "Mất 4 % gói chiều lên; codec không trả lời") || strings.Contains(lines[len(lines)-1], "Cuộc gọi tốt") {
		t.Errorf("%s", out.String())
	}
}

func TestTheLengthOfAPlanIsSaidInTheReadersLanguage(t *testing.T) {
	for seconds, want := range map[int]string{45: "45 giây", 60: "1 phút", 87: "1 phút 27 giây"} {
		var vi, en strings.Builder
		p := &rehearsal.Plan{Estimates: []rehearsal.Estimate{{Step: 1}}, TotalSeconds: seconds, StepSeconds: 15}
		if err := printPlan(&vi, phrase.Vietnamese, p); err != nil || !strings.Contains(vi.String(), "khoảng "+want+", mỗi bước 15 giây") {
			t.Errorf("%s, %v", vi.String(), err)
		}
		if err := printPlan(&en, phrase.English, p); err != nil || !strings.Contains(en.String(), (time.Duration(seconds)*time.Second).String()) {
			t.Errorf("%s, %v", en.String(), err)
		}
	}
}
