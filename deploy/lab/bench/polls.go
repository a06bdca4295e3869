package bench

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"communewatch/agent"
	"communewatch/deploy/lab/fleet"
	"communewatch/deploy/lab/gear"
	"communewatch/deploy/lab/gear/snmp"
	"communewatch/probes"
)

const (
	pollDevices  = 30
	pollSilent   = 5 // of them
	pollEvery    = 10 * time.Second
	pollMeasured = 40 * time.Second
	pollBlock    = gear.Block(184)
)

// benchPolls lets one agent poll thirty devices, first without and then with the five that are silent.
func benchPolls(ctx context.Context, e *env) (*table, error) {
	t := &table{
		title: "Polling beside silent devices",
		about: fmt.Sprintf("One agent polls devices of the lab's fleet every %v for %v, as checks of kind snmp. %d of %d devices never answer in the second row; "+
			"figures are of the others. Late is how much more than the interval lay between two runs of a check.", pollEvery, pollMeasured, pollSilent, pollDevices),
		columns: []string{"", "runs", "ended well", "median length", "longest", "latest"},
	}
	for _, silent := range []int{0, pollSilent} {
		runs, err := runPolls(ctx, filepath.Join(e.dir, fmt.Sprintf("polls-%d", silent)), silent)
		if err != nil {
			return nil, err
		}
		name := fmt.Sprintf("%d devices", pollDevices-pollSilent)
		if silent > 0 {
			name += fmt.Sprintf(", and %d silent ones", silent)
		}
		var took, late []float64
		well := 0
		for _, list := range runs {
			for i, r := range list {
				took = append(took, r.took)
				if r.up {
					well++
				}
				if i > 0 {
					late = append(late, r.at.Sub(list[i-1].at).Seconds()-pollEvery.Seconds())
				}
			}
		}
		if len(took) == 0 || len(late) == 0 {
			return nil, fmt.Errorf("the agent polled nothing")
		}
		slices.Sort(took)
		ms := func(s float64) string { return fmt.Sprintf("%.1f ms", 1000*s) }
		t.add(name, len(took), well, ms(took[len(took)/2]), ms(took[len(took)-1]), ms(slices.Max(late)))
	}
	return t, nil
}

// pollRun is one run of a check.
type pollRun struct {
	at   time.Time
	took float64
	up   bool
}

// runPolls returns the runs of the checks of devices that answer, by check.
func runPolls(ctx context.Context, dir string, silent int) (map[string][]pollRun, error) {
	tables, err := fleet.Tables()
	if err != nil {
		return nil, err
	}
	var names []string
	for name, tab := range tables {
		if tab.Expect.Model != "" {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	var b strings.Builder
	fmt.Fprintf(&b, "site: s00001\nagent: pc-1\nstate_dir: %q\ncollectors: [{url: \"http://127.0.0.1:9\", token: none}]\nspool: {min_free: 0.01}\npaths: {lan: {device: lo}}\nchecks:\n",
		filepath.Join(dir, "state"))
	for i := range pollDevices - pollSilent + silent {
		own, name := snmp.Own{Number: i}, fmt.Sprintf("device-%d", i)
		if i >= pollDevices-pollSilent {
			own.Quirk.Lie, name = snmp.Silence, fmt.Sprintf("silent-%d", i)
		}
		at := netip.AddrPortFrom(pollBlock.Addr(0, byte(i+1)), gear.PortSNMP)
		r, err := snmp.Listen(at, snmp.NewDevice(tables[names[i%len(names)]], own, time.Now()))
		if err != nil {
			return nil, err
		}
		defer r.Close()
		fmt.Fprintf(&b, "  - {name: %s, kind: snmp, path: lan, interval: %v, address: \"%s\", options: {community: public, timeout: 1s, deadline: 8s}}\n", name, pollEvery, at)
	}
	file := filepath.Join(dir, "agent.yaml")
	if err := os.WriteFile(file, []byte(b.String()), 0o600); err != nil {
		return nil, err
	}
	cfg, err := agent.ReadConfig(file)
	if err != nil {
		return nil, err
	}
	var mu sync.Mutex
	runs := map[string][]pollRun{}
	a, err := agent.New(cfg, agent.Options{Log: slog.New(slog.DiscardHandler), Version: "bench", OnTaken: func(_ string, _ int, points []probes.Point) {
		mu.Lock()
		defer mu.Unlock()
		for i := range points {
			target := points[i].Tags.Get("target")
			if points[i].Measurement != "check" || !strings.HasPrefix(target, "device-") {
				continue
			}
			took, _ := points[i].Field("took_seconds")
			up, _ := points[i].Field("up")
			r := pollRun{at: points[i].Time, took: took.Num, up: up.Num == 1}
			runs[target] = append(runs[target], r)
		}
	}})
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, pollMeasured)
	defer cancel()
	if err := a.Run(ctx); err != nil && ctx.Err() == nil {
		return nil, err
	}
	mu.Lock()
	defer mu.Unlock()
	return runs, nil
}
