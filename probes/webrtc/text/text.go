// Package text writes a call's report for people to read, in a terminal.
package text

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"

	"communewatch/probes"
	"communewatch/probes/webrtc/quality"
	"communewatch/probes/webrtc/report"
)

// Write writes all that is known of a call: nothing of one that was not answered.
func Write(w io.Writer, c *report.Call) error {
	if c.Phases.Signalling == nil {
		return nil
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	if c.Service != "auto" { // what it is was not told yet
		fmt.Fprintf(t, "  service\t%s\n", c.Service)
	}
	fmt.Fprintf(t, "  profile\t%s", c.Profile)
	if c.MediaSeconds > 0 {
		fmt.Fprintf(t, ", %.1f s of media", c.MediaSeconds)
	}
	fmt.Fprintln(t)
	if c.Transport != "" {
		fmt.Fprintf(t, "  transport\t%s\n", strings.ToUpper(c.Transport))
	}
	if text := phases(c.Phases); text != "" {
		fmt.Fprintf(t, "  set up\t%s\n", text)
	}
	if c.RTT != nil {
		fmt.Fprintf(t, "  round trip\t%s\n", spread(c.RTT))
	}
	if d := c.Data; d != nil {
		fmt.Fprintf(t, "  data channel\t%d of %d messages lost%s\n", d.Lost, d.Sent, after(", ", spread(d.RTT)))
	}
	if d := c.Delay; d != nil {
		fmt.Fprintf(t, "  one way\tup %s, down %s, each to within %s\n", in(d.Up), in(d.Down), in(d.Error))
	}
	if err := t.Flush(); err != nil {
		return err
	}
	if err := printFlows(w, c.Flows); err != nil {
		return err
	}
	printRamp(w, c.Ramp)
	printQuality(w, c.Quality)
	return printEnds(w, c)
}

func phases(p report.Phases) string {
	var parts []string
	for _, phase := range []struct {
		name string
		v    *float64
	}{{"signalling", p.Signalling}, {"ICE", p.ICE}, {"DTLS", p.DTLS}, {"first media", p.FirstMedia}, {"together", p.Setup}} {
		if phase.v != nil {
			parts = append(parts, phase.name+" "+in(*phase.v))
		}
	}
	return strings.Join(parts, ", ")
}

func spread(s *report.Spread) string {
	if s == nil {
		return ""
	}
	return fmt.Sprintf("median %s, 95 %% within %s, longest %s", in(s.Median), in(s.P95), in(s.Max))
}

func after(comma, text string) string {
	if text == "" {
		return ""
	}
	return comma + text
}

// printFlows prints a column for each flow.
func printFlows(w io.Writer, flows []report.Flow) error {
	if len(flows) == 0 {
		return nil
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	line := func(name string, cell func(f *report.Flow) string) {
		cells := []string{}
		for i := range flows {
			cells = append(cells, cell(&flows[i]))
		}
		if slices.ContainsFunc(cells, func(c string) bool { return c != "" }) {
			fmt.Fprintf(t, "  %s\t%s\n", name, strings.Join(cells, "\t"))
		}
	}
	time := func(v *float64) string {
		if v == nil {
			return ""
		}
		return in(*v)
	}
	whole := func(v *int) string {
		if v == nil {
			return ""
		}
		return fmt.Sprint(*v)
	}
	judged := func(f *report.Flow, n int) string {
		if f.Playout == 0 { // the far end said only what it counted
			return ""
		}
		return fmt.Sprint(n)
	}
	arrows := map[probes.Direction]string{probes.DirectionUp: "up", probes.DirectionDown: "down", probes.DirectionRound: "there and back"}
	fmt.Fprintln(t)
	line("", func(f *report.Flow) string { return fmt.Sprintf("%s %s", f.Media, arrows[f.Direction]) })
	line("sent", func(f *report.Flow) string { return fmt.Sprint(f.Sent) })
	line("lost", func(f *report.Flow) string { return fmt.Sprintf("%d (%.2f %%)", f.Lost, 100*f.LossRatio) })
	line("loss runs, longest", func(f *report.Flow) string {
		if f.LossRuns == 0 {
			return ""
		}
		return fmt.Sprintf("%d, %d", f.LossRuns, f.LongestLossRun)
	})
	line("too late", func(f *report.Flow) string {
		if f.Playout == 0 {
			return ""
		}
		return fmt.Sprintf("%d (buffer %.0f ms)", f.Discarded, 1000*f.Playout)
	})
	line("reordered", func(f *report.Flow) string { return judged(f, f.Reordered) })
	line("duplicates", func(f *report.Flow) string { return judged(f, f.Duplicates) })
	line("jitter", func(f *report.Flow) string { return time(f.Jitter) })
	line("variation, 95 %", func(f *report.Flow) string { return time(f.VariationP95) })
	line("frames lost", func(f *report.Flow) string {
		if f.Frames == nil || f.FramesLost == nil {
			return ""
		}
		return fmt.Sprintf("%d of %d", *f.FramesLost, *f.Frames)
	})
	line("freezes", func(f *report.Flow) string { return whole(f.Freezes) })
	line("frozen", func(f *report.Flow) string { return time(f.Frozen) })
	line("goodput", func(f *report.Flow) string { return fmt.Sprintf("%.0f kbit/s", f.GoodputBPS/1000) })
	return t.Flush()
}

func printRamp(w io.Writer, r *report.Ramp) {
	if r == nil {
		return
	}
	ends := map[string]string{"complete": "all steps were tried", "loss": "the next step lost packets", "delay": "the next step filled queues",
		"budget": "the next step would take more than its share of the line", "pacing": "this machine was too busy for the next step", "stopped": "the call ended"}
	fmt.Fprintf(w, "\n  usable video  %.0f kbit/s: %s\n", r.BPS/1000, ends[r.End])
	for _, s := range r.Steps {
		fmt.Fprintf(w, "    %6.0f kbit/s  lost %.2f %%, variation %s\n", s.BPS/1000, 100*s.Loss, in(s.Variation))
	}
}

func printQuality(w io.Writer, q *report.Quality) {
	if q == nil {
		return
	}
	fmt.Fprintf(w, "\n  grade  %s\n", q.Grade)
	score := func(name string, s *report.Score, scale string) {
		if s == nil {
			return
		}
		fmt.Fprintf(w, "  %s  MOS %.2f%s, %s, direction %s: estimated by %s\n", name, s.MOS, scale, inputs(s.Inputs), s.Direction, s.Model)
	}
	if q.Audio != nil {
		score("audio", q.Audio, fmt.Sprintf(" (R %.1f of 148)", q.Audio.R))
	}
	score("audio as a telephone", q.Narrowband, "")
	score("video", q.Video, "")
	if s := q.Shares; s != nil {
		fmt.Fprintf(w, "  of R the codec took %.1f, delay %.1f, loss %.1f, packets too late %.1f\n", s.Codec, s.Delay, s.Loss, s.Discard)
	}
	for _, c := range q.Cautions {
		fmt.Fprintf(w, "  note: %s\n", quality.Caution(c))
	}
}

// inputs prints what went into a score, in a fixed order.
func inputs(in map[string]float64) string {
	var parts []string
	for _, i := range []struct{ key, format string }{
		{"delay_ms", "delay %.0f ms"}, {"bitrate_bps", "%.0f bit/s"}, {"fps", "%.0f frames/s"}, {"loss_percent", "lost %.2f %%"},
		{"discard_percent", "too late %.2f %%"}, {"burst_ratio", "BurstR %.2f"}, {"ie", "Ie %.1f"}, {"bpl", "Bpl %.1f"},
	} {
		if v, ok := in[i.key]; ok {
			parts = append(parts, fmt.Sprintf(i.format, v))
		}
	}
	return strings.Join(parts, ", ")
}

// printEnds prints how the two ends of the call fared themselves.
func printEnds(w io.Writer, c *report.Call) error {
	if c.MediaSeconds == 0 {
		return nil
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t)
	fmt.Fprintf(t, "  limited by\t%s\n", c.LimitedBy)
	for _, l := range c.Limits {
		fmt.Fprintf(t, "\t%s\n", l)
	}
	fmt.Fprintf(t, "  this end\tsent 95 %% of frames within %s of their time, %d packets refused, processor %.1f %%, %.0f MB\n",
		in(c.Agent.PacingP95), c.Agent.SendErrors, 100*c.Agent.CPURatio, float64(c.Agent.RSSBytes)/1e6)
	queue := ""
	if c.Agent.Queue != nil {
		queue = fmt.Sprintf(", %.1f kB at most waited to be sent", float64(*c.Agent.Queue)/1e3)
	}
	fmt.Fprintf(t, "\tthe longest packet took %s to send%s%s\n", in(c.Agent.SendWait), queue, dropped(c.Agent.Dropped))
	if r := c.Reflector; r != nil {
		stay := ""
		if r.Residence != nil {
			stay = fmt.Sprintf("packets stayed %s, 99 %% less than %s; ", in(r.Residence.Median), in(r.Residence.P99))
		}
		fmt.Fprintf(t, "  reflector\t%s%d calls at most, processor %.1f %%%s\n", stay, r.Sessions, 100*r.CPURatio, dropped(r.Dropped))
	}
	if c.Foreign > 0 {
		fmt.Fprintf(t, "  foreign\t%d packets that were not of this call, or damaged\n", c.Foreign)
	}
	return t.Flush()
}

// dropped tells of packets that arrived and were not read in time.
func dropped(n *int) string {
	if n == nil || *n == 0 {
		return ""
	}
	return fmt.Sprintf(", %d packets dropped that had arrived", *n)
}

// in writes a length of time.
func in(s float64) string {
	if s >= 1 {
		return fmt.Sprintf("%.1f s", s)
	}
	return fmt.Sprintf("%.2f ms", s*1000)
}
