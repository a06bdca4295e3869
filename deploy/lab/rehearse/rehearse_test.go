package rehearse

import (
	"bytes"
	"context"
	"log/slog"
	"os"
	"strings"
	"testing"
	"time"

	"communewatch/deploy/lab"
)

// TestARehearsalFindsWhatWasPlanted holds a small one with all of the lab in this process.
func TestARehearsalFindsWhatWasPlanted(t *testing.T) {
	if testing.Short() {
		t.Skip("holds a rehearsal of half a minute; run without -short")
	}
	// The path of a socket has room for some hundred bytes, and a TempDir bears the test's whole name.
	dir, err := os.MkdirTemp("", "cw-rehearse-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	const sites = 8
	bad, err := Bad(sites)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	cfg := lab.Config{Dir: dir, Listen: "127.0.0.1:21093", Sites: sites, Block: 161, Interval: time.Minute, Log: slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelDebug}))}
	var out bytes.Buffer
	var r *Result
	// All of a province shares this machine, whose load looks like that of a line. Who says so itself is heard again.
	for attempt := 1; ; attempt++ {
		out.Reset()
		if r, err = Run(ctx, cfg, Options{Out: &out, Profiles: []Profile{{Name: "low"}, Light()}, Steps: "4,all", StepSeconds: 6, Bad: bad}); err != nil {
			t.Fatalf("%v\n%s", err, out.String())
		}
		t.Logf("%s%v", out.String(), r)
		if r.OK() {
			break
		}
		if !r.Busy() {
			t.Fatal("it did not find what was planted, and no more, although the machine kept up")
		}
		if attempt == 2 {
			t.Skip("this machine is too busy to hold a rehearsal")
		}
	}
	if len(r.Planted) != 2 {
		t.Errorf("planted %v", r.Planted)
	}
	for _, row := range r.Detail.Verdict.Rows {
		if row.Site == r.Planted[0] && row.Call.Why.Direction != "up" || row.Site == r.Planted[1] && row.Call.Why.Direction != "down" {
			t.Errorf("the wrong way is blamed: %+v", row.Call)
		}
	}
	for _, want := range []string{"plan: step 2, 8 sites", "profile low", "planted: media loss 8% on the way up", "step 2: 8 sites"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("it does not say %q", want)
		}
	}
}
