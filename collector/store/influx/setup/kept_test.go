package setup_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"communewatch/collector/rollup"
	"communewatch/collector/store/influx"
	"communewatch/collector/store/influx/setup"
)

// TestKeptIsNotGuessed asks a stand-in for 1.8 that has two of the databases, and can't tell at the moment what it keeps
// of the second.
func TestKeptIsNotGuessed(t *testing.T) {
	busy := true
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Influxdb-Version", "1.8.10")
		w.Header().Set("Content-Type", "application/json")
		switch q := r.FormValue("q"); {
		case r.URL.Path == "/ping":
			w.WriteHeader(http.StatusNoContent)
		case q == "SHOW DATABASES":
			fmt.Fprint(w, `{"results":[{"series":[{"columns":["name"],"values":[["communewatch"],["communewatch_1h"]]}]}]}`)
		case strings.Contains(q, "communewatch_1h") && busy:
			w.WriteHeader(http.StatusServiceUnavailable)
			fmt.Fprint(w, `{"error":"timeout"}`)
		default:
			fmt.Fprint(w, `{"results":[{"series":[{"columns":["name","duration","shardGroupDuration","replicaN","default"],"values":[["autogen","48h0m0s","24h0m0s",1,true]]}]}]}`)
		}
	}))
	defer server.Close()
	o := setup.Options{Config: influx.Config{URL: server.URL, Database: "communewatch"}}
	if kept, err := setup.Kept(t.Context(), o); err == nil || !strings.Contains(err.Error(), "database communewatch_1h") {
		t.Errorf("%v, %v", kept, err)
	}
	busy = false
	kept, err := setup.Kept(t.Context(), o)
	if err != nil || len(kept) != 2 || kept[rollup.Raw] != 48*time.Hour || kept[rollup.Hour] != 48*time.Hour {
		t.Errorf("%v, %v", kept, err)
	}
}
