package rehearsal

import (
	"context"
	"fmt"
	"io/fs"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"regexp"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"communewatch/collector/api/rehearsals"
	"communewatch/collector/registry"
	"communewatch/collector/rehearsal/rehearsaltest"
	"communewatch/collector/web/frame"
	"communewatch/inventory"
)

var now = time.Date(2026, 11, 26, 1, 30, 0, 0, time.UTC)

// operators know one code of an operator.
type operators struct{}

func (operators) Authenticate(_ context.Context, code string) (registry.Identity, error) {
	switch code {
	case "good":
		return registry.Identity{Token: "op1", Kind: registry.KindOperator}, nil
	case "agent":
		return registry.Identity{Token: "ag1", Kind: registry.KindAgent}, nil
	}
	return registry.Identity{}, registry.ErrUnknownToken
}

func (operators) Tokens(context.Context) ([]registry.Token, error) {
	return []registry.Token{{ID: "op1", Note: "Nguyễn Văn Trực"}}, nil
}

type house struct {
	http.Handler
	service *rehearsaltest.Service
}

func province(n int) (sites []inventory.Site) {
	for i := range n {
		sites = append(sites, inventory.Site{ID: fmt.Sprintf("s%03d", i), Code: fmt.Sprintf("%05d", i), Name: fmt.Sprintf("Đồng Tĩnh %d", i), Type: "xã", Parent: fmt.Sprintf("Huyện %d", i%9)})
	}
	return sites
}

func newHouse(t *testing.T, sites int) *house {
	t.Helper()
	h := &house{service: rehearsaltest.New(province(sites), func() time.Time { return now })}
	words, err := Words()
	if err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.NewTextHandler(testLog{t}, nil))
	f, err := frame.New(frame.Options{Words: []fs.FS{os.DirFS("../i18n"), words}, Bundle: fstest.MapFS{}, Title: "Phú Thọ", Now: func() time.Time { return now }, Log: log})
	if err != nil {
		t.Fatal(err)
	}
	pages, err := New(f, Options{Service: h.service, Door: rehearsals.NewDoor(operators{}, nil), Log: log, Names: func(context.Context) (Names, error) {
		names := Names{}
		for _, s := range province(sites) {
			names[s.ID] = rehearsals.Name{Name: s.Name, Type: s.Type, Code: s.Code, District: s.Parent}
		}
		return names, nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	pages.Register(mux)
	h.Handler = mux
	return h
}

type testLog struct{ t *testing.T }

func (l testLog) Write(b []byte) (int, error) {
	l.t.Log(string(b))
	return len(b), nil
}

func (h *house) get(t *testing.T, path string) *httptest.ResponseRecorder {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest("GET", path, nil))
	return w
}

func (h *house) post(t *testing.T, path string, form url.Values) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequest("POST", path, strings.NewReader(form.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// page returns a page's text, which must hold no key of a word that is missing.
func (h *house) page(t *testing.T, path string) string {
	t.Helper()
	w := h.get(t, path)
	body := w.Body.String()
	if w.Code != 200 {
		t.Fatalf("%s: %d", path, w.Code)
	}
	if key := regexp.MustCompile(`[ >"](rehearsal|mark|column|level|progress|conference)\.[a-z_0-9]+[ <",:)]`).FindString(body); key != "" {
		t.Errorf("%s shows the key %s", path, key)
	}
	return body
}

func TestPagesSayWhatWasTestedAndWhatThatCannotSay(t *testing.T) {
	h := newHouse(t, 136)
	list := h.page(t, "/rehearsals")
	for _, want := range []string{"Giao ban trực tuyến tháng 11", "Hoàn thành", "10 → 34 → 68 → 136"} {
		if !strings.Contains(list, want) {
			t.Errorf("the list does not say %q", want)
		}
	}
	one := h.page(t, "/rehearsals/r2") // with the small profile
	for _, want := range []string{"không phải 2\u00a0Mbit/s", "không phải do thiết bị phòng họp", "data-level=\"0\"", "data-level=\"4\"", "Không đạt", "matrix.xlsx"} {
		if !strings.Contains(one, want) {
			t.Errorf("the page does not say %q", want)
		}
	}
	if body := h.page(t, "/rehearsals/r1"); strings.Contains(body, "không phải 2\u00a0Mbit/s") {
		t.Error("a test with 2 Mbit/s is said to be below that")
	}
	if en := h.page(t, "/rehearsals/r2?lang=en"); !strings.Contains(en, "not the 2\u00a0Mbit/s") {
		t.Error("English readers are not told what the profile can't say")
	}
}
