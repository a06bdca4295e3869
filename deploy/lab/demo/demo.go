// Package demo runs a province for somebody to watch: it says what it does while it starts, prints the address to
// open, keeps telling how many sites report, and stops cleanly.
package demo

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"communewatch/deploy/lab"
	"communewatch/deploy/lab/scenario"
)

// Options of a demo.
type Options struct {
	Out       io.Writer
	Scenario  string        // file; "" for the default, "none" for none
	For       time.Duration // 0: until ctx ends
	Throwaway bool          // empty the folder before and remove it after
}

const (
	liveWithin  = time.Minute // by then every site should report
	pollEvery   = time.Second
	statusEvery = 30 * time.Second
)

// Run runs a demo until ctx ends or o.For is over.
func Run(ctx context.Context, cfg lab.Config, o Options) (err error) {
	if err := cfg.Validate(); err != nil {
		return err
	}
	if o.For > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, o.For)
		defer cancel()
	}
	say := func(format string, args ...any) { fmt.Fprintf(o.Out, format+"\n", args...) }
	defer func() {
		if ctx.Err() != nil && errors.Is(err, ctx.Err()) {
			say("stopped before everything was up")
			err = nil
		}
	}()
	release, err := claim(cfg.Dir)
	if err != nil {
		return err
	}
	defer release()
	if o.Throwaway {
		if err := clear(cfg.Dir); err != nil {
			return err
		}
		defer os.RemoveAll(cfg.Dir)
	}
	logFile, err := os.OpenFile(filepath.Join(cfg.Dir, "lab.log"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer logFile.Close()
	log := slog.Handler(slog.NewTextHandler(logFile, nil))
	if cfg.Log != nil { // somebody listens: the file goes with a throw-away demo
		log = slog.NewMultiHandler(log, cfg.Log.Handler())
	}
	cfg.Log = slog.New(log)

	begin := time.Now()
	say("preparing %d sites in %s", cfg.Sites, cfg.Dir)
	p, err := lab.Prepare(ctx, cfg)
	if err != nil {
		return err
	}
	var script scenario.Scenario
	switch o.Scenario {
	case "":
		script = scenario.Default(p.Sites(), cfg.Devices, cfg.Calls)
	case "none":
	default:
		if script, err = scenario.Read(o.Scenario, p.AllAgents()); err != nil {
			return err
		}
	}
	if cfg.Past > 0 {
		begin := time.Now()
		say("making up the past of %d days that reports show", cfg.Past/(24*time.Hour))
		told, err := p.TellPast(ctx)
		if err != nil {
			return fmt.Errorf("past: %w", err)
		}
		windows := int64(0)
		for _, n := range told.Windows {
			windows += n
		}
		say("made up %d windows and %d results in %v", windows, told.Rows, time.Since(begin).Round(100*time.Millisecond))
	}
	agents := p.AllAgents()
	started := time.Now()
	say("starting equipment, collector and %d agents", len(agents))
	l, err := lab.Start(ctx, p, lab.Parts{Gear: true, Collector: true, Agents: agents, Reviewers: true})
	if err != nil {
		return err
	}
	controlled := make(chan error, 1)
	control, stopControl := context.WithCancel(context.WithoutCancel(ctx))
	go func() { controlled <- l.Control(control) }()
	defer func() {
		say("stopping")
		begin := time.Now()
		stopControl()
		if cerr := <-controlled; cerr != nil && err == nil {
			err = cerr
		}
		l.Stop()
		say("stopped in %v", time.Since(begin).Round(100*time.Millisecond))
	}()
	url := "http://" + p.Reachable() + "/"
	say("\n    open %s\n", url)
	l.Play(script)
	if len(script.Steps) > 0 {
		say("faults will come and go; set your own with: bin/communewatch-lab fault --help%s", dataHint(cfg.Dir, o.Throwaway))
	}
	return watch(ctx, l, url, begin, started, len(agents), say)
}

func dataHint(dir string, throwaway bool) string {
	if throwaway {
		return "" // it is the default of the other commands
	}
	return " (with --data " + dir + ")"
}

// lockFile is held by the lab that runs in a folder.
const lockFile = "lab.lock"

// clear empties the folder of an earlier throw-away demo, and touches nothing else.
func clear(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	known := map[string]bool{"collector": true, "agents": true, "ledger": true, "lab.json": true, "lab.log": true, "lab.sock": true, "purchases.csv": true, "catalogue.csv": true, "influxdb": true, "past.json": true, lockFile: true}
	for _, e := range entries {
		if !known[e.Name()] {
			return fmt.Errorf("%s holds %s, which is not a demo's; name another folder with --data", dir, e.Name())
		}
	}
	for _, e := range entries {
		if e.Name() == lockFile {
			continue
		}
		if err := os.RemoveAll(filepath.Join(dir, e.Name())); err != nil {
			return err
		}
	}
	return nil
}

// watch tells how the province, whose agents were started at started, does until ctx ends.
func watch(ctx context.Context, l *lab.Lab, url string, begin, started time.Time, want int, say func(string, ...any)) error {
	poll := time.NewTicker(pollEvery)
	defer poll.Stop()
	live := false
	last := time.Now()
	for {
		select {
		case <-ctx.Done():
			return nil
		case err := <-l.Failed():
			return err
		case <-poll.C:
		}
		counts, reporting, err := count(ctx, url, started)
		if err != nil || ctx.Err() != nil {
			continue // a scenario may have taken the collector away
		}
		switch {
		case !live && (reporting >= want || time.Since(started) > liveWithin):
			live = true
			say("%d of %d sites report, %v after the start: %s", reporting, want, time.Since(begin).Round(time.Second), counts)
		case !live && time.Since(last) > 5*time.Second:
			last = time.Now()
			say("%d of %d sites report", reporting, want)
		case live && time.Since(last) > statusEvery:
			last = time.Now()
			say("%s  %s", last.Format("15:04:05"), counts)
		}
	}
}

// count asks the collector, as any other client would, how many sites are in which state, and how many have reported since
// a time: those with a made-up past were heard of before.
func count(ctx context.Context, url string, since time.Time) (text string, reporting int, err error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url+"api/v1/sites", nil)
	if err != nil {
		return "", 0, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", 0, err
	}
	defer resp.Body.Close()
	var sites []struct {
		State    string    `json:"state"`
		LastSeen time.Time `json:"last_seen"`
	}
	if err := json.NewDecoder(io.LimitReader(resp.Body, 64<<20)).Decode(&sites); err != nil {
		return "", 0, err
	}
	n := map[string]int{}
	for _, s := range sites {
		n[s.State]++
		if s.LastSeen.After(since) {
			reporting++
		}
	}
	var parts []string
	for _, state := range []string{"ok", "degraded", "down", "no_data", "muted"} {
		if n[state] > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n[state], strings.ReplaceAll(state, "_", " ")))
		}
	}
	return strings.Join(parts, ", "), reporting, nil
}
