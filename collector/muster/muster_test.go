package muster

import (
	"testing"

	known "communewatch/collector/fleet"
)

// TestOldIsWhoRunsLessThanTheNewest has builds without a tag too, whose versions are below every release.
func TestOldIsWhoRunsLessThanTheNewest(t *testing.T) {
	for _, c := range []struct {
		name     string
		versions []string
		old      []bool
	}{
		{"builds of one commit", []string{"0.0.0-5.gabc1234", "0.0.0-5.gabc1234"}, []bool{false, false}},
		{"builds of two commits", []string{"0.0.0-5.gabc1234", "0.0.0-7.gdef5678"}, []bool{true, false}},
		{"a release and a build", []string{"v1.0.0", "0.0.0-7.gdef5678", "development"}, []bool{false, true, false}},
	} {
		rows := make([]Row, len(c.versions))
		for i, v := range c.versions {
			rows[i] = Row{Version: v, Agent: known.Agent{Site: string(rune('a' + i)), State: known.StateActive}}
		}
		finish(rows)
		for i := range rows {
			if rows[i].Old != c.old[i] {
				t.Errorf("%s: %s: old %v", c.name, rows[i].Version, rows[i].Old)
			}
		}
	}
}
