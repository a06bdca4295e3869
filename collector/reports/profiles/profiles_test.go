package profiles

import (
	"fmt"
	"strings"
	"testing"

	"communewatch/collector/reports"
)

func TestProfilesAreRead(t *testing.T) {
	got, err := Parse("p.yaml", []byte(`
profiles:
  - name: a
    citation: contract 1
    layer: broadband
    hours: all
    limits: {availability: 0.99, loss: 0, rtt_p95: 50ms}
    citations: {rtt_p95: annex 2}
  - name: b
    layer: dedicated
    limits: {jitter_p95: 5ms}
    citations: {jitter_p95: annex 3}
`))
	if err != nil {
		t.Fatal(err)
	}
	if text := fmt.Sprint(got); text != "[{a contract 1 broadband all [{availability 0.99 contract 1} {loss 0 contract 1} {rtt_p95 0.05 annex 2}]} {b  dedicated office [{jitter_p95 0.005 annex 3}]}]" {
		t.Error(text)
	}
	if got[1].Hours != reports.Office {
		t.Error("limits hold in office hours where nothing else is said")
	}
}

func TestEveryMistakeIsTold(t *testing.T) {
	_, err := Parse("p.yaml", []byte(`profiles:
  - name: a
    layer: wan
    hours: night
    limits: {availability: 99, loss: -1, rtt_p50: 0s, jiter_p95: 5ms}
    citations: {loss_p95: annex}
  - layer: lan
    citation: x
  - {name: a, layer: lan, citation: x, limits: {loss: 0.1}}
`))
	if err == nil {
		t.Fatal("nothing is told")
	}
	for _, want := range []string{
		`p.yaml:3: profiles[0].layer: "wan" is not a layer`, `p.yaml:4: profiles[0].hours: "night" is not office or all`,
		`p.yaml:5: profiles[0].limits.availability: must be a share from 0 to 1, such as 0.99 for 99 %`, `profiles[0].limits.availability: says not where it is written`,
		`p.yaml:5: profiles[0].limits.loss: must be a share`, `p.yaml:5: profiles[0].limits.rtt_p50: must be above 0s`,
		`p.yaml:5: profiles[0].limits.jiter_p95: unknown key`, `p.yaml:6: profiles[0].citations.loss_p95: there is no limit called loss_p95 to cite`,
		`p.yaml:7: profiles[1]: has no name`, `p.yaml:7: profiles[1]: has no limits`, `p.yaml:9: profiles[2].name: "a" is the name of another profile too`,
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("not told: %s\nin\n%v", want, err)
		}
	}
}

// The example shows the shape and sets no limit that anybody could take for one.
func TestTheExampleSetsNoLimits(t *testing.T) {
	got, err := Read("../../../deploy/examples/line-profiles.yaml")
	if err != nil || len(got) != 0 {
		t.Errorf("%v, %v", got, err)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte("profiles:\n  - {name: a, layer: lan, citation: x, limits: {loss: 0.1, rtt_p50: 5ms}}\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		got, err := Parse("f", data)
		if err != nil {
			return
		}
		for _, p := range got {
			for _, l := range p.Limits {
				if l.Citation == "" || l.Value < 0 || l.Value > 10 {
					t.Errorf("%+v of %q", l, data)
				}
			}
		}
	})
}
