package web

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"communewatch/collector/api"
)

const square = `[[[105,21],[105.1,21],[105.1,21.1],[105,21.1],[105,21]]]`

func TestBadBoundariesAreNamed(t *testing.T) {
	feature := func(geometry string) string {
		return `{"type":"FeatureCollection","features":[{"type":"Feature","properties":{},"geometry":{"type":"Polygon","coordinates":` + square + `}},
			{"type":"Feature","properties":{},"geometry":` + geometry + `}]}`
	}
	polygon := func(coordinates string) string {
		return feature(`{"type":"Polygon","coordinates":` + coordinates + `}`)
	}
	for name, c := range map[string]struct{ in, want string }{
		"empty":          {``, "not GeoJSON"},
		"other JSON":     {`{"type":"Topology"}`, `its type is "Topology"; export a FeatureCollection`},
		"no features":    {`{"type":"FeatureCollection","features":[]}`, "no features"},
		"no geometry":    {feature(`null`), "feature 2: it has no geometry"},
		"a point":        {feature(`{"type":"Point","coordinates":[105,21]}`), "feature 2: its geometry is a Point; areas must be Polygon or MultiPolygon"},
		"wrong nesting":  {polygon(`[[105,21],[105.1,21]]`), "feature 2: its coordinates are not those of its geometry type"},
		"not closed":     {polygon(`[[[105,21],[105.1,21],[105.1,21.1],[105,21.1]]]`), "feature 2: ring 1 is not closed"},
		"too few points": {polygon(`[[[105,21],[105.1,21],[105,21]]]`), "feature 2: ring 1 has 3 points"},
		"no points":      {polygon(`[[]]`), "feature 2: ring 1 has 0 points"},
		"swapped":        {polygon(`[[[21,105],[21,105.1],[21.1,105.1],[21,105]]]`), "latitude first"},
		"metres":         {polygon(`[[[560000,2350000],[560100,2350000],[560100,2350100],[560000,2350000]]]`), "not in VN-2000 metres"},
		"half a point":   {polygon(`[[[105],[105.1],[105.2],[105]]]`), "coordinate is missing"},
	} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "b.geojson")
			if err := os.WriteFile(file, []byte(c.in), 0o600); err != nil {
				t.Fatal(err)
			}
			_, err := New(Options{Source: newFixture(t, 1), Boundaries: file})
			if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), file) {
				t.Errorf("error %v, want one that names the file and says %q", err, c.want)
			}
		})
	}
	if _, err := New(Options{Source: newFixture(t, 1), Boundaries: "nowhere.geojson"}); err == nil {
		t.Error("a missing file is not told")
	}
}

func TestBoundariesTooLarge(t *testing.T) {
	file := filepath.Join(t.TempDir(), "b.geojson")
	if err := os.WriteFile(file, bytes.Repeat([]byte(" "), maxBoundaryBytes+1), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := loadBoundaries(file); err == nil || !strings.Contains(err.Error(), "larger than 32 MiB") {
		t.Errorf("error %v", err)
	}
}

func TestAreasFindTheirSites(t *testing.T) {
	sites := []api.Site{
		{ID: "s1", Code: "08707", Name: "Tích Sơn", Parent: "Vĩnh Yên"},
		{ID: "s2", Code: "08746", Name: "Xuân Hoà", Parent: "Phúc Yên"},
		{ID: "s3", Code: "08794", Name: "Xuân Hòa", Parent: "Lập Thạch"},
		{ID: "s4", Code: "", Name: "Thanh Lâm", Parent: "A"},
		{ID: "s5", Code: "", Name: "Thanh Lâm", Parent: "B"},
	}
	for _, c := range []struct {
		area area
		want string
	}{
		{area{id: "s3", code: "08707", name: "Tích Sơn"}, "s3"}, // the id counts most
		{area{code: "08707", name: "Xuân Hòa"}, "s1"},           // then the code
		{area{code: "8707"}, "s1"},                              // which spreadsheets strip of its zero
		{area{name: "Xuân Hoà"}, "s2"},                          // then the name, to the letter
		{area{name: "Xã Xuân Hòa"}, "s3"},
		{area{name: "Xuan Hoa"}, ""}, // without accents it could be either
		{area{name: "Thanh Lâm"}, ""},
		{area{name: "thanh lâm", parent: "Huyện B"}, "s5"},
		{area{name: "Nơi khác"}, ""},
		{area{}, ""},
	} {
		if got := matchAreas([]area{c.area}, sites)[0]; got != c.want {
			t.Errorf("%+v belongs to %q, want %q", c.area, got, c.want)
		}
	}
}

func TestBoundariesAreServedByPresentSites(t *testing.T) {
	f := newFixture(t, 5)
	var log bytes.Buffer
	pages, err := New(Options{Source: f, Boundaries: squares(t, f), Log: slog.New(slog.NewTextHandler(&log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	h := pages.Handler()
	read := func() (collection struct {
		Features []struct{ Properties struct{ Site string } }
	}) {
		w := get(t, h, "/boundaries.geojson")
		if err := json.Unmarshal(w.Body.Bytes(), &collection); err != nil || w.Code != 200 {
			t.Fatalf("%d %v %.200s", w.Code, err, w.Body)
		}
		return collection
	}
	if c := read(); len(c.Features) != 5 || c.Features[2].Properties.Site != f.sites[2].ID {
		t.Errorf("%+v", c)
	}
	if log.Len() > 0 {
		t.Errorf("all match, but the log says %s", &log)
	}
	etag := get(t, h, "/boundaries.geojson").Header().Get("ETag")
	if w := get(t, h, "/boundaries.geojson", func(r *http.Request) { r.Header.Set("If-None-Match", etag) }); w.Code != http.StatusNotModified {
		t.Errorf("unchanged areas are sent again: %d", w.Code)
	}
	f.sites[2].Code, f.sites[2].Name = "99999", "Tên khác" // the list is imported anew
	if c := read(); c.Features[2].Properties.Site != "" {
		t.Errorf("%+v", c)
	}
	read()
	if n := strings.Count(log.String(), "boundaries do not match"); n != 1 {
		t.Errorf("the stray area is logged %d times: %s", n, &log)
	}
	if w := get(t, newFixture(t, 1).handler(t, ""), "/boundaries.geojson"); w.Code != http.StatusNotFound {
		t.Errorf("without a file: %d", w.Code)
	}
}

func FuzzParseBoundaries(f *testing.F) {
	f.Add([]byte(`{"type":"FeatureCollection","features":[{"type":"Feature","properties":{"code":8707},"geometry":{"type":"Polygon","coordinates":` + square + `}}]}`))
	f.Add([]byte(`{"type":"FeatureCollection","features":[{"id":1,"geometry":{"type":"MultiPolygon","coordinates":[` + square + `]}}]}`))
	f.Add([]byte(`{"type":"FeatureCollection","features":[{"geometry":{"type":"Polygon","coordinates":[[null]]}}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		areas, err := parseBoundaries(data)
		if err != nil {
			return
		}
		b := boundaries{areas: areas}
		b.prepare([]api.Site{{ID: "s1", Name: "A"}})
		if !json.Valid(b.plain) {
			t.Errorf("made no JSON of %q: %q", data, b.plain)
		}
	})
}
