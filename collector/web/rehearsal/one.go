package rehearsal

import (
	"errors"
	"math"
	"net/http"
	"slices"
	"strings"
	"time"

	"communewatch/collector/api/rehearsals"
	"communewatch/collector/rehearsal"
	"communewatch/collector/rehearsal/words"
	"communewatch/inventory"
	"communewatch/probes"
	"communewatch/probes/orders"
)

// onePage is one rehearsal: as it goes while it does, and what came out when it has ended.
type onePage struct {
	page
	S       rehearsal.Status
	Why     []string
	Plan    rehearsal.Plan
	Live    bool   // it is planned or under way
	Problem string // what was wrong with an order, in the reader's words

	// Of one under way:
	Sites  []liveSite
	Tally  []tally
	Passed int // of the time that the plan takes, in percent

	// Of one that has ended:
	Report    *rehearsal.Report
	Counts    []markCount
	Asides    []aside
	Rows      []rehearsal.Row
	Found     int // rows that the filter lets through
	Actions   []doFirst
	Notes     []string
	Says      []string // what the profile can't say
	Search    string
	Mark      rehearsal.Mark // "" is all
	District  string
	Districts []string
}

// doFirst is an action and the sites that it would help.
type doFirst struct{ Text, Sites string }

// liveSite is a site of the step under way.
type liveSite struct {
	rehearsal.SiteStatus
	State string // the mark that it looks like; "" while nothing is known
}

// tally is how many sites of the step are how far.
type tally struct {
	Progress rehearsal.Progress
	N        int
}

// progresses in the order of the screens.
var progresses = []rehearsal.Progress{rehearsal.ProgressWaiting, rehearsal.ProgressTold, rehearsal.ProgressAccepted, rehearsal.ProgressStarted,
	rehearsal.ProgressDone, rehearsal.ProgressRefused, rehearsal.ProgressNoResult, rehearsal.ProgressNotConnected}

func (p *Pages) onePage(rw http.ResponseWriter, r *http.Request) { p.one(rw, r, http.StatusOK, "") }

// one answers with a rehearsal's page; problem says why an order about it was not carried out.
func (p *Pages) one(rw http.ResponseWriter, r *http.Request, status int, problem string) {
	id, ok := p.id(rw, r)
	if !ok {
		return
	}
	out := onePage{page: p.open(rw, r, "rehearsal.one"), Problem: problem}
	var err error
	if out.S, err = p.o.Service.Status(r.Context(), id); err != nil {
		p.fail(rw, r, err)
		return
	}
	rep, err := p.o.Service.Get(r.Context(), id)
	if err != nil {
		p.fail(rw, r, err)
		return
	}
	out.PageTitle = out.S.Meeting + " – " + out.PageTitle
	out.Plan = rep.Plan
	out.Live = !out.S.State.Final()
	for _, n := range out.S.Why {
		out.Why = append(out.Why, words.Note(out.Words, n))
	}
	if out.Live {
		out.progress()
	} else {
		out.result(&rep)
	}
	p.house.Render(rw, r, status, p.templates, "one", &out)
}

// progress fills what is shown of a rehearsal under way.
func (out *onePage) progress() {
	for _, s := range out.S.SiteStates {
		l := liveSite{SiteStatus: s}
		switch {
		case s.Up != nil || s.Down != nil:
			l.State = out.LossState(s.Up, s.Down)
			if s.Limited != "" {
				l.State = string(rehearsal.Unknown) // the numbers are not the line's
			}
		case s.Progress.Final():
			l.State = string(rehearsal.Unknown)
		}
		out.Sites = append(out.Sites, l)
	}
	// What needs a look first, then in the plan's order, which does not jump about.
	slices.SortStableFunc(out.Sites, func(a, b liveSite) int { return liveRank(b) - liveRank(a) })
	for _, pr := range progresses {
		if n := out.S.Counts[pr]; n > 0 {
			out.Tally = append(out.Tally, tally{pr, n})
		}
	}
	if total := out.Plan.TotalSeconds; total > 0 && out.S.Began != nil {
		out.Passed = min(100, max(0, 100-100*out.S.SecondsLeft/total))
	}
}

func liveRank(s liveSite) int {
	switch rehearsal.Mark(s.State) {
	case rehearsal.NoGo:
		return 3
	case rehearsal.AtRisk:
		return 2
	case rehearsal.Unknown:
		return 1
	}
	return 0
}

// aside is a way for sites of a step to have no result, with how many went it.
type aside struct {
	Key string // of its words
	Of  []int  // by step
}

// asides says of each step why sites of it have no result: those with one and these are all of its sites.
func asides(v *rehearsal.Verdict) []aside {
	out := []aside{{Key: "rehearsal.failed_calls"}, {Key: "rehearsal.limited"}, {Key: "rehearsal.not_connected"}, {Key: "rehearsal.refused_calls"}, {Key: "rehearsal.nothing"}}
	for i, s := range v.Steps {
		away, refused := 0, 0
		for _, row := range v.Rows {
			if i >= len(row.Steps) {
				continue
			}
			switch row.Steps[i].Progress {
			case rehearsal.ProgressNotConnected:
				away++
			case rehearsal.ProgressRefused:
				refused++
			}
		}
		rest := max(0, s.Sites-s.Results-s.Failed-s.Limited-away-refused)
		for k, n := range []int{s.Failed, s.Limited, away, refused, rest} {
			out[k].Of = append(out[k].Of, n)
		}
	}
	return out
}

// mostActions is how many actions a page puts on top.
const mostActions = 3

// result fills what is shown of a rehearsal that has ended.
func (out *onePage) result(rep *rehearsal.Report) {
	out.Report = rep
	v := &rep.Verdict
	out.Counts = countsOf(v.Counts)
	out.Asides = asides(v)
	for i, a := range v.Actions {
		if i < mostActions {
			out.Actions = append(out.Actions, doFirst{words.Action(out.Words, a), out.Named(a.Sites)})
		}
	}
	for _, n := range v.Notes {
		out.Notes = append(out.Notes, words.Note(out.Words, n))
	}
	out.Says = out.limits()
	q := out.Query()
	out.Search = strings.TrimSpace(clip(q.Get("q")))
	out.District = q.Get("district")
	if m := rehearsal.Mark(q.Get("mark")); slices.Contains(marks, m) {
		out.Mark = m
	}
	search := inventory.Fold(out.Search)
	for _, row := range v.Rows {
		if row.District != "" && !slices.Contains(out.Districts, row.District) {
			out.Districts = append(out.Districts, row.District)
		}
		if out.Mark != "" && row.Overall != out.Mark || out.District != "" && row.District != out.District ||
			search != "" && !strings.Contains(out.Folded(row), search) {
			continue
		}
		out.Rows = append(out.Rows, row)
	}
	out.Found = len(out.Rows)
	slices.SortFunc(out.Districts, func(a, b string) int { return strings.Compare(inventory.Fold(a), inventory.Fold(b)) })
}

// Folded is what a search looks through of a line, without accents.
func (out *onePage) Folded(row rehearsal.Row) string {
	n := out.names[row.Site]
	return inventory.Fold(strings.Join([]string{n.Name, n.Type, n.Code, row.District, row.Site}, " "))
}

// maxSearch bounds what is searched for and shown of it, in bytes.
const maxSearch = 200

func clip(s string) string {
	if len(s) > maxSearch {
		s = s[:maxSearch]
	}
	return strings.ToValidUTF8(s, "")
}

// meetingBPS is what a picture of a usual meeting (720p) takes; a test with less can't speak for one.
const meetingBPS = 2_000_000

// limits says what was tested with, and what that can't say.
func (out *onePage) limits() []string {
	if !slices.ContainsFunc(out.Report.Verdict.Steps, func(s rehearsal.StepSummary) bool { return s.Results > 0 }) {
		return []string{out.T("rehearsal.nothing_tested")}
	}
	prof := out.Plan.Profile
	said := []string{out.T("rehearsal.tested", "rate", out.BitRate(float64(prof.AudioBPS+prof.VideoBPS)), "profile", out.Profile(prof),
		"seconds", out.Plan.StepSeconds)}
	switch {
	case prof.VideoBPS == 0:
		said = append(said, out.T("rehearsal.only_audio"))
	case prof.VideoBPS < meetingBPS:
		said = append(said, out.T("rehearsal.below_meeting", "rate", out.BitRate(float64(prof.AudioBPS+prof.VideoBPS)), "meeting", out.BitRate(meetingBPS)))
	}
	return append(said, out.T("rehearsal.not_the_room"), out.T("rehearsal.not_longer", "seconds", out.Plan.StepSeconds))
}

// Profile says what a profile streams: "720p: âm thanh 32 kbit/s, hình ảnh 2 Mbit/s, 30 hình/s".
func (p page) Profile(prof orders.Profile) string {
	parts := []string{}
	if prof.AudioBPS > 0 {
		parts = append(parts, p.T("rehearsal.audio_rate", "rate", p.BitRate(float64(prof.AudioBPS))))
	}
	if prof.VideoBPS > 0 {
		parts = append(parts, p.T("rehearsal.video_rate", "rate", p.BitRate(float64(prof.VideoBPS)), "fps", prof.FPS))
	}
	return prof.Name + ": " + strings.Join(parts, ", ")
}

// Columns are the matrix's.
func (p page) Columns() []rehearsal.Column { return rehearsal.Columns() }

// Cell is a line's verdict in a column.
func (p page) Cell(row rehearsal.Row, c rehearsal.Column) rehearsal.Cell {
	if cell, ok := row.Cells[c]; ok {
		return cell
	}
	return rehearsal.Cell{Mark: rehearsal.Unknown}
}

// Because words why a verdict is what it is.
func (p page) Because(w rehearsal.Why) string {
	if w.Code == "" {
		return ""
	}
	return words.Why(p.Words, w)
}

// CellSays words why a cell is what it is.
func (p page) CellSays(c rehearsal.Cell) string {
	if c.Why.Code == "" {
		return ""
	}
	return words.Cell(p.Words, &c, p.Now)
}

// NoLevel says why a cell tells no level of the ladder.
func (p page) NoLevel(c rehearsal.Cell) string {
	switch c.Why.Code {
	case rehearsal.CodeSilent:
		return p.T("level.none")
	case rehearsal.CodeNoEndpoint:
		return p.T("level.no_endpoint")
	}
	return p.T("level.unknown")
}

// MarkName, StateName and ProgressName name what they are given.
func (p page) MarkName(m rehearsal.Mark) string          { return words.Mark(p.Words, m) }
func (p page) StateName(s rehearsal.State) string        { return words.State(p.Words, s) }
func (p page) ProgressName(pr rehearsal.Progress) string { return words.Progress(p.Words, pr) }

// Rungs are the rungs of the readiness ladder up to a level, for drawing.
func (p page) Rungs(level int) []bool {
	out := make([]bool, 5)
	for i := range out {
		out[i] = i <= level
	}
	return out
}

// Deref is the level that a cell knows.
func (p page) Deref(level *int) int { return *level }

// Worst is the larger of two losses, nil where neither was measured.
func Worst(up, down *float64) *float64 {
	switch {
	case up == nil:
		return down
	case down == nil:
		return up
	}
	v := math.Max(*up, *down)
	return &v
}

// StepWorst is what a line lost in a step, the worse way of it.
func (p page) StepWorst(s rehearsal.StepLoss) *float64 { return Worst(s.Up, s.Down) }

// StepState is the mark that a step's loss looks like; "" for a site that was not in it.
func (p page) StepState(s rehearsal.StepLoss) string {
	switch {
	case s.Progress == "":
		return ""
	case s.Limited != "":
		return string(rehearsal.Unknown)
	}
	return p.LossState(s.Up, s.Down)
}

// AtStep is a step's number as people count.
func (p page) AtStep(i int) int { return i + 1 }

// sitePage is all that was measured at one site.
type sitePage struct {
	page
	S       rehearsal.Summary
	ID      string
	Row     *rehearsal.Row
	Results []siteResult
	Facts   *rehearsal.Evidence
	Steps   []int
}

// siteResult is a site's result in one step.
type siteResult struct {
	rehearsal.Result
	Up, Down, Round *float64
}

func (p *Pages) sitePage(rw http.ResponseWriter, r *http.Request) {
	id, ok := p.id(rw, r)
	if !ok {
		return
	}
	out := sitePage{page: p.open(rw, r, "rehearsal.one"), ID: r.PathValue("site")}
	rep, err := p.o.Service.Get(r.Context(), id)
	if err != nil {
		p.fail(rw, r, err)
		return
	}
	if out.S, err = p.summary(r, id); err != nil {
		p.fail(rw, r, err)
		return
	}
	if rep.Plan.Joins(out.ID) < 0 {
		p.nowhere(rw, r)
		return
	}
	out.Steps = rep.Plan.Steps
	for i := range rep.Verdict.Rows {
		if rep.Verdict.Rows[i].Site == out.ID {
			out.Row = &rep.Verdict.Rows[i]
		}
	}
	for i := range rep.Evidence {
		if rep.Evidence[i].Site == out.ID {
			out.Facts = &rep.Evidence[i]
		}
	}
	for _, res := range rep.Results {
		if res.Site != out.ID {
			continue
		}
		one := siteResult{Result: res}
		for d, into := range map[probes.Direction]**float64{probes.DirectionUp: &one.Up, probes.DirectionDown: &one.Down, probes.DirectionRound: &one.Round} {
			if v, _, ok := res.Lost(d); ok {
				*into = &v
			}
		}
		out.Results = append(out.Results, one)
	}
	out.PageTitle = out.Site(out.ID) + " – " + out.PageTitle
	p.render(rw, r, "site", &out)
}

func (p *Pages) summary(r *http.Request, id rehearsal.ID) (rehearsal.Summary, error) {
	s, err := p.o.Service.Status(r.Context(), id)
	return s.Summary, err
}

// stop ends a rehearsal on an operator's order.
func (p *Pages) stop(rw http.ResponseWriter, r *http.Request) {
	id, ok := p.id(rw, r)
	if !ok {
		return
	}
	who, err := p.enter(rw, r)
	if err == nil {
		err = p.o.Service.Stop(r.Context(), id, who)
	}
	if err != nil {
		status, problem := p.problem(rw, r, err)
		p.one(rw, r, status, problem)
		return
	}
	http.Redirect(rw, r, "/rehearsals/"+id.String(), http.StatusSeeOther)
}

// maxForm bounds the body of a form.
const maxForm = 64 << 10

// enter reads a form and lets its operator in.
func (p *Pages) enter(rw http.ResponseWriter, r *http.Request) (who string, err error) {
	r.Body = http.MaxBytesReader(rw, r.Body, maxForm)
	if err := r.ParseForm(); err != nil {
		return "", &rehearsals.Problem{Status: http.StatusBadRequest, Code: "invalid"}
	}
	return p.o.Door.Enter(r, strings.TrimSpace(r.PostForm.Get("code")))
}

// problem says in the reader's words why an order was not carried out.
func (p *Pages) problem(rw http.ResponseWriter, r *http.Request, err error) (status int, says string) {
	t := p.house.Frame(rw, r).T
	var problem *rehearsals.Problem
	var refused *rehearsal.Refused
	switch {
	case errors.As(err, &problem):
		key := map[int]string{http.StatusUnauthorized: "rehearsal.code_wrong", http.StatusForbidden: "rehearsal.code_not_operator",
			http.StatusTooManyRequests: "rehearsal.code_too_many"}[problem.Status]
		if key == "" {
			return problem.Status, t("rehearsal.form_unreadable")
		}
		return problem.Status, t(key)
	case errors.As(err, &refused):
		return http.StatusUnprocessableEntity, t("rehearsal.refused")
	case errors.Is(err, rehearsal.ErrRunning):
		return http.StatusConflict, t("rehearsal.already_running")
	case errors.Is(err, rehearsal.ErrHeld):
		return http.StatusConflict, t("rehearsal.held")
	case errors.Is(err, rehearsal.ErrNotRunning):
		return http.StatusConflict, t("rehearsal.not_running")
	case errors.Is(err, rehearsal.ErrUnknown):
		return http.StatusNotFound, t("rehearsal.nowhere_hint")
	case errors.Is(err, rehearsal.ErrClosing):
		return http.StatusServiceUnavailable, t("rehearsal.closing")
	}
	p.o.Log.Error("order not carried out", "path", r.URL.Path, "error", err)
	return http.StatusInternalServerError, t("error.page")
}

// Left words the time that is left.
func (out *onePage) Left() string { return out.Seconds(float64(out.S.SecondsLeft)) }

// Unix is a moment for the island, which counts down to it.
func (p page) Unix(t *time.Time) int64 {
	if t == nil {
		return 0
	}
	return t.UnixMilli()
}
