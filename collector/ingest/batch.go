package ingest

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"communewatch/collector/registry"
	"communewatch/probes"
	"communewatch/probes/wire"
)

// batch is what an agent says about a batch in its headers.
type batch struct {
	numbered bool // false: the client sends none of the headers
	agent    string
	boot     string
	seq      uint64
	clock    int
	sentAt   time.Time // zero: not said
}

// Bounds of the headers. They are those of the registry, which keeps what is in them.
const (
	maxBoot  = 64
	maxSeq   = 1 << 50
	maxClock = 1 << 31
)

// latestSentAt is as far as a nanosecond count in 64 bits goes, less a margin for arithmetic.
var latestSentAt = time.Date(2200, 1, 1, 0, 0, 0, 0, time.UTC).UnixMilli()

// readBatch reads the headers of a batch. They come all or not at all; only the time of sending may be left out.
func readBatch(h http.Header) (b batch, p *problem) {
	bad := func(name, format string, args ...any) (batch, *problem) {
		return batch{}, &problem{http.StatusBadRequest, "header " + name + ": " + fmt.Sprintf(format, args...), 0}
	}
	names := [...]string{wire.HeaderAgent, wire.HeaderBoot, wire.HeaderSeq, wire.HeaderClock}
	missing := ""
	for _, name := range names {
		if h.Get(name) != "" {
			b.numbered = true
		} else if missing == "" {
			missing = name
		}
	}
	if !b.numbered {
		return batch{}, nil
	}
	if missing != "" {
		return bad(missing, "missing; send all of %v, or none", names)
	}
	b.agent, b.boot = h.Get(wire.HeaderAgent), h.Get(wire.HeaderBoot)
	if err := probes.CheckName(b.agent); err != nil {
		return bad(wire.HeaderAgent, "%v", err)
	}
	if !isBoot(b.boot) {
		return bad(wire.HeaderBoot, "%.80q: use 1 to %d ASCII letters, digits, dots, dashes and underscores", b.boot, maxBoot)
	}
	var err error
	if b.seq, err = strconv.ParseUint(h.Get(wire.HeaderSeq), 10, 64); err != nil || b.seq < 1 || b.seq > maxSeq {
		return bad(wire.HeaderSeq, "%.40q is no batch number; they count from 1", h.Get(wire.HeaderSeq))
	}
	if b.clock, err = strconv.Atoi(h.Get(wire.HeaderClock)); err != nil || b.clock < 1 || b.clock > maxClock {
		return bad(wire.HeaderClock, "%.40q is no clock number; they count from 1", h.Get(wire.HeaderClock))
	}
	if s := h.Get(wire.HeaderSentAt); s != "" {
		ms, err := strconv.ParseInt(s, 10, 64)
		if err != nil || ms <= 0 || ms > latestSentAt {
			return bad(wire.HeaderSentAt, "%.40q is no time in Unix milliseconds", s)
		}
		b.sentAt = time.UnixMilli(ms)
	}
	return b, nil
}

func isBoot(s string) bool {
	if s == "" || len(s) > maxBoot {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if (c < '0' || c > '9') && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && c != '-' && c != '_' && c != '.' {
			return false
		}
	}
	return true
}

// goodClock is how far off a clock may be without being corrected: network delay and the rounding of NTP on old PCs
// are below it, and a chart shows no difference.
const goodClock = 5 * time.Second

// shift returns by how much the batch's times are to be moved. It is measured at the first batch of a clock that says
// when it was sent, and written down before it is used, so that every batch of that clock gets the same, whenever and
// however often it comes. A clock that was never measured (its agent was gone before it reached the collector) is
// taken at its word.
func (in *Ingest) shift(ctx context.Context, id registry.Identity, b *batch, received time.Time) (time.Duration, error) {
	if !b.numbered {
		return 0, nil
	}
	clock := registry.ClockID{Site: id.Site, Agent: b.agent, Boot: b.boot, Clock: b.clock}
	shift, known, err := in.o.Registry.ClockShift(ctx, clock)
	if err != nil || known || b.sentAt.IsZero() {
		return shift, err
	}
	skew := received.Sub(b.sentAt)
	if skew >= -goodClock && skew <= goodClock {
		skew = 0
	}
	shift, err = in.o.Registry.SetClockShift(ctx, clock, skew.Round(time.Millisecond))
	if err == nil && shift != 0 {
		in.metrics.clocks.Inc()
		in.log.Warn("an agent's clock is off; its times are corrected", "site", id.Site, "agent", b.agent, "boot", b.boot,
			"clock", b.clock, "shift", shift)
	}
	return shift, err
}
