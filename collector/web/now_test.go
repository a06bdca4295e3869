package web

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"communewatch/collector/audit"
	hub "communewatch/collector/orders"
	"communewatch/collector/people"
	"communewatch/collector/runs"
	"communewatch/probes/orders"
)

// channel is the order channel of the agents of one site, which answer at once, or never.
type channel struct {
	mu     sync.Mutex // guards the fields below
	told   []string
	record []audit.Entry
	mute   bool
	gone   bool
	runs   *runs.Service
}

func (h *channel) Record(_ context.Context, e audit.Entry) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.record = append(h.record, e)
	return nil
}

func (h *channel) tell(site, agent string, o orders.Order) error {
	h.mu.Lock()
	h.told = append(h.told, site+"/"+agent+" "+strings.Join(o.Run.Checks, " "))
	mute := h.mute
	h.mu.Unlock()
	if mute {
		return nil
	}
	rep := orders.Report{Order: o.ID, Phase: orders.PhaseDone, Outcome: "ok"}
	for i, c := range o.Run.Checks {
		ran := orders.Ran{Check: c, Phase: orders.PhaseDone, Outcome: "ok", Took: orders.Seconds(time.Second)}
		if i > 0 {
			ran.Outcome, ran.Reason = "timeout", "no reply"
		}
		rep.Ran = append(rep.Ran, ran)
	}
	h.runs.Hear(site, agent, rep)
	return nil
}

// ordering is the pages of three sites, with an agent of the first one connected.
func ordering(t *testing.T) (h *channel, site, other string, pages http.Handler) {
	t.Helper()
	f := newFixture(t, 3)
	site, other = f.sites[0].ID, f.sites[1].ID
	h = &channel{}
	h.runs = runs.New(runs.Options{Tell: h.tell, Record: h, Connected: func() []hub.Agent {
		if h.gone {
			return nil
		}
		return []hub.Agent{{Site: site, Agent: "pc"}, {Site: other, Agent: "pc"}}
	}})
	w, err := New(Options{Source: f, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	w.runs = h.runs
	return h, site, other, w.Handler()
}

func asked(h http.Handler, who people.Role, method, target string, form url.Values) *httptest.ResponseRecorder {
	target, _, _ = strings.Cut(target, "#") // which browsers keep to themselves
	r := httptest.NewRequest(method, target, strings.NewReader(form.Encode()))
	if form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	out := httptest.NewRecorder()
	h.ServeHTTP(out, r.WithContext(people.With(r.Context(), people.Caller{Name: "minh", Role: who, Via: "session", Proof: "PROOF"})))
	return out
}

func TestACheckIsRunFromItsSitesPage(t *testing.T) {
	h, site, other, pages := ordering(t)
	page := asked(pages, people.RoleOperator, "GET", "/sites/"+site, nil).Body.String()
	for _, want := range []string{`action="/sites/` + site + `/check"`, `name="proof" value="PROOF"`, `name="check" value="pc/gateway"`, `name="all"`} {
		if !strings.Contains(page, want) {
			t.Errorf("the page has no %s", want)
		}
	}
	out := asked(pages, people.RoleOperator, "POST", "/sites/"+site+"/check", url.Values{"check": {"pc/gateway"}})
	to, err := url.Parse(out.Header().Get("Location"))
	if err != nil || out.Code != http.StatusSeeOther || to.Path != "/sites/"+site || to.Fragment != "now" || strings.Join(h.told, ";") != site+"/pc gateway" {
		t.Fatal(out.Code, out.Header(), h.told)
	}
	after := asked(pages, people.RoleOperator, "GET", to.RequestURI(), nil)
	now := section(t, after.Body.String(), "now")
	if !strings.Contains(now, "gateway") || !strings.Contains(now, "Bình thường") || after.Header().Get("Refresh") != "" {
		t.Errorf("%v %s", after.Header(), now)
	}
	if len(h.record) != 1 || h.record[0].Who != "minh" || h.record[0].Act != "run.start" || !h.record[0].OK {
		t.Errorf("on the record: %+v", h.record)
	}
	if elsewhere := asked(pages, people.RoleOperator, "GET", "/sites/"+other+"?"+to.RawQuery, nil).Body.String(); strings.Contains(elsewhere, `id="now"`) {
		t.Error("another site's page shows the run")
	}
}

func TestAllChecksOfASiteAreRunButThoseThatTakeTheLine(t *testing.T) {
	h, site, _, pages := ordering(t)
	out := asked(pages, people.RoleAdmin, "POST", "/sites/"+site+"/check", url.Values{"all": {"1"}})
	if out.Code != http.StatusSeeOther || len(h.told) != 1 || !strings.Contains(h.told[0], "gateway") || !strings.Contains(h.told[0], "dns-tinh") || strings.Contains(h.told[0], "hub-dien-tap") {
		t.Fatal(out.Code, h.told)
	}
	now := section(t, asked(pages, people.RoleAdmin, "GET", out.Header().Get("Location"), nil).Body.String(), "now")
	if !strings.Contains(now, "không trả lời") || strings.Count(now, "<tr>") < 6 {
		t.Error(now)
	}
}

func TestWhoMayNotIsOfferedNothing(t *testing.T) {
	h, site, _, pages := ordering(t)
	for _, role := range []people.Role{people.RoleViewer, people.RoleProcurement} {
		if strings.Contains(asked(pages, role, "GET", "/sites/"+site, nil).Body.String(), "/check") {
			t.Error(role, "is offered to have checks run")
		}
		if out := asked(pages, role, "POST", "/sites/"+site+"/check", url.Values{"all": {"1"}}); out.Code != http.StatusForbidden || len(h.told) > 0 {
			t.Error(role, out.Code, h.told)
		}
	}
}

func TestWhatCannotBeRunIsSaidOnThePage(t *testing.T) {
	h, site, _, pages := ordering(t)
	for _, form := range []url.Values{{}, {"check": {"pc/nothing"}}, {"check": {"gateway"}}} {
		if out := asked(pages, people.RoleAdmin, "POST", "/sites/"+site+"/check", form); out.Code != http.StatusUnprocessableEntity || !strings.Contains(out.Body.String(), `role="alert"`) {
			t.Error(form, out.Code)
		}
	}
	h.gone = true
	out := asked(pages, people.RoleAdmin, "POST", "/sites/"+site+"/check", url.Values{"check": {"pc/gateway"}})
	if now := section(t, out.Body.String(), "now"); out.Code != http.StatusConflict || !strings.Contains(now, "chưa kết nối") {
		t.Error(out.Code, now)
	}
	if out := asked(pages, people.RoleAdmin, "POST", "/sites/nowhere/check", url.Values{"all": {"1"}}); out.Code != http.StatusNotFound {
		t.Error(out.Code)
	}
}

// TestNobodyWaitsLongForAnAgent: the page comes within two seconds, and looks again by itself.
func TestNobodyWaitsLongForAnAgent(t *testing.T) {
	h, site, _, pages := ordering(t)
	h.mute = true
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		out := asked(pages, people.RoleOperator, "POST", "/sites/"+site+"/check", url.Values{"check": {"pc/gateway", "pc/codec"}})
		if took := time.Since(began); out.Code != http.StatusSeeOther || took > 2*time.Second || took == 0 {
			t.Fatal(out.Code, took)
		}
		page := asked(pages, people.RoleOperator, "GET", out.Header().Get("Location"), nil)
		if page.Header().Get("Refresh") != "1" || !strings.Contains(section(t, page.Body.String(), "now"), "Đã gửi lệnh") {
			t.Error(page.Header())
		}
	})
}

// section is a part of a page by its id.
func section(t *testing.T, body, id string) string {
	t.Helper()
	_, rest, ok := strings.Cut(body, fmt.Sprintf("<section id=%q", id))
	if !ok {
		t.Fatalf("no section %s in the page", id)
	}
	part, _, _ := strings.Cut(rest, "</section>")
	return part
}
