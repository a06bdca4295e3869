package api

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"communewatch/collector/api/rehearsals"
	"communewatch/collector/registry"
	"communewatch/collector/rehearsal"
	"communewatch/collector/rehearsal/rehearsaltest"
	"communewatch/inventory"
	"communewatch/probes/webrtc/report"
)

// operators know one code of an operator, and one of an agent.
type operators struct{}

func (operators) Authenticate(_ context.Context, code string) (registry.Identity, error) {
	switch code {
	case "cw1_good":
		return registry.Identity{Token: "op1", Kind: registry.KindOperator}, nil
	case "cw1_agent":
		return registry.Identity{Token: "ag1", Kind: registry.KindAgent}, nil
	}
	return registry.Identity{}, registry.ErrUnknownToken
}

func (operators) Tokens(context.Context) ([]registry.Token, error) {
	return []registry.Token{{ID: "op1", Note: "Nguyễn Văn Trực"}}, nil
}

// rehearse gives a house rehearsals.
func (h *house) rehearse(sites int) *rehearsaltest.Service {
	var all []inventory.Site
	for i := range sites {
		all = append(all, inventory.Site{ID: fmt.Sprintf("s%d", i), Name: "Xuân Hoà", Parent: fmt.Sprintf("Huyện %d", i%3)})
	}
	service := rehearsaltest.New(all, h.clock)
	h.API.meet = rehearsals.New(rehearsals.Options{Service: service, Operators: operators{}, Sites: h.siteNames, Now: h.clock, Log: h.log})
	h.Handler = h.API.Handler()
	return service
}

func (h *house) order(t *testing.T, path, code, body string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequest("POST", "http://collector"+path, strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	if code != "" {
		r.Header.Set("Authorization", "Bearer "+code)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// schemas writes down the types of the answers as openapi.json has them.
type schemas struct{ all map[string]map[string]any }

func (s *schemas) of(t reflect.Type) map[string]any {
	switch t {
	case reflect.TypeFor[time.Time]():
		return map[string]any{"type": "string", "format": "date-time"}
	case reflect.TypeFor[report.Call]():
		return map[string]any{"type": "object", "additionalProperties": true, "description": "one call, as `communewatch-agent probe webrtc --json` prints it"}
	case reflect.TypeFor[rehearsal.Mark]():
		return map[string]any{"type": "string", "enum": []any{"go", "risk", "no_go", "unknown"}}
	}
	switch t.Kind() {
	case reflect.Pointer:
		return s.of(t.Elem())
	case reflect.String:
		return map[string]any{"type": "string"}
	case reflect.Bool:
		return map[string]any{"type": "boolean"}
	case reflect.Int, reflect.Int64, reflect.Uint64:
		return map[string]any{"type": "integer"}
	case reflect.Float64:
		return map[string]any{"type": "number"}
	case reflect.Slice:
		return map[string]any{"type": "array", "items": s.of(t.Elem())}
	case reflect.Map:
		return map[string]any{"type": "object", "additionalProperties": s.of(t.Elem())}
	case reflect.Struct:
		name := t.Name()
		if strings.HasSuffix(t.PkgPath(), "/api/rehearsals") {
			name += "Answer"
		}
		name = "Rehearsal" + strings.TrimPrefix(name, "Rehearsal")
		if s.all[name] == nil {
			out := map[string]any{"type": "object", "additionalProperties": false}
			s.all[name] = out
			properties, required := map[string]any{}, []any{}
			s.fields(t, properties, &required)
			out["properties"] = properties
			if len(required) > 0 {
				out["required"] = required
			}
		}
		return map[string]any{"$ref": "#/components/schemas/" + name}
	}
	panic("a type without a schema: " + t.String())
}

// fields adds a struct's fields; those of the struct itself win over those that it embeds, as in encoding/json.
func (s *schemas) fields(t reflect.Type, properties map[string]any, required *[]any) {
	var embedded []reflect.Type
	for i := range t.NumField() {
		f := t.Field(i)
		tag, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		switch {
		case tag == "-":
			continue
		case f.Anonymous && tag == "":
			embedded = append(embedded, f.Type)
			continue
		case tag == "":
			tag = f.Name
		}
		switch {
		case properties[tag] == nil:
			properties[tag] = s.of(f.Type)
			if !strings.Contains(options, "omit") {
				*required = append(*required, tag)
			}
		}
	}
	for _, e := range embedded {
		s.fields(e, properties, required)
	}
}

// TestRehearsalsAreDescribedAsTheyAre holds openapi.json against the types.
func TestRehearsalsAreDescribedAsTheyAre(t *testing.T) {
	s := &schemas{all: map[string]map[string]any{}}
	for _, v := range []any{rehearsals.List{}, rehearsals.Status{}, rehearsals.Plan{}, rehearsals.Started{}, rehearsals.SiteResults{}, rehearsals.Detail{},
		rehearsals.Comparison{}, rehearsals.Event{}, rehearsal.Request{}, rehearsal.Hold{}} {
		s.of(reflect.TypeOf(v))
	}
	raw, err := os.ReadFile("openapi.json")
	if err != nil {
		t.Fatal(err)
	}
	var described struct {
		Components struct{ Schemas map[string]map[string]any }
	}
	if err := json.Unmarshal(raw, &described); err != nil {
		t.Fatal(err)
	}
	for name, want := range s.all {
		if d := cmp.Diff(plainJSON(t, want), plainJSON(t, described.Components.Schemas[name])); d != "" {
			t.Errorf("%s is not described as it is:\n%s", name, d)
		}
	}
}

// plainJSON is a value as JSON has it, required names sorted.
func plainJSON(t *testing.T, v map[string]any) (out map[string]any) {
	t.Helper()
	data, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, &out); err != nil {
		t.Fatal(err)
	}
	if required, ok := out["required"].([]any); ok {
		slices.SortFunc(required, func(a, b any) int { return strings.Compare(a.(string), b.(string)) })
	}
	return out
}

func TestRehearsals(t *testing.T) {
	h := newHouse(t, 136)
	h.rehearse(136)
	list := decode[rehearsals.List](t, h.get(t, "/api/v1/rehearsals"))
	if len(list.Rehearsals) != 2 || list.Rehearsals[0].Name != "r2" || list.Held != nil {
		t.Fatalf("%+v", list)
	}
	detail := decode[rehearsals.Detail](t, h.get(t, "/api/v1/rehearsals/r2?lang=en"))
	if len(detail.Verdict.Rows) != 136 || len(detail.Verdict.Actions) == 0 || detail.Verdict.Actions[0].Text == "" || detail.Verdict.Rows[0].Text == "" ||
		detail.Verdict.Rows[0].SiteName != "Xuân Hoà" || detail.Verdict.Rows[0].Overall != rehearsal.NoGo {
		t.Errorf("%+v", detail.Verdict.Rows[0])
	}
	if cell := detail.Verdict.Rows[0].Cells[rehearsal.ColumnHub]; cell.Text == "" || cell.Mark != rehearsal.Go {
		t.Errorf("a cell without words: %+v", cell)
	}
	results := decode[rehearsals.SiteResults](t, h.get(t, "/api/v1/rehearsals/r1/sites/s41"))
	if len(results.Results) == 0 || results.Results[0].Call == nil {
		t.Errorf("%+v", results)
	}
	c := decode[rehearsals.Comparison](t, h.get(t, "/api/v1/rehearsals/compare?a=r1&b=r2"))
	if len(c.Better) != 1 || c.Better[0].Site != "s17" || len(c.Worse) != 1 || c.Worse[0].Site != "s88" || c.Worse[0].TextAfter == "" {
		t.Errorf("better %+v, worse %+v", c.Better, c.Worse)
	}
	plan := decode[rehearsals.Plan](t, h.get(t, "/api/v1/rehearsals/plan?meeting=m&profile=1080p&steps=10,all"))
	if len(plan.Estimates) != 2 || !plan.Estimates[1].Over || len(plan.Problems) != 1 || len(plan.WarningsText) == 0 {
		t.Errorf("%+v", plan)
	}
	if n := len(decode[rehearsals.List](t, h.get(t, "/api/v1/rehearsals")).Rehearsals); n != 2 {
		t.Error("a plan was started")
	}
	for url, want := range map[string]int{
		"/api/v1/rehearsals/r99": 404, "/api/v1/rehearsals/12": 404, "/api/v1/rehearsals/r1/sites/nobody": 404, "/api/v1/rehearsals/r1/sites/..": 307,
		"/api/v1/rehearsals/compare?a=r1": 400, "/api/v1/rehearsals/compare?a=r1&b=r9": 404, "/api/v1/rehearsals/plan?metting=m": 400,
		"/api/v1/rehearsals/plan?meeting=m&step_seconds=long": 400, "/api/v1/rehearsals/plan?meeting=" + strings.Repeat("m", 300): 400,
		"/api/v1/rehearsals?limit=1": 400,
	} {
		if w := h.get(t, url); w.Code != want {
			t.Errorf("%.60s: %d %s, want %d", url, w.Code, w.Body, want)
		}
	}
}

func TestOnlyOperatorsGiveOrders(t *testing.T) {
	h := newHouse(t, 5)
	service := h.rehearse(5)
	const plan = `{"meeting":"Giao ban","profile":"low","steps":"2,all","by":"somebody else"}`
	for _, c := range []struct {
		code, body string
		want       int
	}{{"", plan, 401}, {"wrong", plan, 401}, {"cw1_agent", plan, 403}, {"cw1_good", `{"meeting":"x","metting":1}`, 400},
		{"cw1_good", plan + plan, 400}, {"cw1_good", "{", 400}, {"cw1_good", `{"meeting":"` + strings.Repeat("m", 70_000) + `"}`, 413},
		{"cw1_good", `{"meeting":"","profile":"low"}`, 422}} {
		if w := h.order(t, "/api/v1/rehearsals", c.code, c.body); w.Code != c.want || c.want == 401 && w.Header().Get("WWW-Authenticate") == "" {
			t.Errorf("%q %.40s: %d %s, want %d", c.code, c.body, w.Code, w.Body, c.want)
		}
	}
	form := httptest.NewRequest("POST", "http://collector/api/v1/rehearsals", strings.NewReader(plan))
	form.Header.Set("Authorization", "Bearer cw1_good")
	form.Header.Set("Content-Type", "text/plain") // what a page of another site can send
	w := httptest.NewRecorder()
	h.ServeHTTP(w, form)
	if w.Code != 415 {
		t.Errorf("plain text: %d", w.Code)
	}
	if all, _ := service.List(t.Context()); len(all) != 2 {
		t.Fatal("one was started all the same")
	}

	w = h.order(t, "/api/v1/rehearsals", "cw1_good", plan)
	var started rehearsals.Started
	if err := json.Unmarshal(w.Body.Bytes(), &started); err != nil || w.Code != 201 || started.Name != "r3" {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	if s := decode[rehearsals.Status](t, h.get(t, "/api/v1/rehearsals/current/status")); s.State != rehearsal.StateRunning || s.Step != 1 || s.By != "Nguyễn Văn Trực" {
		t.Errorf("%+v", s.Summary)
	}
	if w := h.order(t, "/api/v1/rehearsals", "cw1_good", plan); w.Code != 409 {
		t.Errorf("a second at once: %d %s", w.Code, w.Body)
	}
	if w := h.order(t, "/api/v1/rehearsals/r3/stop", "", ""); w.Code != 401 {
		t.Errorf("anybody stops it: %d", w.Code)
	}
	if w := h.order(t, "/api/v1/rehearsals/r3/stop", "cw1_good", ""); w.Code != 200 {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	if s := decode[rehearsals.Status](t, h.get(t, "/api/v1/rehearsals/r3/status")); s.State != rehearsal.StateStopped || len(s.WhyText) != 1 {
		t.Errorf("%+v", s)
	}
	if w := h.order(t, "/api/v1/rehearsals/hold", "cw1_good", `{"meeting":"Giao ban","for_seconds":3600}`); w.Code != 200 {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	if list := decode[rehearsals.List](t, h.get(t, "/api/v1/rehearsals")); list.Held == nil || list.Held.Meeting != "Giao ban" || list.Held.By != "Nguyễn Văn Trực" {
		t.Errorf("%+v", list.Held)
	}
	if w := h.order(t, "/api/v1/rehearsals", "cw1_good", plan); w.Code != 409 {
		t.Errorf("while a meeting is on: %d", w.Code)
	}
	if w := h.order(t, "/api/v1/rehearsals/hold", "cw1_good", `{"meeting":"Giao ban","for_seconds":1e9}`); w.Code != 400 {
		t.Errorf("a hold for ever: %d", w.Code)
	}
}

func TestWhoGuessesCodesIsMadeToWait(t *testing.T) {
	h := newHouse(t, 5)
	h.rehearse(5)
	for range 10 {
		if w := h.order(t, "/api/v1/rehearsals/hold", "wrong", `{}`); w.Code != 401 {
			t.Fatal(w.Code)
		}
	}
	w := h.order(t, "/api/v1/rehearsals/hold", "wrong", `{}`)
	if w.Code != 429 || w.Header().Get("Retry-After") != "60" {
		t.Errorf("after ten wrong codes: %d, retry after %q", w.Code, w.Header().Get("Retry-After"))
	}
	if w := h.order(t, "/api/v1/rehearsals/hold", "cw1_good", `{"for_seconds":0}`); w.Code != 200 {
		t.Errorf("a right code has to wait for wrong ones of others at its address: %d %s", w.Code, w.Body)
	}
	other := httptest.NewRequest("POST", "http://collector/api/v1/rehearsals/hold", strings.NewReader(`{"for_seconds":0}`))
	other.RemoteAddr = "198.51.100.7:4000"
	other.Header.Set("Authorization", "Bearer cw1_good")
	other.Header.Set("Content-Type", "application/json")
	rw := httptest.NewRecorder()
	h.ServeHTTP(rw, other)
	if rw.Code != 200 {
		t.Errorf("from elsewhere: %d %s", rw.Code, rw.Body)
	}
	h.at(t0.Add(61 * time.Second))
	if w := h.order(t, "/api/v1/rehearsals/hold", "wrong", `{}`); w.Code != 401 {
		t.Errorf("a minute later: %d %s", w.Code, w.Body)
	}
}

func TestRehearsalsAreToldLive(t *testing.T) {
	h := newHouse(t, 5)
	service := h.rehearse(5)
	run, stop := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { defer close(ended); _ = h.Run(run) }()
	server := httptest.NewServer(h)
	defer func() { stop(); <-ended; server.Close() }()
	client := http.Client{Timeout: time.Minute} // of the whole stream, so that one that says nothing fails
	answer, err := client.Get(server.URL + "/api/v1/rehearsals/events?lang=en")
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	lines := bufio.NewScanner(answer.Body)
	next := func(want string) string {
		t.Helper()
		for lines.Scan() {
			if strings.Contains(lines.Text(), want) {
				return lines.Text()
			}
		}
		t.Fatalf("the stream ended without %s", want)
		return ""
	}
	next("event: hello")
	for deadline := time.Now().Add(time.Minute); service.Listeners() == 0; time.Sleep(time.Millisecond) { // Run has begun, but may not listen yet
		if time.Now().After(deadline) {
			t.Fatal("nobody listens")
		}
	}
	id, err := service.Start(t.Context(), rehearsal.Request{Meeting: "m", Profile: "low", Steps: "2,all"})
	if err != nil {
		t.Fatal(err)
	}
	next(`"kind":"step"`)
	service.Advance(nil)
	if line := next(`"kind":"site"`); !strings.Contains(line, `"loss_up":`) {
		t.Error(line)
	}
	if err := service.Stop(t.Context(), id, "Trực"); err != nil {
		t.Fatal(err)
	}
	if line := next(`"kind":"state"`); !strings.Contains(line, `"why_text":["Stopped on demand: Trực"]`) {
		t.Error(line)
	}
}
