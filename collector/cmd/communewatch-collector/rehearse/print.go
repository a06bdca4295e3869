package rehearse

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"communewatch/collector/phrase"
	"communewatch/collector/rehearsal"
	"communewatch/collector/rehearsal/words"
)

// pick chooses between the languages.
func pick(l phrase.Lang, vi, en string) string {
	if l == phrase.English {
		return en
	}
	return vi
}

func printPlan(w io.Writer, l phrase.Lang, p *rehearsal.Plan) error {
	rate := fmt.Sprintf("%g + %g kbit/s", float64(p.Profile.AudioBPS)/1000, float64(p.Profile.VideoBPS)/1000)
	fmt.Fprintf(w, pick(l, "Diễn tập: %s, %s (tiếng + hình %s)\n", "Rehearsal: %s, %s (audio + video %s)\n"), p.Meeting, p.Profile.Name, rate)
	if p.At != nil {
		fmt.Fprintf(w, pick(l, "Bắt đầu lúc %s\n", "Begins at %s\n"), local(*p.At))
	}
	for _, e := range p.Estimates {
		line := fmt.Sprintf(pick(l, "bước %d: %d điểm, trung tâm gửi %s, nhận %s", "step %d: %d sites, the hub sends %s, receives %s"),
			e.Step, e.Sites, words.Rate(l, e.OutOfHub), words.Rate(l, e.IntoHub))
		if e.Over {
			line += pick(l, "  << vượt khả năng của trung tâm", "  << above the hub's capacity")
		}
		fmt.Fprintln(w, line)
	}
	if len(p.Estimates) > 0 {
		length := time.Duration(p.TotalSeconds) * time.Second
		fmt.Fprintf(w, pick(l, "Tổng thời gian khoảng %s, mỗi bước %d giây\n", "About %s in all, %d s in each step\n"), span(l, length), p.StepSeconds)
	}
	for _, n := range p.Warnings {
		fmt.Fprintf(w, "! %s%s\n", words.Note(l, n), some(n.Sites, nil))
	}
	return nil
}

// span words a length of time.
func span(l phrase.Lang, d time.Duration) string {
	if l == phrase.English {
		return d.String()
	}
	minutes, seconds := int(d/time.Minute), int(d%time.Minute/time.Second)
	switch {
	case minutes == 0:
		return fmt.Sprintf("%d giây", seconds)
	case seconds == 0:
		return fmt.Sprintf("%d phút", minutes)
	}
	return fmt.Sprintf("%d phút %d giây", minutes, seconds)
}

// some lists the first of sites, by name where one is known.
func some(sites []string, names map[string]string) string {
	const most = 8
	if len(sites) == 0 {
		return ""
	}
	shown := make([]string, 0, most)
	for _, s := range sites[:min(most, len(sites))] {
		shown = append(shown, named(s, names))
	}
	text := ": " + strings.Join(shown, ", ")
	if len(sites) > most {
		text += fmt.Sprintf(", … (+%d)", len(sites)-most)
	}
	return text
}

func named(site string, names map[string]string) string {
	if n := names[site]; n != "" {
		return n + " (" + site + ")"
	}
	return site
}

func printStatus(w io.Writer, l phrase.Lang, st *rehearsal.Status) {
	fmt.Fprintf(w, "%v %s: %s", st.ID, st.Meeting, words.State(l, st.State))
	if st.State == rehearsal.StateRunning {
		fmt.Fprintf(w, pick(l, ", bước %d/%d, còn khoảng %d giây", ", step %d of %d, about %d s left"), st.Step, len(st.Steps), st.SecondsLeft)
	}
	fmt.Fprintln(w)
	if len(st.Why) > 0 {
		fmt.Fprintln(w, notes(l, st.Why))
	}
	if st.Held != nil {
		fmt.Fprintf(w, pick(l, "Đang giữ đường truyền cho cuộc họp %s tới %s\n", "The line is held for the meeting %s until %s\n"), st.Held.Meeting, local(st.Held.Until))
	}
	if st.StepSites > 0 {
		fmt.Fprintln(w, counted(l, st.Counts, st.StepSites))
	}
	if st.Load.Known || st.Load.Unreachable {
		fmt.Fprintln(w, loaded(l, &st.Load))
	}
}

// progresses in the order of their coming.
var progresses = []rehearsal.Progress{rehearsal.ProgressWaiting, rehearsal.ProgressTold, rehearsal.ProgressAccepted, rehearsal.ProgressStarted,
	rehearsal.ProgressDone, rehearsal.ProgressRefused, rehearsal.ProgressNoResult, rehearsal.ProgressNotConnected}

func counted(l phrase.Lang, c rehearsal.Counts, of int) string {
	var parts []string
	for _, p := range progresses {
		if c[p] > 0 {
			parts = append(parts, fmt.Sprintf("%s %d", strings.ToLower(words.Progress(l, p)), c[p]))
		}
	}
	return fmt.Sprintf(pick(l, "%d điểm: ", "%d sites: "), of) + strings.Join(parts, ", ")
}

func loaded(l phrase.Lang, load *rehearsal.Load) string {
	if load.Unreachable {
		return pick(l, "trung tâm: không hỏi được trạng thái máy chủ đo", "hub: the test server does not say how it fares")
	}
	return fmt.Sprintf(pick(l, "trung tâm: %d cuộc gọi, bộ xử lý %.0f %%, thời gian gói lưu tại trung tâm %.1f ms", "hub: %d calls, processors %.0f %%, packets stay %.1f ms"),
		load.Sessions, load.CPURatio*100, load.ResidenceP99*1000)
}

// viewer prints what happens: a line when a step begins, a line whenever much has changed, and one at a step's end.
type viewer struct {
	w    io.Writer
	lang phrase.Lang
	plan *rehearsal.Plan // nil: not known

	step   int
	sites  int
	states map[string]rehearsal.Progress
	last   time.Time // of the newest line
}

// lineEvery is how often progress is told.
const lineEvery = 5 * time.Second

func (v *viewer) show(e *rehearsal.Event) {
	switch e.Kind {
	case rehearsal.EventStep:
		v.flush()
		v.step, v.sites, v.states, v.last = e.Step, e.Sites, map[string]rehearsal.Progress{}, e.At
		line := fmt.Sprintf(pick(v.lang, "bước %d: %d điểm", "step %d: %d sites"), e.Step, e.Sites)
		if v.plan != nil && e.Step <= len(v.plan.Estimates) {
			line += fmt.Sprintf(pick(v.lang, ", trung tâm gửi %s", ", the hub sends %s"), words.Rate(v.lang, v.plan.Estimates[e.Step-1].OutOfHub))
		}
		fmt.Fprintln(v.w, line)
	case rehearsal.EventSite:
		if v.states == nil { // joined while a step was under way
			v.states = map[string]rehearsal.Progress{}
		}
		v.states[e.Site.Site] = e.Site.Progress
	case rehearsal.EventLoad:
		if e.At.Sub(v.last) >= lineEvery {
			v.last = e.At
			fmt.Fprintf(v.w, "  %s; %s\n", v.counts(), loaded(v.lang, e.Load))
		}
	}
}

func (v *viewer) counts() string {
	c := rehearsal.Counts{}
	for _, p := range v.states {
		c[p]++
	}
	return counted(v.lang, c, max(v.sites, len(v.states)))
}

// flush tells how the step ended.
func (v *viewer) flush() {
	if len(v.states) > 0 {
		fmt.Fprintf(v.w, "  %s\n", v.counts())
	}
	v.states = nil
}

// marks in the order of lists.
var marks = []rehearsal.Mark{rehearsal.NoGo, rehearsal.Unknown, rehearsal.AtRisk, rehearsal.Go}

func printReport(w io.Writer, l phrase.Lang, rep *rehearsal.Report, names map[string]string) error {
	v := &rep.Verdict
	fmt.Fprintf(w, "\n%v %s, %s: %s\n", rep.ID, rep.Plan.Meeting, rep.Plan.Profile.Name, words.State(l, rep.State))
	if len(rep.Why) > 0 {
		fmt.Fprintln(w, notes(l, rep.Why))
	}
	var counts []string
	for _, m := range marks {
		counts = append(counts, fmt.Sprintf("%s %d", words.Mark(l, m), v.Counts[m]))
	}
	fmt.Fprintln(w, strings.Join(counts, ", "))
	fmt.Fprintf(w, "%s: %s. %s\n", words.Column(l, rehearsal.ColumnHub), words.Mark(l, v.Hub.Mark), words.Why(l, v.Hub.Why))
	for _, n := range v.Notes {
		fmt.Fprintf(w, "! %s\n", words.Note(l, n))
	}
	for i, a := range v.Actions {
		fmt.Fprintf(w, "%d. %s%s\n", i+1, words.Action(l, a), some(a.Sites, names))
	}
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprint(tw, pick(l, "ĐIỂM\tKẾT LUẬN", "SITE\tOVERALL"))
	for _, c := range rehearsal.Columns() {
		fmt.Fprint(tw, "\t", strings.ToUpper(words.Column(l, c)))
	}
	fmt.Fprint(tw, pick(l, "\tMẤT/TRỄ LÊN/XUỐNG\tVÌ SAO\n", "\tLOST/LATE UP/DOWN\tWHY\n"))
	now := cmp.Or(rep.Ended, rep.Began, &rep.Created)
	for i := range v.Rows {
		r := &v.Rows[i]
		fmt.Fprintf(tw, "%s\t%s", named(r.Site, names), words.Mark(l, r.Overall))
		for _, c := range rehearsal.Columns() {
			cell := r.Cells[c]
			text := words.Mark(l, cell.Mark)
			if cell.Level != nil {
				text += fmt.Sprintf(" L%d", *cell.Level)
			}
			fmt.Fprint(tw, "\t", text)
		}
		fmt.Fprintf(tw, "\t%s\t%s\n", losses(l, r), reason(l, r, *now))
	}
	return tw.Flush()
}

// reason says why a row is what it is: first what is wrong with its calls, whatever else decided.
func reason(l phrase.Lang, r *rehearsal.Row, now time.Time) string {
	why := words.Why(l, r.Why)
	if cell, ok := r.Cells[r.Decided]; ok && cell.Why == r.Why {
		why = words.Cell(l, &cell, now)
	}
	if bad := r.Call.Mark == rehearsal.NoGo || r.Call.Mark == rehearsal.AtRisk; bad && r.Call.Why != r.Why {
		why = words.Why(l, r.Call.Why) + "; " + why
	}
	return why
}

// losses tells the largest share of packets lost or late of a row, each way.
func losses(l phrase.Lang, r *rehearsal.Row) string {
	var up, down *float64
	larger := func(into **float64, v *float64) {
		if v != nil && (*into == nil || *v > **into) {
			*into = v
		}
	}
	for i := range r.Steps {
		larger(&up, r.Steps[i].Up)
		larger(&down, r.Steps[i].Down)
	}
	one := func(v *float64) string {
		if v == nil {
			return "-"
		}
		text := fmt.Sprintf("%.1f %%", *v*100)
		if l == phrase.English {
			return text
		}
		return strings.Replace(text, ".", ",", 1)
	}
	return one(up) + " / " + one(down)
}

func printComparison(w io.Writer, l phrase.Lang, c *rehearsal.Comparison, names map[string]string) error {
	if !c.SameProfile {
		fmt.Fprintln(w, pick(l, "! Hai buổi dùng mức chất lượng khác nhau, không so sánh được tỷ lệ mất gói", "! The two used different profiles: their loss can't be compared"))
	}
	for _, one := range []struct {
		s      *rehearsal.Summary
		hub    rehearsal.Cell
		counts map[rehearsal.Mark]int
	}{{&c.Before, c.HubB, c.CountB}, {&c.After, c.HubA, c.CountA}} {
		fmt.Fprintf(w, "%v %s, %s:", one.s.ID, one.s.Meeting, one.s.Profile)
		for _, m := range marks {
			fmt.Fprintf(w, " %s %d,", words.Mark(l, m), one.counts[m])
		}
		fmt.Fprintf(w, " %s %s\n", words.Column(l, rehearsal.ColumnHub), words.Mark(l, one.hub.Mark))
	}
	for _, list := range []struct {
		head    string
		changes []rehearsal.Change
	}{{pick(l, "Xấu đi", "Worse"), c.Worse}, {pick(l, "Tốt lên", "Better"), c.Better}} {
		fmt.Fprintf(w, "%s: %d\n", list.head, len(list.changes))
		for _, ch := range list.changes {
			fmt.Fprintf(w, "  %s: %s -> %s. %s\n", named(ch.Site, names), words.Mark(l, ch.Before), words.Mark(l, ch.After), words.Why(l, ch.WhyA))
		}
	}
	fmt.Fprintf(w, pick(l, "Không đổi: %d\n", "The same: %d\n"), c.Same)
	for _, list := range []struct {
		head  string
		sites []string
	}{{pick(l, "Chỉ có ở buổi trước", "Only in the first"), c.Left}, {pick(l, "Chỉ có ở buổi sau", "Only in the second"), c.Joined}} {
		if len(list.sites) > 0 {
			fmt.Fprintf(w, "%s%s\n", list.head, some(slices.Clone(list.sites), names))
		}
	}
	return nil
}
