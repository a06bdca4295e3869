package e2e

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"communewatch/collector/api"
	"communewatch/collector/registry"
	"communewatch/collector/store"
	"communewatch/deploy/lab"
	"communewatch/deploy/lab/scenario"
)

// TestEverySiteIsShownAsItIs has one trouble per site, all at the same time: none may colour another.
func TestEverySiteIsShownAsItIs(t *testing.T) {
	onBothStores(t, everySiteIsShownAsItIs)
}

func everySiteIsShownAsItIs(t *testing.T, store string) {
	pv := prepare(t, store, 7, 6*time.Second)
	healthy, broken, stopped, unbound, ahead, behind, revoked := pv.sites[0], pv.sites[1], pv.sites[2], pv.sites[3], pv.sites[4], pv.sites[5], pv.sites[6]
	pv.edit(unbound, "dedicated: {device: lo}", "dedicated: {device: cw-e2e-gone}")
	pv.start(lab.Parts{Gear: true, Collector: true, Agents: pv.sites})
	seen := pv.follow()
	pv.until(live, "every site reports", func(s map[string]api.Site) bool {
		return all(s, "ok", healthy, broken, stopped, ahead, behind, revoked) && s[unbound].State == "no_data" &&
			s[unbound].Layers["dedicated"] == "no_data" && s[unbound].Layers["broadband"] == "ok" && s[unbound].AgentTrouble != ""
	})
	before := len(seen.of(broken))

	pv.do(service(broken, "down", conference...)...)
	pv.do(agentOrder(stopped, "stop"))
	pv.do(scenario.Order{Do: scenario.DoClock, Sites: []string{ahead}, Skew: 2 * time.Hour},
		scenario.Order{Do: scenario.DoClock, Sites: []string{behind}, Skew: -3 * time.Hour})
	pv.revoke(revoked)

	// Two runs two seconds apart, a second until the batch is sealed, and the way there.
	pv.until(15*time.Second, "the conference that is down is shown", func(s map[string]api.Site) bool {
		b := s[broken]
		return b.State == "down" && b.Layers["conference"] == "down" && b.Layers["lan"] == "ok" && b.ReasonCode == "outcome" && b.Reason != "" && b.Since != nil
	})
	eventually(t, 5*time.Second, "so does the map that is open", func() bool {
		for _, s := range seen.of(broken)[before:] {
			if s.State == "down" && s.Layers["conference"] == "down" && s.Reason != "" {
				return true
			}
		}
		return false
	}, func() string { return fmt.Sprint(seen.of(broken)) })
	pv.until(30*time.Second, "sites without results have no data", func(s map[string]api.Site) bool {
		return all(s, "no_data", stopped, revoked) && s[stopped].ReasonCode == "stopped" && s[revoked].ReasonCode == "silent"
	})
	if n := len(pv.spooled(revoked)); n < 3 {
		t.Errorf("the agent without a valid token keeps %d batches, want several", n)
	}

	pv.do(service(broken, "up", conference...)...)
	pv.newToken(revoked)
	pv.do(agentOrder(stopped, "start"), agentOrder(revoked, "stop"), agentOrder(revoked, "start"))
	pv.until(live, "all is well again", func(s map[string]api.Site) bool {
		return all(s, "ok", healthy, broken, stopped, ahead, behind, revoked) && s[unbound].State == "no_data"
	})

	pv.audited()
	if got := pv.spooled(revoked); len(got) > 10 {
		t.Errorf("with the new token %d batches are still waiting", len(got))
	}
	seen.never(t, stopped, "down", "degraded")
	seen.never(t, revoked, "down", "degraded")
	seen.never(t, unbound, "down", "degraded")
	for _, site := range []string{healthy, ahead, behind} {
		wasOK := false
		for _, s := range seen.of(site) {
			if wasOK && s.State != "ok" {
				t.Errorf("site %s left ok for %s (%s)", site, s.State, s.Reason)
			}
			wasOK = wasOK || s.State == "ok"
		}
	}
	detail := must[api.SiteDetail](pv, "/api/v1/sites/"+unbound)
	for _, c := range detail.Checks {
		if c.Path == "dedicated" && (c.State != "no_data" || c.Outcome != "unbound" || c.ReasonCode != "agent") {
			t.Errorf("check without its device: %+v", c)
		}
	}
	pv.lab.Stop()
	st := pv.stored()
	pv.storedInTime(st, ahead)
	pv.storedInTime(st, behind)
}

// edit changes a site's agent's settings.
func (pv *province) edit(site, old, new string) {
	pv.t.Helper()
	file := filepath.Join(pv.dir, "agents", site, "agent.yaml")
	data, err := os.ReadFile(file)
	if err != nil || !strings.Contains(string(data), old) {
		pv.t.Fatalf("%s holds no %q: %v", file, old, err)
	}
	if err := os.WriteFile(file, []byte(strings.Replace(string(data), old, new, 1)), 0o600); err != nil {
		pv.t.Fatal(err)
	}
}

// revoke ends a site's tokens while the collector runs.
func (pv *province) revoke(site string) {
	pv.t.Helper()
	reg := pv.registry()
	tokens, err := reg.Tokens(pv.t.Context())
	if err != nil {
		pv.t.Fatal(err)
	}
	for _, tok := range tokens {
		if tok.Site == site {
			if err := reg.RevokeToken(pv.t.Context(), tok.ID); err != nil {
				pv.t.Fatal(err)
			}
		}
	}
}

// newToken gives a site's agent another token, which it reads when it starts.
func (pv *province) newToken(site string) {
	pv.t.Helper()
	secret := pv.token(registry.Token{Kind: registry.KindAgent, Site: site})
	if err := os.WriteFile(filepath.Join(pv.dir, "agents", site, "token"), []byte(secret), 0o600); err != nil {
		pv.t.Fatal(err)
	}
}

// token makes a token beside the running collector, and returns once the collector knows it.
func (pv *province) token(of registry.Token) string {
	pv.t.Helper()
	secret, _, err := pv.registry().CreateToken(pv.t.Context(), of)
	if err != nil {
		pv.t.Fatal(err)
	}
	status := 0
	eventually(pv.t, 5*time.Second, "the collector knows the token", func() bool {
		status, _ = pv.post("", http.Header{"Authorization": {"Token " + secret}})
		return status == http.StatusNoContent
	}, func() string { return fmt.Sprint(status) })
	return secret
}

// post writes a body as an InfluxDB client does.
func (pv *province) post(body string, header http.Header) (status int, answer string) {
	pv.t.Helper()
	req, err := http.NewRequestWithContext(pv.t.Context(), http.MethodPost, "http://"+pv.listen+"/api/v2/write?org=communewatch&bucket=communewatch", io.NopCloser(strings.NewReader(body)))
	if err != nil {
		pv.t.Fatal(err)
	}
	req.Header = header
	resp, err := client.Do(req)
	if err != nil {
		return 0, err.Error()
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0, err.Error()
	}
	return resp.StatusCode, string(text)
}

// spooled lists the sealed batches on a site's agent's disk.
func (pv *province) spooled(site string) []string {
	pv.t.Helper()
	files, err := filepath.Glob(filepath.Join(pv.dir, "agents", site, "state", "spool", "*", "*.lp.gz"))
	if err != nil {
		pv.t.Fatal(err)
	}
	return files
}

// storedInTime looks at the store of a lab that was stopped: an agent's clock that went wrong must not have moved its
// results out of the time of the test, nor torn a hole into it.
func (pv *province) storedInTime(st store.Store, site string) {
	pv.t.Helper()
	q := store.Query{Measurement: "check", Fields: []string{"up"}, Tags: map[string]string{"site": site}, From: time.UnixMilli(0), To: time.Now().Add(48 * time.Hour)}
	earliest, latest, n := pv.begun.Add(-6*time.Second).UnixMilli(), time.Now().Add(6*time.Second).UnixMilli(), 0
	err := st.Select(pv.t.Context(), q, func(s store.Series) error {
		last := int64(0)
		for _, at := range s.Times {
			if at < earliest || at > latest {
				pv.t.Errorf("%v is stored at %v, outside of the test", s.Tags, time.UnixMilli(at))
			}
			if last > 0 && at-last > (15*time.Second).Milliseconds() {
				pv.t.Errorf("%v has a hole of %v", s.Tags, time.Duration(at-last)*time.Millisecond)
			}
			last = at
			n++
		}
		return nil
	})
	if err != nil || n == 0 {
		pv.t.Errorf("%d rows read: %v", n, err)
	}
}
