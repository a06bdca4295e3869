package lab

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"communewatch/collector"
	"communewatch/collector/registry"
	"communewatch/deploy/lab/scenario"
)

// TestALabHasThePastThatWasAskedFor: what is made up is there to report on once the collector runs, and is told once.
func TestALabHasThePastThatWasAskedFor(t *testing.T) {
	cfg := config(t, 3)
	cfg.Listen, cfg.Past = "127.0.0.1:21083", 70*24*time.Hour
	p, err := Prepare(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	told, err := p.TellPast(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if len(told.Windows) != 4 {
		t.Errorf("windows of %d levels: %v", len(told.Windows), told.Windows)
	}
	if told.Rows == 0 {
		t.Error("there are no rows for the charts of the last day")
	}
	had, err := ReadPast(cfg.Dir)
	if err != nil || had.Sites != 3 || had.To.Sub(had.From) < cfg.Past || time.Since(had.To) > 2*time.Hour {
		t.Errorf("it is said to be %+v: %v", had, err)
	}
	if p, err = Prepare(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	if again, err := p.TellPast(t.Context()); err != nil || len(again.Windows) > 0 {
		t.Errorf("told a second time: %v, %v", again.Windows, err)
	}

	l, err := Start(t.Context(), p, Parts{Collector: true})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Stop()
	var report struct {
		Lines []struct {
			Site, Layer string
			Contract    *struct{ Provider, Profile string }
			Figures     struct{ Availability *float64 }
			Against     []struct{ Citation string }
		}
	}
	ask(t, cfg.Listen, "/api/v1/reports/periods", &struct{}{})
	last := had.To.AddDate(0, 0, -1).Format(time.DateOnly)
	ask(t, cfg.Listen, "/api/v1/reports/lines?hours=office&from="+had.From.AddDate(0, 0, 1).Format(time.DateOnly)+"&to="+last, &report)
	judged := 0
	for _, line := range report.Lines {
		if line.Figures.Availability == nil {
			t.Errorf("nothing is known of %s %s", line.Site, line.Layer)
		}
		if line.Contract == nil {
			continue
		}
		if judged++; !strings.Contains(line.Contract.Provider, "mô phỏng") || len(line.Against) == 0 || !strings.Contains(line.Against[0].Citation, "không phải giới hạn thật") {
			t.Errorf("%s %s does not say that it is made up: %+v", line.Site, line.Layer, line)
		}
	}
	if len(report.Lines) != 12 || judged != 6 {
		t.Errorf("%d lines, %d of them with contracts", len(report.Lines), judged)
	}
}

func ask(t *testing.T, address, path string, into any) {
	t.Helper()
	resp, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Get("http://" + address + path)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s", path, resp.Status)
	}
	if err := json.NewDecoder(resp.Body).Decode(into); err != nil {
		t.Fatal(err)
	}
}

// TestARealPastIsNotAddedTo: a lab that has run keeps what it measured.
func TestARealPastIsNotAddedTo(t *testing.T) {
	cfg := config(t, 1)
	cfg.Past = minPast
	p, err := Prepare(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	settings, err := p.collectorConfig()
	if err != nil {
		t.Fatal(err)
	}
	reg, err := registry.Open(t.Context(), settings.RegistryFile(), registry.Options{Log: cfg.Log})
	if err != nil {
		t.Fatal(err)
	}
	err = reg.Rollups().Of(settings.StoreName()).SetFrontier(t.Context(), time.Now().Truncate(time.Hour))
	if cerr := reg.Close(); err != nil || cerr != nil {
		t.Fatal(err, cerr)
	}
	if _, err := p.TellPast(t.Context()); err == nil || !strings.Contains(err.Error(), "name a new folder") {
		t.Errorf("got %v", err)
	}
	for _, wrong := range []time.Duration{-1, time.Hour, minPast - 1, maxPast + 1} {
		cfg.Past = wrong
		if err := cfg.Validate(); err == nil || !strings.Contains(err.Error(), "choose 0, or 62 to 1825 days") {
			t.Errorf("a past of %v: %v", wrong, err)
		}
	}
}

// TestOrdersForADatabaseNeedOne: the answer says what to do.
func TestOrdersForADatabaseNeedOne(t *testing.T) {
	cfg := config(t, 1)
	cfg.Store = "papyrus"
	if err := cfg.Validate(); err == nil || !strings.Contains(err.Error(), "choose "+collector.StoreEmbedded+" or "+collector.StoreInflux) {
		t.Errorf("a store that there is not: %v", err)
	}
	cfg.Store = collector.StoreEmbedded
	p, err := Prepare(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	l, err := Start(t.Context(), p, Parts{})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Stop()
	if err := l.Do(scenario.Order{Do: scenario.DoDatabase, Mode: "kill"}); err == nil || !strings.Contains(err.Error(), "--store influx") {
		t.Errorf("got %v", err)
	}
	for _, o := range []scenario.Order{{Do: scenario.DoDatabase, Mode: "away"}, {Do: scenario.DoDatabase, Mode: "slow"}, {Do: scenario.DoDatabase, Mode: "kill", Delay: time.Second}} {
		if err := l.Do(o); err == nil || strings.Contains(err.Error(), "--store influx") {
			t.Errorf("%v: %v", o, err)
		}
	}
}
