package onsite

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"communewatch/probes"
	"communewatch/probes/phone"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var noon = time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)

// run is the rows of one run of a check every 30 s.
func run(target string, layer probes.Layer, kind probes.Kind, outcome string, loss float64) []probes.Point {
	points := []probes.Point{{Measurement: "check",
		Tags:   probes.Tags{{Key: "kind", Value: string(kind)}, {Key: "layer", Value: string(layer)}, {Key: "target", Value: target}},
		Fields: []probes.Field{probes.String("outcome", outcome), probes.Float("interval_seconds", 30)}}}
	if kind == probes.KindICMP {
		points = append([]probes.Point{{Measurement: "icmp", Fields: []probes.Field{probes.Float("loss_ratio", loss)}}}, points...)
	}
	return points
}

func TestLights(t *testing.T) {
	type result struct {
		target  string
		layer   probes.Layer
		kind    probes.Kind
		outcome string
		loss    float64
		ago     time.Duration
	}
	lan := func(target, outcome string, ago time.Duration) result {
		return result{target, probes.LayerLAN, probes.KindICMP, outcome, 0, ago}
	}
	for name, c := range map[string]struct {
		results []result
		want    phone.Lights
	}{
		"nothing":                {nil, phone.Lights{}},
		"well":                   {[]result{lan("a", "ok", 0)}, phone.Lights{LAN: phone.Green}},
		"one bad result":         {[]result{lan("a", "ok", 30e9), lan("a", "timeout", 0)}, phone.Lights{LAN: phone.Yellow}},
		"two bad results":        {[]result{lan("a", "timeout", 30e9), lan("a", "timeout", 0)}, phone.Lights{LAN: phone.Red}},
		"one good one is no end": {[]result{lan("a", "timeout", 60e9), lan("a", "timeout", 30e9), lan("a", "ok", 0)}, phone.Lights{LAN: phone.Yellow}},
		"two good ones are":      {[]result{lan("a", "timeout", 60e9), lan("a", "ok", 30e9), lan("a", "ok", 0)}, phone.Lights{LAN: phone.Green}},
		"silence":                {[]result{lan("a", "ok", 5*time.Minute)}, phone.Lights{}},
		"its own trouble":        {[]result{lan("a", "timeout", 30e9), lan("a", "no_permission", 0)}, phone.Lights{}},
		"held back":              {[]result{lan("a", "ok", 30e9), lan("a", "held", 0)}, phone.Lights{LAN: phone.Green}},
		"much lost":              {[]result{{"a", probes.LayerLAN, probes.KindICMP, "ok", 0.2, 0}}, phone.Lights{LAN: phone.Yellow}},
		"one of two is down":     {[]result{lan("a", "timeout", 30e9), lan("a", "timeout", 0), lan("b", "ok", 0)}, phone.Lights{LAN: phone.Yellow}},
		"a device is silent over SNMP": {[]result{lan("a", "ok", 0), {"s", probes.LayerLAN, probes.KindSNMP, "timeout", 0, 30e9},
			{"s", probes.LayerLAN, probes.KindSNMP, "timeout", 0, 0}}, phone.Lights{LAN: phone.Green}},
		"the worse of two lines": {[]result{{"b", probes.LayerBroadband, probes.KindTCP, "ok", 0, 0}, {"d", probes.LayerDedicated, probes.KindTCP, "timeout", 0, 30e9},
			{"d", probes.LayerDedicated, probes.KindTCP, "timeout", 0, 0}}, phone.Lights{Line: phone.Red}},
		"the room": {[]result{{"e", probes.LayerConference, probes.KindSIP, "ok", 0, 0}}, phone.Lights{Conference: phone.Green}},
	} {
		var w Watch
		for _, r := range c.results {
			w.Take(run(r.target, r.layer, r.kind, r.outcome, r.loss), noon.Add(-r.ago))
		}
		if got := w.Lights(noon); got != c.want {
			t.Errorf("%s: got %+v, want %+v", name, got, c.want)
		}
	}
}

func TestAdviceIsForWhatExplainsTheRest(t *testing.T) {
	for _, w := range []*words{vietnamese(), english()} {
		for name, c := range map[string]struct {
			lights  phone.Lights
			checked [3]bool
			want    *advice
		}{
			"LAN before the line":     {phone.Lights{LAN: phone.Red, Line: phone.Red, Conference: phone.Red}, [3]bool{true, true, true}, &w.faults[0]},
			"down before poor":        {phone.Lights{LAN: phone.Yellow, Line: phone.Red}, [3]bool{true, true, true}, &w.faults[1]},
			"the room alone":          {phone.Lights{LAN: phone.Green, Line: phone.Green, Conference: phone.Yellow}, [3]bool{true, true, true}, &w.faults[2]},
			"nothing known":           {phone.Lights{}, [3]bool{true, true, true}, &w.dark},
			"well":                    {phone.Lights{LAN: phone.Green, Line: phone.Green, Conference: phone.Green}, [3]bool{true, true, true}, &w.fine},
			"an office without rooms": {phone.Lights{LAN: phone.Green, Line: phone.Green}, [3]bool{true, true, false}, &w.fine},
			"the room is not known":   {phone.Lights{LAN: phone.Green, Line: phone.Green}, [3]bool{true, true, true}, &w.partly},
			"the line is not known":   {phone.Lights{LAN: phone.Green}, [3]bool{true, true, true}, &w.partly},
			"only the room is well":   {phone.Lights{Conference: phone.Green}, [3]bool{true, true, true}, &w.partly},
			"a fault beside unknown":  {phone.Lights{LAN: phone.Yellow}, [3]bool{true, true, true}, &w.faults[0]},
		} {
			if got := w.choose(c.lights, c.checked, true); got != c.want {
				t.Errorf("%s: %s", name, got.title)
			}
		}
		if got := w.choose(phone.Lights{LAN: phone.Red}, [3]bool{}, false); got != &w.unjoined {
			t.Errorf("not enrolled: %s", got.title)
		}
	}
}

func ask(p *Page, change func(*http.Request)) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodGet, "http://127.0.0.1:8788/", nil)
	r.RemoteAddr = "127.0.0.1:4711"
	if change != nil {
		change(r)
	}
	rw := httptest.NewRecorder()
	p.Handler().ServeHTTP(rw, r)
	return rw
}

func TestPageSaysItInBothLanguages(t *testing.T) {
	var w Watch
	w.Take(run("gateway-7", probes.LayerLAN, probes.KindTCP, "timeout", 0), noon)
	w.Take(run("gateway-7", probes.LayerLAN, probes.KindTCP, "timeout", 0), noon)
	p := New(Options{Site: "s08707", Watch: &w, Now: func() time.Time { return noon }})
	code := phone.Code{Site: "s08707", Lights: phone.Lights{LAN: phone.Red}, At: noon}.String()
	for path, want := range map[string][]string{
		"/":         {"Mạng nội bộ", "Mất kết nối", "12:00 26/11/2026", code, `lang="vi"`},
		"/?lang=en": {"Office network", "Down", code, `lang="en"`},
	} {
		rw := ask(p, func(r *http.Request) { r.URL, _ = r.URL.Parse(path) })
		for _, text := range want {
			if !strings.Contains(rw.Body.String(), text) {
				t.Errorf("%s: no %q in it", path, text)
			}
		}
		if strings.Contains(rw.Body.String(), "gateway-7") {
			t.Error("the page names a check")
		}
	}
	if body := ask(New(Options{Watch: &w}), nil).Body.String(); !strings.Contains(body, "chưa tham gia") || strings.Contains(body, "<output>") {
		t.Error("an agent that has not joined does not say so")
	}
	if body := ask(New(Options{Watch: &w, Asked: func() bool { return true }}), nil).Body.String(); !strings.Contains(body, "đang chờ phòng kỹ thuật tỉnh duyệt") || strings.Contains(body, "<output>") {
		t.Error("an agent that waits for approval does not say so")
	}
	if body := ask(New(Options{Site: "<script>", Watch: &w}), nil).Body.String(); strings.Contains(body, "<script>") {
		t.Error("a site's name is markup")
	}
}

// A line whose network card is not there is measured by nobody: that is not well.
func TestALineThatCannotBeMeasuredIsNotWell(t *testing.T) {
	var w Watch
	w.Take(run("gateway", probes.LayerLAN, probes.KindICMP, "ok", 0), noon)
	w.Take(run("portal", probes.LayerBroadband, probes.KindTCP, "unbound", 0), noon)
	body := ask(New(Options{Site: "s1", Watch: &w, Now: func() time.Time { return noon }}), nil).Body.String()
	if strings.Contains(body, "Mọi thứ đều tốt") || !strings.Contains(body, "có phần chưa rõ") {
		t.Errorf("the page says all is well:\n%s", body)
	}
	var other Watch
	other.Take(run("portal", probes.LayerBroadband, probes.KindTCP, "unbound", 0), noon.Add(-24*time.Hour)) // is in the plan no more
	other.Take(run("gateway", probes.LayerLAN, probes.KindICMP, "ok", 0), noon)
	if body := ask(New(Options{Site: "s1", Watch: &other, Now: func() time.Time { return noon }}), nil).Body.String(); !strings.Contains(body, "Mọi thứ đều tốt") {
		t.Errorf("an office without other checks is not well:\n%s", body)
	}
}

func TestWhoMayLook(t *testing.T) {
	for name, c := range map[string]struct {
		lan    bool
		change func(*http.Request)
		want   int
	}{
		"the machine":                {false, nil, 200},
		"by its name":                {false, func(r *http.Request) { r.Host = "localhost:8788" }, 200},
		"over IPv6":                  {false, func(r *http.Request) { r.Host, r.RemoteAddr = "[::1]:8788", "[::1]:1" }, 200},
		"somebody's name":            {true, func(r *http.Request) { r.Host = "evil.example" }, 421},
		"no name":                    {true, func(r *http.Request) { r.Host = "" }, 421},
		"the network, not allowed":   {false, func(r *http.Request) { r.Host, r.RemoteAddr = "10.1.1.5:8788", "10.1.1.9:1" }, 421},
		"the network":                {true, func(r *http.Request) { r.Host, r.RemoteAddr = "10.1.1.5:8788", "10.1.1.9:1" }, 200},
		"the world":                  {true, func(r *http.Request) { r.Host, r.RemoteAddr = "10.1.1.5:8788", "203.0.113.9:1" }, 421},
		"the network as the machine": {true, func(r *http.Request) { r.RemoteAddr = "10.1.1.9:1" }, 421},
		"a change":                   {false, func(r *http.Request) { r.Method = http.MethodPost }, 405},
		"another page":               {false, func(r *http.Request) { r.URL.Path = "/../etc/passwd" }, 404},
	} {
		if got := ask(New(Options{LAN: c.lan, Watch: &Watch{}}), c.change).Code; got != c.want {
			t.Errorf("%s: %d, want %d", name, got, c.want)
		}
	}
	for listen, lan := range map[string]bool{"0.0.0.0:8788": false, "localhost:1": false, "8788": true, "": true} {
		if CheckListen(listen, lan) == nil {
			t.Errorf("%q with lan %v was taken", listen, lan)
		}
	}
}
