package api

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"communewatch/collector/audit"
	"communewatch/collector/people"
	"communewatch/collector/rehearsal"
	"communewatch/collector/rehearsal/guard"
	"communewatch/probes"
)

// as is a house as somebody sees it.
func (h *house) as(c people.Caller, target string, head ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodGet, "http://collector"+target, nil)
	r = r.WithContext(people.With(r.Context(), c))
	for i := 0; i < len(head); i += 2 {
		r.Header.Set(head[i], head[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func viewer(districts ...string) people.Caller {
	return people.Caller{Name: "hung", Role: people.RoleViewer, Via: "session", Districts: districts}
}

// A site of another district is not there: not in lists, not by its address, not in series.
func TestDistricts(t *testing.T) {
	h := newHouse(t, 3)
	for i, d := range []string{"Vĩnh Yên", "Phúc Yên", "Vĩnh Yên"} {
		h.names.sites[i].Parent = d
	}
	h.ping(t, "s0", "gw", t0, 10, 0, probes.OutcomeOK)
	h.at(t0.Add(time.Minute))
	ids := func(w *httptest.ResponseRecorder) (out string) {
		for _, s := range decode[[]Site](t, w) {
			out += s.ID + " "
		}
		return out
	}
	mine, other, none := viewer("Vĩnh Yên"), viewer("Phúc Yên"), people.Caller{Name: "x", Role: people.RoleViewer, Districts: []string{}}
	all := h.as(viewer(), "/api/v1/sites")
	narrow := h.as(mine, "/api/v1/sites")
	if got := ids(all); got != "s0 s1 s2 " {
		t.Error(got)
	}
	if got := ids(narrow); got != "s0 s2 " {
		t.Error(got)
	}
	if got := ids(h.as(other, "/api/v1/sites")); got != "s1 " {
		t.Error(got)
	}
	if got := ids(h.as(none, "/api/v1/sites")); got != "" {
		t.Error(got)
	}
	if got := ids(h.get(t, "/api/v1/sites")); got != "s0 s1 s2 " {
		t.Error("the program itself:", got)
	}
	// A list that somebody else was given is never taken for one's own.
	tag := all.Header().Get("ETag")
	if w := h.as(mine, "/api/v1/sites", "If-None-Match", tag); w.Code != 200 || w.Header().Get("ETag") == tag {
		t.Error(w.Code, w.Header().Get("ETag"), tag)
	}
	if w := h.as(mine, "/api/v1/sites", "If-None-Match", narrow.Header().Get("ETag")); w.Code != http.StatusNotModified {
		t.Error(w.Code)
	}
	for _, path := range []string{"/api/v1/sites/s0", "/api/v1/sites/s0/conference", "/api/v1/sites/s0/history", "/api/v1/sites/s0/changes", "/api/v1/series?measurement=icmp&field=loss_ratio&site=s0"} {
		if w := h.as(mine, path); w.Code != 200 {
			t.Errorf("%s: %d %s", path, w.Code, w.Body)
		}
		if w := h.as(other, path); w.Code != http.StatusNotFound || strings.Contains(w.Body.String(), "Vĩnh") {
			t.Errorf("%s from another district: %d %s", path, w.Code, w.Body)
		}
	}
	if w := h.as(other, "/api/v1/series?measurement=icmp&field=loss_ratio"); w.Code != http.StatusBadRequest {
		t.Errorf("all sites' series: %d", w.Code)
	}
	if sites, err := h.Sites(people.With(t.Context(), other), "vi"); err != nil || len(sites) != 1 {
		t.Error(sites, err)
	}
	// What is announced too.
	h.changes(t.Context())
	h.ping(t, "s1", "gw", t0.Add(time.Minute), 10, 0, probes.OutcomeOK)
	h.at(t0.Add(61 * time.Second))
	events, see := h.changes(t.Context())
	if !strings.Contains(string(events["vi"]), `"s1"`) || len(see(mine, "vi")) != 0 || string(see(other, "vi")) != string(events["vi"]) {
		t.Errorf("%s\n%s\n%s", events["vi"], see(mine, "vi"), see(other, "vi"))
	}
}

// record keeps what is recorded.
type record struct {
	mu  sync.Mutex
	all []audit.Entry
}

func (r *record) Record(_ context.Context, e audit.Entry) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.all = append(r.all, e)
	return nil
}

func TestRehearsalsOfADistrict(t *testing.T) {
	h := newHouse(t, 6)
	for i := range h.names.sites {
		h.names.sites[i].Parent = []string{"Huyện 0", "Huyện 1", "Huyện 2"}[i%3]
	}
	service := h.rehearse(6)
	var kept record
	guarded := guard.New(service, guard.Options{Record: &kept, Seen: h.seen})
	ctx := people.With(t.Context(), people.Caller{Name: "lan", Role: people.RoleOperator, Via: "session"})
	id, err := guarded.Start(ctx, rehearsal.Request{Meeting: "Giao ban", By: "lan"})
	if err != nil {
		t.Fatal(err)
	}
	if err := guarded.Stop(ctx, id, "lan"); err != nil {
		t.Fatal(err)
	}
	if err := guarded.Stop(ctx, id+100, "lan"); err == nil {
		t.Error("a rehearsal that is not there was stopped")
	}
	if _, err := guarded.Hold(ctx, rehearsal.Hold{Meeting: "Giao ban", By: "lan", For: time.Minute}); err != nil {
		t.Fatal(err)
	}
	var acts string
	for _, e := range kept.all {
		if acts += e.Act; !e.OK {
			acts += "(refused)"
		}
		acts += " "
	}
	if acts != "rehearsal.start rehearsal.stop rehearsal.stop(refused) rehearsal.hold " {
		t.Error(acts)
	}
	whole, err := guarded.Get(ctx, id)
	if err != nil {
		t.Fatal(err)
	}
	narrow := people.With(t.Context(), viewer("Huyện 1"))
	part, err := guarded.Get(narrow, id)
	if err != nil || len(whole.Verdict.Rows) == 0 || len(part.Verdict.Rows) >= len(whole.Verdict.Rows) || len(part.Plan.Sites) != 2 || len(whole.Plan.Sites) != 6 {
		t.Fatalf("%d of %d rows, %d of %d sites: %v", len(part.Verdict.Rows), len(whole.Verdict.Rows), len(part.Plan.Sites), len(whole.Plan.Sites), err)
	}
	n := 0
	for _, r := range part.Verdict.Rows {
		if r.Site != "s1" && r.Site != "s4" {
			t.Error(r.Site)
		}
	}
	for _, c := range part.Verdict.Counts {
		n += c
	}
	if n != len(part.Verdict.Rows) {
		t.Error(part.Verdict.Counts)
	}
	if again, _ := guarded.Get(ctx, id); len(again.Verdict.Rows) != len(whole.Verdict.Rows) {
		t.Error("what somebody else may not see was taken from everybody")
	}
	if st, err := guarded.Status(narrow, id); err != nil || len(st.SiteStates) > 2 {
		t.Error(st.SiteStates, err)
	}
}

// Operators by their account need no code; others do.
func TestOperatorsByAccount(t *testing.T) {
	h := newHouse(t, 3)
	h.rehearse(3)
	post := func(c *people.Caller, code string) int {
		r := httptest.NewRequest(http.MethodPost, "http://collector/api/v1/rehearsals/hold", strings.NewReader(`{"meeting":"Giao ban","for_seconds":60}`))
		r.Header.Set("Content-Type", "application/json")
		if code != "" {
			r.Header.Set("Authorization", "Bearer "+code)
		}
		if c != nil {
			r = r.WithContext(people.With(r.Context(), *c))
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		return w.Code
	}
	operator := people.Caller{Name: "lan", Role: people.RoleOperator, Via: "session"}
	program, district, reader := operator, operator, viewer()
	program.Via = "key"
	district.Districts = []string{"Phúc Yên"}
	for name, c := range map[string]struct {
		caller *people.Caller
		code   string
		want   int
	}{
		"an operator":                 {&operator, "", 200},
		"an operator's program":       {&program, "cw1k_x_y", 200},
		"an operator of a district":   {&district, "", 401},
		"a viewer":                    {&reader, "", 401},
		"a viewer with a code":        {&reader, "cw1_good", 200},
		"nobody with a code":          {&people.Caller{}, "cw1_good", 200},
		"nobody with an agent's":      {&people.Caller{}, "cw1_agent", 403},
		"nobody":                      {&people.Caller{}, "", 401},
		"where nobody is asked":       {nil, "", 401},
		"with a code, without a door": {nil, "cw1_good", 200},
	} {
		if got := post(c.caller, c.code); got != c.want {
			t.Errorf("%s: %d, want %d", name, got, c.want)
		}
	}
}
