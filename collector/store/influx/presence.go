package influx

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"communewatch/collector/rollup"
	"communewatch/collector/store"
	"communewatch/collector/store/influx/catalog"
	"communewatch/collector/store/influx/client"
)

// presence is what is known of the database: whether it answers, who it is, what is wrong with it.
//
// While it is away, calls fail at once. One goroutine asks after it, and when it answers again, calls go on. Where rows
// were not stored (a wrong token, a full disk, something on the way that lets questions through), only storing can tell
// whether that is over: one caller's rows are let through as a trial, and what becomes of them decides.
type presence struct {
	mu        sync.Mutex
	away      bool
	deaf      bool // away, and reading can't work either
	untaken   bool // away, and rows were not stored since it began
	since     time.Time
	kind      client.Kind
	reason    string
	fix       string
	pause     time.Duration // the server asked for, before the next try
	failures  int           // in a row
	trial     trial
	suspected bool // a query failed
	server    client.Server
	warnings  []string
	full      told // what the server says of a limit that it reached
	conflict  told // and of windows that it refuses

	changed chan struct{} // something for watch to see to
}

// told is what the server said of rows, until it is long ago.
type told struct {
	what string
	at   time.Time
}

// tell notes what was said now, and reports whether it is news.
func (t *told) tell(what string, now time.Time) bool {
	news := t.what == "" || now.Sub(t.at) > fullFor
	t.what, t.at = what, now
	return news
}

type trial uint8

const (
	noTrial trial = iota
	trialOpen
	trialUnderWay
)

func (p *presence) init() { p.changed = make(chan struct{}, 1) }

func (p *presence) wake() {
	select {
	case p.changed <- struct{}{}:
	default:
	}
}

// How long watch waits between its questions.
const (
	firstPause = 250 * time.Millisecond
	maxPause   = 4 * time.Second // so that a database that is back is noticed within seconds
	maxAsked   = time.Minute     // of what a server may ask for
	trialPause = 30 * time.Second
	lookEvery  = 5 * time.Minute // while all is well

	// fullFor is how long a limit that was reached, or a refusal, is told of. Agents and rollups try again more often.
	fullFor = 15 * time.Minute
)

// awayError is what calls return while the database is away.
type awayError struct {
	since  time.Time
	reason string
}

func (e *awayError) Error() string {
	return fmt.Sprintf("the database is away since %s: %s", e.since.Format(time.RFC3339), e.reason)
}

// Is makes every awayError ErrAway.
func (e *awayError) Is(target error) bool { return target == ErrAway }

// ErrAway is what calls return, wrapped, while the database is away, or the one of the level that they need.
var ErrAway = store.ErrAway

func (p *presence) error() error { return fmt.Errorf("influx: %w", &awayError{p.since, p.reason}) }

// awayError is what waits for a database that is away gets; nil while it is not.
func (p *presence) awayError() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.away {
		return nil
	}
	return p.error()
}

// mayWrite returns nil when rows may be sent now; try says that they are the trial.
func (s *Store) mayWrite() (try bool, err error) {
	p := &s.presence
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case !p.away:
		return false, nil
	case p.trial == trialOpen:
		p.trial = trialUnderWay
		return true, nil
	}
	return false, p.error()
}

// endTrial gives a trial back that was not made after all.
func (s *Store) endTrial() {
	p := &s.presence
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.trial == trialUnderWay {
		p.trial = trialOpen
	}
}

// mayRead returns nil when a query has a chance.
func (s *Store) mayRead() error {
	p := &s.presence
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.away && p.deaf {
		return p.error()
	}
	return nil
}

// lost notes that the database did not store rows (writing), or did not answer when it was asked after.
func (s *Store) lost(err error, writing bool) {
	var e *client.Error
	if !errors.As(err, &e) {
		e = &client.Error{Kind: client.Unreachable, Message: err.Error()}
	}
	if e.Kind == client.Canceled {
		return
	}
	p := &s.presence
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.away {
		p.away, p.since, p.failures = true, s.o.Now(), 0
		s.o.Log.Warn("the database is away; agents keep what they measure", "err", e, "fix", s.fix(e))
	}
	p.trial = noTrial
	p.untaken = p.untaken || writing
	p.failures++
	p.kind, p.reason, p.fix = e.Kind, e.Error(), s.fix(e)
	p.deaf = e.Kind == client.Unreachable || e.Kind == client.Foreign || e.Kind == client.Missing
	p.pause = min(e.RetryAfter, maxAsked)
	p.wake()
}

// found notes that the database stores rows, or that nothing speaks against it.
func (s *Store) found() {
	p := &s.presence
	p.mu.Lock()
	if !p.away {
		p.mu.Unlock()
		return
	}
	s.o.Log.Info("the database is back", "away", s.o.Now().Sub(p.since).Round(time.Millisecond))
	p.away, p.deaf, p.untaken, p.reason, p.fix, p.failures, p.trial = false, false, false, "", "", 0, noTrial
	p.wake()
	p.mu.Unlock()
	// It may be another database. Not under mu: who learns fields holds them, and asks who the server is.
	s.encoder.ForgetFields()
}

// limited notes that the database stores rows, but none that it has to make a series or a field for.
func (s *Store) limited(err error) {
	p := &s.presence
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.full.tell(fmt.Sprintf("InfluxDB has reached a limit, so that rows of new series stay with their agents (%v); find who fills the database with: "+
		"communewatch-collector influx check", err), s.o.Now()) {
		s.o.Log.Warn(p.full.what)
	}
}

// conflicts notes that a database refuses windows of a measurement, because somebody else made a field of it. The
// server's words name the field.
func (s *Store) conflicts(database, measurement string, err error) {
	p := &s.presence
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.conflict.tell(fmt.Sprintf("The database %s refuses windows of measurement %q, so that its hours wait (%v); find who else writes there with: "+
		"communewatch-collector influx check", database, measurement, err), s.o.Now()) {
		s.o.Log.Warn(p.conflict.what)
	}
}

// suspect makes watch ask after the database because a query failed, which may be the query's own fault.
func (s *Store) suspect(err error) {
	kind, ok := client.KindOf(err)
	if !ok || ofRows(kind) || kind == client.Slow || kind == client.Canceled {
		return
	}
	p := &s.presence
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.away {
		p.suspected = true
		p.wake()
	}
}

func (s *Store) fix(e *client.Error) string {
	switch e.Kind {
	case client.Missing:
		return fmt.Sprintf("the database %s is not there; make it with: communewatch-collector influx setup", s.o.Database)
	case client.Denied:
		return "the token in influx.token_file is wrong, or not for this database; make one with: communewatch-collector influx setup"
	case client.Foreign:
		return "see what answers at " + s.o.URL + " (influx.url)"
	case client.Unreachable:
		return "see whether InfluxDB runs, and answers at " + s.o.URL + " (influx.url)"
	case client.Failed:
		return "look into InfluxDB's log; its disk may be full"
	case client.Refused:
		return "see whether this InfluxDB is 1.8 or later"
	}
	return ""
}

// without says what to do about a level's database that can't be used. 1.8 tells a user who is no administrator of a
// database that was dropped that he is not authorized.
func without(kind client.Kind, database string) string {
	if kind == client.Denied {
		return fmt.Sprintf("%s is not there, or the token in influx.token_file is not for it; make it with: "+
			"communewatch-collector influx setup --admin-token-file FILE (1.8 with users: and --user NAME)", database)
	}
	return fmt.Sprintf("%s is not there; make it with: communewatch-collector influx setup", database)
}

// Condition says whether the database answers; see store.Store.
func (s *Store) Condition() store.Condition {
	p := &s.presence
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.away {
		return store.Condition{}
	}
	return store.Condition{Away: true, Since: p.since, Reason: p.reason, Fix: p.fix}
}

// Warnings lists what of the database is not as the settings want it, in English sentences.
func (s *Store) Warnings() []string {
	p := &s.presence
	p.mu.Lock()
	defer p.mu.Unlock()
	all := slices.Clone(p.warnings)
	for _, t := range []told{p.full, p.conflict} {
		if t.what != "" && s.o.Now().Sub(t.at) <= fullFor {
			all = append(all, t.what)
		}
	}
	return all
}

// server is who answered last.
func (s *Store) server() client.Server {
	s.presence.mu.Lock()
	defer s.presence.mu.Unlock()
	return s.presence.server
}

// watch asks after the database while it is away, and now and then besides, until the store is closed.
func (s *Store) watch() {
	for {
		timer := time.NewTimer(s.presence.wait())
		select {
		case <-s.base.Done():
			timer.Stop()
			return
		case <-s.presence.changed:
			timer.Stop()
			if !s.presence.isSuspected() {
				continue // and wait as is fit now
			}
		case <-timer.C:
		}
		switch away, trial := s.presence.state(); {
		case trial == trialOpen:
			s.found() // nobody had rows for it; those that come will tell
		case trial == trialUnderWay:
		default:
			if err := s.look(s.base); s.base.Err() != nil {
				return
			} else if err != nil {
				s.lost(err, false)
			} else if away && !s.presence.openTrial() {
				s.found()
			}
		}
	}
}

// wait is how long to wait before the next look.
func (p *presence) wait() time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case !p.away:
		return lookEvery
	case p.trial != noTrial:
		return trialPause
	}
	return max(min(firstPause<<min(max(p.failures, 1)-1, 8), maxPause), p.pause)
}

// isSuspected reports whether a query failed since it was asked last, and nothing worse is known.
func (p *presence) isSuspected() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	was := p.suspected
	p.suspected = false
	return was && !p.away
}

func (p *presence) state() (away bool, trial trial) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.away, p.trial
}

// openTrial lets one caller's rows through if only storing can tell whether the database is back; false if it need not.
// It was asked after and answered, so it can be read.
func (p *presence) openTrial() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch p.kind {
	case client.Unreachable, client.Foreign, client.Missing:
		if !p.untaken {
			return false
		}
	}
	p.deaf, p.trial = false, trialOpen
	return true
}

// look asks who answers, whether the database is there, and how long it keeps what it is given.
func (s *Store) look(ctx context.Context) error {
	if err := s.client.ReadToken(); err != nil {
		return &client.Error{Kind: client.Denied, Message: err.Error()}
	}
	server, err := s.client.Ping(ctx)
	if err != nil {
		return err
	}
	if err := (catalog.Catalog{Client: s.client, Server: server}).Exists(ctx, s.o.Database); err != nil {
		return err
	}
	var warnings []string
	for _, level := range append([]rollup.Level{rollup.Raw}, rollup.Levels()...) {
		if w := s.warning(ctx, server, level); w != "" {
			warnings = append(warnings, w)
		}
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	p := &s.presence
	p.mu.Lock()
	changed := !slices.Equal(warnings, p.warnings)
	other := p.server != server
	p.server, p.warnings = server, warnings
	p.mu.Unlock()
	s.encoder.ForgetFields() // others may have dropped what was there
	if other {
		s.o.Log.Info("InfluxDB answers", "version", server.Version, "generation", server.Generation)
	}
	if changed {
		for _, w := range warnings {
			s.o.Log.Warn(w)
		}
	}
	return nil
}

// warning compares how long a level's database keeps its rows with how long it should.
func (s *Store) warning(ctx context.Context, server client.Server, level rollup.Level) string {
	database := s.o.DatabaseOf(level)
	want, limited := s.o.Retention, true
	if level != rollup.Raw {
		want, limited = s.o.Keep[level]
	}
	have, known, err := s.client.Retention(ctx, server, database)
	if kind, ok := client.KindOf(err); ok && (kind == client.Missing || kind == client.Denied) {
		return fmt.Sprintf("Nothing can be stored in the database %s, nor read: %s", database, without(kind, database))
	}
	switch {
	case !known || have == 0 || limited && have >= want:
		return ""
	case !limited:
		return fmt.Sprintf("The database %s keeps its rows for %s, but they are wanted for ever; change that with: communewatch-collector influx setup", database, have)
	}
	return fmt.Sprintf("The database %s keeps its rows for %s, but they are wanted for %s; change that with: communewatch-collector influx setup", database, have, want)
}
