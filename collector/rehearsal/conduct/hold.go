package conduct

import (
	"context"
	"crypto/rand"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"communewatch/collector/rehearsal"
	"communewatch/probes/orders"
)

// Bounds of a hold.
const (
	maxHold     = orders.MaxHold
	maxNote     = orders.MaxNote
	holdExpires = 5 * time.Minute
)

// holding is the hold that is on, or was ended early.
type holding struct {
	rehearsal.Hold
	// tellUntil is how long agents that connect are told: one that was away when a hold was ended early still keeps it.
	tellUntil time.Time
	told      map[agent]time.Time // when their connections began
}

type agent struct{ site, name string }

func newHolding(h rehearsal.Hold, tellUntil time.Time) holding {
	return holding{Hold: h, tellUntil: tellUntil, told: map[agent]time.Time{}}
}

func (h *holding) on(now time.Time) bool { return now.Before(h.Until) }

// Hold tells all agents to leave the line alone for h.For, those that connect later too; For 0 ends the hold that is
// on. A rehearsal that runs is stopped.
func (s *Service) Hold(ctx context.Context, h rehearsal.Hold) (rehearsal.Hold, error) {
	switch {
	case h.For < 0 || h.For > maxHold || h.For > 0 && h.For < time.Minute:
		return h, &rehearsal.Refused{Problems: []rehearsal.Problem{{Field: "for", Code: rehearsal.ProblemHoldLength, Params: []string{h.For.String(), maxHold.String()}, Text: fmt.Sprintf("%v: want from 1m to %v, or 0s to end a hold", h.For, maxHold)}}}
	case len(h.Meeting) > maxNote || !utf8.ValidString(h.Meeting) || strings.ContainsFunc(h.Meeting, unicode.IsControl):
		return h, &rehearsal.Refused{Problems: []rehearsal.Problem{{Field: "meeting", Code: rehearsal.ProblemText, Params: []string{strconv.Itoa(maxNote)}, Text: fmt.Sprintf("use at most %d bytes of plain text in one line", maxNote)}}}
	case len(h.By) > maxNote || !utf8.ValidString(h.By) || strings.ContainsFunc(h.By, unicode.IsControl):
		return h, &rehearsal.Refused{Problems: []rehearsal.Problem{{Field: "by", Code: rehearsal.ProblemText, Params: []string{strconv.Itoa(maxNote)}, Text: fmt.Sprintf("use at most %d bytes of plain text in one line", maxNote)}}}
	}
	s.starting.Lock() // no rehearsal begins between the look and the hold
	defer s.starting.Unlock()
	h.Began = s.now()
	h.Until, h.Told = h.Began.Add(h.For), 0
	wait, cancel := firm(ctx)
	defer cancel()
	if err := s.o.Store.SetHold(wait, h); err != nil {
		return h, err
	}
	s.mu.Lock()
	tellUntil := h.Until
	if s.hold.tellUntil.After(tellUntil) {
		tellUntil = s.hold.tellUntil
	}
	s.hold = newHolding(h, tellUntil)
	ses := s.session
	s.mu.Unlock()
	if ses != nil && h.For > 0 {
		ses.end(rehearsal.Note{Code: rehearsal.NoteHeld, Text: h.Meeting})
	}
	// An end is told to all: some may have been told by a collector that is no more.
	h.Told = s.tellHold(&h, func(agent, time.Time) bool { return true })
	s.mu.Lock()
	s.hold.Told = h.Told
	s.mu.Unlock()
	s.o.Log.Info("hold", "meeting", h.Meeting, "until", h.Until, "by", h.By, "agents", h.Told)
	return h, nil
}

// Held returns the hold that is on.
func (s *Service) Held() (rehearsal.Hold, bool) {
	now := s.now()
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.hold.on(now) {
		return rehearsal.Hold{}, false
	}
	return s.hold.Hold, true
}

// holdAgents tells agents that have connected since about the hold.
func (s *Service) holdAgents() {
	now := s.now()
	s.mu.Lock()
	h := s.hold
	s.mu.Unlock()
	if !now.Before(h.tellUntil) {
		return
	}
	s.tellHold(&h.Hold, func(a agent, since time.Time) bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		was, told := s.hold.told[a]
		return !told || !was.Equal(since)
	})
}

// tellHold tells the agents that are chosen what is left of a hold.
func (s *Service) tellHold(h *rehearsal.Hold, chosen func(a agent, since time.Time) bool) (told int) {
	id := "hold-" + strings.ToLower(rand.Text()[:12])
	for _, c := range s.o.Channel.Connected() {
		a := agent{c.Site, c.Agent}
		if !chosen(a, c.Since) {
			continue
		}
		left := max(0, h.Until.Sub(s.o.Now()))
		err := s.o.Channel.TellAgent(c.Site, c.Agent, orders.Order{ID: id, Kind: orders.KindHold, Expires: orders.Seconds(holdExpires),
			Hold: &orders.Hold{For: orders.Seconds(left), Note: h.Meeting}})
		if err != nil {
			continue // it is told when it is back, or at the next look
		}
		told++
		s.mu.Lock()
		if s.hold.told != nil {
			s.hold.told[a] = c.Since
		}
		s.mu.Unlock()
	}
	return told
}
