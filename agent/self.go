package agent

import (
	"context"
	"os"
	"runtime"
	"time"

	"communewatch/probes"

	"github.com/shirou/gopsutil/v4/process"
)

// selfTimeout bounds asking the system about this process.
const selfTimeout = 5 * time.Second

// reportSelf keeps a row about the agent itself.
func (a *Agent) reportSelf(ctx context.Context) {
	now, clock := a.clock.Now()
	a.keep(clock, []probes.Point{a.self(ctx, now)})
}

// self is the row "agent".
func (a *Agent) self(ctx context.Context, now time.Time) probes.Point {
	kept, sent := a.spool.Stats(), a.ship.Stats()
	var age time.Duration
	if !kept.Oldest.IsZero() {
		age = max(0, now.Sub(kept.Oldest))
	}
	p := probes.Point{
		Measurement: "agent",
		Tags:        probes.Tags{{Key: "agent", Value: a.cfg.Agent}, {Key: "site", Value: a.cfg.Site}},
		Time:        now.Truncate(time.Millisecond),
		Fields: []probes.Field{
			probes.String("version", a.opts.Version),
			probes.String("os", runtime.GOOS+"/"+runtime.GOARCH),
			probes.Seconds("uptime_seconds", time.Since(a.started)),
			probes.Int("checks", int64(len(a.current().Checks))),
			probes.Int("spool_batches", int64(kept.Batches)),
			probes.Int("spool_bytes", int64(kept.Bytes)),
			probes.Seconds("spool_age_seconds", age),
			probes.Int("spool_unsynced", int64(kept.Unsynced)),
			probes.Int("spool_dropped", int64(kept.Dropped)),
			probes.Int("spool_quarantined", int64(kept.Quarantined)),
			probes.Int("overruns", int64(a.sched.Overruns())),
			probes.Int("send_failures", int64(sent.Failures)),
		},
	}
	if offset, ok := sent.ClockOffset, sent.ClockOffsetKnown; ok {
		p.Fields = append(p.Fields, probes.Seconds("clock_offset_seconds", offset))
	}
	proc, err := process.NewProcessWithContext(ctx, int32(os.Getpid()))
	if err != nil {
		return p // the system hides it from us; the rest of the row is worth having
	}
	if mem, err := proc.MemoryInfoWithContext(ctx); err == nil {
		p.Fields = append(p.Fields, probes.Int("rss_bytes", int64(mem.RSS)))
	}
	if cpu, err := proc.TimesWithContext(ctx); err == nil {
		p.Fields = append(p.Fields, probes.Float("cpu_seconds", cpu.User+cpu.System))
	}
	return p
}
