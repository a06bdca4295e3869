package web

import (
	"context"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"communewatch/collector/api"
	"communewatch/collector/health"
	"communewatch/collector/phrase"
)

// off is a source of which one site is silent: since its machine said that it is switched off, or for no reason told.
type off struct {
	*fixture
	reason health.Reason
}

func (o off) put(s *api.Site, lang string) {
	s.State, s.ReasonCode = "no_data", string(o.reason.Code)
	s.Reason = phrase.Layered(phrase.Lang(lang), o.reason, o.now())
	for l := range s.Layers {
		s.Layers[l] = "no_data"
	}
}

func (o off) Sites(ctx context.Context, lang string) ([]api.Site, error) {
	list, err := o.fixture.Sites(ctx, lang)
	o.put(&list[0], lang)
	return list, err
}

func (o off) Site(ctx context.Context, id, lang string) (api.SiteDetail, error) {
	d, err := o.fixture.Site(ctx, id, lang)
	o.put(&d.Site, lang)
	for l := range d.LayerDetails {
		d.LayerDetails[l] = api.LayerDetail{State: "no_data", Reason: d.Reason, ReasonCode: d.ReasonCode}
	}
	for i := range d.Checks {
		c := &d.Checks[i]
		c.State, c.Reason, c.ReasonCode = "no_data", d.Reason, d.ReasonCode
	}
	return d, err
}

// TestSwitchedOffIsNamedAsSuch: on the map's list and the site's page, by what the machine said before it went.
func TestSwitchedOffIsNamedAsSuch(t *testing.T) {
	f := newFixture(t, 1)
	at := float64(f.now().Add(-time.Hour).Unix())
	for _, c := range []struct {
		reason    health.Reason
		vi, en    string
		name, not string
	}{
		{health.Reason{Code: health.ReasonStopped, Value: at, Text: "shutdown"}, "Máy đã được tắt lúc", "Switched off at", "Đã tắt", "Không có dữ liệu"},
		{health.Reason{Code: health.ReasonStopped, Value: at, Text: "service"}, "Chương trình đo đã được dừng lúc", "The measuring program was stopped at", "Đã tắt", "Không có dữ liệu"},
		{health.Reason{Code: health.ReasonSilent, Value: at}, "Không có kết quả từ", "No result since", "Không có dữ liệu", "Đã tắt"},
	} {
		w, err := New(Options{Source: off{f, c.reason}, Now: f.now})
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range []string{"/", "/sites/" + f.sites[0].ID} {
			get := func(lang string) string {
				rec := httptest.NewRecorder()
				w.Handler().ServeHTTP(rec, httptest.NewRequest("GET", path+"?lang="+lang, nil))
				body := rec.Body.String()
				if i := strings.Index(body, `id="list"`); path == "/" && i > 0 {
					return body[i:] // without the counts and the legend, which name all states
				}
				if path != "/" {
					return section(t, body, "head") + section(t, body, "layers") + section(t, body, "checks")
				}
				return body
			}
			vi := get("vi")
			if !strings.Contains(vi, "</svg>"+c.name+"</span>") || strings.Contains(vi, "</svg>"+c.not+"</span>") || !strings.Contains(vi, c.vi) {
				t.Errorf("%s of a site that is %q (%s) does not say %q", path, c.reason.Code, c.reason.Text, c.name)
			}
			if en := get("en"); !strings.Contains(en, c.en) {
				t.Errorf("%s in English does not say %q", path, c.en)
			}
		}
	}
}
