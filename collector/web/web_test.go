package web

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"communewatch/collector/api"
	"communewatch/collector/api/conference"
	"communewatch/collector/web/frame"
)

func get(t *testing.T, h http.Handler, target string, change ...func(*http.Request)) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequest(http.MethodGet, target, nil)
	for _, c := range change {
		c(r)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func languages() (map[string]frame.Catalogue, error) {
	all, err := allWords()
	if err != nil {
		return nil, err
	}
	return frame.LoadWords(all...)
}

func TestCataloguesHaveTheSameWords(t *testing.T) {
	all, err := languages()
	if err != nil {
		t.Fatal(err)
	}
	places := regexp.MustCompile(`\{\w+\}`)
	for _, lang := range frame.Languages {
		for key, text := range all[lang] {
			if strings.TrimSpace(text) == "" {
				t.Errorf("%s: %s is empty", lang, key)
			}
			for _, other := range frame.Languages {
				twin, ok := all[other][key]
				if !ok {
					t.Errorf("%s lacks %s, which %s has", other, key, lang)
					continue
				}
				a, b := places.FindAllString(text, -1), places.FindAllString(twin, -1)
				slices.Sort(a)
				slices.Sort(b)
				if ok && !strings.HasSuffix(key, "_one") && !slices.Equal(a, b) {
					t.Errorf("%s: %s has places %v in %s and %v in %s", key, key, a, lang, b, other)
				}
			}
		}
	}
}

// Every key that a template or script asks for by name is in the catalogue. (Scripts are also held to it by tsc.)
func TestTemplatesAskForWordsThatExist(t *testing.T) {
	all, err := languages()
	if err != nil {
		t.Fatal(err)
	}
	asked := regexp.MustCompile(`\.T "([^"]+)"`)
	files, _ := filepath.Glob("templates/*.html")
	more, _ := filepath.Glob("*/templates/*.html")
	files = append(files, more...)
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range asked.FindAllStringSubmatch(string(data), -1) {
			if _, ok := all["vi"][m[1]]; !ok {
				t.Errorf("%s asks for %q", file, m[1])
			}
		}
	}
	for prefix, values := range map[string][]string{"state.": states, "layer.": layers, "nav.theme_": {"auto", "light", "dark"},
		"column.": {"lan", "broadband", "dedicated", "endpoint", "hub"}, "level.": {"0", "1", "2", "3", "4"},
		"conference.grade_": {"good", "degraded", "bad"}, "conference.": {"up", "down", "round", "audio", "video"}, "conference.kind_": {"sip", "stun", "h323"},
		"conference.ramp_": {"complete", "loss", "delay", "budget", "pacing", "stopped"}, "conference.phase_": {"signalling", "ice", "dtls", "first_media"},
		"conference.gatekeeper_": {"confirmed", "rejected", "silent", "unreadable"}, "conference.share_": {"delay", "loss", "discard", "codec"},
		"rehearsal.limited_": {"agent", "reflector"}, "conference.limited_": {"agent", "reflector"}, "rehearsal.": {"worse", "better"},
		"rehearsal.field_": {"meeting", "profile", "sites", "steps", "step_seconds", "at", "plan"}, "rung.": {"reached", "failed", "unknown", "unchecked"},
		"report.pairs_": {"broadband", "dedicated", "alike", "unknown"},
		"proof.":        {"proved", "bound", "unproven", "wrong"}, "path.": {"lan", "broadband", "dedicated"}} {
		for _, v := range values {
			if _, ok := all["vi"][prefix+v]; !ok {
				t.Errorf("no words for %s%s", prefix, v)
			}
		}
	}
}

// The shapes and the dark colours are each written down twice, where there is no way to share them.
func TestTwinsAgree(t *testing.T) {
	ts, err := os.ReadFile("ui/src/glyph.ts")
	if err != nil {
		t.Fatal(err)
	}
	for _, state := range states {
		if !strings.Contains(string(ts), fmt.Sprintf("%s: %q", state, frame.Outline(state))) {
			t.Errorf("ui/src/glyph.ts draws %s otherwise than package frame", state)
		}
	}
	css, err := os.ReadFile("ui/style/app.css")
	if err != nil {
		t.Fatal(err)
	}
	block := func(selector string) string {
		_, rest, ok := strings.Cut(string(css), selector+" {")
		if !ok {
			t.Fatalf("app.css has no %s", selector)
		}
		body, _, _ := strings.Cut(rest, "}")
		return strings.Join(strings.Fields(body), " ")
	}
	if system, chosen := block(`:root:not([data-theme="light"])`), block(`:root[data-theme="dark"]`); system != chosen {
		t.Errorf("app.css: dark by system and dark by choice differ:\n%s\n%s", system, chosen)
	}
}

func TestFigures(t *testing.T) {
	for _, c := range []struct{ got, want string }{
		{frame.Percent("vi", 0), "0\u00a0%"}, {frame.Percent("vi", 0.0004), "0,04\u00a0%"}, {frame.Percent("en", 0.0213), "2.1%"}, {frame.Percent("en", 0.35), "35%"},
		{frame.Percent("en", 0.00999), "1.0%"}, {frame.Percent("en", 1), "100%"},
		{frame.Millis("vi", 0.00042), "0,42\u00a0ms"}, {frame.Millis("vi", 0.0061), "6,1\u00a0ms"}, {frame.Millis("en", 1.24), "1,240\u00a0ms"}, {frame.Millis("en", 0), "0\u00a0ms"},
		{frame.BitRate("vi", 32_000), "32\u00a0kbit/s"}, {frame.BitRate("vi", 2_032_000), "2,03\u00a0Mbit/s"}, {frame.BitRate("en", 340e6), "340\u00a0Mbit/s"},
		{frame.BitRate("en", 25_600), "25.6\u00a0kbit/s"}, {frame.BitRate("en", 999_700), "1.00\u00a0Mbit/s"}, {frame.BitRate("en", 0), "0\u00a0bit/s"}, {frame.BitRate("en", 12e12), "12,000\u00a0Gbit/s"},
	} {
		if c.got != c.want {
			t.Errorf("%q, want %q", c.got, c.want)
		}
	}
}

func TestNumbersAndDurations(t *testing.T) {
	all, _ := languages()
	for _, c := range []struct {
		lang     string
		v        float64
		decimals int
		want     string
	}{
		{"vi", 1234.56, 1, "1.234,6"}, {"en", 1234.56, 1, "1,234.6"}, {"vi", -0.182, 3, "-0,182"}, {"vi", -0.0002, 3, "0,000"},
		{"vi", 13600, 0, "13.600"}, {"en", 999, 0, "999"}, {"vi", 1234567, 0, "1.234.567"},
	} {
		if got := frame.Number(c.lang, c.v, c.decimals); got != c.want {
			t.Errorf("Number(%s, %v, %d) = %q, want %q", c.lang, c.v, c.decimals, got, c.want)
		}
	}
	for d, want := range map[time.Duration]string{
		-time.Second: "0 giây", 59 * time.Second: "59 giây", 60 * time.Second: "1 phút", 3*time.Hour + 12*time.Minute: "3 giờ 12 phút",
		24 * time.Hour: "1 ngày", 49*time.Hour + 50*time.Minute: "2 ngày 1 giờ",
	} {
		if got := all["vi"].Duration(d); got != want {
			t.Errorf("Duration(%v) = %q, want %q", d, got, want)
		}
	}
	if got := all["en"].T("sites.total", "n", 1); got != "1 site" {
		t.Errorf("one site is %q", got)
	}
}

func TestPagesSayItInWords(t *testing.T) {
	f := newFixture(t, 136)
	h := f.handler(t, "")
	w := get(t, h, "/")
	body := w.Body.String()
	if w.Code != 200 || !strings.Contains(body, `<html lang="vi"`) {
		t.Fatalf("%d %.200s", w.Code, body)
	}
	if n := strings.Count(body, `<tr><th scope="row">`); n != 136 {
		t.Errorf("%d sites in the table", n)
	}
	if down, ok := strings.Index(body, `</small></th><td><span class="state" data-state="down">`), strings.Index(body, `</small></th><td><span class="state" data-state="ok">`); down < 0 || down > ok {
		t.Error("the worst is not first")
	}
	if csp := w.Header().Get("Content-Security-Policy"); strings.Contains(csp, "unsafe") || !strings.Contains(csp, "default-src 'none'") {
		t.Errorf("policy is %q", csp)
	}
	if regexp.MustCompile(`(?i)<script(?:>| [^>]*>)[^<]|\son\w+=|\sstyle=|<style`).MatchString(body) {
		t.Error("inline script or style, which the policy forbids")
	}
	if body := get(t, h, "/?layer=lan&state=down").Body.String(); strings.Contains(body, `scope="row"`) {
		t.Error("no site's LAN is down, but the table lists some")
	}
	if body := get(t, h, "/?q=xuan+hoa").Body.String(); strings.Count(body, `scope="row"`) != 2 {
		t.Error("the search finds not just the two Xuân Hoà")
	}
}

func TestReadersChoiceIsRemembered(t *testing.T) {
	h := newFixture(t, 3).handler(t, "")
	cookie := func(name, value string) func(*http.Request) {
		return func(r *http.Request) { r.AddCookie(&http.Cookie{Name: name, Value: value}) }
	}
	w := get(t, h, "/?lang=en&theme=dark")
	if !strings.Contains(w.Body.String(), `<html lang="en" data-theme="dark">`) {
		t.Errorf("%.120s", w.Body)
	}
	if got := w.Result().Cookies(); len(got) != 2 || got[0].Value != "en" || got[1].Value != "dark" {
		t.Errorf("cookies %v", got)
	}
	if body := get(t, h, "/", cookie("lang", "en")).Body.String(); !strings.Contains(body, `<html lang="en" data-theme="auto">`) {
		t.Errorf("%.120s", body)
	}
	english := func(r *http.Request) { r.Header.Set("Accept-Language", "en-US,en;q=0.9") }
	for _, odd := range []func(*http.Request){cookie("lang", `"><script>`), cookie("lang", "xx"), english} {
		if body := get(t, h, "/?theme=pink", odd).Body.String(); !strings.Contains(body, `<html lang="vi" data-theme="auto">`) {
			t.Errorf("%.120s", body)
		}
	}
}

func TestEverythingFromOutsideIsEscaped(t *testing.T) {
	f := newFixture(t, 3)
	const nasty = `"><script>alert(1)</script>`
	f.sites[0].Name, f.sites[0].Reason, f.sites[0].Parent, f.sites[0].State = nasty, nasty, nasty, `down" onclick="x`
	h := f.handler(t, "")
	for _, target := range []string{"/", "/sites/" + f.sites[0].ID, "/sites/%3Cscript%3Ealert(1)%3C%2Fscript%3E", "/?q=%22%3E%3Cscript%3Ealert(1)%3C/script%3E&layer=%22x"} {
		if body := get(t, h, target).Body.String(); strings.Contains(body, "<script>alert") || strings.Contains(body, `" onclick="x`) {
			t.Errorf("%s hands markup through", target)
		}
	}
}

func TestAnAddressWithoutAPageIsAnsweredInBothLanguages(t *testing.T) {
	handler := newFixture(t, 1).handler(t, "")
	for address, want := range map[string][]string{
		"/nosuchpage":                {"Không có trang này", "There is no page here", `href="/"`},
		"/nosuchpage?lang=en":        {"There is no page here", `href="/"`},
		"/sites/s1/x?q=%3Cscript%3E": {"Không có trang này"},
	} {
		w := get(t, handler, address)
		for _, text := range want {
			if w.Code != http.StatusNotFound || !strings.Contains(w.Body.String(), text) {
				t.Errorf("%s: %d, without %q", address, w.Code, text)
			}
		}
	}
}

func TestUnknownSite(t *testing.T) {
	w := get(t, newFixture(t, 3).handler(t, ""), "/sites/nowhere?lang=en")
	if w.Code != http.StatusNotFound || !strings.Contains(w.Body.String(), "nowhere") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

func TestNoSitesYet(t *testing.T) {
	f := newFixture(t, 0)
	if body := get(t, f.handler(t, ""), "/").Body.String(); !strings.Contains(body, "sites import") {
		t.Error("an empty registry is not explained")
	}
}

// squares makes a boundaries file in which the sites of the fixture are the squares of a grid.
func squares(t *testing.T, f *fixture) string {
	t.Helper()
	type object = map[string]any
	var features []object
	for i, s := range f.sites {
		const side = 0.05
		x, y := 105.3+side*float64(i%12), 21.6-side*float64(i/12)
		features = append(features, object{"type": "Feature", "properties": object{"code": s.Code, "name": s.Name},
			"geometry": object{"type": "Polygon", "coordinates": [][][2]float64{{{x, y}, {x + side, y}, {x + side, y + side}, {x, y + side}, {x, y}}}}})
	}
	data, err := json.Marshal(object{"type": "FeatureCollection", "features": features})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "boundaries.geojson")
	if err := os.WriteFile(file, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// TestScreens runs the tests of collector/web/ui/tests in a headless browser against the fixture.
func TestScreens(t *testing.T) {
	if testing.Short() {
		t.Skip("takes a browser and half a minute; runs without -short")
	}
	node, err := exec.LookPath("node")
	if err != nil {
		t.Skip("node is not installed; `make test` installs it")
	}
	if _, err := os.Stat("ui/node_modules/playwright-core"); err != nil {
		t.Skip("npm packages are not installed; run `npm ci` in collector/web/ui, or `make test`")
	}
	chromium := os.Getenv("CHROMIUM")
	if chromium == "" {
		chromium = "/usr/bin/chromium"
	}
	if _, err := os.Stat(chromium); err != nil {
		t.Skip("no browser at " + chromium + "; install Debian's chromium or set CHROMIUM; `make test` installs it")
	}
	if h, err := newHouse(Options{}); err != nil || !h.Built() {
		t.Skip("the user interface is not bundled; run `npm run build` in collector/web/ui, or `make test`")
	}
	plain := serve(t, 136, "")
	bounded := serve(t, 136, squares(t, newFixture(t, 136)))
	many := serve(t, 2720, "")
	// Not `npm test`: npm would put a process between that does not hand signals on.
	cmd := exec.CommandContext(t.Context(), node, "--test", "--test-reporter=spec", "tests/all.test.mjs")
	cmd.Dir = "ui"
	cmd.Env = append(os.Environ(), "CHROMIUM="+chromium, "BASE_URL="+plain.URL, "BASE_URL_BOUNDARIES="+bounded.URL, "BASE_URL_MANY="+many.URL)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	t.Logf("%s", out)
}

func TestServerWorksWithoutTheBundle(t *testing.T) {
	f := newFixture(t, 3)
	pages, err := New(Options{Source: f})
	if err != nil {
		t.Fatal(err)
	}
	all, err := allWords()
	if err != nil {
		t.Fatal(err)
	}
	if pages.house, err = frame.New(frame.Options{Words: all, Bundle: fstest.MapFS{}}); err != nil {
		t.Fatal(err)
	}
	body := get(t, pages.Handler(), "/?lang=en").Body.String()
	if !strings.Contains(body, "npm run build") || !strings.Contains(body, "Tích Sơn") {
		t.Errorf("%s", body)
	}
}

func TestAssetsAreKeptByBrowsers(t *testing.T) {
	h := newFixture(t, 3).handler(t, "")
	m := regexp.MustCompile(`/static/app-\w+\.css`).FindString(get(t, h, "/").Body.String())
	if m == "" {
		t.Skip("the user interface is not bundled")
	}
	w := get(t, h, m, func(r *http.Request) { r.Header.Set("Accept-Encoding", "gzip") })
	if w.Code != 200 || !strings.Contains(w.Header().Get("Cache-Control"), "immutable") || w.Header().Get("Content-Encoding") != "gzip" {
		t.Errorf("%d %v", w.Code, w.Header())
	}
	if w := get(t, h, "/static/../web.go"); w.Code == 200 {
		body, _ := io.ReadAll(w.Body)
		t.Errorf("outside of the bundle: %.80s", body)
	}
}

// broken is a source that cannot be read; what is wrong with it is no visitor's business.
type broken struct{}

const secretTrouble = "open /var/lib/communewatch/registry.db: disk I/O error"

func (broken) Sites(context.Context, string) ([]api.Site, error) {
	return nil, errors.New(secretTrouble)
}
func (broken) Conference(context.Context, string) (conference.Site, error) {
	return conference.Site{}, errors.New(secretTrouble)
}

func (broken) Site(context.Context, string, string) (api.SiteDetail, error) {
	return api.SiteDetail{}, errors.New(secretTrouble)
}

func TestTroubleInsideIsLoggedAndNotShown(t *testing.T) {
	var log strings.Builder
	pages, err := New(Options{Source: broken{}, Log: slog.New(slog.NewTextHandler(&log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	for _, target := range []string{"/", "/sites/s08707"} {
		log.Reset()
		w := get(t, pages.Handler(), target)
		if w.Code != http.StatusInternalServerError || !strings.Contains(w.Body.String(), "Máy chủ") || strings.Contains(w.Body.String(), "registry.db") {
			t.Errorf("%s: %d %s", target, w.Code, w.Body)
		}
		if !strings.Contains(log.String(), secretTrouble) {
			t.Errorf("%s: logged is %q", target, log.String())
		}
	}
}

// A site that nothing came from yet has been in no state since any time that means something, and is told so once.
func TestNeverSeenSite(t *testing.T) {
	f := newFixture(t, 3)
	const words = "Chưa nhận được kết quả nào"
	since := time.Date(2020, 2, 3, 4, 5, 6, 0, time.UTC)
	s := &f.sites[0]
	s.State, s.ReasonCode, s.Reason, s.Since, s.LastSeen, s.Layers = "no_data", neverSeen, words, &since, nil, nil
	h := f.handler(t, "")
	if body := get(t, h, "/").Body.String(); strings.Contains(body, "03/02/2020") {
		t.Error("the list tells a since")
	}
	_, head, _ := strings.Cut(get(t, h, "/sites/"+s.ID).Body.String(), `<section id="head"`)
	head, _, _ = strings.Cut(head, "</section>")
	if strings.Count(head, words) != 1 || strings.Contains(head, "03/02/2020") {
		t.Errorf("%s", head)
	}
}

func TestChecksComeWorstFirst(t *testing.T) {
	f := newFixture(t, 136)
	i := slices.IndexFunc(f.sites, func(s api.Site) bool { return s.State == "down" })
	f.sites[i].AgentTrouble = "Máy đo pc quá tải"
	body := get(t, f.handler(t, ""), "/sites/"+f.sites[i].ID).Body.String()
	var order []string
	for _, m := range regexp.MustCompile(`<tr data-agent="pc" data-target="([^"]+)"`).FindAllStringSubmatch(body, -1) {
		order = append(order, m[1])
	}
	if len(order) != 6 || order[0] != "anchor-chuyendung" || order[1] != "dns-tinh" || order[2] != "gateway" {
		t.Errorf("checks are in the order %v", order)
	}
	if !strings.Contains(body, "Máy đo pc quá tải") {
		t.Error("what ails the agent is not told")
	}
}
