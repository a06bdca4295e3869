package api

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"communewatch/collector/api/condition"
	"communewatch/collector/reports/reportstest"
	"communewatch/collector/status"
	"communewatch/collector/store"
	"communewatch/inventory"
	"communewatch/probes"
)

// Status implements status.Source.
func (h *house) Status() status.Status { return h.stands }

// report gives a house reports of lines, and a database that answers.
func (h *house) report(sites int) {
	var all []inventory.Site
	for i := range sites {
		all = append(all, inventory.Site{ID: fmt.Sprintf("s%d", i), Name: "Xuân Hoà", Parent: fmt.Sprintf("Huyện %d", i%3)})
	}
	h.lines = reportstest.New(all, h.clock)
	h.stands.Store.Engine, h.stands.Store.Replayed = "influx", true
	h.API.reports, h.API.status = h.lines, h
	h.Handler = h.API.Handler()
}

func TestReportsAreNarrowedAndSayOfWhat(t *testing.T) {
	h := newHouse(t, 1)
	h.report(136)
	read := func(path string) (out struct {
		Period  struct{ Name, Kind, First, Last string }
		Hours   string
		DataTo  time.Time `json:"data_to"`
		Lines   []struct{ Site, District, Layer string }
		Paths   []struct{ Lines int }
		Pairs   []json.RawMessage
		Message string
	}) {
		t.Helper()
		w := h.get(t, path)
		if w.Code != 200 {
			t.Fatalf("%s: %d %s", path, w.Code, w.Body)
		}
		if err := json.Unmarshal(w.Body.Bytes(), &out); err != nil {
			t.Fatal(err)
		}
		return out
	}
	if got := read("/api/v1/reports/lines"); got.Period.Name != "2026-10" || got.Hours != "office" || len(got.Lines) < 400 || len(got.Paths) != 4 {
		t.Errorf("the standard report is of %s, %s, with %d lines", got.Period.Name, got.Hours, len(got.Lines))
	}
	got := read("/api/v1/reports/lines?period=2026-11&layer=broadband&district=" + url.QueryEscape("Huyện 1"))
	if len(got.Lines) == 0 || len(got.Paths) != 1 || got.Paths[0].Lines != len(got.Lines) || got.Pairs == nil {
		t.Errorf("%+v", got)
	}
	for _, l := range got.Lines {
		if l.Layer != string(probes.LayerBroadband) || l.District != "Huyện 1" {
			t.Fatalf("not asked for: %v", l)
		}
	}
	if !got.DataTo.Equal(t0) {
		t.Errorf("figures of a month that is not over reach %v", got.DataTo)
	}
	for path, says := range map[string]string{
		"/api/v1/reports/lines?period=10/2026":   "period must be a month such as 2026-10",
		"/api/v1/reports/lines?districts=x":      "parameter that this question does not have",
		"/api/v1/reports/lines?site=s999":        `there is no site \"s999\"`,
		"/api/v1/reports/lines?hours=night":      "hours must be office, other or all",
		"/api/v1/reports/periods?period=2026-10": "parameter that this question does not have",
	} {
		if w := h.get(t, path); w.Code != 400 || !strings.Contains(w.Body.String(), says) {
			t.Errorf("%s: %d %s", path, w.Code, w.Body)
		}
	}
}

func TestADatabaseThatIsAwayIsToldInWords(t *testing.T) {
	h := newHouse(t, 1)
	if w := h.get(t, "/api/v1/status"); w.Code != 404 {
		t.Errorf("a collector without a status answers %d", w.Code)
	}
	h.report(3)
	read := func(path string) (out condition.Answer) {
		t.Helper()
		if err := json.Unmarshal(h.get(t, path).Body.Bytes(), &out); err != nil {
			t.Fatal(err)
		}
		return out
	}
	if got := read("/api/v1/status"); got.Store.Away || got.Store.Text != "" || got.Store.Engine != "influx" {
		t.Errorf("%+v", got.Store)
	}
	h.stands.Store.Away, h.stands.Store.Since, h.stands.Store.Reason = true, t0, "connection refused"
	// Even when all places for long questions are taken by some that hang.
	for range heavyQueries {
		h.heavy <- struct{}{}
	}
	if got := read("/api/v1/status?lang=vi"); !strings.Contains(got.Store.Text, "không trả lời từ 08:00 ngày 23/11/2026") || got.Store.Reason != "connection refused" || !got.Store.Since.Equal(t0) {
		t.Errorf("%+v", got.Store)
	}
	for range heavyQueries {
		<-h.heavy
	}
	h.lines.Set(reportstest.State{Err: errors.New("dial tcp: connection refused")})
	if w := h.get(t, "/api/v1/reports/lines"); w.Code != 503 || strings.Contains(w.Body.String(), "dial") {
		t.Errorf("a report without a database: %d %s", w.Code, w.Body)
	}
	h.stands.Store.Away = false
	h.lines.Set(reportstest.State{Err: fmt.Errorf("months: %w: communewatch_1mo", store.ErrAway)})
	if w := h.get(t, "/api/v1/reports/lines"); w.Code != 503 || !strings.Contains(w.Body.String(), "/api/v1/status") || strings.Contains(w.Body.String(), "1mo") {
		t.Errorf("a report without one of the databases: %d %s", w.Code, w.Body)
	}
}
