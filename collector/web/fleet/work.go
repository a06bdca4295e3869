package fleet

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"communewatch/collector/assign"
	"communewatch/collector/assign/cost"
	"communewatch/collector/assign/lists"
	"communewatch/collector/assign/values"
	"communewatch/collector/people"
	"communewatch/collector/plans"
	"communewatch/collector/registry/work"
	"communewatch/collector/web/fleet/diff"
	"communewatch/inventory"
)

// mostVersions is how many versions the page lists.
const mostVersions = 50

type workPage struct {
	page
	Current  work.Version
	Versions []work.Version
	Names    []string // of the values that the plan declares
	Values   []valueRow
	Secrets  []plans.Secret
	Mistakes []inventory.Problem // of a list of values

	// What somebody thinks of, with what would become of it; nil: nothing.
	Preview *plans.Preview
	Text    string // of the editor
	Table   string // values that the draft sets, as they are kept; "" for none
	Note    string
	Base    int
	Restore int // the version to go back to; 0: none
}

// valueRow is what one site has of each value.
type valueRow struct {
	Site  string
	Cells []string
}

// Edits tells whether the reader may change what agents do.
func (p *page) Edits() bool { return p.Caller.May(people.ActWork) && p.Everywhere() }

// Lines are the numbers of the plan's lines, for beside the editor.
func (p *workPage) Lines() string {
	var out strings.Builder
	for i := range strings.Count(p.Text, "\n") + 1 {
		out.WriteString(strconv.Itoa(i+1) + "\n")
	}
	return out.String()
}

// At is where a problem is, in words.
func (p *workPage) At(of assign.Problem) string {
	if of.Line > 0 {
		return p.T("fleet.line", "n", of.Line)
	}
	return of.At
}

// Mistake is where in a list a mistake is, in words.
func (p *workPage) Mistake(of inventory.Problem) string {
	var at []string
	if of.Row > 0 {
		at = append(at, p.T("fleet.mistake_row", "row", of.Row))
	}
	if of.Column != "" {
		at = append(at, p.T("fleet.mistake_column", "column", of.Column))
	}
	return strings.Join(at, ", ")
}

// Where names the sites of a problem, the first of them.
func (p *workPage) Where(of assign.Problem) string {
	const most = 5
	names := make([]string, 0, most+1)
	for i, id := range of.Sites {
		if i == most {
			names = append(names, "… "+p.Count(len(of.Sites)))
			break
		}
		names = append(names, p.SiteName(id))
	}
	return strings.Join(names, ", ")
}

// Minutes writes minutes of media a day.
func (p *workPage) Minutes(c cost.Cost) string { return p.Number(c.MediaMinutesPerDay, 0) }

// Share writes the share of a line; "" where its speed is not known.
func (p *workPage) Share(v float64) string {
	if v == 0 {
		return ""
	}
	return p.Percent(v)
}

// load reads all that the page shows beside a draft.
func (p *Pages) load(ctx context.Context, out *workPage) (err error) {
	if out.Current, err = p.o.Plans.Current(ctx); err != nil {
		return err
	}
	if out.Versions, err = p.o.Plans.Versions(ctx, mostVersions); err != nil {
		return err
	}
	if out.Current.ID > 0 {
		declared, _, err := p.o.Plans.Declared(ctx)
		if err != nil && !errors.Is(err, plans.ErrNoPlan) {
			return err
		}
		table, err := p.o.Plans.Values(ctx)
		if err != nil {
			return err
		}
		out.Names = slices.Sorted(maps.Keys(declared))
		for _, id := range slices.Sorted(maps.Keys(out.sites)) {
			row := valueRow{Site: id}
			for _, name := range out.Names {
				row.Cells = append(row.Cells, strings.Join(table[id][name], ", "))
			}
			if len(table[id]) > 0 {
				out.Values = append(out.Values, row)
			}
		}
	}
	if out.Edits() {
		out.Secrets, err = p.o.Plans.Secrets(ctx)
	}
	return err
}

// openWork begins the page of the plan. When ok is false it has been answered.
func (p *Pages) openWork(rw http.ResponseWriter, r *http.Request) (out workPage, ok bool) {
	at, ok := p.open(rw, r, "/fleet/work", "fleet.work")
	if !ok {
		return out, false
	}
	out = workPage{page: at}
	if err := p.load(r.Context(), &out); err != nil {
		p.sorry(rw, r, &out.page, err)
		return out, false
	}
	out.Text, out.Base = out.Current.Plan, out.Current.ID
	if out.Current.ID == 0 {
		out.Text = assign.Start()
	}
	return out, true
}

func (p *Pages) workPage(rw http.ResponseWriter, r *http.Request) {
	if out, ok := p.openWork(rw, r); ok {
		p.render(rw, r, http.StatusOK, "work", &out)
	}
}

// draft is the change that a form describes: the plan's text, or a pasted list of values, or both.
func (p *Pages) draft(r *http.Request, out *workPage) (d plans.Draft, err error) {
	out.Note, out.Table = field(r, "note"), text(r, "table")
	if base, err := strconv.Atoi(r.PostFormValue("base")); err == nil {
		out.Base = base
	}
	d = plans.Draft{Name: out.T("fleet.plan"), Note: out.Note, Base: out.Base}
	if r.PostForm.Has("plan") {
		out.Text = text(r, "plan")
		d.Plan = &out.Text
	}
	if list := text(r, "list"); strings.TrimSpace(list) != "" {
		declared, _, err := p.o.Plans.Declared(r.Context())
		if err != nil {
			return d, err
		}
		names, err := p.o.SiteNames(r.Context(), "")
		if err != nil {
			return d, err
		}
		read := lists.Options{Sites: names, Values: declared}.Read(out.T("fleet.list"), []byte(list))
		if out.Mistakes = read.Problems; len(read.Problems) > 0 {
			return d, errMistakes
		}
		// Not Table.Text, which leaves out what is taken away.
		table, err := json.Marshal(read.Values)
		if err != nil {
			return d, err
		}
		out.Table = string(table)
	}
	if out.Table != "" {
		d.Values, err = values.ParseTable(out.Table)
	}
	return d, err
}

// errMistakes says that a list has mistakes, which are shown.
var errMistakes = errors.New("the list has mistakes")

// answer shows the page of the plan with what came of a draft.
func (p *Pages) answer(rw http.ResponseWriter, r *http.Request, out *workPage, err error) {
	status := http.StatusOK
	var refused *plans.Refused
	switch {
	case errors.Is(err, errMistakes):
		status, out.Bad = http.StatusUnprocessableEntity, out.T("fleet.list_mistakes")
	case errors.As(err, &refused):
		out.Preview = &plans.Preview{Base: out.Base, Problems: refused.Problems}
		status = p.says(r, &out.page, err)
	case err != nil:
		status = p.says(r, &out.page, err)
	}
	p.render(rw, r, status, "work", out)
}

func (p *Pages) previewPlan(rw http.ResponseWriter, r *http.Request) {
	out, ok := p.openWork(rw, r)
	if !ok {
		return
	}
	d, err := p.draft(r, &out)
	if err == nil {
		out.Preview, err = p.o.Plans.Preview(r.Context(), d)
	}
	p.answer(rw, r, &out, err)
}

func (p *Pages) applyPlan(rw http.ResponseWriter, r *http.Request) {
	out, ok := p.openWork(rw, r)
	if !ok {
		return
	}
	d, err := p.draft(r, &out)
	var changed bool
	if err == nil {
		_, changed, err = p.o.Plans.Apply(r.Context(), d)
	}
	p.applied(rw, r, &out, changed, err)
}

func (p *Pages) applied(rw http.ResponseWriter, r *http.Request, out *workPage, changed bool, err error) {
	switch {
	case err != nil:
		p.answer(rw, r, out, err)
	case changed:
		redirect(rw, r, "/fleet/work", "applied")
	default:
		redirect(rw, r, "/fleet/work", "same")
	}
}

// rollback shows what going back to a version would do, and does it when that was seen.
func (p *Pages) rollback(rw http.ResponseWriter, r *http.Request) {
	out, ok := p.openWork(rw, r)
	if !ok {
		return
	}
	var err error
	if out.Restore, err = strconv.Atoi(r.PostFormValue("id")); err != nil {
		p.answer(rw, r, &out, work.ErrUnknownVersion)
		return
	}
	if out.Note = field(r, "note"); r.PostFormValue("sure") == "" {
		out.Preview, err = p.o.Plans.PreviewRollback(r.Context(), out.Restore)
		p.answer(rw, r, &out, err)
		return
	}
	_, changed, err := p.o.Plans.Rollback(r.Context(), out.Restore, out.Note)
	p.applied(rw, r, &out, changed, err)
}

func (p *Pages) changeSecret(rw http.ResponseWriter, r *http.Request) {
	out, ok := p.openWork(rw, r)
	if !ok {
		return
	}
	name := field(r, "name")
	var err error
	if r.PostFormValue("do") == "remove" {
		err = p.o.Plans.RemoveSecret(r.Context(), name)
	} else {
		err = p.o.Plans.SetSecret(r.Context(), name, r.PostFormValue("value"))
	}
	if err != nil {
		p.answer(rw, r, &out, err)
		return
	}
	redirect(rw, r, "/fleet/work", "secret")
}

type versionPage struct {
	page
	V     work.Version
	Prior int // the version before
	Diff  []diff.Line
}

func (p *Pages) versionPage(rw http.ResponseWriter, r *http.Request) {
	at, ok := p.open(rw, r, "/fleet/work", "fleet.version")
	if !ok {
		return
	}
	out := versionPage{page: at}
	id, err := strconv.Atoi(r.PathValue("id"))
	if err != nil {
		err = work.ErrUnknownVersion
	} else {
		out.V, err = p.o.Plans.Version(r.Context(), id)
	}
	before := work.Version{}
	if err == nil && id > 1 {
		if before, err = p.o.Plans.Version(r.Context(), id-1); errors.Is(err, work.ErrUnknownVersion) {
			err = nil // it was forgotten; all is new
		}
	}
	if err != nil {
		p.sorry(rw, r, &out.page, err)
		return
	}
	out.Prior = before.ID
	out.Diff = diff.Lines(before.Plan, out.V.Plan)
	p.render(rw, r, http.StatusOK, "version", &out)
}
