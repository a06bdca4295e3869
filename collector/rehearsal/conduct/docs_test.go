package conduct

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"communewatch/collector/rehearsal/plan"
)

// The page on rehearsals tells the numbers that hold.
func TestDocumentedNumbersHold(t *testing.T) {
	text, err := os.ReadFile("../../../docs/rehearsal.md")
	if err != nil {
		t.Fatal(err)
	}
	flat := strings.Join(strings.Fields(string(text)), " ")
	var names []string
	for _, n := range plan.Steps(136)[:3] {
		names = append(names, fmt.Sprint(n))
	}
	for _, says := range []string{
		fmt.Sprintf("of 136 sites %s and then all", strings.Join(names, ", ")),
		fmt.Sprintf("%.0f s at first", plan.Lead.Seconds()),
		fmt.Sprintf("begin %d ms apart", plan.Stagger.Milliseconds()),
		fmt.Sprintf("%.0f s after its media; %.0f s later the next begins", resultWait.Seconds(), plan.Pause.Seconds()),
		fmt.Sprintf("processors %.0f %% in use (`rehearsal.cpu_limit`) for %d s, packets staying %d ms (99th percentile; `rehearsal.residence_limit`) for %d s",
			plan.DefaultSettings().CPULimit*100, fullFor, plan.DefaultSettings().ResidenceLimit.Milliseconds(), slowFor),
		fmt.Sprintf("no answer from it for %.0f s", awayFor.Seconds()),
		fmt.Sprintf("`%s` (the default)", plan.DefaultProfile),
	} {
		if !strings.Contains(flat, says) {
			t.Errorf("docs/rehearsal.md does not say %q", says)
		}
	}
}
