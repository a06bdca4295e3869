package api

import (
	"bufio"
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"math"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"communewatch/collector/api/chart"
	"communewatch/collector/api/conference"
	"communewatch/collector/health"
	"communewatch/collector/registry"
	"communewatch/collector/reports/reportstest"
	"communewatch/collector/status"
	"communewatch/collector/store/embedded"
	"communewatch/inventory"
	"communewatch/probes"
	"communewatch/probes/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// t0 is a Monday, 08:00 in Vietnam.
var t0 = time.Date(2026, 11, 23, 1, 0, 0, 0, time.UTC)

// names is a registry in memory.
type names struct {
	mu    sync.Mutex
	sites []inventory.Site
}

func (n *names) Sites(context.Context, time.Time) ([]inventory.Site, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Clone(n.sites), nil
}

func (n *names) SiteNames(_ context.Context, id string) (out []inventory.Site, _ error) {
	for _, s := range n.sites {
		if s.ID == id {
			out = append(out, s)
		}
	}
	return out, nil
}

func (n *names) Accounts(context.Context, string) ([]registry.Account, error) {
	return []registry.Account{{Site: "s1", Agent: "pc", Boot: "b1", Received: 40, Missing: 2}, {Site: "s1", Agent: "pc", Boot: "b2", Received: 2}}, nil
}

func (n *names) Changes(_ context.Context, site string, from, to time.Time, limit int) ([]registry.Change, error) {
	at := t0.Add(10 * time.Minute)
	if site != "s1" || at.Before(from) || !at.Before(to) || limit < 1 {
		return nil, nil
	}
	return []registry.Change{
		{Site: "s1", From: "ok", To: "down", At: at, Reason: "outcome"},
		{Site: "s1", Layer: "lan", Check: "pc/gw", From: "ok", To: "down", At: at, Reason: "outcome"},
	}, nil
}

// house is an API over a real judge and a real store.
type house struct {
	*API
	judge *health.Judge
	store *embedded.Store
	names *names
	lines *reportstest.Reporter
	// What Status says; set before it is asked for.
	stands status.Status
	mu     sync.Mutex
	now    time.Time
	http.Handler
}

func (h *house) clock() time.Time {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.now
}

func (h *house) at(t time.Time) {
	h.mu.Lock()
	h.now = t
	h.mu.Unlock()
	h.judge.Tick(t)
}

func newHouse(t testing.TB, sites int) *house {
	h := &house{now: t0, names: &names{}}
	var ids []string
	for i := range sites {
		id := fmt.Sprintf("s%d", i)
		ids = append(ids, id)
		h.names.sites = append(h.names.sites, inventory.Site{ID: id, Name: "Xuân Hoà", Type: "phường", Code: fmt.Sprintf("%05d", i),
			Parent: "Phúc Yên", Position: &inventory.LatLon{Lat: 21.3, Lon: 105.7}})
	}
	h.judge = health.New(health.DefaultRules(), t0)
	h.judge.SetSites(ids)
	var err error
	log := slog.New(slog.DiscardHandler)
	if h.store, err = embedded.Open(embedded.Options{Dir: t.TempDir(), Now: h.clock, Log: log}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.store.Close() })
	h.API = New(Options{Judge: h.judge, Store: h.store, Registry: h.names, Now: h.clock, Log: log, Version: "test"})
	h.Handler = h.API.Handler()
	return h
}

// ping stores and judges one run of a ping check.
func (h *house) ping(t testing.TB, site, target string, at time.Time, sent, lost int, outcome probes.Outcome) {
	t.Helper()
	tags := func(more ...string) probes.Tags {
		out := probes.Tags{}.With("site", site).With("agent", "pc").With("target", target).With("path", "lan")
		for i := 0; i < len(more); i += 2 {
			out = out.With(more[i], more[i+1])
		}
		return out
	}
	fields := []probes.Field{probes.Int("sent", int64(sent)), probes.Int("lost", int64(lost)), probes.Float("loss_ratio", float64(lost)/float64(sent))}
	if lost < sent {
		fields = append(fields, probes.Float("rtt_p95_seconds", 0.004))
	}
	points := []probes.Point{
		{Measurement: "icmp", Tags: tags(), Time: at, Fields: fields},
		{Measurement: "check", Tags: tags("kind", "icmp", "layer", "lan"), Time: at, Fields: []probes.Field{
			probes.String("outcome", outcome.String()), probes.Bool("up", outcome == probes.OutcomeOK),
			probes.Float("interval_seconds", 30), probes.String("path_proof", "bound")}},
	}
	h.keep(t, points)
	id := health.CheckID{Site: site, Agent: "pc", Target: target, Kind: "icmp", Path: "lan", Layer: "lan"}
	h.judge.Observe([]health.Observation{{Check: id, Time: at, Outcome: outcome, Interval: 30 * time.Second, Proof: probes.ProofBound,
		Facts: []health.Fact{{Measurement: "icmp", Field: "sent", Value: float64(sent)}, {Measurement: "icmp", Field: "lost", Value: float64(lost)}}}})
}

// keep stores points.
func (h *house) keep(t testing.TB, points []probes.Point) {
	t.Helper()
	var body []byte
	for i := range points {
		body = wire.Append(body, &points[i])
	}
	rows, bad := wire.NewParser(wire.DefaultLimits()).Parse(body, time.Nanosecond, 0)
	if len(bad) > 0 {
		t.Fatal(bad)
	}
	if err := h.store.Append(t.Context(), rows); err != nil {
		t.Fatal(err)
	}
}

// call stores one call with media, and what a room's endpoint answers to SIP.
func (h *house) call(t testing.TB, site string, at time.Time) {
	t.Helper()
	tags := func(target string) probes.Tags {
		return probes.Tags{}.With("site", site).With("agent", "pc").With("target", target).With("path", "dedicated")
	}
	h.keep(t, []probes.Point{
		{Measurement: "webrtc", Tags: tags("hub"), Time: at, Fields: []probes.Field{probes.String("service", "reflector"), probes.String("profile", "720p"),
			probes.Bool("rehearsal", false), probes.Float("media_seconds", 15), probes.Float("rtt_median_seconds", 0.031), probes.String("grade", "degraded"), probes.Float("mos_audio", 4.1)}},
		{Measurement: "webrtc_flow", Tags: tags("hub").With("direction", "down").With("media", "video"), Time: at, Fields: []probes.Field{
			probes.Int("sent", 1000), probes.Int("lost", 21), probes.Float("loss_ratio", 0.021)}},
		{Measurement: "webrtc_flow", Tags: tags("hub").With("direction", "up").With("media", "video"), Time: at, Fields: []probes.Field{
			probes.Int("sent", 1000), probes.Int("lost", 0), probes.Float("loss_ratio", 0)}},
		{Measurement: "sip", Tags: tags("codec"), Time: at, Fields: []probes.Field{probes.String("transport", "udp"), probes.Int("code", 200)}},
	})
}

func (h *house) get(t testing.TB, url string, head ...string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequest("GET", "http://collector"+url, nil)
	for i := 0; i < len(head); i += 2 {
		r.Header.Set(head[i], head[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func decode[T any](t testing.TB, w *httptest.ResponseRecorder) (out T) {
	t.Helper()
	if w.Code != 200 {
		t.Fatalf("%d: %s", w.Code, w.Body)
	}
	if err := json.Unmarshal(w.Body.Bytes(), &out); err != nil {
		t.Fatalf("%v in %s", err, w.Body)
	}
	return out
}

// lossy has site s1 lose 1 of 10 in every burst, for 20 runs.
func lossy(t *testing.T) *house {
	h := newHouse(t, 3)
	for i := range 20 {
		at := t0.Add(time.Duration(i) * 30 * time.Second)
		h.ping(t, "s1", "gw", at, 10, 1, probes.OutcomeOK)
		h.at(at.Add(time.Second))
	}
	return h
}

func TestConference(t *testing.T) {
	h := newHouse(t, 2)
	h.call(t, "s1", t0)
	h.at(t0.Add(time.Hour))
	got := decode[conference.Site](t, h.get(t, "/api/v1/sites/s1/conference"))
	if len(got.Calls) != 1 || len(got.Calls[0].Flows) != 2 || got.Calls[0].Flows[1].Facts["loss_ratio"] != 0.021 || got.Calls[0].Texts["grade"] != "degraded" ||
		len(got.Services) != 1 || got.Services[0].Facts["code"] != 200 {
		t.Errorf("%+v", got)
	}
	if got := decode[conference.Site](t, h.get(t, "/api/v1/sites/s0/conference")); len(got.Calls)+len(got.Services) != 0 {
		t.Errorf("another site's: %+v", got)
	}
	if w := h.get(t, "/api/v1/sites/nobody/conference"); w.Code != 404 {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

func TestSites(t *testing.T) {
	h := lossy(t)
	w := h.get(t, "/api/v1/sites")
	sites := decode[[]Site](t, w)
	if len(sites) != 3 || sites[0].ID != "s0" || sites[0].State != "no_data" || sites[0].Reason != "Chưa nhận được kết quả nào" {
		t.Fatalf("%+v", sites)
	}
	s := sites[1]
	want := Site{ID: "s1", Code: "00001", Name: "Xuân Hoà", Type: "phường", Parent: "Phúc Yên", Lat: s.Lat, Lon: s.Lon, State: "degraded",
		Since: s.Since, Reason: "Mạng LAN: mất gói 10 % tới gw (ngưỡng 5 %)", ReasonCode: "threshold",
		Layers: map[string]string{"lan": "degraded", "broadband": "none", "dedicated": "none", "conference": "none"}, LastSeen: s.LastSeen, Version: s.Version}
	if diff := cmp.Diff(want, s); diff != "" {
		t.Error(diff)
	}
	if en := decode[[]Site](t, h.get(t, "/api/v1/sites?lang=en")); en[1].Reason != "LAN: 10 % packet loss to gw (limit 5 %)" {
		t.Error(en[1].Reason)
	}
	if got, err := h.Sites(t.Context(), "vi"); err != nil || cmp.Diff(sites, got) != "" {
		t.Error(err, cmp.Diff(sites, got))
	}
	if h.get(t, "/api/v1/sites").Header().Get("X-Content-Type-Options") != "nosniff" {
		t.Error("browsers may guess the type")
	}
}

func TestETag(t *testing.T) {
	h := lossy(t)
	tag := h.get(t, "/api/v1/sites").Header().Get("ETag")
	if tag == "" {
		t.Fatal("no tag")
	}
	if w := h.get(t, "/api/v1/sites", "If-None-Match", `"x", `+tag); w.Code != 304 || w.Body.Len() != 0 {
		t.Errorf("unchanged list sent again: %d, %d bytes", w.Code, w.Body.Len())
	}
	if w := h.get(t, "/api/v1/sites?lang=en", "If-None-Match", tag); w.Code != 200 {
		t.Error("another language is another answer")
	}
	h.ping(t, "s2", "gw", t0.Add(11*time.Minute), 10, 0, probes.OutcomeOK)
	if w := h.get(t, "/api/v1/sites", "If-None-Match", tag); w.Code != 200 {
		t.Error("a changed site is not told")
	}
	tag = h.get(t, "/api/v1/sites").Header().Get("ETag")
	h.names.mu.Lock()
	h.names.sites[0].Name = "Tam Sơn"
	h.names.mu.Unlock()
	h.at(t0.Add(11*time.Minute + 5*time.Second))
	if w := h.get(t, "/api/v1/sites", "If-None-Match", tag); w.Code != 200 || !strings.Contains(w.Body.String(), "Tam Sơn") {
		t.Error("an import is not shown")
	}
	h.names.mu.Lock()
	h.names.sites = h.names.sites[:1]
	h.names.mu.Unlock()
	h.at(t0.Add(11*time.Minute + 10*time.Second))
	if got := decode[[]Site](t, h.get(t, "/api/v1/sites")); len(got) != 1 {
		t.Errorf("a site taken from the list is still there: %d", len(got))
	}
}

func TestCompression(t *testing.T) {
	h := newHouse(t, 50)
	w := h.get(t, "/api/v1/sites", "Accept-Encoding", "gzip")
	if w.Header().Get("Content-Encoding") != "gzip" {
		t.Fatal("not compressed")
	}
	z, err := gzip.NewReader(w.Body)
	if err != nil {
		t.Fatal(err)
	}
	if text, err := io.ReadAll(z); err != nil || !json.Valid(text) {
		t.Error(err)
	}
	if w := h.get(t, "/api/v1/sites", "Accept-Encoding", "gzip", "If-None-Match", w.Header().Get("ETag")); w.Code != 304 {
		t.Errorf("the tag of a compressed answer is not known again: %d", w.Code)
	}
}

func TestSite(t *testing.T) {
	h := lossy(t)
	h.judge.ObserveAgent("s1", "pc", t0, "v9", map[string]float64{"spool_batches": 3})
	d := decode[SiteDetail](t, h.get(t, "/api/v1/sites/s1?lang=en"))
	if len(d.Checks) != 1 || d.Checks[0].State != "degraded" || d.Checks[0].IntervalSeconds != 30 || d.Checks[0].PathProof != "bound" || d.Checks[0].Outcome != "ok" {
		t.Errorf("%+v", d.Checks)
	}
	want := []Agent{{Name: "pc", Version: "v9", LastSeen: &t0, Facts: map[string]float64{"spool_batches": 3}, BatchesReceived: 42, BatchesMissing: 2}}
	if diff := cmp.Diff(want, d.Agents); diff != "" {
		t.Error(diff)
	}
	if len(d.Names) != 1 || d.Names[0].ValidFrom != nil || d.LayerDetails["lan"].Reason != d.Reason || d.Reason == "" {
		t.Errorf("%+v", d)
	}
	for _, id := range []string{"nobody", "..%2f..", "%3Cscript%3E", strings.Repeat("a", 100)} {
		w := h.get(t, "/api/v1/sites/"+id)
		if w.Code != 404 || strings.Contains(w.Body.String(), "script") {
			t.Errorf("%s: %d %s", id, w.Code, w.Body)
		}
	}
}

func TestSeries(t *testing.T) {
	h := newHouse(t, 2)
	for i := range 20 { // ten minutes, the second five with nothing in their first two
		if i >= 10 && i < 14 {
			continue
		}
		at := t0.Add(time.Duration(i) * 30 * time.Second)
		sent, lost := 10, 0
		if i%2 == 0 {
			sent, lost = 40, 4
		}
		h.ping(t, "s1", "gw", at, sent, lost, probes.OutcomeOK)
	}
	h.at(t0.Add(10 * time.Minute))
	got := decode[struct {
		From, To    time.Time
		StepSeconds float64 `json:"step_seconds"`
		Series      []struct {
			Field                      string
			Tags                       map[string]string
			T                          []int64
			Mean, Min, Max, P95, Count []*float64
		}
	}](t, h.get(t, fmt.Sprintf("/api/v1/series?measurement=icmp&field=loss_ratio&field=sent&site=s1&from=%d&to=%s&step=60s&agg=mean,max,count",
		t0.Unix(), t0.Add(10*time.Minute).Format(time.RFC3339))))
	if len(got.Series) != 2 || got.StepSeconds != 60 {
		t.Fatalf("%+v", got)
	}
	s := got.Series[0]
	if s.Field != "loss_ratio" || s.Tags["target"] != "gw" || len(s.T) != 10 || len(s.Mean) != 10 || s.T[0] != t0.Unix() || s.T[9] != t0.Unix()+540 {
		t.Fatalf("%+v", s)
	}
	for i := range s.Mean {
		if i == 5 || i == 6 {
			if s.Mean[i] != nil || s.Max[i] != nil || s.Count[i] != nil {
				t.Errorf("window %d: a gap is not null", i)
			}
			continue
		}
		// 4 lost of 50; the mean of 10 % and 0 % would be 5 %.
		if s.Mean[i] == nil || math.Abs(*s.Mean[i]-0.08) > 1e-12 || *s.Max[i] != 0.1 || *s.Count[i] != 2 {
			t.Errorf("window %d: mean %v", i, s.Mean[i])
		}
	}
	if s.Min != nil || s.P95 != nil {
		t.Error("aggregates that nobody asked for")
	}
	if m := got.Series[1]; m.Field != "sent" || *m.Mean[0] != 25 {
		t.Errorf("%+v", m)
	}
	if e := decode[chart.SeriesAnswer](t, h.get(t, "/api/v1/series?measurement=icmp&field=loss_ratio&site=s0&range=1h")); e.Series == nil || len(e.Series) != 0 {
		t.Errorf("no series: %+v", e)
	}
	if e := decode[chart.SeriesAnswer](t, h.get(t, "/api/v1/series?measurement=icmp&field=loss_ratio&site=s1&range=30d")); e.StepSeconds != 3*3600 {
		t.Errorf("30 d in steps of %v", e.StepSeconds)
	}
}

func TestBadRequests(t *testing.T) {
	h := newHouse(t, 1)
	series := "/api/v1/series?measurement=icmp&field=loss_ratio&site=s0"
	for url, says := range map[string]string{
		"/api/v1/series": "measurement is missing",
		"/api/v1/series?measurement=icmp&site=s0":                 "field",
		"/api/v1/series?measurement=icmp&field=los_ratio&site=s0": "it has sent,",
		"/api/v1/series?measurement=icmp&field=loss_ratio":        "site is missing",
		"/api/v1/series?measurement=check&field=outcome&site=s0":  "is text",
		"/api/v1/series?measurement=icmp&field=loss_ratio&site=":  "tag site",
		series + "&range=-1h":                                     "range must be",
		series + "&range=banana":                                  "range must be",
		series + "&range=1862d":                                   "longer than 1861 days",
		series + "&range=1h&from=5":                               "either range",
		series + "&from=x":                                        "from must be",
		series + "&from=20&to=10":                                 "before to",
		series + "&to=10":                                         "from is missing",
		series + "&range=30d&step=10s":                            "more than 2000 windows",
		series + "&step=1ms":                                      "at least 1s",
		series + "&agg=median":                                    "agg must be",
		series + "&target=a&target=b":                             "tag target",
		series + "&target=%3Cscript%3E":                           "tag target",
		series + "&%3Cscript%3E=1":                                "unknown parameter",
		series + "&lang=" + strings.Repeat("x", 5000):             "longer than",
		"/api/v1/sites?lang=fr":                                   "lang must be",
		"/api/v1/sites/s0/changes?range=500d":                     "longer than 400 days",
		"/api/v1/sites/s0/history?range=32d":                      "longer than 31 days",
		"/api/v1/sites/s0/history?from=2050-01-01T00:00:00Z&to=2050-01-02T00:00:00Z": "in the past",
	} {
		w := h.get(t, url)
		var e struct{ Code, Message string }
		if err := json.Unmarshal(w.Body.Bytes(), &e); err != nil || w.Code != 400 || e.Code != "invalid" || !strings.Contains(e.Message, says) {
			t.Errorf("%.100s: %d %s; want %q", url, w.Code, w.Body, says)
		}
		if strings.Contains(w.Body.String(), "script") {
			t.Errorf("%s: the question is in the answer", url)
		}
	}
	if w := h.get(t, "/api/v1/nothing"); w.Code != 404 {
		t.Error(w.Code)
	}
}

func TestChangesAreToldAsTheyWereAnnounced(t *testing.T) {
	h := newHouse(t, 2)
	h.at(t0.Add(12 * time.Minute))
	got := decode[[]Change](t, h.get(t, "/api/v1/sites/s1/changes"))
	if len(got) != 2 || got[1].Check != "pc/gw" || got[0].Layer != "" || got[0].To != "down" || got[0].ReasonCode != "outcome" {
		t.Errorf("got %+v", got)
	}
	if got := decode[[]Change](t, h.get(t, "/api/v1/sites/s1/changes?range=1m")); len(got) != 0 {
		t.Errorf("outside the range: %+v", got)
	}
}

func TestHistory(t *testing.T) {
	h := newHouse(t, 2)
	for i := range 60 {
		outcome, lost := probes.OutcomeOK, 0
		if i >= 20 && i < 30 {
			outcome, lost = probes.OutcomeTimeout, 10
		}
		if i >= 50 {
			continue // silence
		}
		h.ping(t, "s1", "gw", t0.Add(time.Duration(i)*30*time.Second), 10, lost, outcome)
	}
	h.at(t0.Add(30 * time.Minute))
	got := decode[History](t, h.get(t, fmt.Sprintf("/api/v1/sites/s1/history?from=%d&lang=vi", t0.Add(5*time.Minute).Unix())))
	var story []string
	for _, s := range got.Site {
		story = append(story, s.From.Format("15:04:05 ")+s.State+" "+s.Reason)
	}
	want := []string{"01:05:00 ok ", "01:10:30 down Mạng LAN: gw không trả lời", "01:15:30 ok ", "01:26:05 no_data Không có kết quả từ 08:24"}
	if diff := cmp.Diff(want, story); diff != "" {
		t.Error(diff)
	}
	if last := got.Site[len(got.Site)-1]; !last.To.Equal(t0.Add(30 * time.Minute)) {
		t.Errorf("ends at %v", last.To)
	}
	if diff := cmp.Diff(got.Site, got.Layers["lan"]); diff != "" {
		t.Error(diff)
	}
	if c := got.Layers["conference"]; len(c) != 1 || c[0].State != "none" {
		t.Errorf("%+v", c)
	}
	empty := decode[History](t, h.get(t, "/api/v1/sites/s0/history?range=7d"))
	if len(empty.Site) != 1 || empty.Site[0].State != "none" {
		t.Errorf("%+v", empty.Site)
	}
}

func TestLateDataCorrectsHistory(t *testing.T) {
	h := newHouse(t, 2)
	run := func(i int) { h.ping(t, "s1", "gw", t0.Add(time.Duration(i)*30*time.Second), 10, 0, probes.OutcomeOK) }
	for i := range 40 {
		if i < 10 || i >= 30 {
			run(i)
		}
	}
	h.at(t0.Add(20 * time.Minute))
	url := fmt.Sprintf("/api/v1/sites/s1/history?from=%d", t0.Unix())
	if got := decode[History](t, h.get(t, url)); len(got.Site) != 3 || got.Site[1].State != "no_data" {
		t.Fatalf("%+v", got.Site)
	}
	for i := 10; i < 30; i++ {
		run(i)
	}
	if got := decode[History](t, h.get(t, url)); len(got.Site) != 1 || got.Site[0].State != "ok" {
		t.Errorf("%+v", got.Site)
	}
}

func TestLanguage(t *testing.T) {
	h := newHouse(t, 1)
	for _, tc := range []struct{ query, cookie, accept, want string }{
		{"", "", "", "Chưa"}, {"", "", "en-GB,en;q=0.9,vi;q=0.8", "No result"}, {"", "", "fr,vi-VN", "Chưa"}, {"", "", "fr", "Chưa"},
		{"", "lang=en", "vi", "No result"}, {"?lang=vi", "lang=en", "en", "Chưa"}, {"", "lang=xx", "en", "No result"},
	} {
		sites := decode[[]Site](t, h.get(t, "/api/v1/sites"+tc.query, "Cookie", tc.cookie, "Accept-Language", tc.accept))
		if !strings.HasPrefix(sites[0].Reason, tc.want) {
			t.Errorf("%+v: %q", tc, sites[0].Reason)
		}
	}
}

func TestMetrics(t *testing.T) {
	h := lossy(t)
	text := h.get(t, "/metrics").Body.String()
	for _, line := range []string{
		`communewatch_sites{state="degraded"} 1`, `communewatch_sites{state="no_data"} 2`, `communewatch_sites{state="down"} 0`,
		`communewatch_site_layers{layer="lan",state="degraded"} 1`, `communewatch_agents_seen 1`, `communewatch_batches_missing 2`,
		`communewatch_collector_info{version="test"} 1`, `communewatch_store_series `, `process_resident_memory_bytes `,
	} {
		if !strings.Contains(text, line) {
			t.Errorf("missing %q in\n%s", line, text)
		}
	}
}

// stream reads events from a real server.
type stream struct {
	t     *testing.T
	lines *bufio.Scanner
}

func (s *stream) next() (event, data string) {
	s.t.Helper()
	for s.lines.Scan() {
		switch line := s.lines.Text(); {
		case strings.HasPrefix(line, "event: "):
			event = line[7:]
		case strings.HasPrefix(line, "data: "):
			data = line[6:]
		case line == "" && event != "":
			return event, data
		}
	}
	return "", ""
}

func (h *house) serve(t *testing.T) (url string, stop func()) {
	server := httptest.NewServer(h)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error)
	go func() { ended <- h.Run(ctx) }()
	var once sync.Once
	stop = func() {
		once.Do(func() {
			cancel()
			if err := <-ended; err != nil {
				t.Error(err)
			}
			server.Close()
			http.DefaultClient.CloseIdleConnections()
		})
	}
	t.Cleanup(stop)
	return server.URL, stop
}

func open(t *testing.T, url string) *stream {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	t.Cleanup(cancel)
	req, _ := http.NewRequestWithContext(ctx, "GET", url, nil)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { res.Body.Close() })
	if ct := res.Header.Get("Content-Type"); ct != "text/event-stream" {
		t.Fatal(ct)
	}
	return &stream{t, bufio.NewScanner(res.Body)}
}

func TestEvents(t *testing.T) {
	h := newHouse(t, 2)
	url, stop := h.serve(t)
	vi, en := open(t, url+"/api/v1/events?lang=vi"), open(t, url+"/api/v1/events?lang=en")
	for _, s := range []*stream{vi, en} {
		if event, data := s.next(); event != "hello" || !strings.Contains(data, "version") {
			t.Fatalf("%s %s", event, data)
		}
	}
	h.ping(t, "s1", "gw", t0, 10, 0, probes.OutcomeOK)
	h.ping(t, "s1", "gw", t0.Add(30*time.Second), 10, 0, probes.OutcomeOK) // only seen again: no event
	for i := 2; i < 4; i++ {
		h.ping(t, "s1", "gw", t0.Add(time.Duration(i)*30*time.Second), 10, 10, probes.OutcomeTimeout)
	}
	for lang, s := range map[string]*stream{"không trả lời": vi, "does not answer": en} {
		var site Site
		for site.State != "down" {
			event, data := s.next()
			if event != "site" {
				t.Fatalf("%q %q", event, data)
			}
			if err := json.Unmarshal([]byte(data), &site); err != nil {
				t.Fatal(err)
			}
		}
		if !strings.Contains(site.Reason, lang) {
			t.Error(site.Reason)
		}
	}
	stop()
	if event, _ := vi.next(); event != "" {
		t.Errorf("%q after the end", event)
	}
	if res, err := http.Get(url + "/api/v1/events"); err == nil {
		res.Body.Close()
		t.Error("the server is still there")
	}
}

func TestMaxWindowsSeriesBound(t *testing.T) {
	h := newHouse(t, 2)
	for i := range chart.MaxSeries + 1 {
		h.ping(t, "s1", fmt.Sprintf("t%d", i), t0, 10, 0, probes.OutcomeOK)
	}
	w := h.get(t, fmt.Sprintf("/api/v1/series?measurement=icmp&field=sent&site=s1&from=%d&to=%d", t0.Unix()-60, t0.Unix()+60))
	if w.Code != 422 || !strings.Contains(w.Body.String(), "name a target") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}
