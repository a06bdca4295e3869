package orders

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"communewatch/probes"
)

// Bounds of an order. Whatever is beyond was made by a mistake, or by somebody who wants to do harm.
const (
	MinDuration = time.Second
	MaxDuration = 2 * time.Minute // a step of a rehearsal; agents may refuse less
	MaxStartIn  = time.Minute
	MaxExpires  = 10 * time.Minute
	MaxHold     = 24 * time.Hour
	MaxBPS      = 50_000_000
	MaxFPS      = 60
	MaxNote     = 200 // bytes
	MaxRuns     = 20  // checks of one run
)

var idPattern = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._:-]{0,99}$`)

func checkID(id string) error {
	if !idPattern.MatchString(id) {
		return fmt.Errorf("id %q: use 1 to 100 of A-Z a-z 0-9 . _ : - and begin with a letter or digit", clip(id))
	}
	return nil
}

// Validate returns the first mistake in an order; nil if it may be told, and carried out where its agent's settings
// allow it.
func (o *Order) Validate() error {
	if err := checkID(o.ID); err != nil {
		return fmt.Errorf("order: %w", err)
	}
	if err := within("expires_seconds", o.Expires, time.Millisecond, MaxExpires); err != nil {
		return fmt.Errorf("order %s: %w", o.ID, err)
	}
	var err error
	switch o.Kind {
	case KindCall:
		switch {
		case o.Call == nil || o.holds(KindCall):
			err = errors.New("a call has call, and nothing of other kinds such as stop or hold")
		case o.Call.StartIn > o.Expires:
			err = errors.New("start_in_seconds is after expires_seconds")
		default:
			err = o.Call.validate()
		}
	case KindStop:
		if o.holds(KindStop) {
			err = errors.New("a stop has nothing of other kinds such as call or hold")
		} else if o.Stop != "" {
			err = checkID(o.Stop)
		}
	case KindHold:
		if o.Hold == nil || o.holds(KindHold) {
			err = errors.New("a hold has hold, and nothing of other kinds such as call or stop")
		} else if err = within("for_seconds", o.Hold.For, 0, MaxHold); err == nil {
			err = plain("note", o.Hold.Note, MaxNote)
		}
	case KindRun:
		if o.Run == nil || o.holds(KindRun) {
			err = errors.New("a run has run, and nothing of other kinds such as call or hold")
		} else {
			err = o.Run.validate()
		}
	case KindLook:
		if o.holds(KindLook) {
			err = errors.New("a look has look, and nothing of other kinds such as call or hold")
		} else if !slices.Contains([]string{LookWork, LookTrust, LookRelease}, o.Look) {
			err = fmt.Errorf("look %q: use %s, %s or %s", clip(o.Look), LookWork, LookTrust, LookRelease)
		}
	default:
		err = fmt.Errorf("kind %q: use %s, %s, %s, %s or %s", clip(string(o.Kind)), KindCall, KindStop, KindHold, KindRun, KindLook)
	}
	if err != nil {
		return fmt.Errorf("order %s: %w", o.ID, err)
	}
	return nil
}

// holds reports whether an order holds what belongs to another kind than k.
func (o *Order) holds(k Kind) bool {
	return k != KindCall && o.Call != nil || k != KindStop && o.Stop != "" || k != KindHold && o.Hold != nil ||
		k != KindRun && o.Run != nil || k != KindLook && o.Look != ""
}

func (r *Run) validate() error {
	if len(r.Checks) == 0 || len(r.Checks) > MaxRuns {
		return fmt.Errorf("run: name 1 to %d checks (found %d)", MaxRuns, len(r.Checks))
	}
	for i, name := range r.Checks {
		if err := probes.CheckName(name); err != nil {
			return fmt.Errorf("run: check: %w", err)
		}
		if slices.Contains(r.Checks[:i], name) {
			return fmt.Errorf("run: check %s is named twice", name)
		}
	}
	return nil
}

func (c *Call) validate() error {
	if c.Check != "" {
		if err := probes.CheckName(c.Check); err != nil {
			return fmt.Errorf("check: %w", err)
		}
	}
	if err := within("start_in_seconds", c.StartIn, 0, MaxStartIn); err != nil {
		return err
	}
	if err := within("duration_seconds", c.Duration, MinDuration, MaxDuration); err != nil {
		return err
	}
	return c.Profile.validate()
}

func (p *Profile) validate() error {
	if err := probes.CheckName(p.Name); err != nil {
		return fmt.Errorf("profile: %w", err)
	}
	switch {
	case p.AudioBPS == 0 && p.VideoBPS == 0:
		return fmt.Errorf("profile %s has neither audio nor video: give audio_bps, video_bps or both", p.Name)
	case p.AudioBPS < 0 || p.AudioBPS > MaxBPS:
		return fmt.Errorf("profile %s: audio_bps %d: want 0 to %d", p.Name, p.AudioBPS, MaxBPS)
	case p.VideoBPS < 0 || p.VideoBPS > MaxBPS:
		return fmt.Errorf("profile %s: video_bps %d: want 0 to %d", p.Name, p.VideoBPS, MaxBPS)
	case p.VideoBPS > 0 && (p.FPS < 1 || p.FPS > MaxFPS), p.FPS < 0 || p.FPS > MaxFPS:
		return fmt.Errorf("profile %s: fps %d: want 1 to %d", p.Name, p.FPS, MaxFPS)
	}
	return nil
}

// Final reports whether nothing follows this phase.
func (p Phase) Final() bool { return p == PhaseRefused || p == PhaseDone }

// Rank orders the phases of one order in time, from 1; 0 is no phase. Refused and done are of the same rank: the first
// of them counts.
func (p Phase) Rank() int {
	switch p {
	case PhaseAccepted:
		return 1
	case PhaseStarted:
		return 2
	case PhaseRefused, PhaseDone:
		return 3
	}
	return 0
}

// Rank orders the reports of one order in time, as Phase.Rank does; of a run a report in which more checks are over comes
// after one in which fewer are. 0 is no report.
func (r *Report) Rank() int {
	rank := r.Phase.Rank() * (MaxRuns + 1)
	for i := range r.Ran {
		if !r.Phase.Final() && r.Ran[i].Phase.Final() {
			rank++
		}
	}
	return rank
}

// Validate returns the first mistake in a report; nil if it may be believed to be one.
func (r *Report) Validate() error {
	if err := checkID(r.Order); err != nil {
		return fmt.Errorf("report: %w", err)
	}
	if err := r.validate(); err != nil {
		return fmt.Errorf("report of order %s: %w", r.Order, err)
	}
	return nil
}

func (r *Report) validate() error {
	if r.Phase.Rank() == 0 {
		return fmt.Errorf("phase %q: use %s, %s, %s or %s", clip(string(r.Phase)), PhaseAccepted, PhaseRefused, PhaseStarted, PhaseDone)
	}
	if err := ended(r.Phase, r.Outcome, r.Reason, r.Path, r.Proof); err != nil {
		return err
	}
	if r.Check != "" {
		if err := probes.CheckName(r.Check); err != nil {
			return fmt.Errorf("check: %w", err)
		}
	}
	if len(r.Ran) > MaxRuns {
		return fmt.Errorf("%d checks were run, more than %d", len(r.Ran), MaxRuns)
	}
	for i := range r.Ran {
		if err := r.Ran[i].validate(); err != nil {
			return fmt.Errorf("ran[%d]: %w", i, err)
		}
	}
	if r.Result == nil {
		return nil
	}
	if r.Phase != PhaseDone {
		return fmt.Errorf("a result in phase %s: only what is done has one", r.Phase)
	}
	if err := checkResult(r.Result); err != nil {
		return fmt.Errorf("result: %w", err)
	}
	return nil
}

func (r *Ran) validate() error {
	if err := probes.CheckName(r.Check); err != nil {
		return fmt.Errorf("check: %w", err)
	}
	if r.Phase.Rank() == 0 {
		return fmt.Errorf("phase %q is not a phase", clip(string(r.Phase)))
	}
	if r.Took < 0 {
		return errors.New("took_seconds is negative")
	}
	return ended(r.Phase, r.Outcome, r.Reason, r.Path, r.Proof)
}

// ended checks what is said of something done with a check.
func ended(phase Phase, outcome, reason string, path probes.Path, proof probes.Proof) error {
	if err := plain("reason", reason, probes.MaxText); err != nil {
		return err
	}
	if _, ok := probes.ParseOutcome(outcome); !ok && (outcome != "" || phase == PhaseDone) {
		return fmt.Errorf("outcome %q is none of %s", clip(outcome), strings.Join(probes.OutcomeNames(), ", "))
	}
	if path != "" && !path.Valid() {
		return fmt.Errorf("path %q is not a path", clip(string(path)))
	}
	proofs := []probes.Proof{"", probes.ProofProved, probes.ProofBound, probes.ProofUnproven, probes.ProofWrong}
	if !slices.Contains(proofs, proof) {
		return fmt.Errorf("proof %q is not a proof of path", clip(string(proof)))
	}
	return nil
}

// within checks a length of time, whose bounds are allowed.
func within(name string, s Seconds, least, most time.Duration) error {
	if d := time.Duration(s); d < least || d > most {
		return fmt.Errorf("%s %v: want %v to %v", name, d.Seconds(), least.Seconds(), most.Seconds())
	}
	return nil
}

// plain checks text for people: short, on one line, nothing that a terminal would obey.
func plain(name, s string, most int) error {
	switch {
	case len(s) > most:
		return fmt.Errorf("%s has %d bytes, more than %d", name, len(s), most)
	case !utf8.ValidString(s):
		return fmt.Errorf("%s is not UTF-8", name)
	case strings.ContainsFunc(s, unicode.IsControl):
		return fmt.Errorf("%s has control characters", name)
	}
	return nil
}

// clip makes text from outside short enough for an error.
func clip(s string) string {
	if r := []rune(s); len(r) > 60 {
		return string(r[:60]) + "..."
	}
	return s
}
