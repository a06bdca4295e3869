package inventory

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"communewatch/collector/stock"
	"communewatch/collector/stock/stocktest"
	"communewatch/collector/web/frame"
	"communewatch/inventory"
	"communewatch/inventory/lifecycle"
)

func sitesOf(t testing.TB, n int) []inventory.Site {
	t.Helper()
	data, err := os.ReadFile("../../../deploy/lab/sites.csv")
	if err != nil {
		t.Fatal(err)
	}
	sites, err := inventory.ReadSites("sites.csv", data)
	if err != nil {
		t.Fatal(err)
	}
	return sites[:min(n, len(sites))]
}

// handler serves the pages over a reader.
func handler(t testing.TB, reader stock.Reader) http.Handler {
	t.Helper()
	more, err := Words()
	if err != nil {
		t.Fatal(err)
	}
	house, err := frame.New(frame.Options{Words: []fs.FS{os.DirFS("../i18n"), more}, Bundle: fstest.MapFS{}, Title: "Phú Thọ",
		Now: func() time.Time { return time.Date(2026, 11, 26, 2, 0, 0, 0, time.UTC) }})
	if err != nil {
		t.Fatal(err)
	}
	pages, err := New(house, reader, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	pages.Register(mux)
	return mux
}

// province serves the pages over the equipment of n sites.
func province(t testing.TB, n int) (http.Handler, *stocktest.Province) {
	t.Helper()
	p := stocktest.Open(t, sitesOf(t, n))
	return handler(t, p), p
}

func get(t testing.TB, h http.Handler, target string, change ...func(*http.Request)) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequest(http.MethodGet, target, nil)
	for _, c := range change {
		c(r)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func body(t testing.TB, h http.Handler, target string, change ...func(*http.Request)) string {
	t.Helper()
	w := get(t, h, target, change...)
	if w.Code != http.StatusOK {
		t.Fatalf("%s: %d %.300s", target, w.Code, w.Body)
	}
	return w.Body.String()
}

func table(t testing.TB, p stock.Reader, f stock.Filter) []stock.Row {
	t.Helper()
	rows, err := p.Table(context.Background(), stock.Query{Filter: f})
	if err != nil {
		t.Fatal(err)
	}
	return rows
}

// hostile is a reader whose every text is an attack, as a device or a list of somebody's can be.
type hostile struct{}

const attack = `"><script>alert(1)</script>{{.}}'onload=x`

func (hostile) row() stock.Row {
	return stock.Row{ID: "d1", Site: "s" + attack, SiteName: attack, District: attack, Name: attack, Class: attack, Vendor: attack, Model: attack,
		Hardware: attack, Version: attack, OS: attack, Serial: "=cmd|' /C calc'!A0", Address: attack, MAC: attack, Phase: attack, Contract: attack, Unit: attack,
		State: "outdated", Standing: stock.Outdated, Reason: attack, LegalReason: attack, Action: "replace", Replace: "not_yet", Rule: "R01", Score: 3}
}

func (hostile) findings() []stock.Finding {
	return []stock.Finding{{Text: attack, ActionText: attack, Finding: lifecycle.Finding{Rule: "R01", State: lifecycle.StateOutdated,
		Evidence: []lifecycle.Evidence{{Label: attack, Value: lifecycle.Value{Text: attack, Source: attack, By: attack, Method: attack}}},
		Rows:     []*lifecycle.Row{{ID: attack, Vendor: attack, Pattern: attack, Source: "javascript:alert(1) | https://example.org/" + attack, Confidence: "A"}}}}}
}

func (h hostile) Table(context.Context, stock.Query) ([]stock.Row, error) {
	return []stock.Row{h.row()}, nil
}
func (h hostile) Device(_ context.Context, _ string, _ stock.Query) (stock.Device, error) {
	return stock.Device{Row: h.row(), Findings: h.findings(), LegalChecks: h.findings(),
		Facts:     []stock.Fact{{Name: attack, Value: attack, Source: attack, Agent: attack, Check: attack, By: attack, Conflict: true}},
		History:   []stock.Change{{Fact: attack, From: attack, To: attack, Source: attack, By: attack}},
		Sightings: []stock.Sighting{{Site: attack, Agent: attack, Target: attack, Path: attack, Kind: attack, Key: attack}},
		Tickets:   []stock.Ticket{{Kind: attack, Note: attack, By: attack}}, Duplicates: []stock.Duplicate{{ID: attack, Why: attack}},
		Notes: []stock.Note{{Kind: attack, Value: attack, By: attack}}, Questions: []stock.Question{{Row: h.row(), Text: attack, WhoText: attack}},
		Priority: []stock.Points{{Text: attack}}}, nil
}
func (h hostile) Summary(context.Context, stock.Query) (stock.Summary, error) {
	c := stock.Count{Key: attack, Label: attack, Devices: 1, Outdated: 1}
	list := []stock.Count{c}
	return stock.Summary{Total: c, Districts: list, Phases: list, Classes: list, Sites: list, Models: []stock.Use{{Vendor: attack, Model: attack}}}, nil
}
func (h hostile) Unsupported(context.Context, stock.Query) ([]stock.Row, error) {
	return []stock.Row{h.row()}, nil
}
func (h hostile) Replacements(context.Context, stock.Query) ([]stock.Replacement, error) {
	return []stock.Replacement{{Row: h.row(), Findings: h.findings(), LegalChecks: h.findings(), ReplaceText: attack, Offers: []string{attack}}}, nil
}
func (h hostile) Verify(context.Context, stock.Query) ([]stock.Question, error) {
	return []stock.Question{{Row: h.row(), Missing: "model", Text: attack, WhoText: attack, Letter: attack}}, nil
}
func (h hostile) Purchases(context.Context, stock.Query) (stock.Purchases, error) {
	u := stock.Purchase{SiteName: attack, Device: attack, Link: attack, By: attack}
	u.Item, u.Model, u.Phase, u.Serial = attack, attack, attack, attack
	return stock.Purchases{Phases: []stock.Phase{{Name: attack, File: attack, ImportedBy: attack, Contracts: []string{attack}}}, Units: []stock.Purchase{u}, Unmatched: []stock.Row{h.row()}}, nil
}
func (h hostile) Catalogue(context.Context) ([]lifecycle.Row, error) {
	return []lifecycle.Row{*h.findings()[0].Rows[0]}, nil
}
func (h hostile) Choices(context.Context) (stock.Choices, error) {
	all := []string{attack}
	return stock.Choices{Sites: []stock.Choice{{Value: attack, Label: attack}}, Districts: all, Classes: all, Vendors: all, Models: all, Phases: all}, nil
}

// broken is a reader that cannot be read; why is no visitor's business.
type broken struct{ hostile }

const secretTrouble = "open /var/lib/communewatch/registry.db: disk I/O error"

func (broken) Choices(context.Context) (stock.Choices, error) {
	return stock.Choices{}, errors.New(secretTrouble)
}

// pages are the addresses of all pages but that of a device.
func pages() []string {
	return []string{"/inventory", "/inventory/summary", "/inventory/unsupported", "/inventory/replace", "/inventory/verify", "/inventory/purchases", "/inventory/catalogue"}
}

// contains fails for every text that a page lacks.
func contains(t testing.TB, page string, texts ...string) {
	t.Helper()
	for _, text := range texts {
		if !strings.Contains(page, text) {
			t.Errorf("the page lacks %q", text)
		}
	}
}
