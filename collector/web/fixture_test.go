package web

import (
	"context"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"log/slog"
	"maps"
	"math"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"communewatch/collector/api"
	"communewatch/collector/api/conference"
	"communewatch/collector/api/rehearsals"
	"communewatch/collector/phrase"
	"communewatch/collector/readiness"
	"communewatch/collector/registry"
	"communewatch/collector/rehearsal/rehearsaltest"
	"communewatch/collector/reports/reportstest"
	"communewatch/collector/stock"
	"communewatch/collector/stock/stocktest"
	"communewatch/inventory"
)

// fixture is a province with every state in it, behind the same JSON API as the collector's. Tests (and a developer
// at the screens: see TestServe) change it under /fixture/.
type fixture struct {
	now func() time.Time

	mu        sync.Mutex // guards the fields below
	sites     []api.Site
	version   uint64
	listeners map[chan api.Site]bool
	drop      chan struct{} // closed to cut all event streams
	away      bool          // event streams are refused

	stock     stock.Reader           // the equipment, where a test wants some
	rehearsed *rehearsaltest.Service // rehearsals, where a test wants some
	reported  *reportstest.Reporter  // reports of lines, where a test wants some
	database  database               // what is said of the collector's database
}

// rehearse gives the province rehearsals.
func (f *fixture) rehearse(t testing.TB) {
	t.Helper()
	f.rehearsed = rehearsaltest.New(f.known(), f.now)
}

// operatorCode is what starts and stops rehearsals of the fixture.
const operatorCode = "ma-van-hanh"

// operators know one code of an operator, and one of an agent.
type operators struct{}

func (operators) Authenticate(_ context.Context, code string) (registry.Identity, error) {
	switch code {
	case operatorCode:
		return registry.Identity{Token: "op1", Kind: registry.KindOperator}, nil
	case "ma-may-do":
		return registry.Identity{Token: "ag1", Kind: registry.KindAgent, Site: "s08707"}, nil
	}
	return registry.Identity{}, registry.ErrUnknownToken
}

func (operators) Tokens(context.Context) ([]registry.Token, error) {
	return []registry.Token{{ID: "op1", Kind: registry.KindOperator, Note: "Nguyễn Văn Trực"}}, nil
}

// known are the sites as the registry has them.
func (f *fixture) known() (sites []inventory.Site) {
	for _, s := range f.sites {
		sites = append(sites, inventory.Site{ID: s.ID, Code: s.Code, Name: s.Name, Type: s.Type, Parent: s.Parent})
	}
	return sites
}

// equip gives the province equipment.
func (f *fixture) equip(t testing.TB) {
	t.Helper()
	f.stock = stocktest.Open(t, f.known())
}

// sitesFile is the project's own list of a province.
const sitesFile = "../../deploy/lab/sites.csv"

func newFixture(t testing.TB, n int) *fixture {
	t.Helper()
	f := &fixture{now: time.Now, listeners: map[chan api.Site]bool{}, drop: make(chan struct{})}
	file, err := os.Open(sitesFile)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	rows, err := csv.NewReader(file).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	column := map[string]int{}
	for i, name := range rows[0] {
		column[name] = i
	}
	cell := func(row []string, names ...string) string {
		for _, name := range names {
			if i, ok := column[name]; ok {
				return row[i]
			}
		}
		t.Fatalf("%s has none of the columns %v", sitesFile, names)
		return ""
	}
	rows = rows[1:]
	for i := range n {
		row := rows[i%len(rows)]
		copies := i / len(rows)
		lat, _ := strconv.ParseFloat(cell(row, "lat"), 64)
		lon, _ := strconv.ParseFloat(cell(row, "lon"), 64)
		lat, lon = lat+0.55*float64(copies/10), lon+0.62*float64(copies%10)
		s := api.Site{
			ID: "s" + cell(row, "code"), Code: cell(row, "code"), Name: cell(row, "name"), Type: cell(row, "type"),
			Parent: cell(row, "parent", "district"), Lat: &lat, Lon: &lon,
		}
		if copies > 0 {
			s.ID += fmt.Sprintf("-%d", copies)
			s.Parent += fmt.Sprintf(" %d", copies)
		}
		f.sites = append(f.sites, s)
		f.set(i, fixtureState(i), "")
	}
	return f
}

// fixtureState spreads states over the sites: mostly good, with some of each trouble, a cluster of it in one district.
func fixtureState(i int) string {
	switch {
	case i%136 >= 60 && i%136 < 65:
		return "down"
	case i%29 == 7:
		return "degraded"
	case i%37 == 5:
		return "no_data"
	case i%61 == 11:
		return "muted"
	case i%53 == 3:
		return "down"
	}
	return "ok"
}

var fixtureReasons = map[string][2]string{
	"down":     {"Điểm neo mạng chuyên dùng không trả lời: hết thời gian chờ 5 lần liên tiếp.", "Anchor of the dedicated network does not answer: timed out 5 times in a row."},
	"degraded": {"Mất gói 3,2 % trên băng rộng, ngưỡng 1 %.", "Loss of 3.2% on broadband, limit 1%."},
	"no_data":  {"Không có kết quả nào trong 4 phút.", "No result for 4 minutes."},
	"muted":    {"Cơ quan ngoài giờ làm việc.", "The office is closed."},
}

func (f *fixture) set(i int, state, lang string) {
	f.version++
	s := &f.sites[i]
	h := fnv.New32a()
	fmt.Fprint(h, s.ID, state)
	since := f.now().Add(-time.Duration(h.Sum32()%90000) * time.Second).Truncate(time.Second)
	seen := f.now().Add(-20 * time.Second).Truncate(time.Second)
	s.State, s.Since, s.LastSeen, s.Version = state, &since, &seen, f.version
	s.Reason, s.ReasonCode = fixtureReasons[state][0], ""
	s.Layers = map[string]string{"lan": "ok", "broadband": "ok", "dedicated": "ok", "conference": "ok"}
	if i%3 == 0 {
		s.Layers["conference"] = "none"
	}
	switch state {
	case "down":
		s.Layers["dedicated"] = "down"
	case "degraded":
		s.Layers["broadband"] = "degraded"
	case "no_data", "muted":
		for l := range s.Layers {
			s.Layers[l] = state
		}
	}
}

func (f *fixture) translated(s api.Site, lang string) api.Site {
	if lang == "en" {
		s.Reason = fixtureReasons[s.State][1]
	}
	return s
}

// Sites implements Source.
func (f *fixture) Sites(_ context.Context, lang string) ([]api.Site, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	out := slices.Clone(f.sites)
	for i := range out {
		out[i] = f.translated(out[i], lang)
	}
	return out, nil
}

// Site implements Source.
func (f *fixture) Site(_ context.Context, id, lang string) (api.SiteDetail, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	i := slices.IndexFunc(f.sites, func(s api.Site) bool { return s.ID == id })
	if i < 0 {
		return api.SiteDetail{}, api.ErrNoSite
	}
	d := api.SiteDetail{Site: f.translated(f.sites[i], lang), LayerDetails: map[string]api.LayerDetail{}}
	for l, state := range d.Layers {
		detail := api.LayerDetail{State: state, Since: d.Since}
		if state == d.State && state != "ok" {
			detail.Reason = d.Reason
		}
		d.LayerDetails[l] = detail
	}
	check := func(target, kind, path, layer, proof string) {
		c := api.Check{Agent: "pc", Target: target, Kind: kind, Path: path, Layer: layer, State: d.Layers[layer], Since: d.Since,
			LastSeen: d.LastSeen, IntervalSeconds: 30, PathProof: proof, Outcome: "ok"}
		if c.State == d.State && c.State != "ok" {
			c.Reason = d.Reason
		}
		d.Checks = append(d.Checks, c)
	}
	check("anchor-chuyendung", "icmp", "dedicated", "dedicated", "proved")
	check("gateway", "icmp", "lan", "lan", "bound")
	check("anchor-bangrong", "icmp", "broadband", "broadband", "unproven")
	check("dns-tinh", "dns", "dedicated", "dedicated", "proved")
	check("cong-dvc", "http", "broadband", "broadband", "unproven")
	check("codec", "sip", "lan", "conference", "bound")
	if d.Layers["conference"] != "none" {
		check("hub-dien-tap", "webrtc", "dedicated", "conference", "proved")
		if i%5 == 2 {
			d.Checks[len(d.Checks)-1].Outcome = "held"
		}
	}
	if d.Layers["conference"] != "none" && d.LastSeen != nil {
		d.Endpoints = []conference.Endpoint{fixtureEndpoint(lang, i%6-1, d.LastSeen)}
	}
	boot := "2025-01-01"
	d.Agents = []api.Agent{{Name: "pc", Version: "0.1.0", LastSeen: d.LastSeen, BatchesReceived: 8640, BatchesMissing: uint64(i % 3),
		Facts: map[string]float64{"spool_batches": 3, "spool_age_seconds": 34, "clock_offset_seconds": -0.182, "rss_bytes": 23 << 20}}}
	d.Names = []api.DatedName{{Name: d.Name, Type: d.Type, Code: d.Code, Parent: d.Parent}, {ValidFrom: &boot, Name: d.Name + " mới", Type: "xã", Code: "09999"}}
	return d, nil
}

// fixtureEndpoint is a room's endpoint that stands on a rung, worded as the collector does.
func fixtureEndpoint(lang string, level int, at *time.Time) conference.Endpoint {
	l := phrase.Lang(lang)
	e := readiness.Endpoint{Name: "codec", Known: true, Level: readiness.Level(level), Possible: 4, At: *at}
	out := conference.Endpoint{Name: e.Name, Known: true, Level: level, Possible: 4, At: at, Summary: phrase.Endpoint(l, e)}
	for r := readiness.Level(0); r <= 4; r++ {
		rung := conference.Rung{Level: int(r), Name: phrase.Level(l, r), State: "reached", Target: "codec", At: at}
		switch {
		case int(r) == level+1:
			rung.State = "failed"
		case int(r) > level:
			rung.State = "unknown"
		}
		out.Rungs = append(out.Rungs, rung)
	}
	return out
}

// Conference implements Source: a call of a few minutes ago, bad where the conference layer is, and what answers beside it.
func (f *fixture) Conference(_ context.Context, id string) (conference.Site, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	i := slices.IndexFunc(f.sites, func(s api.Site) bool { return s.ID == id })
	if i < 0 {
		return conference.Site{}, api.ErrNoSite
	}
	out := conference.Site{Calls: []conference.Call{}, Services: []conference.Reading{}}
	if f.sites[i].Layers["conference"] == "none" {
		return out, nil
	}
	at := f.now().Add(-12 * time.Minute).Truncate(time.Second)
	loss, grade, mos := 0.0004*float64(i%7), "good", 4.4
	if i%4 == 1 {
		loss, grade, mos = 0.0213, "degraded", 3.6
	}
	call := conference.Call{Reading: conference.Reading{Kind: "webrtc", Agent: "pc", Target: "hub-dien-tap", Path: "dedicated", At: at,
		Facts: map[string]float64{"media_seconds": 15, "signalling_seconds": 0.056, "ice_seconds": 0.096, "dtls_seconds": 0.081, "first_media_seconds": 0.104,
			"setup_seconds": 0.337, "rtt_median_seconds": 0.0312, "rtt_p95_seconds": 0.0478, "mos_audio": mos, "mos_audio_narrowband": mos - 0.2, "mos_video": mos - 0.5,
			"share_codec": 10.7, "share_loss": loss * 900, "share_delay": 2.1, "usable_video_bps": 2e6, "data_rtt_median_seconds": 0.0325, "data_loss_ratio": 0,
			"residence_p99_seconds": 0.00082, "reflector_sessions": 6},
		Texts: map[string]string{"service": "reflector", "profile": "720p", "transport": "udp", "grade": grade, "ramp_end": "loss", "limited_by": "none"}}}
	if i%11 == 4 {
		call.Texts["limited_by"] = "agent"
	}
	for _, way := range []string{"up", "down"} {
		for _, media := range []string{"audio", "video"} {
			facts := map[string]float64{"loss_ratio": loss / 4, "discard_ratio": 0.0002, "jitter_seconds": 0.0023, "longest_loss_run": 1, "goodput_bps": 31_700}
			if media == "video" {
				facts["frame_loss_ratio"], facts["frozen_seconds"], facts["goodput_bps"] = loss*2.3, 0, 1_986_000
			}
			if way == "down" {
				facts["loss_ratio"], facts["longest_loss_run"], facts["jitter_seconds"] = loss, 4, 0.0061
			}
			call.Flows = append(call.Flows, conference.Flow{Direction: way, Media: media, Facts: facts})
		}
	}
	out.Calls = append(out.Calls, call)
	reading := func(kind, target string, facts map[string]float64, texts map[string]string) {
		out.Services = append(out.Services, conference.Reading{Kind: kind, Agent: "pc", Target: target, Path: "lan", At: at, Facts: facts, Texts: texts})
	}
	reading("sip", "codec", map[string]float64{"code": 200, "response_seconds": 0.0142}, map[string]string{"transport": "udp", "reason": "OK", "user_agent": "PolycomRealPresenceGroup500/6.2.2"})
	reading("h323", "codec", map[string]float64{"connected": 1, "connect_seconds": 0.0021, "gatekeeper_seconds": 0.012}, map[string]string{"gatekeeper": "confirmed", "gatekeeper_id": "GK-TINH"})
	reading("stun", "stun-tinh", map[string]float64{"response_seconds": 0.0289, "nat": 1}, map[string]string{"transport": "udp", "mapped_address": "203.0.113.18:40112", "software": "Coturn-4.6.1"})
	return out, nil
}

func (f *fixture) handler(t testing.TB, boundaries string) http.Handler {
	t.Helper()
	var rehearsed *rehearsals.API
	mux := http.NewServeMux()
	if f.rehearsed != nil {
		rehearsed = rehearsals.New(rehearsals.Options{Service: f.rehearsed, Operators: operators{}, Now: f.now})
		f.serveRehearsals(t, mux, rehearsed)
	}
	o := Options{Source: f, Stock: f.stock, Rehearsals: rehearsed, Boundaries: boundaries, Title: "Phú Thọ", Log: slog.New(slog.NewTextHandler(os.Stderr, nil)), Status: &f.database}
	if f.reported != nil {
		o.Reports = f.reported
	}
	f.serveDatabase(mux)
	pages, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	mux.Handle("/", pages.Handler())
	answer := func(rw http.ResponseWriter, v any) {
		rw.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(rw).Encode(v)
	}
	mux.HandleFunc("GET /api/v1/sites", func(rw http.ResponseWriter, r *http.Request) {
		sites, _ := f.Sites(r.Context(), r.URL.Query().Get("lang"))
		answer(rw, sites)
	})
	mux.HandleFunc("GET /api/v1/sites/{id}/conference", func(rw http.ResponseWriter, r *http.Request) {
		known, _ := f.Conference(r.Context(), r.PathValue("id"))
		answer(rw, known)
	})
	mux.HandleFunc("GET /api/v1/sites/{id}/history", f.history)
	mux.HandleFunc("GET /api/v1/series", f.series)
	mux.HandleFunc("GET /api/v1/events", f.events)
	mux.HandleFunc("POST /fixture/set", func(_ http.ResponseWriter, r *http.Request) {
		f.mu.Lock()
		defer f.mu.Unlock()
		for i := range f.sites {
			if f.sites[i].ID == r.FormValue("site") {
				f.set(i, r.FormValue("state"), "")
				now := f.now().Truncate(time.Second)
				f.sites[i].Since = &now
				for l := range f.listeners {
					l <- f.sites[i]
				}
			}
		}
	})
	mux.HandleFunc("POST /fixture/away", func(_ http.ResponseWriter, r *http.Request) {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.away = r.FormValue("away") == "1"
		close(f.drop)
		f.drop = make(chan struct{})
	})
	return mux
}

// serveRehearsals adds the live stream of rehearsals, and a way to take the one that runs a step on.
func (f *fixture) serveRehearsals(t testing.TB, mux *http.ServeMux, rehearsed *rehearsals.API) {
	ctx, end := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = rehearsed.Run(ctx) // returns when ctx ends, and nothing else
	}()
	t.Cleanup(func() { end(); <-ended })
	mux.HandleFunc("GET /api/v1/rehearsals/events", func(rw http.ResponseWriter, r *http.Request) {
		if err := rehearsed.Events(rw, r, phrase.Vietnamese); err != nil {
			http.Error(rw, err.Error(), http.StatusServiceUnavailable)
		}
	})
	mux.HandleFunc("POST /fixture/advance", func(_ http.ResponseWriter, r *http.Request) {
		bad := map[string]rehearsaltest.Bad{}
		if site := r.FormValue("bad"); site != "" {
			bad[site] = rehearsaltest.Bad{Up: 0.09}
		}
		f.rehearsed.Advance(bad)
	})
}

func (f *fixture) events(rw http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	if f.away {
		f.mu.Unlock()
		http.Error(rw, "away", http.StatusServiceUnavailable)
		return
	}
	l := make(chan api.Site, 64)
	f.listeners[l] = true
	drop, version := f.drop, f.version
	f.mu.Unlock()
	defer func() {
		f.mu.Lock()
		delete(f.listeners, l)
		f.mu.Unlock()
	}()
	rw.Header().Set("Content-Type", "text/event-stream")
	fmt.Fprintf(rw, "event: hello\ndata: {\"version\":%d}\n\n", version)
	heartbeat := time.NewTicker(15 * time.Second)
	defer heartbeat.Stop()
	for {
		rw.(http.Flusher).Flush()
		select {
		case <-r.Context().Done():
			return
		case <-drop:
			return
		case <-heartbeat.C:
			fmt.Fprint(rw, ": heartbeat\n\n")
		case s := <-l:
			data, _ := json.Marshal(f.translated(s, r.URL.Query().Get("lang")))
			fmt.Fprintf(rw, "event: site\ndata: %s\n\n", data)
		}
	}
}

func fixtureRange(r *http.Request) (from, to, step int64) {
	q := r.URL.Query()
	from, _ = strconv.ParseInt(q.Get("from"), 10, 64)
	to, _ = strconv.ParseInt(q.Get("to"), 10, 64)
	d, err := time.ParseDuration(q.Get("step"))
	if err != nil {
		d = time.Minute
	}
	return from, to, int64(d / time.Second)
}

// history alternates good hours with bad minutes.
func (f *fixture) history(rw http.ResponseWriter, r *http.Request) {
	from, to, _ := fixtureRange(r)
	d, err := f.Site(r.Context(), r.PathValue("id"), r.URL.Query().Get("lang"))
	if err != nil {
		http.Error(rw, `{"code":"not found","message":"no such site"}`, http.StatusNotFound)
		return
	}
	type span struct {
		State  string    `json:"state"`
		From   time.Time `json:"from"`
		To     time.Time `json:"to"`
		Reason string    `json:"reason"`
	}
	spans := func(bad string) []span {
		var out []span
		step := (to - from) / 10
		for i := range int64(10) {
			s := span{State: "ok", From: time.Unix(from+i*step, 0).UTC(), To: time.Unix(from+(i+1)*step, 0).UTC()}
			if bad != "ok" && i%4 == 3 {
				s.State = bad
				s.Reason = fixtureReasons[bad][0]
			}
			if i == 5 {
				s.State = "no_data"
			}
			out = append(out, s)
		}
		// A minute in the middle of a stay and the newest minute: what a strip of a month must not hide.
		mid := time.Unix(from+2*step+step/2, 0).UTC()
		out = slices.Insert(out, 3, span{State: "no_data", From: mid, To: mid.Add(time.Minute)}, span{State: out[2].State, From: mid.Add(time.Minute), To: out[2].To})
		out[2].To = mid
		now := time.Unix(to, 0).UTC()
		out[len(out)-1].To = now.Add(-time.Minute)
		return append(out, span{State: "no_data", From: now.Add(-time.Minute), To: now})
	}
	layers := map[string][]span{}
	for l, state := range d.Layers {
		layers[l] = spans(state)
	}
	rw.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(rw).Encode(map[string]any{"from": time.Unix(from, 0).UTC(), "to": time.Unix(to, 0).UTC(), "site": spans(d.State), "layers": layers})
}

// series makes plausible curves with a gap in the middle, where nothing was measured.
func (f *fixture) series(rw http.ResponseWriter, r *http.Request) {
	from, to, step := fixtureRange(r)
	q := r.URL.Query()
	d, err := f.Site(r.Context(), q.Get("site"), "vi")
	if err != nil || step <= 0 || (to-from)/step > 5000 {
		http.Error(rw, `{"code":"invalid","message":"no such site or range"}`, http.StatusBadRequest)
		return
	}
	type series struct {
		Measurement string            `json:"measurement"`
		Field       string            `json:"field"`
		Tags        map[string]string `json:"tags"`
		T           []int64           `json:"t"`
		Mean        []*float64        `json:"mean,omitempty"`
		Min         []*float64        `json:"min,omitempty"`
		Max         []*float64        `json:"max,omitempty"`
	}
	base := map[string]float64{"rtt_min_seconds": 0.006, "rtt_median_seconds": 0.009, "rtt_p95_seconds": 0.016, "jitter_seconds": 0.0011,
		"query_seconds": 0.012, "connect_seconds": 0.008, "response_seconds": 0.014, "mos_audio": 4.1, "usable_video_bps": 2e6, "tls_seconds": 0.02, "first_byte_seconds": 0.05, "total_seconds": 0.09}
	type one struct {
		n    int
		kind string
		tags map[string]string
	}
	var asked []one
	for n, c := range d.Checks {
		tags := map[string]string{"site": d.ID, "agent": c.Agent, "target": c.Target, "path": c.Path}
		switch {
		case c.Kind == q.Get("measurement"):
			asked = append(asked, one{n, c.Kind, tags})
		case c.Kind == "webrtc" && q.Get("measurement") == "webrtc_flow":
			for k, way := range []string{"up", "down"} {
				more := maps.Clone(tags)
				more["direction"], more["media"] = way, "video"
				asked = append(asked, one{n + k, c.Kind, more})
			}
		}
	}
	var all []series
	for _, c := range asked {
		n := c.n
		for _, field := range q["field"] {
			s := series{Measurement: q.Get("measurement"), Field: field, Tags: c.tags}
			var values []*float64
			for t := from; t < to; t += step {
				s.T = append(s.T, t)
				at := float64(t-from) / float64(to-from)
				if at > 0.55 && at < 0.63 {
					values = append(values, nil)
					continue
				}
				noise := math.Abs(math.Sin(float64(t)*0.0137+float64(n))) * math.Abs(math.Sin(float64(t)*0.00071))
				v := base[field] * (1 + 0.8*noise) * (1 + float64(n)*0.7)
				if strings.HasPrefix(field, "rtt_p95") {
					v *= 1 + 2*noise*noise
				}
				if field == "mos_audio" || field == "usable_video_bps" {
					v = base[field] * (1 - 0.2*noise)
				}
				if field == "loss_ratio" {
					v = math.Max(0, noise-0.62) * 0.3
				}
				values = append(values, &v)
			}
			switch q.Get("agg") {
			case "min":
				s.Min = values
			case "max":
				s.Max = values
			default:
				s.Mean = values
			}
			all = append(all, s)
		}
	}
	resolution := "raw"
	if step >= 86400 {
		resolution = "1d"
	}
	rw.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(rw).Encode(map[string]any{"from": time.Unix(from, 0).UTC(), "to": time.Unix(to, 0).UTC(), "step_seconds": step,
		"resolution": resolution, "series": all})
}

// TestServe is for people who work on the screens: it serves the fixture until interrupted.
//
//	FIXTURE_LISTEN=127.0.0.1:8099 go test ./collector/web -run TestServe -timeout 0
//
// FIXTURE_SITES sets how many sites there are, FIXTURE_BOUNDARIES names a GeoJSON file.
func TestServe(t *testing.T) {
	listen := os.Getenv("FIXTURE_LISTEN")
	if listen == "" {
		t.Skip("not a test: serves the fixture to look at; set FIXTURE_LISTEN=127.0.0.1:8099")
	}
	n, err := strconv.Atoi(os.Getenv("FIXTURE_SITES"))
	if err != nil {
		n = 136
	}
	f := newFixture(t, n)
	f.equip(t)
	f.rehearse(t)
	f.report()
	t.Fatal(http.ListenAndServe(listen, f.handler(t, os.Getenv("FIXTURE_BOUNDARIES"))))
}

// serve starts the fixture for one test.
func serve(t *testing.T, n int, boundaries string) *httptest.Server {
	t.Helper()
	f := newFixture(t, n)
	if boundaries == "" && n <= 136 {
		f.equip(t)
		f.rehearse(t)
		f.report()
	}
	server := httptest.NewServer(f.handler(t, boundaries))
	t.Cleanup(func() {
		server.CloseClientConnections() // event streams would hold Close up
		server.Close()
	})
	return server
}
