package bench

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"communewatch/agent/spool"
	"communewatch/deploy/lab/bench/program"
	"communewatch/deploy/lab/bench/station"
	"communewatch/deploy/lab/gear"
)

const (
	agentTargets  = 20
	agentEvery    = 30 * time.Second
	agentMeasured = 60 * time.Second
	agentBlock    = gear.Block(180)
)

// benchAgent runs the real agent on 20 targets and looks at what it takes.
func benchAgent(ctx context.Context, e *env) (*table, error) {
	st, err := startStation(ctx, e, "agent", 1)
	if err != nil {
		return nil, err
	}
	defer st.Stop()
	equipment, err := gear.Start(agentBlock, agentTargets/4)
	if err != nil {
		return nil, err
	}
	defer equipment.Close()
	dir := filepath.Join(e.dir, "agent-pc")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	var b strings.Builder
	fmt.Fprintf(&b, "site: %s\nagent: pc-1\nstate_dir: %q\ncollectors: [{url: %q, token: %q}]\nspool: {min_free: 0.01}\ndefaults: {interval: %s}\nchecks:\n",
		st.Sites[0], filepath.Join(dir, "state"), st.URL, st.Tokens[0], agentEvery)
	for i := range agentTargets / 4 {
		at := func(host byte) string { return agentBlock.Addr(i, host).String() }
		fmt.Fprintf(&b, "  - {name: ping-%d, kind: icmp, path: lan, address: %s}\n", i, at(gear.HostRouter))
		fmt.Fprintf(&b, "  - {name: tcp-%d, kind: tcp, path: lan, address: \"%s:%d\"}\n", i, at(gear.HostEndpoint), gear.PortSIP)
		fmt.Fprintf(&b, "  - {name: web-%d, kind: http, path: lan, address: \"http://%s:%d/\"}\n", i, at(gear.HostDedicated), gear.PortHTTP)
		fmt.Fprintf(&b, "  - {name: dns-%d, kind: dns, path: lan, address: a.lab, options: {resolvers: [{name: r, address: \"%s:%d\"}]}}\n", i, at(gear.HostRouter), gear.PortDNS)
	}
	config := filepath.Join(dir, "agent.yaml")
	if err := os.WriteFile(config, []byte(b.String()), 0o600); err != nil {
		return nil, err
	}
	file := filepath.Join(e.bin, "communewatch-agent")
	p, err := program.Start(file, "run", "--config", config)
	if err != nil {
		return nil, err
	}
	defer p.Stop()
	if err := wait(ctx, agentEvery); err != nil {
		return nil, err
	}
	before, err := p.CPU()
	if err != nil {
		return nil, fmt.Errorf("%w\n%s", err, p.Output())
	}
	if err := wait(ctx, agentMeasured); err != nil {
		return nil, err
	}
	after, err := p.CPU()
	if err != nil {
		return nil, fmt.Errorf("%w\n%s", err, p.Output())
	}
	_, peak, err := p.Memory()
	if err != nil {
		return nil, err
	}
	info, err := os.Stat(file)
	if err != nil {
		return nil, err
	}
	t := &table{
		title:   "The agent",
		about:   fmt.Sprintf("%d targets of four kinds every %v, ten pings each, reporting to a collector; %v after a first round.", agentTargets, agentEvery, agentMeasured),
		columns: []string{"", "measured", "goal"},
	}
	t.add("highest RSS", mib(peak), "40 MiB")
	t.add("CPU of one core", fmt.Sprintf("%.2f %%", 100*float64(after-before)/float64(agentMeasured)), "1 %")
	t.add("program", mib(float64(info.Size())), "25 MiB")
	return t, nil
}

// benchSpool writes batches to disk as an agent does.
func benchSpool(_ context.Context, e *env) (*table, error) {
	t := &table{
		title:   "The spool",
		about:   "Batches appended, sealed (compressed, fsynced, renamed, folder fsynced) one after the other.",
		columns: []string{"runs per batch", "batches/s", "runs/s"},
	}
	for _, runs := range []int{1, 20, 200} {
		var lines []byte
		for i := range runs {
			lines = station.AppendRun(lines, "s00001", i%20, time.Now().UnixNano(), i)
		}
		s, err := spool.Open(spool.Options{
			Dir: filepath.Join(e.dir, "spool-"+strconv.Itoa(runs)), Boot: "bench", Log: slog.New(slog.DiscardHandler),
		})
		if err != nil {
			return nil, err
		}
		n := 0
		begin := time.Now()
		for time.Since(begin) < 2*time.Second {
			if err := s.Append(1, lines); err != nil {
				return nil, err
			}
			if err := s.Seal(true); err != nil {
				return nil, err
			}
			n++
		}
		perSecond := float64(n) / time.Since(begin).Seconds()
		if err := s.Close(); err != nil {
			return nil, err
		}
		t.add(runs, perSecond, perSecond*float64(runs))
	}
	return t, nil
}

const rttPings = 400

// benchRTT pings loopback with the agent and with fping, by turns.
func benchRTT(ctx context.Context, e *env) (*table, error) {
	var ours, theirs []float64
	for range 3 {
		a, err := pingOurs(ctx, e)
		if err != nil {
			return nil, err
		}
		b, err := pingFping(ctx)
		if err != nil {
			return nil, err
		}
		ours, theirs = append(ours, a), append(theirs, b)
	}
	slices.Sort(ours)
	slices.Sort(theirs)
	t := &table{
		title:   "Round-trip time beside fping",
		about:   fmt.Sprintf("%d pings of 127.0.0.1, 10 ms apart, by turns; the median of three medians. What our measuring adds to a line's time.", rttPings),
		columns: []string{"", "median round trip", "added"},
	}
	t.add("communewatch-agent", fmt.Sprintf("%.1f µs", ours[1]), fmt.Sprintf("%.1f µs", ours[1]-theirs[1]))
	t.add("fping", fmt.Sprintf("%.1f µs", theirs[1]), "")
	return t, nil
}

func pingOurs(ctx context.Context, e *env) (float64, error) {
	out, err := exec.CommandContext(ctx, filepath.Join(e.bin, "communewatch-agent"), "probe", "icmp", "127.0.0.1",
		"--count", strconv.Itoa(rttPings), "--interval", "10ms", "--json").Output()
	if err != nil {
		return 0, fmt.Errorf("agent: %w", err)
	}
	// The field is wherever the JSON puts the probe's fields.
	var doc any
	if err := json.Unmarshal(out, &doc); err != nil {
		return 0, err
	}
	v, ok := find(doc, "rtt_median_seconds")
	if !ok {
		return 0, fmt.Errorf("no median in %s", out)
	}
	return v * 1e6, nil
}

func find(doc any, key string) (float64, bool) {
	switch d := doc.(type) {
	case map[string]any:
		if v, ok := d[key].(float64); ok {
			return v, true
		}
		for _, v := range d {
			if f, ok := find(v, key); ok {
				return f, true
			}
		}
	case []any:
		for _, v := range d {
			if f, ok := find(v, key); ok {
				return f, true
			}
		}
	}
	return 0, false
}

func pingFping(ctx context.Context) (float64, error) {
	out, err := exec.CommandContext(ctx, "fping", "-C", strconv.Itoa(rttPings), "-p", "10", "-q", "127.0.0.1").CombinedOutput()
	if err != nil {
		return 0, fmt.Errorf("fping: %w: %s", err, out)
	}
	_, list, ok := strings.Cut(string(out), ":")
	if !ok {
		return 0, fmt.Errorf("fping says %s", out)
	}
	var ms []float64
	sc := bufio.NewScanner(bytes.NewReader([]byte(list)))
	sc.Split(bufio.ScanWords)
	for sc.Scan() {
		if v, err := strconv.ParseFloat(sc.Text(), 64); err == nil {
			ms = append(ms, v)
		}
	}
	if len(ms) == 0 {
		return 0, fmt.Errorf("fping says %s", out)
	}
	slices.Sort(ms)
	return ms[len(ms)/2] * 1000, nil
}
