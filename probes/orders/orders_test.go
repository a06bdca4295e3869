package orders_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"communewatch/probes"
	"communewatch/probes/orders"
	"communewatch/probes/webrtc/report"
)

func seconds(s float64) orders.Seconds { return orders.Seconds(s * float64(time.Second)) }

func call() *orders.Order {
	return &orders.Order{ID: "r1.s08707", Kind: orders.KindCall, Expires: seconds(30), Call: &orders.Call{
		Check: "hub", StartIn: seconds(5), Duration: seconds(15), Profile: orders.Profile{Name: "720p", AudioBPS: 32_000, VideoBPS: 2_000_000, FPS: 30}}}
}

func hold() *orders.Order {
	return &orders.Order{ID: "h1", Kind: orders.KindHold, Expires: seconds(30), Hold: &orders.Hold{For: seconds(3600), Note: "Họp giao ban"}}
}

func run() *orders.Order {
	return &orders.Order{ID: "run-1", Kind: orders.KindRun, Expires: seconds(20), Run: &orders.Run{Checks: []string{"hub", "portal"}}}
}

func look() *orders.Order {
	return &orders.Order{ID: "look-1", Kind: orders.KindLook, Expires: seconds(600), Look: orders.LookWork}
}

func TestWhatIsNoOrderIsRefusedWithItsReason(t *testing.T) {
	for name, c := range map[string]struct {
		of   func() *orders.Order
		to   func(*orders.Order)
		want string // in the error; "" for none
	}{
		"call":                {call, func(*orders.Order) {}, ""},
		"hold":                {hold, func(*orders.Order) {}, ""},
		"end of a hold":       {hold, func(o *orders.Order) { o.Hold.For = 0 }, ""},
		"stop of everything":  {hold, func(o *orders.Order) { o.Kind, o.Hold = orders.KindStop, nil }, ""},
		"audio alone":         {call, func(o *orders.Order) { o.Call.Profile = orders.Profile{Name: "audio", AudioBPS: 32_000} }, ""},
		"no id":               {call, func(o *orders.Order) { o.ID = "" }, "id"},
		"long id":             {call, func(o *orders.Order) { o.ID = strings.Repeat("x", 101) }, "id"},
		"id with a line end":  {call, func(o *orders.Order) { o.ID = "a\nb" }, "id"},
		"no kind":             {call, func(o *orders.Order) { o.Kind = "" }, "kind"},
		"unknown kind":        {call, func(o *orders.Order) { o.Kind = "scan" }, "kind"},
		"no expiry":           {call, func(o *orders.Order) { o.Expires = 0 }, "expires_seconds"},
		"never expires":       {call, func(o *orders.Order) { o.Expires = seconds(86400) }, "expires_seconds"},
		"starts when expired": {call, func(o *orders.Order) { o.Call.StartIn = seconds(31) }, "start_in_seconds"},
		"starts tomorrow":     {call, func(o *orders.Order) { o.Call.StartIn, o.Expires = seconds(61), seconds(90) }, "start_in_seconds"},
		"starts in the past":  {call, func(o *orders.Order) { o.Call.StartIn = seconds(-1) }, "start_in_seconds"},
		"no duration":         {call, func(o *orders.Order) { o.Call.Duration = 0 }, "duration_seconds"},
		"too long":            {call, func(o *orders.Order) { o.Call.Duration = seconds(121) }, "duration_seconds"},
		"call of nothing":     {call, func(o *orders.Order) { o.Call = nil }, "call"},
		"call and hold":       {call, func(o *orders.Order) { o.Hold = hold().Hold }, "hold"},
		"hold of nothing":     {hold, func(o *orders.Order) { o.Hold = nil }, "hold"},
		"hold for ever":       {hold, func(o *orders.Order) { o.Hold.For = seconds(86401) }, "for_seconds"},
		"note with an escape": {hold, func(o *orders.Order) { o.Hold.Note = "\x1b[2J" }, "note"},
		"foreign check":       {call, func(o *orders.Order) { o.Call.Check = "http://10.0.0.1/" }, "check"},
		"nameless profile":    {call, func(o *orders.Order) { o.Call.Profile.Name = "" }, "profile"},
		"zero-length profile": {call, func(o *orders.Order) { o.Call.Profile.AudioBPS, o.Call.Profile.VideoBPS = 0, 0 }, "neither audio nor video"},
		"negative rate":       {call, func(o *orders.Order) { o.Call.Profile.AudioBPS = -1 }, "audio_bps"},
		"huge rate":           {call, func(o *orders.Order) { o.Call.Profile.VideoBPS = 50_000_001 }, "video_bps"},
		"video without fps":   {call, func(o *orders.Order) { o.Call.Profile.FPS = 0 }, "fps"},
		"too many frames":     {call, func(o *orders.Order) { o.Call.Profile.FPS = 61 }, "fps"},
		"stop of a bad id":    {hold, func(o *orders.Order) { o.Kind, o.Hold, o.Stop = orders.KindStop, nil, " " }, "id"},
		"run":                 {run, func(*orders.Order) {}, ""},
		"run of twenty": {run, func(o *orders.Order) {
			o.Run.Checks = nil
			for i := range orders.MaxRuns {
				o.Run.Checks = append(o.Run.Checks, fmt.Sprintf("c%d", i))
			}
		}, ""},
		"run of nothing":    {run, func(o *orders.Order) { o.Run.Checks = nil }, "1 to 20"},
		"run without run":   {run, func(o *orders.Order) { o.Run = nil }, "run"},
		"run of too many":   {run, func(o *orders.Order) { o.Run.Checks = make([]string, 21) }, "1 to 20"},
		"run of one twice":  {run, func(o *orders.Order) { o.Run.Checks = []string{"hub", "hub"} }, "twice"},
		"run of an address": {run, func(o *orders.Order) { o.Run.Checks[1] = "10.0.0.1:22/x" }, "check"},
		"run and call":      {run, func(o *orders.Order) { o.Call = call().Call }, "call"},
		"look":              {look, func(*orders.Order) {}, ""},
		"look for nothing":  {look, func(o *orders.Order) { o.Look = "" }, "look"},
		"look for a file":   {look, func(o *orders.Order) { o.Look = "/etc/shadow" }, "look"},
		"look and run":      {look, func(o *orders.Order) { o.Run = run().Run }, "look"},
		"call with a look":  {call, func(o *orders.Order) { o.Look = orders.LookTrust }, "call"},
		"stop with a hold":  {hold, func(o *orders.Order) { o.Kind = orders.KindStop }, "stop"},
	} {
		o := c.of()
		c.to(o)
		err := o.Validate()
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %q in it", name, err, c.want)
		}
	}
}

func done() *orders.Report {
	v := 0.01
	return &orders.Report{Order: "r1", Phase: orders.PhaseDone, Outcome: "ok", Path: probes.PathDedicated, Proof: probes.ProofProved, Check: "hub",
		Result: &report.Call{Service: "reflector", Profile: "720p", MediaSeconds: 15, Transport: "udp", LimitedBy: "none", RTT: &report.Spread{Median: 0.02},
			Flows:   []report.Flow{{Direction: probes.DirectionUp, Media: probes.MediaAudio, Sent: 100, Received: 99, Lost: 1, LossRatio: 0.01, Jitter: &v}},
			Quality: &report.Quality{Grade: "degraded", Audio: &report.Score{Model: "ITU-T G.107.2", MOS: 4.1, R: 110, Direction: probes.DirectionUp, Inputs: map[string]float64{"loss_percent": 1}}},
			Ramp:    &report.Ramp{Steps: []report.RampStep{{BPS: 1e6, Clean: true}}, BPS: 1e6, End: "complete"}}}
}

func ran() *orders.Report {
	return &orders.Report{Order: "run-1", Phase: orders.PhaseStarted, Ran: []orders.Ran{
		{Check: "hub", Phase: orders.PhaseDone, Outcome: "timeout", Reason: "no answer", Took: seconds(2), Path: probes.PathDedicated, Proof: probes.ProofProved},
		{Check: "portal", Phase: orders.PhaseRefused, Reason: "the agent has no such check"},
	}}
}

// Each check that is over makes a report newer, and nothing comes after the last.
func TestReportsOfARunAreInOrder(t *testing.T) {
	at := func(p orders.Phase, over int) int {
		r := orders.Report{Order: "r", Phase: p, Ran: make([]orders.Ran, orders.MaxRuns)}
		for i := range over {
			r.Ran[i].Phase = orders.PhaseDone
		}
		return r.Rank()
	}
	last := 0
	for _, step := range []struct {
		phase orders.Phase
		over  int
	}{{orders.PhaseAccepted, 0}, {orders.PhaseAccepted, 20}, {orders.PhaseStarted, 0}, {orders.PhaseStarted, 1}, {orders.PhaseStarted, 20}, {orders.PhaseDone, 20}} {
		rank := at(step.phase, step.over)
		if rank <= last {
			t.Errorf("%s with %d over is not after what came before", step.phase, step.over)
		}
		last = rank
	}
	if at(orders.PhaseDone, 3) != last || at(orders.PhaseRefused, 0) != last {
		t.Error("something comes after the end")
	}
}

func TestWhatIsNoReportIsRefusedWithItsReason(t *testing.T) {
	negative := -0.5
	for name, c := range map[string]struct {
		to   func(*orders.Report)
		want string
	}{
		"done":              {func(*orders.Report) {}, ""},
		"accepted":          {func(r *orders.Report) { *r = orders.Report{Order: "r1", Phase: orders.PhaseAccepted} }, ""},
		"no order":          {func(r *orders.Report) { r.Order = "" }, "id"},
		"no phase":          {func(r *orders.Report) { r.Phase = "" }, "phase"},
		"run":               {func(r *orders.Report) { *r = *ran() }, ""},
		"run of too many":   {func(r *orders.Report) { r.Ran = make([]orders.Ran, 21) }, "21"},
		"run of no check":   {func(r *orders.Report) { *r = *ran(); r.Ran[0].Check = "" }, "ran[0]"},
		"run of no phase":   {func(r *orders.Report) { *r = *ran(); r.Ran[1].Phase = "soon" }, "ran[1]"},
		"run of no outcome": {func(r *orders.Report) { *r = *ran(); r.Ran[0].Outcome = "" }, "outcome"},
		"run of no path":    {func(r *orders.Report) { *r = *ran(); r.Ran[0].Path = "x" }, "path"},
		"run took less":     {func(r *orders.Report) { *r = *ran(); r.Ran[0].Took = -1 }, "negative"},
		"run with escape":   {func(r *orders.Report) { *r = *ran(); r.Ran[1].Reason = "\x1b[2J" }, "reason"},
		"unknown phase":     {func(r *orders.Report) { r.Phase = "perhaps" }, "phase"},
		"no outcome":        {func(r *orders.Report) { r.Outcome = "" }, "outcome"},
		"unknown outcome":   {func(r *orders.Report) { r.Outcome = "great" }, "outcome"},
		"long reason":       {func(r *orders.Report) { r.Reason = strings.Repeat("x", probes.MaxText+1) }, "reason"},
		"reason of control": {func(r *orders.Report) { r.Reason = "a\nb" }, "reason"},
		"unknown path":      {func(r *orders.Report) { r.Path = "satellite" }, "path"},
		"unknown proof":     {func(r *orders.Report) { r.Proof = "sworn" }, "proof"},
		"bad check":         {func(r *orders.Report) { r.Check = "A B" }, "check"},
		"result too early":  {func(r *orders.Report) { r.Phase = orders.PhaseStarted }, "result"},
		"negative count":    {func(r *orders.Report) { r.Result.Flows[0].Lost = -1 }, "count"},
		"negative time":     {func(r *orders.Report) { r.Result.Flows[0].Jitter = &negative }, "negative"},
		"impossible ratio":  {func(r *orders.Report) { r.Result.Flows[0].LossRatio = 1.01 }, "ratio"},
		"unknown direction": {func(r *orders.Report) { r.Result.Flows[0].Direction = "sideways" }, "direction"},
		"unknown media":     {func(r *orders.Report) { r.Result.Flows[0].Media = "smell" }, "media"},
		"too many flows":    {func(r *orders.Report) { r.Result.Flows = make([]report.Flow, 17) }, "flows"},
		"too many remarks":  {func(r *orders.Report) { r.Result.Limits = make([]string, 33) }, "remarks"},
		"mos of six":        {func(r *orders.Report) { r.Result.Quality.Audio.MOS = 6 }, "opinion score"},
		"unknown grade":     {func(r *orders.Report) { r.Result.Quality.Grade = "superb" }, "grade"},
		"ramp without end":  {func(r *orders.Report) { r.Result.Ramp.Steps = make([]report.RampStep, 65) }, "steps"},
		"name of control":   {func(r *orders.Report) { r.Result.Profile = "\x00" }, "name"},
	} {
		r := done()
		c.to(r)
		err := r.Validate()
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %q in it", name, err, c.want)
		}
	}
}

// A stream is read to its end whatever the pieces it comes in; a bad line costs itself alone.
func TestStreamGoesOnAfterABadLine(t *testing.T) {
	var stream []byte
	for _, o := range []*orders.Order{call(), hold()} {
		var err error
		if stream, err = orders.AppendLine(append(stream, "\n{\"id\":\n\r\n"...), o); err != nil {
			t.Fatal(err)
		}
	}
	stream = append(stream, `{"id":"cut`...) // the connection was lost
	for name, r := range map[string]io.Reader{
		"whole": bytes.NewReader(stream), "bytes": iotest.OneByteReader(bytes.NewReader(stream)), "halves": iotest.HalfReader(bytes.NewReader(stream)),
	} {
		var got []string
		in := orders.NewReader(r)
		for {
			o, err := in.Next()
			switch {
			case errors.Is(err, orders.ErrInvalid):
				got = append(got, "bad")
				continue
			case err != nil:
				got = append(got, err.Error())
			case o == nil:
				got = append(got, "beat")
				continue
			default:
				got = append(got, o.ID)
				continue
			}
			break
		}
		if want := "beat bad beat r1.s08707 beat bad beat h1 EOF"; strings.Join(got, " ") != want {
			t.Errorf("%s: got %q, want %q", name, strings.Join(got, " "), want)
		}
	}
}

func TestOrderSurvivesTheWire(t *testing.T) {
	line, err := orders.AppendLine(nil, call())
	if err != nil {
		t.Fatal(err)
	}
	got, err := orders.NewReader(bytes.NewReader(line)).Next()
	if err != nil {
		t.Fatal(err)
	}
	if *got.Call != *call().Call || got.Expires != call().Expires {
		t.Errorf("got %+v", got)
	}
}

// endless is a line without an end, and counts what was taken of it.
type endless struct{ read int }

func (e *endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = '{'
	}
	e.read += len(p)
	return len(p), nil
}

func TestLineWithoutEndIsGivenUp(t *testing.T) {
	e := &endless{}
	if _, err := orders.NewReader(e).Next(); !errors.Is(err, orders.ErrTooLong) {
		t.Errorf("got %v", err)
	}
	if e.read > 2*orders.MaxOrder {
		t.Errorf("%d bytes were read of it", e.read)
	}
	o := hold()
	o.ID = strings.Repeat("x", orders.MaxOrder)
	if _, err := orders.AppendLine(nil, o); !errors.Is(err, orders.ErrTooLong) {
		t.Errorf("a huge order was written: %v", err)
	}
	if _, err := orders.ReadReport(make([]byte, orders.MaxReport+1)); err == nil {
		t.Error("a huge report was taken")
	}
}

func FuzzStream(f *testing.F) {
	for _, o := range []*orders.Order{call(), hold(), run(), look()} {
		line, _ := orders.AppendLine(nil, o)
		f.Add(line)
		f.Add(append([]byte("\n\nx\n"), line...))
		f.Add(line[:len(line)/2])
	}
	f.Add([]byte(`{"id":"a","kind":"hold","expires_seconds":1e400,"hold":{"for_seconds":null}}` + "\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		in := orders.NewReader(bytes.NewReader(data))
		for range len(data) + 1 {
			o, err := in.Next()
			if err != nil && !errors.Is(err, orders.ErrInvalid) {
				return
			}
			if o == nil || err != nil {
				continue
			}
			// What was taken can be passed on, and means the same.
			line, err := orders.AppendLine(nil, o)
			if err != nil {
				t.Fatalf("%+v: %v", o, err)
			}
			again, err := orders.NewReader(bytes.NewReader(line)).Next()
			if err != nil || again == nil || again.ID != o.ID || again.Kind != o.Kind {
				t.Fatalf("%q was read as %+v: %v", line, again, err)
			}
		}
		t.Fatal("the stream has no end")
	})
}

func FuzzReport(f *testing.F) {
	seed, _ := json.Marshal(done())
	f.Add(seed)
	seed, _ = json.Marshal(ran())
	f.Add(seed)
	f.Add([]byte(`{"order":"r1","phase":"accepted"}`))
	f.Add([]byte(`{"order":"r1","phase":"done","outcome":"ok","result":{"flows":[{}]}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := orders.ReadReport(data)
		if err != nil {
			return
		}
		text, err := json.Marshal(r)
		if err != nil {
			t.Fatalf("%+v: %v", r, err)
		}
		if len(text) > orders.MaxReport {
			return // escapes made it longer
		}
		if _, err := orders.ReadReport(text); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
	})
}
