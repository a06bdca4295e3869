package conduct

import (
	"context"
	"errors"
	"slices"
	"time"

	"communewatch/collector/rehearsal"
	"communewatch/collector/rehearsal/plan"
)

const (
	tickEvery = time.Second
	// missAfter is how late a planned rehearsal may begin: the collector was busy, or the clock was put right.
	missAfter = time.Minute
)

// Run begins planned rehearsals when they are due, and holds agents that connect while a meeting is on, until ctx ends.
// Then it ends what runs and waits for it. It is to be called once.
func (s *Service) Run(ctx context.Context) error {
	if err := s.recover(ctx); err != nil && ctx.Err() == nil {
		return err
	}
	s.mu.Lock()
	s.run = ctx
	s.mu.Unlock()
	tick := time.NewTicker(tickEvery)
	defer tick.Stop()
	failing := false
	for ctx.Err() == nil {
		err := s.due(ctx)
		s.holdAgents()
		if err != nil && !failing && ctx.Err() == nil {
			s.o.Log.Error("planned rehearsals can't be kept current; trying on", "error", err)
		}
		failing = err != nil
		select {
		case <-ctx.Done():
		case <-tick.C:
		}
	}
	s.mu.Lock()
	s.closing = true
	s.mu.Unlock()
	s.conduct.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	for r := range s.readers {
		s.drop(r)
	}
	return nil
}

// recover reads what the collector before this one left.
func (s *Service) recover(ctx context.Context) error {
	s.starting.Lock()
	defer s.starting.Unlock()
	open, err := s.o.Store.List(ctx, rehearsal.StateRunning, rehearsal.StatePlanned)
	if err != nil {
		return err
	}
	for i := range open {
		if open[i].State == rehearsal.StatePlanned {
			s.mu.Lock()
			s.planned = append(s.planned, open[i])
			s.mu.Unlock()
			continue
		}
		// Update writes the evidence too, so the whole record is needed.
		rec, err := s.o.Store.Get(ctx, open[i].ID)
		if err != nil {
			return err
		}
		if err := s.close(ctx, &rec, rehearsal.StateAborted, rehearsal.Note{Code: rehearsal.NoteRestart}); err != nil {
			return err
		}
	}
	hold, ok, err := s.o.Store.Held(ctx, s.now())
	if err != nil {
		return err
	}
	if ok {
		s.mu.Lock()
		s.hold = newHolding(hold, hold.Until)
		s.mu.Unlock()
	}
	return nil
}

// due begins what is due, notes what was missed, and plans the schedule's next.
func (s *Service) due(ctx context.Context) error {
	s.starting.Lock()
	defer s.starting.Unlock()
	now := s.now()
	s.mu.Lock()
	planned := slices.Clone(s.planned)
	s.mu.Unlock()
	var errs []error
	for i := range planned {
		rec := &planned[i]
		entry := s.entry(rec.Plan.Schedule)
		switch at := rec.Plan.At; {
		case rec.Plan.Schedule != "" && entry == nil:
			errs = append(errs, s.close(ctx, rec, rehearsal.StateStopped, rehearsal.Note{Code: rehearsal.NoteCancelled}))
		case at == nil || now.Sub(*at) > missAfter:
			errs = append(errs, s.close(ctx, rec, rehearsal.StateMissed, rehearsal.Note{Code: rehearsal.NoteMissed}))
		case !now.Before(*at):
			errs = append(errs, s.beginPlanned(ctx, rec, entry))
		}
	}
	for i := range s.o.Settings.Schedule {
		errs = append(errs, s.plan(ctx, &s.o.Settings.Schedule[i], now))
	}
	return errors.Join(errs...)
}

func (s *Service) entry(key string) *plan.Entry {
	for i := range s.o.Settings.Schedule {
		if e := &s.o.Settings.Schedule[i]; key != "" && e.Key() == key {
			return e
		}
	}
	return nil
}

// beginPlanned begins a rehearsal whose time has come, or says why it can't be.
func (s *Service) beginPlanned(ctx context.Context, rec *rehearsal.Record, entry *plan.Entry) error {
	request := rehearsal.Request{Meeting: rec.Plan.Meeting}
	if entry != nil {
		request = entry.Request(time.Time{})
	}
	fresh, sites, err := s.draft(ctx, request)
	if err != nil {
		return err
	}
	if entry != nil { // sites may have come and gone since it was planned
		if len(fresh.Problems) > 0 {
			return s.close(ctx, rec, rehearsal.StateMissed, rehearsal.Note{Code: rehearsal.NoteRefused, Text: (&rehearsal.Refused{Problems: fresh.Problems}).Error()})
		}
		fresh.At = rec.Plan.At
		rec.Plan = fresh
	}
	_, err = s.begin(ctx, rec, sites)
	switch {
	case errors.Is(err, rehearsal.ErrRunning):
		return s.close(ctx, rec, rehearsal.StateMissed, rehearsal.Note{Code: rehearsal.NoteBusy})
	case errors.Is(err, rehearsal.ErrHeld):
		h, _ := s.Held()
		return s.close(ctx, rec, rehearsal.StateMissed, rehearsal.Note{Code: rehearsal.NoteHeld, Text: h.Meeting})
	case err != nil:
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.planned = slices.DeleteFunc(s.planned, func(p rehearsal.Record) bool { return p.ID == rec.ID })
	return nil
}

// plan sees to it that an entry's next time is planned, so that it is known, and known to be missed.
func (s *Service) plan(ctx context.Context, e *plan.Entry, now time.Time) error {
	key := e.Key()
	s.mu.Lock()
	there := slices.ContainsFunc(s.planned, func(p rehearsal.Record) bool { return p.Plan.Schedule == key })
	s.mu.Unlock()
	at := e.Next(now)
	if there || at.IsZero() {
		return nil
	}
	p, _, err := s.draft(ctx, e.Request(at))
	if err != nil {
		return err
	}
	// What speaks against it now may not when its time comes; it is looked at then.
	rec := rehearsal.Record{Plan: p, State: rehearsal.StatePlanned, Created: now}
	wait, cancel := firm(ctx)
	defer cancel()
	if err := s.o.Store.Create(wait, &rec); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.planned = append(s.planned, rec)
	s.publish(rehearsal.Event{Kind: rehearsal.EventState, ID: rec.ID, State: rec.State})
	return nil
}
