package api

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"communewatch/collector/api/fleet"
	known "communewatch/collector/fleet"
	"communewatch/collector/muster"
	"communewatch/collector/orders"
	"communewatch/collector/people"
	"communewatch/collector/people/door"
	"communewatch/collector/people/password"
	"communewatch/collector/phrase/book"
	"communewatch/collector/registry"
	"communewatch/collector/registry/agents"
	kept "communewatch/collector/registry/people"
	"communewatch/probes"
	"communewatch/probes/enroll"
	"communewatch/probes/presence"
	"communewatch/probes/work"
)

// machines are the agents of a fleet.
type machines struct {
	known.Service
	list []known.Agent
}

func (m *machines) Agents(context.Context) ([]known.Agent, error) { return m.list, nil }

const hostile = `<script>alert(1)</script>`

// fleet gives a house of three sites a fleet, accounts and a record.
func (h *house) fleet(t *testing.T) *kept.Store {
	t.Helper()
	reg, err := registry.Open(t.Context(), filepath.Join(t.TempDir(), "registry.db"), registry.Options{Log: slog.New(slog.DiscardHandler), Now: h.clock})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := reg.Close(); err != nil {
			t.Error(err)
		}
	})
	at := func(d time.Duration) time.Time { return t0.Add(d) }
	m := &machines{list: []known.Agent{
		{Site: "s0", Agent: "pc", State: known.StateActive, Machine: enroll.Machine{Host: hostile, System: "linux/amd64", Version: "1.2.0"}, Key: [32]byte{1}, Code: "k7",
			Asked: at(-time.Hour), Approved: at(-time.Minute), By: "lan", Serial: "0a", Issued: at(-time.Minute), Expires: at(90 * 24 * time.Hour), Heard: at(0),
			Presence: &presence.Presence{Work: work.Status{State: work.StateRefused, Version: 3, Problems: []string{"address 8.8.8.8 is not allowed"}}, Update: presence.Update{Enabled: true, State: "kept", Version: "1.2.0"}}},
		{Site: "s1", Agent: "pc", State: known.StatePending, Machine: enroll.Machine{Host: "pc-2", Version: "1.1.0"}, Asked: at(-time.Hour)},
		{Site: "s2", Agent: "old", State: known.StateRevoked, Revoked: at(-time.Hour), By: "lan", Why: "stolen"},
	}}
	h.judge.ObserveAgent("s1", "token-pc", t0, "1.0.0", map[string]float64{"spool_batches": 7, "clock_offset_seconds": 0.2})
	h.ping(t, "s0", "gw", t0, 10, 10, probes.OutcomeTimeout)
	h.at(t0.Add(time.Second))
	h.API.fleet = &fleet.Sources{People: reg.People(), Sources: muster.Sources{Agents: m, Judge: h.judge,
		Said:      func(context.Context) ([]agents.Said, error) { return nil, nil },
		Connected: func() []orders.Agent { return []orders.Agent{{Site: "s0", Agent: "pc", Since: t0}} }}}
	h.Handler = h.API.Handler()
	ctx := people.With(t.Context(), people.Caller{Name: "root", Role: people.RoleAdmin, Via: "command"})
	for _, p := range []kept.Person{
		{Name: "lan", Display: "Nguyễn Thị Lan", Role: people.RoleAdmin}, {Name: "hung", Role: people.RoleViewer}, {Name: "minh", Role: people.RoleOperator},
		{Name: "mai", Role: people.RoleOperator, Districts: []string{"Lập Thạch"}}, {Name: "tu", Role: people.RoleProcurement}, {Name: "duc", Role: people.RoleAdmin, Districts: []string{"Lập Thạch"}},
	} {
		if err := reg.People().Add(ctx, p, "planted argon2id hash"); err != nil {
			t.Fatal(err)
		}
	}
	return reg.People()
}

// TestASiteTellsThatItsPlanWasRefused: nothing is measured then, and "never seen" would be all that is told.
func TestASiteTellsThatItsPlanWasRefused(t *testing.T) {
	h := newHouse(t, 2)
	h.fleet(t)
	words, err := book.New()
	if err != nil {
		t.Fatal(err)
	}
	refused := &presence.Presence{Work: work.Status{State: work.StateRefused, Problems: []string{"work 3:12: checks[0].kind: snmp is forbidden: it is not among allow.kinds of the agent's own settings"}}}
	h.API.fleet.Sentences = words
	h.API.fleet.Said = func(context.Context) ([]agents.Said, error) {
		return []agents.Said{{Site: "s0", Agent: "new", Presence: refused}, {Site: "s1", Agent: "pc", Presence: &presence.Presence{Work: work.Status{State: work.StateActive}}}}, nil
	}
	const plain = "Máy đo không nhận kế hoạch được giao"
	for _, c := range []struct {
		who  people.Role
		lang string
		want string
	}{
		{people.RoleOperator, "vi", plain + ": Bản 3, dòng 12, checks[0].kind: cấm loại snmp: cấu hình riêng của máy đo không cho phép (allow.kinds)"},
		{people.RoleOperator, "en", "The agent did not take the plan that it was given: " + refused.Work.Problems[0]},
		{people.RoleViewer, "vi", plain},
	} {
		ctx := people.With(t.Context(), people.Caller{Name: "x", Role: c.who, Via: "session"})
		s, err := h.API.Site(ctx, "s0", c.lang)
		i := slices.IndexFunc(s.Agents, func(a Agent) bool { return a.Name == "new" })
		if err != nil || i < 0 || s.Agents[i].Trouble != c.want || s.AgentTrouble != c.want {
			t.Errorf("%s %s: %v, %q, %+v", c.who, c.lang, err, s.AgentTrouble, s.Agents)
		}
		if s, err = h.API.Site(ctx, "s1", c.lang); err != nil || strings.Contains(s.AgentTrouble, plain) {
			t.Errorf("%v, %q", err, s.AgentTrouble)
		}
	}
}

// TestFleetByRole asks as each role, by an API key and through the door, for what is of the fleet, of people and the record.
func TestFleetByRole(t *testing.T) {
	h := newHouse(t, 3)
	h.names.sites[2].Parent = "Lập Thạch"
	store := h.fleet(t)
	d, err := door.New(door.Options{Store: store, Settings: door.DefaultSettings(), Cost: password.Cost{MemoryKiB: 64, Passes: 1, Lanes: 1}, Tell: io.Discard, Now: h.clock, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	asked := d.Middleware(h.Handler)
	get := func(key, target string) (int, string) {
		r := httptest.NewRequest(http.MethodGet, target, nil)
		if key != "" {
			r.Header.Set("Authorization", "Bearer "+key)
		}
		w := httptest.NewRecorder()
		asked.ServeHTTP(w, r)
		return w.Code, w.Body.String()
	}
	var secrets []string
	for _, tt := range []struct {
		name                 string
		fleet, people, audit int
		agents               int
	}{
		{"", 401, 401, 401, 0}, {"hung", 403, 403, 403, 0}, {"tu", 403, 403, 403, 0}, {"minh", 200, 403, 403, 3}, {"mai", 200, 403, 403, 0},
		{"duc", 200, 403, 403, 0}, {"lan", 200, 200, 200, 3},
	} {
		key := ""
		if tt.name != "" {
			p, err := store.Person(t.Context(), tt.name)
			if err != nil {
				t.Fatal(err)
			}
			if key, _, err = store.CreateKey(t.Context(), kept.Key{Person: p.Name, Role: p.Role, Note: "grafana", Expires: t0.Add(time.Hour)}); err != nil {
				t.Fatal(err)
			}
			secrets = append(secrets, key)
		}
		all := ""
		for path, want := range map[string]int{"/api/v1/fleet": tt.fleet, "/api/v1/people": tt.people, "/api/v1/audit": tt.audit} {
			code, body := get(key, path)
			if code != want {
				t.Errorf("%q asks for %s: %d, want %d", tt.name, path, code, want)
			}
			all += body
			var f fleet.Fleet
			if path == "/api/v1/fleet" && code == 200 {
				if err := json.Unmarshal([]byte(body), &f); err != nil || f.Total != tt.agents || len(f.Agents) != tt.agents {
					t.Errorf("%q sees %d of %d agents, want %d (%v)", tt.name, len(f.Agents), f.Total, tt.agents, err)
				}
				for _, a := range f.Agents {
					if tt.name != "lan" && a.District == "Lập Thạch" && tt.name != "mai" {
						t.Errorf("%q sees %+v", tt.name, a)
					}
				}
			}
		}
		if strings.Contains(all, hostile) {
			t.Error("a name is not escaped")
		}
		for _, planted := range append(secrets, "planted") {
			if strings.Contains(all, planted) {
				t.Errorf("%q is told %q", tt.name, planted)
			}
		}
	}
	// What stands before the room may be lost: it looks itself.
	for _, c := range []people.Caller{{Name: "minh", Role: people.RoleOperator, Via: "key"}, {Name: "duc", Role: people.RoleAdmin, Districts: []string{"Lập Thạch"}, Via: "key"}} {
		for _, path := range []string{"/api/v1/people", "/api/v1/audit"} {
			if w := h.as(c, path); w.Code != http.StatusForbidden {
				t.Errorf("%+v: %s: %d", c, path, w.Code)
			}
		}
	}
}

func TestFleetAgents(t *testing.T) {
	h := newHouse(t, 3)
	h.fleet(t)
	read := func(query string) fleet.Fleet {
		t.Helper()
		return decode[fleet.Fleet](t, h.get(t, "/api/v1/fleet"+query))
	}
	all := read("?lang=en")
	if len(all.Agents) != 3 || all.Agents[0].Standing != "pending" || all.Agents[0].Certificate != nil || all.Agents[0].LastSeen != nil {
		t.Fatalf("who waits for approval is not first: %+v", all.Agents)
	}
	a := all.Agents[1]
	if a.Site != "s0" || a.Name != "Xuân Hoà" || a.Host != hostile || a.ConnectedSince == nil || a.Certificate == nil || a.Certificate.Serial != "0a" || a.Work.State != "refused" || len(a.Work.Problems) != 1 ||
		!a.Update.Enabled || len(a.Checks) != 1 || a.Checks[0].Target != "gw" || a.State != a.Checks[0].State || a.Fingerprint == "" {
		t.Errorf("%+v", a)
	}
	if a := all.Agents[2]; a.Standing != "token" || a.Facts["spool_batches"] != 7 || !a.Outdated {
		t.Errorf("%+v", a)
	}
	for query, want := range map[string]int{"?show=revoked": 1, "?show=pending": 1, "?show=old": 2, "?show=refused": 1, "?site=s1": 2, "?site=s1&agent=pc": 1, "?site=nobody": 0, "?search=xuan+hoa": 3,
		"?search=pc-2": 1, "?search=" + url.QueryEscape(strings.Repeat("a", 200)): 0} {
		if got := read(query); got.Total != want || len(got.Agents) != want {
			t.Errorf("%s: %d of %d, want %d", query, len(got.Agents), got.Total, want)
		}
	}
	if got := read("?offset=1&limit=1"); got.Total != 3 || got.Offset != 1 || len(got.Agents) != 1 || got.Agents[0].Site != "s0" {
		t.Errorf("%+v", got)
	}
}

func TestTheRecordIsReadInPortions(t *testing.T) {
	h := newHouse(t, 1)
	store := h.fleet(t)
	for i := range 10 {
		name := fmt.Sprintf("person%d", i)
		if err := store.Add(people.With(t.Context(), people.Caller{Role: people.RoleAdmin, Address: "127.0.0.1"}), kept.Person{Name: name, Role: people.RoleViewer}, ""); err != nil {
			t.Fatal(err)
		}
	}
	var seen []int64
	query := "?limit=5"
	for range 20 {
		part := decode[fleet.Record](t, h.get(t, "/api/v1/audit"+query))
		for _, e := range part.Entries {
			seen = append(seen, e.ID)
		}
		if part.Before == nil {
			break
		}
		query = fmt.Sprintf("?limit=5&before=%d", *part.Before)
	}
	if len(seen) != 16 {
		t.Errorf("%d entries: %v", len(seen), seen)
	}
	for i := 1; i < len(seen); i++ {
		if seen[i] >= seen[i-1] {
			t.Error("the newest is not first:", seen)
		}
	}
	got := decode[fleet.Record](t, h.get(t, "/api/v1/audit?who=anonymous&act=person."))
	if len(got.Entries) != 10 || got.Entries[0].Address != "127.0.0.1" || got.Entries[0].Via != "screen" || got.Entries[0].What != "person9" {
		t.Errorf("%+v", got.Entries)
	}
	if got := decode[fleet.Record](t, h.get(t, "/api/v1/audit?from=2030-01-01T00:00:00Z")); len(got.Entries) != 0 || got.Before != nil {
		t.Errorf("%+v", got)
	}
	list := decode[fleet.People](t, h.get(t, "/api/v1/people?role=viewer&limit=3"))
	if list.Total != 11 || len(list.People) != 3 || list.People[0].Name != "hung" || list.People[0].Districts != nil || !list.People[0].Password {
		t.Errorf("%+v", list)
	}
	for _, bad := range []string{"/api/v1/fleet?show=all", "/api/v1/fleet?limit=1001", "/api/v1/fleet?offset=-1", "/api/v1/fleet?sites=s1", "/api/v1/fleet?site=s1&site=s2", "/api/v1/people?role=boss", "/api/v1/people?limit=x",
		"/api/v1/audit?limit=0", "/api/v1/audit?limit=10001", "/api/v1/audit?before=-1", "/api/v1/audit?from=yesterday", "/api/v1/audit?from=%00", "/api/v1/audit?lang=fr"} {
		if w := h.get(t, bad); w.Code != http.StatusBadRequest {
			t.Errorf("%s: %d %s", bad, w.Code, w.Body)
		}
	}
	for _, path := range []string{"/api/v1/fleet", "/api/v1/people", "/api/v1/audit"} {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(http.MethodPost, path, nil))
		if w.Code != http.StatusMethodNotAllowed {
			t.Errorf("POST %s: %d", path, w.Code)
		}
	}
}
