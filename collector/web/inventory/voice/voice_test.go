package voice

import (
	"io/fs"
	"math"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"testing/fstest"

	"communewatch/collector/stock"
	"communewatch/collector/web/frame"
	"communewatch/inventory/lifecycle"
)

func voiceIn(t *testing.T, lang string) *Voice {
	t.Helper()
	house, err := frame.New(frame.Options{Words: []fs.FS{os.DirFS("../../i18n"), os.DirFS("../i18n")}, Bundle: fstest.MapFS{}})
	if err != nil {
		t.Fatal(err)
	}
	return Of(house.Frame(httptest.NewRecorder(), httptest.NewRequest("GET", "/inventory?lang="+lang, nil)))
}

// However the numbers lie, the bar is full, in their order, and nothing that is there is too thin to be seen.
func TestBar(t *testing.T) {
	v := voiceIn(t, "vi")
	if v.Bar(0, 0, 0) != nil {
		t.Error("a bar of nothing")
	}
	for _, n := range [][3]int{{1, 0, 0}, {0, 5, 0}, {1, 10_000, 1}, {10_000, 1, 3}, {33, 33, 34}} {
		at := 0.0
		for _, p := range v.Bar(n[0], n[1], n[2]) {
			if math.Abs(p.At-at) > 0.02 || p.Wide < 1 {
				t.Errorf("%v: %+v begins not where the one before ends, or can't be seen", n, p)
			}
			at += p.Wide
		}
		if math.Abs(at-100) > 0.05 {
			t.Errorf("%v: the bar ends at %v", n, at)
		}
	}
}

func TestMoneyAndDays(t *testing.T) {
	for _, lang := range frame.Languages {
		if got := voiceIn(t, lang).Money(12_500_000); got != "12.500.000 ₫" {
			t.Errorf("%s: %q", lang, got)
		}
	}
	v := voiceIn(t, "vi")
	for in, want := range map[[2]string]string{
		{"class", "switch"}: "bộ chuyển mạch", {"surplus", "yes"}: "có", {"price", "3900000"}: "3.900.000 ₫", {"in_service", "2013-11-20"}: "20/11/2013",
		{"ram_bytes", "17179869184"}: "16,0 GiB", {"model", "WS-C2960"}: "WS-C2960", {"version", "12"}: "12", {"price", "dear"}: "dear",
	} {
		if got := v.Said(in[0], in[1]); got != want {
			t.Errorf("%v: %q, want %q", in, got, want)
		}
	}
}

func TestSourcesLinkOnlyToTheWeb(t *testing.T) {
	got := voiceIn(t, "vi").Sources("Cisco EOL9449 | https://www.cisco.com/a/b.html | javascript:alert(1) | https://example.org/x (mirror) |  | http:///nowhere")
	want := []Source{{"Cisco EOL9449", ""}, {"www.cisco.com/a/b.html", "https://www.cisco.com/a/b.html"}, {"javascript:alert(1)", ""}, {"example.org/x (mirror)", "https://example.org/x"}, {"http:///nowhere", ""}}
	if len(got) != len(want) {
		t.Fatalf("%+v", got)
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("%+v, want %+v", got[i], want[i])
		}
	}
}

// The states of both sides have shapes of their own, and none of one side is on the other.
func TestShapes(t *testing.T) {
	v := voiceIn(t, "vi")
	shape := func(html string) string {
		_, rest, _ := strings.Cut(html, `<path d="`)
		d, _, _ := strings.Cut(rest, `"`)
		return d
	}
	seen := map[string]bool{"": true}
	for _, s := range []lifecycle.State{lifecycle.StateOutdated, lifecycle.StateDueSoon, lifecycle.StateReview, lifecycle.StateOK, lifecycle.StateUnknown} {
		d := shape(string(v.State(s)))
		if seen[d] {
			t.Errorf("%s looks as another, or as nothing", s)
		}
		seen[d] = true
	}
	for _, s := range []lifecycle.LegalState{lifecycle.LegalEligible, lifecycle.LegalNotYet, lifecycle.LegalCannotTell} {
		d := shape(string(v.Legal(s)))
		if seen[d] {
			t.Errorf("the legal answer %s looks as another, or as a technical state", s)
		}
		seen[d] = true
	}
	for _, s := range []stock.Standing{stock.Outdated, stock.Fine, stock.Unknown} {
		if shape(string(v.Standing(s))) == "" || v.StandingText(s) == "" {
			t.Errorf("%s has no shape or words", s)
		}
	}
}

func TestADeviceAlwaysHasAName(t *testing.T) {
	v := voiceIn(t, "vi")
	for want, r := range map[string]stock.Row{
		"Cisco WS-C2960": {Vendor: "Cisco", Model: "WS-C2960", Class: "switch"}, "điểm phát Wi-Fi TP-Link, chưa rõ kiểu máy": {Vendor: "TP-Link", Class: "access_point"},
		"Thiết bị chưa nhận dạng được": {}, "PT-LB303": {Model: "PT-LB303"},
	} {
		if got := v.DeviceName(r); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
