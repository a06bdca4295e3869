package scenario

import (
	"strings"
	"testing"
	"time"
)

var sites = []string{"s1", "s2"}

func TestParse(t *testing.T) {
	s, err := Parse("s.yaml", []byte(`
steps:
  - {at: 2m, do: collector, mode: stop, for: 30s}
  - {at: 10s, do: service, sites: [s1, s2], service: broadband-portal, mode: slow, delay: 4s, for: 1m}
  - {at: 1m, do: clock, sites: [s2], skew: -3h}
  - {at: 3m, do: device, sites: [s1], device: switch, mode: slow, delay: 900ms}
  - {at: 4m, do: device, sites: [s1], device: router, mode: reboot}
  - {at: 5m, do: media, sites: [s1], loss: 8%, burst: 3, direction: up, for: 2m}
  - {at: 6m, do: media, hub: true, rate: 20M, delay: 40ms, jitter: 5ms}
  - {at: 7m, do: media, sites: [s2], loss: 0.015}
`), sites)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, st := range s.Steps {
		got = append(got, st.At.String()+" "+st.Order.String())
	}
	want := "10s service broadband-portal slow by 4s at 2 sites for 1m0s\n1m0s clock wrong by -3h0m0s at s2\n2m0s collector stop for 30s\n" +
		"3m0s device switch slow by 900ms at s1\n4m0s device router reboot at s1\n" +
		"5m0s media loss 8% in runs of 3 on the way up at s1 for 2m0s\n6m0s media by 40ms rate 20M jitter 5ms at the hub\n7m0s media loss 1.5% at s2"
	if strings.Join(got, "\n") != want {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), want)
	}
}

func TestEveryMistakeIsNamed(t *testing.T) {
	_, err := Parse("s.yaml", []byte(`steps:
  - {at: -1s, do: service, sites: [s1], service: router-web, mode: down}
  - {at: 1s, do: service, sites: [s9], service: fax, mode: slow}
  - {at: 1s, do: agent, mode: sleep}
  - {at: 1s, do: clock, sites: [s1], skew: 900000h}
  - {at: 1s, do: dance}
  - {at: 1s, do: device, sites: [s1], device: fax, mode: tired}
  - {at: 1s, do: media, sites: [s1], hub: true, direction: sideways}
  - {at: 1s, do: media, sites: [s1], loss: 1%, mode: up, burst: -1}
`), sites)
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{
		"s.yaml:2: steps[0].at: must not be negative",
		`s.yaml:3: steps[1].sites[0]: there is no site "s9" in this lab`,
		`s.yaml:3: steps[1].service: "fax" is not one of`,
		"s.yaml:3: steps[1].mode: slow needs a delay",
		"s.yaml:4: steps[2].sites: name the sites",
		`s.yaml:4: steps[2].mode: "sleep" is not stop or start`,
		"s.yaml:5: steps[3].skew: at most",
		`s.yaml:6: steps[4].do: "dance" is not one of`,
		`s.yaml:7: steps[5].device: "fax" is not one of`,
		`s.yaml:7: steps[5].mode: mode "tired": use up`,
		"s.yaml:8: steps[6].sites: the hub's line is every site's",
		`s.yaml:8: steps[6].direction: "sideways" is not up or down`,
		"s.yaml:8: steps[6].do: say what becomes of media",
		"s.yaml:9: steps[7].do: burst -1",
		"s.yaml:9: steps[7].mode: up takes everything back",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in\n%v", want, err)
		}
	}
}

func TestUndoTakesBack(t *testing.T) {
	for _, tc := range []struct{ order, undo Order }{
		{Order{Do: DoDevice, Sites: sites, Device: "router", Mode: "dead"}, Order{Do: DoDevice, Sites: sites, Device: "router", Mode: "up"}},
		{Order{Do: DoService, Sites: sites, Service: "router-web", Mode: "slow", Delay: time.Second}, Order{Do: DoService, Sites: sites, Service: "router-web", Mode: "up"}},
		{Order{Do: DoAgent, Sites: sites, Mode: "stop"}, Order{Do: DoAgent, Sites: sites, Mode: "start"}},
		{Order{Do: DoClock, Sites: sites, Skew: time.Hour}, Order{Do: DoClock, Sites: sites}},
		{Order{Do: DoMedia, Sites: sites, Delay: time.Second, Media: Media{Direction: "down", Loss: 0.1}}, Order{Do: DoMedia, Sites: sites, Mode: "up", Media: Media{Direction: "down"}}},
		{Order{Do: DoMedia, Mode: "cut", Media: Media{Hub: true}}, Order{Do: DoMedia, Mode: "up", Media: Media{Hub: true}}},
		{Order{Do: DoCollector, Mode: "stop"}, Order{Do: DoCollector, Mode: "start"}},
	} {
		if got := tc.order.Undo(); got.String() != tc.undo.String() {
			t.Errorf("undo of %v is %v, want %v", tc.order, got, tc.undo)
		}
		if err := tc.order.Undo().Validate(sites); err != nil {
			t.Errorf("undo of %v: %v", tc.order, err)
		}
	}
}

func TestTheDefaultIsInOrder(t *testing.T) {
	for _, has := range []bool{true, false} {
		happens := map[string]int{}
		for _, st := range Default(sites, has, has).Steps {
			if err := st.Validate(sites); err != nil {
				t.Errorf("%v: %v", st.Order, err)
			}
			happens[st.Do]++
		}
		if has != (happens[DoDevice] > 0) || has != (happens[DoMedia] > 0) {
			t.Errorf("devices and calls %v: %v", has, happens)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte("steps: [{at: 1s, do: collector, mode: stop}]"))
	f.Add([]byte("steps: [{at: 1s, do: media, hub: true, loss: 3%, rate: 1.5M}]"))
	f.Fuzz(func(t *testing.T, data []byte) {
		if s, err := Parse("f", data, sites); err == nil {
			for _, st := range s.Steps {
				if err := st.Undo().Validate(sites); err != nil {
					t.Fatalf("%v can't be undone: %v", st.Order, err)
				}
			}
		}
	})
}

// TestSharesAndRatesReadAsTheyAreWritten, also the mistaken ones.
func TestSharesAndRatesReadAsTheyAreWritten(t *testing.T) {
	for in, want := range map[string]string{"8%": "8%", "0.08": "8%", " 1.5 %": "1.5%", "0": "0%", "1": "100%", "101%": "", "-1%": "", "x": "", "": "", "NaN": ""} {
		var s Share
		if err := s.UnmarshalText([]byte(in)); (err == nil) != (want != "") || err == nil && s.String() != want {
			t.Errorf("share %q is %v: %v", in, s, err)
		}
	}
	for in, want := range map[string]string{"2M": "2M", "2000k": "2M", "600000": "600k", "64": "64", "0.5G": "500M", "M": "", "-1": "", "100G": "", "NaN": "", "2m": ""} {
		var r Rate
		if err := r.UnmarshalText([]byte(in)); (err == nil) != (want != "") || err == nil && r.String() != want {
			t.Errorf("rate %q is %v: %v", in, r, err)
		}
	}
}
