package e2e

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"communewatch/collector"
	"communewatch/collector/api"
	"communewatch/collector/api/chart"
	"communewatch/deploy/lab"
	"communewatch/deploy/lab/database"
	"communewatch/deploy/lab/scenario"
)

// TestCollectorComesBackToTheSameMap takes the collector away for a while, in which a site has a fault that nobody
// sees: the map must come back as it was, and the fault must be in the site's history afterwards.
func TestCollectorComesBackToTheSameMap(t *testing.T) {
	onBothStores(t, collectorComesBackToTheSameMap)
}

func collectorComesBackToTheSameMap(t *testing.T, store string) {
	pv := prepare(t, store, 3, 30*time.Second) // grace above the agents' pauses between attempts
	healthy, broken, unseen := pv.sites[0], pv.sites[1], pv.sites[2]
	pv.start(lab.Parts{Gear: true, Collector: true, Agents: pv.sites})
	pv.do(service(broken, "down", conference...)...)
	pv.until(live, "two sites are well and one is not", func(s map[string]api.Site) bool {
		return all(s, "ok", healthy, unseen) && s[broken].State == "down"
	})
	from := time.Now().Add(time.Second).Truncate(time.Second)
	before, err := pv.states()
	if err != nil {
		t.Fatal(err)
	}

	pv.do(scenario.Order{Do: scenario.DoCollector, Mode: "stop"})
	gone := time.Now()
	pv.do(service(unseen, "down", conference...)...)
	wait(t, 7*time.Second) // three runs
	pv.do(service(unseen, "up", conference...)...)
	wait(t, 9*time.Second) // well for long enough to count
	pv.do(scenario.Order{Do: scenario.DoCollector, Mode: "start"})
	back := time.Now()

	var first map[string]api.Site
	eventually(t, 20*time.Second, "the collector answers again and knows the recent past", func() bool {
		replayed := pv.replayed()
		first, err = pv.states()
		return err == nil && replayed
	}, func() string { return fmt.Sprint(err) })
	seen := pv.follow()
	for _, site := range pv.sites {
		sameFace(t, before[site], first[site])
	}
	eventually(t, live, "results arrive again", func() bool {
		for _, site := range pv.sites {
			d, err := ask[api.SiteDetail](pv, "/api/v1/sites/"+site)
			if err != nil || len(d.Checks) == 0 {
				return false
			}
			for _, c := range d.Checks {
				if c.LastSeen == nil || c.LastSeen.Before(back) {
					return false
				}
			}
		}
		return true
	}, func() string { return "" })
	pv.audited() // waits for what was spooled

	for _, site := range pv.sites {
		seen.never(t, site, "no_data")
	}
	if s := must[api.SiteDetail](pv, "/api/v1/sites/"+broken); s.State != "down" {
		t.Errorf("the site that is down is shown as %s", s.State)
	}

	to := time.Now().Add(-5 * time.Second)
	span := fmt.Sprintf("from=%d&to=%d", from.Unix(), to.Unix())
	past := must[api.History](pv, "/api/v1/sites/"+healthy+"/history?"+span)
	if len(past.Site) != 1 || past.Site[0].State != "ok" {
		t.Errorf("history of the healthy site: %+v", past.Site)
	}
	past = must[api.History](pv, "/api/v1/sites/"+unseen+"/history?"+span)
	found := false
	for _, s := range past.Layers["conference"] {
		found = found || s.State == "down" && s.From.After(gone) && s.To.Before(back.Add(10*time.Second))
	}
	if !found || past.Layers["conference"][len(past.Layers["conference"])-1].State != "ok" {
		t.Errorf("the fault while the collector was away is not in the history: %+v", past.Layers["conference"])
	}
	const step = 6 // seconds: three runs, of which a busy machine may delay one
	counts := must[chart.SeriesAnswer](pv, fmt.Sprintf("/api/v1/series?measurement=check&field=up&agg=count&site=%s&target=lan-web&%s&step=%ds", healthy, span, step))
	if len(counts.Series) != 1 {
		t.Fatalf("%d series of one check", len(counts.Series))
	}
	s := counts.Series[0]
	for i, n := range s.Count {
		if whole := s.T[i] >= from.Unix() && s.T[i]+step <= to.Unix(); whole && n == 0 {
			t.Errorf("no result in the six seconds from %v, the collector was away from %v to %v", time.Unix(s.T[i], 0), gone, back)
		}
	}
}

// sameFace expects the map to show a site as before. The time since when may differ by less than a run: results are
// stamped with a run's start and come in at its end, so a replay in order of time may find another run to be the first.
func sameFace(t *testing.T, was, is api.Site) {
	t.Helper()
	face := func(s api.Site) string {
		return strings.Join([]string{s.State, s.ReasonCode, fmt.Sprint(s.Layers), s.AgentTrouble}, " ")
	}
	if face(was) != face(is) {
		t.Errorf("site %s was %s and came back as %s", was.ID, face(was), face(is))
	}
	if was.Since == nil || is.Since == nil || was.Since.Sub(*is.Since).Abs() > time.Second {
		t.Errorf("site %s was %s since %v and came back so since %v", was.ID, was.State, was.Since, is.Since)
	}
}

// wait lets the province live on.
func wait(t *testing.T, d time.Duration) {
	t.Helper()
	select {
	case <-t.Context().Done():
		t.Fatal(t.Context().Err())
	case <-time.After(d):
	}
}

// TestKillOfEverythingChangesNothing kills collector and agents at the same moment, and the database where there is one,
// and reads what is on the disks.
func TestKillOfEverythingChangesNothing(t *testing.T) {
	onBothStores(t, killOfEverythingChangesNothing)
}

func killOfEverythingChangesNothing(t *testing.T, store string) {
	pv := prepare(t, store, 3, 30*time.Second)
	pv.start(lab.Parts{Gear: true})
	process := pv.spawn("collector")
	// What is judged first shall be what was measured first.
	eventually(t, 20*time.Second, "the collector takes results", pv.replayed, func() string { return "" })
	agents := pv.spawn("agents", pv.sites...)
	broken := pv.sites[1]
	pv.do(service(broken, "down", conference...)...)
	pv.until(live, "two sites are well and one is not", func(s map[string]api.Site) bool {
		return all(s, "ok", pv.sites[0], pv.sites[2]) && s[broken].State == "down"
	})
	wait(t, 3*time.Second)
	before, err := pv.states()
	if err != nil {
		t.Fatal(err)
	}
	agents.kill()
	process.kill()
	if store == collector.StoreInflux {
		pv.do(scenario.Order{Do: scenario.DoDatabase, Mode: database.Kill}, scenario.Order{Do: scenario.DoDatabase, Mode: database.Up})
	}

	pv.spawn("collector")
	var after map[string]api.Site
	eventually(t, 20*time.Second, "the collector answers again and knows the recent past", func() bool {
		replayed := pv.replayed()
		after, err = pv.states()
		return err == nil && replayed
	}, func() string { return fmt.Sprint(err) })
	for _, site := range pv.sites {
		sameFace(t, before[site], after[site])
	}
	pv.spawn("agents", pv.sites...)
	pv.killedAudit()
}
