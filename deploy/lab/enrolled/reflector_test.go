package enrolled_test

import (
	"bufio"
	"crypto/tls"
	"log/slog"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"communewatch/agent/schedule"
	"communewatch/collector/assign"
	"communewatch/collector/fleet"
	"communewatch/collector/plans"
	"communewatch/deploy/lab/enrolled"
	"communewatch/probes"
)

// A check of the starting plan calls the collector's own reflector, with nothing on the machine but its identity, and so
// does one that asks for a page of it. When the agent is thrown out, its call is refused.
func TestAnEnrolledAgentCallsItsOwnCollector(t *testing.T) {
	t.Parallel()
	f := open(t, 1, "reflector: {media: '127.0.0.1:0'}\n")
	operator := enrolled.Operator(t.Context())
	desk := plans.Of(f.Registry(), f.Config().DataDir, plans.Options{Loopback: true, Now: f.Now, Log: slog.New(slog.NewTextHandler(t.Output(), nil))})
	plan := strings.NewReplacer(
		"  values: {}", "  values: {hub: '"+f.URL()+"/whip/echo', portal: '"+f.URL()+"/health'}",
		"{profile: 720p,", "{profile: audio, duration: 6s,",
		"status: [200, 301, 302]", "status: [200], body_contains: pass",
		// There is no router to prove a path by.
		"    paths:\n      dedicated: {hop: {ttl: 2, expect: [\"${dedicated_hop}\"], refuse: [\"${broadband_hop}\"]}}\n", "",
		"    paths:\n      broadband: {hop: {ttl: 2, expect: [\"${broadband_hop}\"], refuse: [\"${dedicated_hop}\"]}}\n", "",
	).Replace(assign.Start())
	if _, _, err := desk.Apply(operator, plans.Draft{Plan: &plan}); err != nil {
		t.Fatal(err)
	}

	pc := f.Machine("pc")
	pc.Child = []string{os.Args[0], "be-the-call"}
	if _, err := pc.Enrol(t.Context(), code(t, f, fleet.NewCode{Site: "s1"}), "pc-1"); err != nil {
		t.Fatal(err)
	}
	start(t, pc)
	reported(t, f, time.Time{}, "s1/pc-1")
	results := func() (call, page schedule.Result) {
		list, err := pc.Once(t.Context())
		if err != nil {
			t.Error(err)
		}
		for _, r := range list {
			switch r.Target.Name {
			case "conference-call":
				call = r
			case "portal":
				page = r
			}
		}
		return call, page
	}

	await(t, "a call", func() []string {
		call, page := results()
		switch {
		case len(call.Points) == 0:
			return []string{"work"}
		case page.Outcome != probes.OutcomeOK:
			t.Fatalf("the page: %v %s", page.Outcome, page.Error)
		case busy(call):
			return []string{call.Error}
		case call.Outcome != probes.OutcomeOK:
			t.Fatalf("the call: %v %s", call.Outcome, call.Error)
		}
		return nil
	})

	// A call is under way when somebody says that the machine was stolen.
	during := make(chan schedule.Result, 1)
	go func() {
		call, _ := results()
		for busy(call) && t.Context().Err() == nil {
			call, _ = results()
		}
		during <- call
	}()
	await(t, "another call", func() []string { return says(t, f, `communewatch_reflector_sessions{state="connected"} 1`) })
	if err := f.Desk().Revoke(operator, "s1", "pc-1", "", "stolen"); err != nil {
		t.Fatal(err)
	}
	await(t, "its end", func() []string { return says(t, f, `communewatch_reflector_sessions_ended_total{how="revoked"} 1`) })
	if call := <-during; call.Outcome != probes.OutcomeBadConfig {
		t.Errorf("the call under way: %v %s", call.Outcome, call.Error)
	}
	await(t, "a refusal", func() []string {
		call, page := results()
		if page.Outcome != probes.OutcomeOK { // anybody may see it
			t.Fatalf("the page: %v %s", page.Outcome, page.Error)
		}
		if call.Outcome != probes.OutcomeBadConfig || !strings.Contains(call.Error, "thrown out") {
			return []string{call.Outcome.String() + " " + call.Error}
		}
		return nil
	})

	// Nobody comes in without a certificate or a token.
	resp, err := stranger(f).Post(f.URL()+"/whip/echo", "application/sdp", strings.NewReader("v=0\r\n"))
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusUnauthorized {
		t.Errorf("a stranger is answered %s", resp.Status)
	}
}

// busy reports whether a call was not made for want of this machine's time, which says nothing of the line.
func busy(call schedule.Result) bool {
	return call.Outcome == probes.OutcomeBusy || call.Outcome == probes.OutcomeOverloaded
}

// stranger is somebody who believes the collector, and shows nothing.
func stranger(f *enrolled.Fleet) *http.Client {
	return &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: f.Roots()}, DisableKeepAlives: true}}
}

// says reports whether the collector's metrics have a line.
func says(t *testing.T, f *enrolled.Fleet, line string) (missing []string) {
	t.Helper()
	resp, err := stranger(f).Get(f.URL() + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	for lines := bufio.NewScanner(resp.Body); lines.Scan(); {
		if lines.Text() == line {
			return nil
		}
	}
	return []string{line}
}
