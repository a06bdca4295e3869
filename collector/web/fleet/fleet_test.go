package fleet_test

import (
	"context"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"communewatch/collector/api"
	known "communewatch/collector/fleet"
	"communewatch/collector/health"
	"communewatch/collector/muster"
	"communewatch/collector/orders"
	"communewatch/collector/people"
	"communewatch/collector/plans"
	"communewatch/collector/registry"
	"communewatch/collector/registry/agents"
	"communewatch/collector/releases"
	"communewatch/collector/runs"
	"communewatch/collector/web/fleet"
	"communewatch/collector/web/frame"
	"communewatch/inventory"
	"communewatch/probes"
	"communewatch/probes/enroll"
	channel "communewatch/probes/orders"
	"communewatch/probes/presence"
	"communewatch/probes/work"
)

const hostile = `<script>alert("x")</script>`

// waiting is the key of the machine that waits.
var waiting = [32]byte{0xAB, 0xCD, 1}

// service is a fleet of three agents, one of which waits.
type service struct {
	known.Service
	did []string
}

func (s *service) Agents(context.Context) ([]known.Agent, error) {
	return []known.Agent{
		{Site: "s1", Agent: "main", State: known.StateActive, Machine: enroll.Machine{Host: hostile, System: "linux/amd64", Version: "1.4.0"},
			Expires: time.Now().Add(time.Hour), Clone: time.Now(), CloneWhy: "two machines report in turn: pc1 and pc2",
			Presence: &presence.Presence{Work: work.Status{State: work.StateRefused, Version: 3, Problems: []string{"checks.gateway.address: forbidden: 8.8.8.8 is not among allow.addresses of the agent's own settings, so no check from the collector may speak to it"}}}},
		{Site: "s2", Agent: "main", State: known.StatePending, Key: waiting, Machine: enroll.Machine{Host: "=HYPERLINK(1)", Version: "1.3.0"}},
		{Site: "s3", Agent: "main", State: known.StateActive},
	}, nil
}

func (s *service) Codes(context.Context) ([]known.Code, error) {
	return []known.Code{{ID: "open1", Site: "s1", Expires: time.Now().Add(time.Hour)}, {ID: "other3", Site: "s3", Expires: time.Now().Add(time.Hour)}}, nil
}

func (s *service) CreateCodes(_ context.Context, want []known.NewCode) (made []known.Made, err error) {
	for _, w := range want {
		s.did = append(s.did, "code "+w.Site+" by "+w.By)
		made = append(made, known.Made{Code: known.Code{Site: w.Site, Expires: time.Now()}, Text: "AAAA-BBBB-" + strings.ToUpper(w.Site)})
	}
	return made, nil
}

func (s *service) CancelCode(_ context.Context, id, _ string) error {
	s.did = append(s.did, "cancel "+id)
	return nil
}

func (s *service) ApproveKey(_ context.Context, site, agent, by string, key [32]byte) error {
	if key != waiting {
		return known.ErrOtherKey
	}
	s.did = append(s.did, "approve "+site+"/"+agent+" by "+by)
	return nil
}

func (s *service) Revoke(_ context.Context, site, agent, _, why string) error {
	s.did = append(s.did, "revoke "+site+"/"+agent+" "+why)
	return nil
}

// judge has one check of s1 that is down.
type judge struct{}

func (judge) Site(id string) (health.SiteStatus, []health.CheckStatus, bool) {
	if id != "s1" {
		return health.SiteStatus{}, nil, false
	}
	at := health.CheckID{Site: "s1", Agent: "main", Target: "gateway", Kind: probes.KindICMP}
	return health.SiteStatus{Agents: []health.AgentStatus{{Name: "main", Facts: map[string]float64{"spool_batches": 7, "clock_offset_seconds": 1.5}}}},
		[]health.CheckStatus{{ID: at, State: health.StateDown}, {ID: health.CheckID{Site: "s1", Agent: "main", Target: "dns"}, State: health.StateNoData}}, true
}

// world is the pages over a real registry, with s1 and s2 in one district and s3 in another.
type world struct {
	t    *testing.T
	mux  *http.ServeMux
	svc  *service
	reg  *registry.Registry
	runs *runs.Service
	told []string
}

func newWorld(t *testing.T) *world {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	reg, err := registry.Open(t.Context(), filepath.Join(t.TempDir(), "registry.db"), registry.Options{Log: log})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = reg.Close() })
	w := &world{t: t, mux: http.NewServeMux(), svc: &service{}, reg: reg}
	sites := []api.Site{{ID: "s1", Name: "Tích Sơn", Parent: "Vĩnh Yên"}, {ID: "s2", Name: hostile, Parent: "Vĩnh Yên"}, {ID: "s3", Name: "Sông Lô", Parent: "Lập Thạch"}}
	keeper, err := releases.New(releases.Options{Dir: t.TempDir(), Settings: releases.DefaultSettings(), Store: reg.Releases(), Log: log})
	if err != nil {
		t.Fatal(err)
	}
	connected := func() []orders.Agent { return []orders.Agent{{Site: "s1", Agent: "main", Since: time.Now()}} }
	words, err := fleet.Words()
	if err != nil {
		t.Fatal(err)
	}
	house, err := frame.New(frame.Options{Words: []fs.FS{words}, Bundle: fstest.MapFS{}, Fleet: true})
	if err != nil {
		t.Fatal(err)
	}
	w.runs = runs.New(runs.Options{Connected: connected, Tell: func(site, agent string, o channel.Order) error {
		w.told = append(w.told, site+"/"+agent+" "+strings.Join(o.Run.Checks, ","))
		return nil
	}})
	pages, err := fleet.New(house, fleet.Options{
		Sources: muster.Sources{Agents: w.svc, Said: func(context.Context) ([]agents.Said, error) { return nil, nil }, Judge: judge{}, Connected: connected},
		Sites: func(ctx context.Context, _ string) (out []api.Site, err error) {
			for _, s := range sites {
				if people.From(ctx).Sees(s.Parent) {
					out = append(out, s)
				}
			}
			return out, nil
		},
		SiteNames: reg.SiteNames, People: reg.People(), Releases: keeper, Log: log,
		Plans: plans.Of(reg, t.TempDir(), plans.Options{Log: log}),
		Runs:  w.runs,
	})
	if err != nil {
		t.Fatal(err)
	}
	pages.Register(w.mux)
	return w
}

var (
	admin    = people.Caller{Name: "lan", Role: people.RoleAdmin, Via: "session", Proof: "PROOF"}
	operator = people.Caller{Name: "minh", Role: people.RoleOperator, Via: "session", Districts: []string{"Vĩnh Yên"}}
)

func (w *world) do(who people.Caller, method, target string, form url.Values) *httptest.ResponseRecorder {
	w.t.Helper()
	r := httptest.NewRequest(method, target, strings.NewReader(form.Encode()))
	if form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		_ = r.ParseForm() // as the door does
	}
	out := httptest.NewRecorder()
	w.mux.ServeHTTP(out, r.WithContext(people.With(r.Context(), who)))
	return out
}

// get is a page that must be there, and must not let a name act.
func (w *world) get(who people.Caller, target string) string {
	w.t.Helper()
	out := w.do(who, "GET", target, nil)
	if out.Code != http.StatusOK {
		w.t.Fatalf("%s: %d %s", target, out.Code, out.Body)
	}
	body := out.Body.String()
	if strings.Contains(body, "<script>alert") {
		w.t.Errorf("%s: a name acts", target)
	}
	if m := regexp.MustCompile(`>\s*fleet\.[a-z_]+\s*<`).FindString(body); m != "" {
		w.t.Errorf("%s: no words for %s", target, m)
	}
	return body
}

func TestEveryPageIsThereInBothLanguages(t *testing.T) {
	w := newWorld(t)
	for _, lang := range []string{"vi", "en"} {
		for _, path := range []string{"/fleet", "/fleet/agents/s1/main", "/fleet/agents/s2/main", "/fleet/join", "/fleet/work", "/fleet/releases", "/fleet/people", "/fleet/audit"} {
			w.get(admin, path+"?lang="+lang)
		}
	}
}

func TestAgentsAreShownWithWhatWantsAPersonFirst(t *testing.T) {
	w := newWorld(t)
	body := w.get(admin, "/fleet?lang=en")
	pending, clone, other := strings.Index(body, "/fleet/agents/s2/main"), strings.Index(body, "/fleet/agents/s1/main"), strings.Index(body, "/fleet/agents/s3/main")
	if pending < 0 || pending > clone || clone > other {
		t.Errorf("the order is %d, %d, %d", pending, clone, other)
	}
	for _, want := range []string{"Waiting for approval", "Maybe cloned", "Refused", "goes on with version 3", "1 silent", "1.50 s"} {
		if !strings.Contains(body, want) {
			t.Errorf("the page does not say %q", want)
		}
	}
	if got := w.get(admin, "/fleet?q=tich+son"); !strings.Contains(got, "/agents/s1/") || strings.Contains(got, "/agents/s3/") {
		t.Error("a search without accents does not find its site alone")
	}
	if got := w.get(admin, "/fleet?show=old"); !strings.Contains(got, "/agents/s2/") || strings.Contains(got, "/agents/s1/") {
		t.Error("an old version is not told from the newest")
	}
	if csv := w.do(admin, "GET", "/fleet/agents.csv", nil).Body.String(); !strings.Contains(csv, "'=HYPERLINK") {
		t.Error("a machine's name is a formula in the file")
	}
}

func TestADistrictIsAllThatItsReaderSees(t *testing.T) {
	w := newWorld(t)
	for _, path := range []string{"/fleet", "/fleet/join"} {
		if body := w.get(operator, path); strings.Contains(body, "s3") || strings.Contains(body, "/fleet/audit") {
			t.Errorf("%s shows another district, or what is an administrator's", path)
		}
	}
	if out := w.do(operator, "GET", "/fleet/agents/s3/main", nil); out.Code != http.StatusNotFound {
		t.Error(out.Code)
	}
	for path, form := range map[string]url.Values{
		"/fleet/codes": {"of": {"sites"}, "site": {"s3"}}, "/fleet/codes/cancel": {"id": {"other3"}},
		"/fleet/agents/s3/main/approve": {}, "/fleet/agents/s3/main/check": {"check": {"gateway"}},
	} {
		if out := w.do(operator, "POST", path, form); out.Code < 400 {
			t.Errorf("%s: %d", path, out.Code)
		}
	}
	w.do(operator, "POST", "/fleet/codes", url.Values{"of": {"all"}})
	if got := strings.Join(w.svc.did, "; "); got != "code s1 by minh; code s2 by minh" {
		t.Errorf("did %s", got)
	}
	if body := w.get(operator, "/fleet/agents/s1/main"); strings.Contains(body, "/revoke") || !strings.Contains(body, "/check") {
		t.Error("an operator is offered to revoke, or not to have checks run")
	}
}

func TestCodesComeOnASheetThatIsKeptNowhere(t *testing.T) {
	w := newWorld(t)
	out := w.do(admin, "POST", "/fleet/codes", url.Values{"of": {"district"}, "district": {"Lập Thạch"}, "hours": {"24"}})
	if out.Code != http.StatusOK || !strings.Contains(out.Body.String(), "AAAA-BBBB-S3") || strings.Contains(out.Body.String(), "AAAA-BBBB-S1") ||
		out.Header().Get("Cache-Control") != "no-store" || !strings.Contains(out.Body.String(), "/fleet/sheet.css") {
		t.Errorf("%d %v", out.Code, out.Header())
	}
}

func TestRevokingTakesAReasonAndASecondThought(t *testing.T) {
	w := newWorld(t)
	for _, form := range []url.Values{{"why": {"stolen"}}, {"sure": {"1"}}} {
		if out := w.do(admin, "POST", "/fleet/agents/s1/main/revoke", form); out.Code < 400 || len(w.svc.did) > 0 {
			t.Errorf("%v: %d %v", form, out.Code, w.svc.did)
		}
	}
	out := w.do(admin, "POST", "/fleet/agents/s1/main/revoke", url.Values{"why": {"stolen"}, "sure": {"1"}})
	if out.Code != http.StatusSeeOther || strings.Join(w.svc.did, "") != "revoke s1/main stolen" {
		t.Error(out.Code, w.svc.did)
	}
}

// TestWhatIsApprovedIsWhatWasLookedAt: a machine that took the place of the one on the page is not let in unseen.
func TestWhatIsApprovedIsWhatWasLookedAt(t *testing.T) {
	w := newWorld(t)
	body := w.get(operator, "/fleet/agents/s2/main")
	shown := regexp.MustCompile(`name="key" value="([0-9a-f]{64})"`).FindStringSubmatch(body)
	if shown == nil || !strings.Contains(body, "ABCD 0100 0000 0000") {
		t.Fatal("the key that waits is not on the page")
	}
	for _, key := range []string{"", "00", strings.Repeat("0", 64), shown[1] + "00"} {
		out := w.do(operator, "POST", "/fleet/agents/s2/main/approve", url.Values{"key": {key}})
		if out.Code != http.StatusConflict || len(w.svc.did) > 0 || !strings.Contains(out.Body.String(), "Một máy khác") {
			t.Errorf("key %q: %d %v", key, out.Code, w.svc.did)
		}
	}
	if out := w.do(operator, "POST", "/fleet/agents/s2/main/approve", url.Values{"key": {shown[1]}}); out.Code != http.StatusSeeOther || len(w.svc.did) != 1 {
		t.Error(out.Code, w.svc.did)
	}
}

func TestChecksRunNowAndAreFollowed(t *testing.T) {
	w := newWorld(t)
	out := w.do(operator, "POST", "/fleet/agents/s1/main/check", url.Values{"check": {"gateway", "dns"}})
	if out.Code != http.StatusSeeOther || strings.Join(w.told, "") != "s1/main gateway,dns" {
		t.Fatal(out.Code, w.told)
	}
	page := w.do(operator, "GET", out.Header().Get("Location"), nil)
	if page.Code != http.StatusOK || page.Header().Get("Refresh") == "" || !strings.Contains(page.Body.String(), "gateway") {
		t.Error(page.Code, page.Header())
	}
	elsewhere := operator
	elsewhere.Districts = []string{"Lập Thạch"}
	if page := w.do(elsewhere, "GET", out.Header().Get("Location"), nil); page.Code != http.StatusNotFound {
		t.Error("somebody of another district follows it:", page.Code)
	}
}

func TestAPlanIsLookedAtAppliedAndTakenBack(t *testing.T) {
	w := newWorld(t)
	list := []inventory.Site{{ID: "s1", Name: "Tích Sơn", Parent: "Vĩnh Yên"}}
	if _, err := w.reg.ImportSites(t.Context(), list, false); err != nil {
		t.Fatal(err)
	}
	const plan = "templates:\r\n  a: {checks: [{name: anchor, kind: icmp, address: 10.0.0.1, path: dedicated, interval: 30s}]}\r\ngroups:\r\n- {name: all, all: true, templates: [a]}\r\n"
	out := w.do(admin, "POST", "/fleet/work/preview?lang=en", url.Values{"plan": {strings.Replace(plan, "icmp", "icpm", 1)}, "base": {"0"}})
	if !strings.Contains(out.Body.String(), "Line 2") || strings.Contains(out.Body.String(), `action="/fleet/work/apply"`) {
		t.Errorf("a mistake is not told with its line, or can be applied: %s", out.Body)
	}
	out = w.do(admin, "POST", "/fleet/work/preview?lang=en", url.Values{"plan": {plan}, "base": {"0"}})
	if body := out.Body.String(); !strings.Contains(body, "1 agent will change") || !strings.Contains(body, "bit/s") || !strings.Contains(body, `action="/fleet/work/apply"`) {
		t.Errorf("%d %s", out.Code, body)
	}
	if out = w.do(admin, "POST", "/fleet/work/apply", url.Values{"plan": {plan}, "base": {"0"}, "note": {"first"}}); out.Header().Get("Location") != "/fleet/work?done=applied" {
		t.Fatal(out.Code, out.Body)
	}
	second := strings.Replace(plan, "30s", "60s", 1)
	if out = w.do(admin, "POST", "/fleet/work/apply", url.Values{"plan": {second}, "base": {"0"}}); out.Code != http.StatusConflict {
		t.Error("a change that was overtaken:", out.Code)
	}
	w.do(admin, "POST", "/fleet/work/apply", url.Values{"plan": {second}, "base": {"1"}})
	if body := w.get(admin, "/fleet/work/versions/2"); !strings.Contains(body, `data-sign="&#43;"`) || !strings.Contains(body, `data-sign="-"`) {
		t.Error("the difference is not shown")
	}
	out = w.do(admin, "POST", "/fleet/work/rollback", url.Values{"id": {"1"}})
	if !strings.Contains(out.Body.String(), `name="sure"`) {
		t.Error("going back is not shown before")
	}
	if out = w.do(admin, "POST", "/fleet/work/rollback", url.Values{"id": {"1"}, "sure": {"1"}}); out.Code != http.StatusSeeOther {
		t.Error(out.Code)
	}
	if out = w.do(operator, "POST", "/fleet/work/apply", url.Values{"plan": {plan}, "base": {"3"}}); out.Code != http.StatusForbidden {
		t.Error("an operator changes the plan:", out.Code)
	}
}

func TestALinkIsShownOnceAndTheRecordSaysWho(t *testing.T) {
	w := newWorld(t)
	out := w.do(admin, "POST", "/fleet/people", url.Values{"do": {"add"}, "name": {"Hoa"}, "display": {hostile}, "role": {"operator"}, "where": {"some"}, "district": {"Vĩnh Yên"}})
	if out.Code != http.StatusOK || !strings.Contains(out.Body.String(), "/first/") || out.Header().Get("Cache-Control") != "no-store" {
		t.Fatal(out.Code, out.Body)
	}
	body := w.get(admin, "/fleet/people")
	if strings.Contains(body, "/first/") || !strings.Contains(body, "hoa") || !strings.Contains(body, "Vĩnh Yên") {
		t.Error("the account is not listed, or its link is shown again")
	}
	if body := w.get(admin, "/fleet/audit"); !strings.Contains(body, "hoa") || !strings.Contains(body, "lan") {
		t.Error("the record does not say who did what")
	}
	w.do(admin, "POST", "/fleet/people", url.Values{"do": {"add"}, "name": {"admin"}, "role": {"viewer"}})
	for _, path := range []string{"/fleet/audit?lang=vi&act=person.add", "/fleet/audit/record.csv?lang=vi&act=person.add"} {
		if body := w.get(admin, path); strings.Contains(body, "quản trị") || !strings.Contains(body, "admin") {
			t.Errorf("%s: an account that is called like a role is not named: %s", path, body)
		}
	}
	if body, _ := io.ReadAll(w.do(admin, "GET", "/fleet/audit/record.json", nil).Body); !strings.Contains(string(body), `"who":"lan"`) {
		t.Errorf("%s", body)
	}
}

// TestNobodySeesMoreForBeingSaved: a form that changes something else leaves a person's districts as they are.
func TestNobodySeesMoreForBeingSaved(t *testing.T) {
	w := newWorld(t)
	gone := url.Values{"do": {"add"}, "name": {"hoa"}, "role": {"viewer"}, "where": {"some"}, "district": {"Huyện cũ"}}
	if out := w.do(admin, "POST", "/fleet/people", gone); out.Code != http.StatusOK {
		t.Fatal(out.Code, out.Body)
	}
	if body := w.get(admin, "/fleet/people"); !strings.Contains(body, `value="Huyện cũ" checked`) {
		t.Error("a district that is no more is not among the boxes of who sees it")
	}
	none := url.Values{"do": {"set"}, "name": {"hoa"}, "role": {"viewer"}, "where": {"some"}}
	if out := w.do(admin, "POST", "/fleet/people", none); !strings.Contains(out.Body.String(), "ít nhất một địa bàn") {
		t.Errorf("somebody without any district was saved: %d", out.Code)
	}
}

// TestReplacingIsThrowingOut: a code that takes a machine's place is for those who may throw machines out.
func TestReplacingIsThrowingOut(t *testing.T) {
	w := newWorld(t)
	form := url.Values{"of": {"sites"}, "site": {"s1"}, "hours": {"24"}, "replace": {"1"}}
	if out := w.do(operator, "POST", "/fleet/codes", form); out.Code != http.StatusForbidden {
		t.Errorf("an operator: %d", out.Code)
	}
	if strings.Contains(w.get(operator, "/fleet/join"), `name="replace"`) {
		t.Error("an operator is offered what is refused")
	}
	if out := w.do(admin, "POST", "/fleet/codes", form); out.Code != http.StatusOK {
		t.Errorf("an administrator: %d %s", out.Code, out.Body)
	}
}
