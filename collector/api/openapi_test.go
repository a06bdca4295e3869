package api

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"communewatch/collector/history"
	"communewatch/collector/rehearsal"
	"communewatch/probes"
)

// schema is the part of JSON Schema that openapi.json uses.
type schema struct {
	Ref                  string             `json:"$ref"`
	Type                 any                `json:"type"` // a name, or several
	Format               string             `json:"format"`
	Enum                 []string           `json:"enum"`
	Required             []string           `json:"required"`
	Properties           map[string]*schema `json:"properties"`
	AdditionalProperties json.RawMessage    `json:"additionalProperties"`
	Items                *schema            `json:"items"`
	Description          string             `json:"description"`
}

type description struct {
	OpenAPI string `json:"openapi"`
	Paths   map[string]map[string]struct {
		OperationID string `json:"operationId"`
		Parameters  []struct {
			Name, In string
			Required bool
		}
		Responses map[string]struct {
			Content map[string]struct{ Schema *schema }
		}
	}
	Components struct{ Schemas map[string]*schema }
}

// check holds a value against a schema and reports the places where it differs.
func (d *description) check(s *schema, v any, at string, bad func(format string, args ...any)) {
	if s.Ref != "" {
		name := strings.TrimPrefix(s.Ref, "#/components/schemas/")
		if d.Components.Schemas[name] == nil {
			bad("%s: no schema %s", at, s.Ref)
			return
		}
		d.check(d.Components.Schemas[name], v, at, bad)
		return
	}
	kind := "null"
	switch v := v.(type) {
	case string:
		kind = "string"
		if len(s.Enum) > 0 && !slices.Contains(s.Enum, v) {
			bad("%s: %q is not one of %q", at, v, s.Enum)
		}
		layout := map[string]string{"date-time": time.RFC3339, "date": time.DateOnly}[s.Format]
		if layout != "" {
			if t, err := time.Parse(layout, v); err != nil || t.Location() != time.UTC {
				bad("%s: %q is not a %s in UTC", at, v, s.Format)
			}
		}
	case float64:
		kind = "number"
		several, _ := s.Type.([]any)
		if (s.Type == "integer" || slices.Contains(several, any("integer"))) && v == float64(int64(v)) {
			kind = "integer"
		}
	case bool:
		kind = "boolean"
	case []any:
		kind = "array"
		for i := range v {
			d.check(s.Items, v[i], fmt.Sprintf("%s[%d]", at, i), bad)
		}
	case map[string]any:
		kind = "object"
		for _, key := range s.Required {
			if _, ok := v[key]; !ok {
				bad("%s: %s is missing", at, key)
			}
		}
		for key, value := range v {
			var extra schema
			switch {
			case s.Properties[key] != nil:
				d.check(s.Properties[key], value, at+"."+key, bad)
			case string(s.AdditionalProperties) == "false":
				bad("%s: %s is not described", at, key)
			case json.Unmarshal(s.AdditionalProperties, &extra) == nil && extra.Type != nil:
				d.check(&extra, value, at+"."+key, bad)
			}
		}
	}
	types, several := s.Type.([]any)
	if !several {
		types = []any{s.Type}
	}
	if !slices.Contains(types, any(kind)) {
		bad("%s: is a %s, described as %v", at, kind, s.Type)
	}
}

func readDescription(t *testing.T, h *house) *description {
	t.Helper()
	var d description
	if err := json.Unmarshal(h.get(t, "/api/v1/openapi.json").Body.Bytes(), &d); err != nil {
		t.Fatal(err)
	}
	return &d
}

// TestAnswersMatchTheDescription asks every route that openapi.json lists.
func TestAnswersMatchTheDescription(t *testing.T) {
	h := lossy(t)
	h.keepEquipment(t)
	h.call(t, "s1", t0.Add(11*time.Minute))
	h.room(t, "s1", "registered", t0.Add(11*time.Minute))
	if _, err := h.rehearse(3).Start(t.Context(), rehearsal.Request{Meeting: "m", Profile: "low", Steps: "2,all"}); err != nil {
		t.Fatal(err)
	}
	h.judge.ObserveAgent("s1", "pc", t0, "v1", map[string]float64{"checks": 5})
	for i := range 4 {
		at := t0.Add(time.Duration(20+i) * 30 * time.Second)
		h.ping(t, "s2", "gw", at, 10, 10, probes.OutcomeNoPermission)
		h.ping(t, "s1", "other", at, 10, 10, probes.OutcomeTimeout)
	}
	h.at(t0.Add(12 * time.Minute))
	h.report(136)
	h.fleet(t)
	h.stands.Store.Away, h.stands.Store.Since, h.stands.Store.Reason, h.stands.Store.Fix = true, t0, "refused", "start it"
	h.stands.Rollups = history.Progress{To: t0, Pending: 2, Oldest: t0, Failed: "full", Since: t0}
	d := readDescription(t, h)
	if !strings.HasPrefix(d.OpenAPI, "3.1") {
		t.Fatal(d.OpenAPI)
	}
	asked := map[string][]string{
		"/api/v1/sites":                 {"/api/v1/sites", "/api/v1/sites?lang=en"},
		"/api/v1/sites/{id}":            {"/api/v1/sites/s0", "/api/v1/sites/s1", "/api/v1/sites/s2?lang=en"},
		"/api/v1/sites/{id}/conference": {"/api/v1/sites/s0/conference", "/api/v1/sites/s1/conference"},
		"/api/v1/sites/{id}/history":    {"/api/v1/sites/s1/history", "/api/v1/sites/s0/history?range=30d"},
		"/api/v1/sites/{id}/changes":    {"/api/v1/sites/s1/changes", "/api/v1/sites/s0/changes?range=30d"},
		"/api/v1/series": {
			"/api/v1/series?measurement=icmp&field=loss_ratio,rtt_p95_seconds&site=s1&agg=mean,min,max,p95,count",
			"/api/v1/series?measurement=check&field=up&site=s1&range=24h",
			"/api/v1/series?measurement=dns&field=query_seconds&site=s0",
		},
		"/api/v1/inventory/devices": {"/api/v1/inventory/devices", "/api/v1/inventory/devices?search=dell&lang=en&as_of=2025-01-01&offset=1&limit=0",
			"/api/v1/inventory/devices?offset=99"},
		"/api/v1/inventory/devices/{id}":       {"/api/v1/inventory/devices/d1", "/api/v1/inventory/devices/d2?lang=en"},
		"/api/v1/inventory/summary":            {"/api/v1/inventory/summary", "/api/v1/inventory/summary?site=none"},
		"/api/v1/inventory/unsupported":        {"/api/v1/inventory/unsupported?as_of=2031-12-31"},
		"/api/v1/inventory/replacements":       {"/api/v1/inventory/replacements"},
		"/api/v1/inventory/verify":             {"/api/v1/inventory/verify"},
		"/api/v1/inventory/purchases":          {"/api/v1/inventory/purchases", "/api/v1/inventory/purchases?phase=none"},
		"/api/v1/inventory/catalogue":          {"/api/v1/inventory/catalogue"},
		"/api/v1/rehearsals":                   {"/api/v1/rehearsals"},
		"/api/v1/rehearsals/plan":              {"/api/v1/rehearsals/plan?meeting=m&profile=1080p", "/api/v1/rehearsals/plan?meeting=&steps=none"},
		"/api/v1/rehearsals/compare":           {"/api/v1/rehearsals/compare?a=r1&b=r2&lang=en"},
		"/api/v1/rehearsals/{id}":              {"/api/v1/rehearsals/r1", "/api/v1/rehearsals/r2?lang=en", "/api/v1/rehearsals/r3"},
		"/api/v1/rehearsals/{id}/status":       {"/api/v1/rehearsals/r1/status", "/api/v1/rehearsals/current/status"},
		"/api/v1/rehearsals/{id}/sites/{site}": {"/api/v1/rehearsals/r1/sites/s1", "/api/v1/rehearsals/r2/sites/s0"},
		"/api/v1/rehearsals/{id}/stop":         nil, // a POST; see TestOnlyOperatorsGiveOrders
		"/api/v1/rehearsals/hold":              nil, // a POST
		"/api/v1/rehearsals/events":            nil, // see TestRehearsalsAreToldLive
		"/api/v1/reports/lines": {"/api/v1/reports/lines", "/api/v1/reports/lines?period=2026-Q3&hours=all&layer=dedicated&district=Huy%E1%BB%87n+1",
			"/api/v1/reports/lines?from=2026-11-01&to=2026-11-10&provider=nobody", "/api/v1/reports/lines?period=2026&site=s5"},
		"/api/v1/reports/periods": {"/api/v1/reports/periods"},
		"/api/v1/fleet":           {"/api/v1/fleet", "/api/v1/fleet?show=revoked&lang=en", "/api/v1/fleet?site=s1&limit=1"},
		"/api/v1/people":          {"/api/v1/people", "/api/v1/people?role=admin"},
		"/api/v1/audit":           {"/api/v1/audit", "/api/v1/audit?limit=2&act=person."},
		"/api/v1/status":          {"/api/v1/status", "/api/v1/status?lang=en"},
		"/api/v1/openapi.json":    {"/api/v1/openapi.json"},
		"/metrics":                nil, // not JSON; see TestMetrics
		"/api/v1/events":          nil, // see TestEvents
	}
	for path, operations := range d.Paths {
		urls, known := asked[path]
		if !known {
			t.Errorf("%s is described but not asked here", path)
		}
		delete(asked, path)
		answer := operations["get"].Responses["200"]
		for _, url := range urls {
			w := h.get(t, url)
			if w.Code != 200 {
				t.Errorf("%s: %d %s", url, w.Code, w.Body)
				continue
			}
			var v any
			if err := json.Unmarshal(w.Body.Bytes(), &v); err != nil {
				t.Fatal(err)
			}
			d.check(answer.Content["application/json"].Schema, v, url, t.Errorf)
		}
	}
	for path := range asked {
		t.Errorf("%s is not described", path)
	}
	for _, url := range []string{"/api/v1/sites/nobody", "/api/v1/series", "/api/v1/nothing", "/api/v1/inventory/devices/d99", "/api/v1/inventory/summary?as_of=soon",
		"/api/v1/inventory/devices?limit=-1", "/api/v1/inventory/verify?standing=good"} {
		var v any
		if err := json.Unmarshal(h.get(t, url).Body.Bytes(), &v); err != nil {
			t.Fatal(err)
		}
		d.check(d.Components.Schemas["Error"], v, url, t.Errorf)
	}
}

// TestTheCheckChecks makes sure that a wrong answer would be found.
func TestTheCheckChecks(t *testing.T) {
	h := newHouse(t, 1)
	d := readDescription(t, h)
	for _, wrong := range []string{`{}`, `[]`, `{"code":"odd","message":"m"}`, `{"code":"invalid","message":5}`, `{"code":"invalid","message":"m","more":1}`} {
		var v any
		if err := json.Unmarshal([]byte(wrong), &v); err != nil {
			t.Fatal(err)
		}
		found := 0
		d.check(d.Components.Schemas["Error"], v, "", func(string, ...any) { found++ })
		if found == 0 {
			t.Errorf("%s passes as an Error", wrong)
		}
	}
}
