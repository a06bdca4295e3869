// Package rehearse holds a rehearsal of a whole province in the lab: sites are made bad of which a rehearsal knows
// nothing, it is started as an operator starts one, and what it finds is compared with what was planted.
package rehearse

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"time"

	"communewatch/collector/api/rehearsals"
	"communewatch/collector/rehearsal"
	"communewatch/deploy/lab"
	"communewatch/deploy/lab/lifeline"
	"communewatch/deploy/lab/scenario"
	"communewatch/deploy/lab/usage"
	"communewatch/probes"
)

// Options of a rehearsal.
type Options struct {
	Out io.Writer
	// Profiles of the calls, the heaviest first. A lighter one is taken when this machine, which plays hub, agents and
	// lines at once, turns out to be too busy for the one before.
	Profiles    []Profile
	Steps       string // "10,34,68,all"
	StepSeconds int
	Bad         []scenario.Order // done before it begins; each of one site, which is to be found
	// Command runs parts of the lab as a process of their own. nil: all of it runs in this process, and what each part
	// takes is not known.
	Command func(dir string, collector bool, agents []string) *exec.Cmd
}

// Profile is what a call streams: a named profile, or a video stream of its own.
type Profile struct {
	Name      string
	VideoKbps float64 // with FPS; 0: as Name says
	FPS       int
}

// Light is the lightest stream that still shows what a line does: ten packets a second.
func Light() Profile { return Profile{VideoKbps: 64, FPS: 10} }

// Result is what a rehearsal found.
type Result struct {
	Detail  rehearsals.Detail
	Planted []string // sites
	Missed  []string // planted, and said to be fine
	Wrong   []string // not planted, and said to be bad
	Unknown []string // not planted, and nothing is said of them

	Prepared time.Duration            // until every agent was connected
	Took     time.Duration            // from the order to the verdict
	CPU      map[string]time.Duration // of the processor meanwhile, by part
}

// OK reports whether exactly what was planted was found, and the hub not blamed. A hub that says that it was too busy to
// measure well says so of this machine, and blames nobody's line.
func (r *Result) OK() bool {
	hub := r.Detail.Verdict.Hub
	return len(r.Missed) == 0 && len(r.Wrong) == 0 && len(r.Unknown) == 0 && r.Detail.State == rehearsal.StateDone &&
		(hub.Mark == rehearsal.Go || hub.Why.Code == rehearsal.CodeHubOverloaded)
}

// Busy reports whether this machine was too busy for the numbers to be the lines' alone.
func (r *Result) Busy() bool {
	return slices.ContainsFunc(r.Detail.Verdict.Steps, func(s rehearsal.StepSummary) bool {
		return s.Limited > 0 || s.Load.ResidenceP99 > 0.005 || s.Load.CPURatio > 0.8
	})
}

// String tells it in a few lines.
func (r *Result) String() string {
	var b strings.Builder
	v := &r.Detail.Verdict
	for _, s := range v.Steps {
		fmt.Fprintf(&b, "step %d: %d sites, %d results, %d lossy, %d failed, %d limited; hub: %d calls, %.0f %% of its processors, packets stayed %.1f ms (p99)\n",
			s.Step, s.Sites, s.Results, s.Lossy, s.Failed, s.Limited, s.Load.Sessions, 100*s.Load.CPURatio, 1000*s.Load.ResidenceP99)
	}
	const few = 12 // of sites; the worst come first
	told := 0
	for _, row := range v.Rows {
		if row.Call.Mark == rehearsal.Go {
			continue
		}
		if told++; told <= few {
			fmt.Fprintf(&b, "%s: %s: %s\n", row.Site, row.Call.Mark, row.Text)
		}
	}
	if told > few {
		fmt.Fprintf(&b, "and %d sites more\n", told-few)
	}
	fmt.Fprintf(&b, "hub: %s: %s\n", v.Hub.Mark, v.Hub.Text)
	for i, a := range v.Actions {
		fmt.Fprintf(&b, "action %d: %s\n", i+1, a.Text)
	}
	var parts []string
	for part := range r.CPU {
		parts = append(parts, part)
	}
	slices.Sort(parts)
	for _, part := range parts {
		fmt.Fprintf(&b, "%s: %.1f s of processor time, %.0f %% of a core\n", part, r.CPU[part].Seconds(), 100*r.CPU[part].Seconds()/r.Took.Seconds())
	}
	fmt.Fprintf(&b, "agents connected after %v, rehearsal took %v: %s\n", r.Prepared.Round(100*time.Millisecond), r.Took.Round(100*time.Millisecond), r.Detail.State)
	fmt.Fprintf(&b, "planted %v, missed %v, wrongly accused %v, nothing known of %d others", r.Planted, r.Missed, r.Wrong, len(r.Unknown))
	return b.String()
}

// Bad is what is made bad at two of a number of sites: one loses 8 % on the way up, the other's line is too small on the
// way down.
func Bad(sites int) ([]scenario.Order, error) {
	ids, err := lab.SiteIDs(sites)
	if err != nil {
		return nil, err
	}
	return []scenario.Order{
		{Do: scenario.DoMedia, Sites: []string{ids[sites/3]}, Media: scenario.Media{Direction: probes.DirectionUp, Loss: 0.08}},
		{Do: scenario.DoMedia, Sites: []string{ids[sites*2/3]}, Media: scenario.Media{Direction: probes.DirectionDown, Rate: 50_000}},
	}, nil
}

// Run makes a lab, holds the rehearsal, and takes the lab down.
func Run(ctx context.Context, cfg lab.Config, o Options) (*Result, error) {
	begin := time.Now()
	cfg.Calls = true
	p, err := lab.Prepare(ctx, cfg)
	if err != nil {
		return nil, err
	}
	desk := desk{url: "http://" + p.Reachable() + "/api/v1/rehearsals", out: o.Out}
	if desk.token, err = p.Operator(ctx, "rehearsal"); err != nil {
		return nil, err
	}
	parts := lab.Parts{Gear: true, Collector: true, Agents: p.Sites()}
	if o.Command != nil {
		parts = lab.Parts{Gear: true}
	}
	fmt.Fprintf(o.Out, "starting %d sites\n", len(p.Sites()))
	l, err := lab.Start(ctx, p, parts)
	if err != nil {
		return nil, err
	}
	defer l.Stop()
	var apart []*process
	if o.Command != nil {
		for name, cmd := range map[string]*exec.Cmd{"collector and reflector": o.Command(cfg.Dir, true, nil), "agents": o.Command(cfg.Dir, false, p.Sites())} {
			child, err := start(name, cmd)
			if err != nil {
				return nil, err
			}
			defer child.stop()
			apart = append(apart, child)
		}
	}
	r := &Result{CPU: map[string]time.Duration{}}
	for _, bad := range o.Bad {
		if err := l.Do(bad); err != nil {
			return nil, err
		}
		r.Planted = append(r.Planted, bad.Sites...)
		fmt.Fprintf(o.Out, "planted: %v\n", bad)
	}
	slices.Sort(r.Planted)
	for i, profile := range o.Profiles {
		request := rehearsal.Request{Meeting: "Họp toàn tỉnh (mô phỏng)", Profile: profile.Name, VideoKbps: profile.VideoKbps, FPS: profile.FPS, Steps: o.Steps, StepSeconds: o.StepSeconds}
		if err := desk.connected(ctx, request, apart); err != nil {
			return nil, err
		}
		if i == 0 {
			r.Prepared = time.Since(begin)
		}
		if err := r.run(ctx, &desk, request, apart); err != nil {
			return nil, err
		}
		if r.OK() || !r.Busy() {
			break
		}
		if i < len(o.Profiles)-1 {
			fmt.Fprintf(o.Out, "%v\nthis machine does not carry that; again with less\n", r)
		}
	}
	return r, nil
}

// run holds one rehearsal.
func (r *Result) run(ctx context.Context, desk *desk, request rehearsal.Request, apart []*process) error {
	ran := time.Now()
	before, err := times(apart)
	if err != nil {
		return err
	}
	if r.Detail, err = desk.hold(ctx, request, apart); err != nil {
		return err
	}
	r.Took = time.Since(ran)
	after, err := times(apart)
	if err != nil {
		return err
	}
	for part := range after {
		r.CPU[part] = after[part] - before[part]
	}
	r.compare()
	return nil
}

// compare tells what was planted from what was found, by the calls alone.
func (r *Result) compare() {
	r.Missed, r.Wrong, r.Unknown = nil, nil, nil
	for _, row := range r.Detail.Verdict.Rows {
		bad := row.Call.Mark == rehearsal.AtRisk || row.Call.Mark == rehearsal.NoGo
		switch planted := slices.Contains(r.Planted, row.Site); {
		case planted && !bad:
			r.Missed = append(r.Missed, row.Site)
		case !planted && bad:
			r.Wrong = append(r.Wrong, row.Site)
		case !planted && row.Call.Mark != rehearsal.Go:
			r.Unknown = append(r.Unknown, row.Site)
		}
	}
}

// process is a part of the lab that runs apart.
type process struct {
	name string
	cmd  *exec.Cmd
	done chan error
}

func start(name string, cmd *exec.Cmd) (*process, error) {
	cmd.Stdout, cmd.Stderr = io.Discard, os.Stderr
	lifeline.DieWithParent(cmd)
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	p := &process{name: name, cmd: cmd, done: make(chan error, 1)}
	go func() { p.done <- cmd.Wait() }()
	return p, nil
}

func (p *process) stop() {
	p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.done:
	case <-time.After(30 * time.Second):
		p.cmd.Process.Kill()
		<-p.done
	}
}

// ended returns an error if one of the processes has ended by itself.
func ended(list []*process) error {
	for _, p := range list {
		select {
		case err := <-p.done:
			p.done <- err
			return fmt.Errorf("%s ended: %w", p.name, err)
		default:
		}
	}
	return nil
}

// times are the processor times of all parts; those of a lab in one process are one.
func times(apart []*process) (map[string]time.Duration, error) {
	out := map[string]time.Duration{}
	name := "equipment and lines"
	if len(apart) == 0 {
		name = "the whole lab"
	}
	var err error
	if out[name], err = usage.CPU(os.Getpid()); err != nil {
		return nil, err
	}
	for _, p := range apart {
		if out[p.name], err = usage.CPU(p.cmd.Process.Pid); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// desk asks the collector as an operator's program does.
type desk struct {
	url, token string
	out        io.Writer
}

// patience bounds how long a province may take to come up.
const patience = 2 * time.Minute

// connected waits until the plan misses no site's agent, and tells what it will take.
func (d *desk) connected(ctx context.Context, r rehearsal.Request, apart []*process) error {
	deadline := time.Now().Add(patience)
	q := url.Values{"meeting": {r.Meeting}, "steps": {r.Steps}, "step_seconds": {fmt.Sprint(r.StepSeconds)}}
	if r.Profile != "" {
		q.Set("profile", r.Profile)
	}
	if r.VideoKbps > 0 {
		q.Set("video_kbps", fmt.Sprint(r.VideoKbps))
		q.Set("fps", fmt.Sprint(r.FPS))
	}
	for {
		var plan rehearsals.Plan
		err := d.ask(ctx, http.MethodGet, "/plan?"+q.Encode(), nil, &plan)
		missing := len(plan.Sites)
		if err == nil {
			missing = 0
			for _, w := range plan.Warnings {
				if w.Code == rehearsal.NoteOff || w.Code == rehearsal.NoteNotHeard {
					missing += max(1, len(w.Sites))
				}
			}
			if len(plan.Problems) > 0 {
				return &rehearsal.Refused{Problems: plan.Problems}
			}
			if missing == 0 {
				for _, e := range plan.Estimates {
					fmt.Fprintf(d.out, "plan: step %d, %d sites: %.1f Mbit/s into the hub and %.1f out of it\n", e.Step, e.Sites, e.IntoHub/1e6, e.OutOfHub/1e6)
				}
				fmt.Fprintf(d.out, "plan: profile %s, for this machine to carry at all of them: %d kbit/s of video and %d of audio each way; %d s in all\n",
					plan.Profile.Name, plan.Profile.VideoBPS/1000, plan.Profile.AudioBPS/1000, plan.TotalSeconds)
				return nil
			}
		}
		if err := ended(apart); err != nil {
			return err
		}
		if time.Now().After(deadline) {
			return errors.Join(fmt.Errorf("after %v, %d agents are not connected", patience, missing), err)
		}
		if err := wait(ctx, 200*time.Millisecond); err != nil {
			return err
		}
	}
}

// hold starts the rehearsal, tells how it goes, and returns what came out of it.
func (d *desk) hold(ctx context.Context, r rehearsal.Request, apart []*process) (detail rehearsals.Detail, err error) {
	var started rehearsals.Started
	if err := d.ask(ctx, http.MethodPost, "", r, &started); err != nil {
		return detail, err
	}
	step := 0
	for {
		var s rehearsals.Status
		if err := d.ask(ctx, http.MethodGet, "/"+started.Name+"/status", nil, &s); err != nil {
			return detail, err
		}
		if s.Step != step {
			step = s.Step
			fmt.Fprintf(d.out, "step %d: %d sites\n", s.Step, s.StepSites)
		}
		if s.State.Final() {
			if s.State != rehearsal.StateDone {
				fmt.Fprintf(d.out, "it ended as %s: %v\n", s.State, s.WhyText)
			}
			break
		}
		if err := ended(apart); err != nil {
			return detail, err
		}
		if err := wait(ctx, 500*time.Millisecond); err != nil {
			return detail, err
		}
	}
	return detail, d.ask(ctx, http.MethodGet, "/"+started.Name, nil, &detail)
}

func (d *desk) ask(ctx context.Context, method, path string, body, answer any) error {
	var b bytes.Buffer
	if body != nil {
		if err := json.NewEncoder(&b).Encode(body); err != nil {
			return err
		}
	}
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, d.url+path, &b)
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+d.token)
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, 64<<20))
	if err != nil {
		return err
	}
	if resp.StatusCode >= 300 {
		return fmt.Errorf("%s %s: %s: %s", method, req.URL.Path, resp.Status, bytes.TrimSpace(text))
	}
	if err := json.Unmarshal(text, answer); err != nil {
		return fmt.Errorf("%s %s: %w", method, req.URL.Path, err)
	}
	return nil
}

func wait(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
