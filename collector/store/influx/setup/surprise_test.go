package setup_test

import (
	"testing"
	"time"

	"communewatch/collector/rollup"
	"communewatch/collector/store/influx"
	"communewatch/collector/store/influx/standin"
)

// 3.x makes a database that is written to; the collector must not let it come to that, since it would be kept for ever.
func TestTheCollectorMakesNoDatabaseBySurprise(t *testing.T) {
	s, o := startStandIn(t, standin.Options{Generation: standin.V3})
	o.Config.TokenFile = file(t, "token", s.AdminToken())
	st, err := influx.Open(t.Context(), influx.Options{Config: o.Config, Retention: o.Keep[rollup.Raw], Keep: o.Keep})
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	if c := st.Condition(); !c.Away {
		t.Errorf("a database that is not there is fine: %+v", c)
	}
	if err := st.Append(t.Context(), everyRow(time.Now())); err == nil {
		t.Error("rows were taken without a database")
	}
	if got := s.Databases(); len(got) != 0 {
		t.Error("made by surprise:", got)
	}
}
