package fleet

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	questions "communewatch/collector/api/fleet"
	"communewatch/collector/audit"
	"communewatch/collector/people"
	kept "communewatch/collector/registry/people"
	"communewatch/inventory/sheet"
)

type peoplePage struct {
	page
	List      []kept.Person
	Keys      []kept.Key
	Roles     []people.Role
	Districts []string
	Secret    string // a link or a key, shown this once
	SecretOf  string
	IsKey     bool
}

// Sees are the districts that somebody sees, in words.
func (p *page) Sees(districts []string) string {
	if districts == nil {
		return p.T("account.everywhere")
	}
	return strings.Join(districts, ", ")
}

// Has tells whether a person sees a district by its name, for the boxes of a form.
func (p *peoplePage) Has(districts []string, name string) bool {
	return slices.Contains(districts, name)
}

func (p *Pages) peoplePage(rw http.ResponseWriter, r *http.Request) {
	at, ok := p.open(rw, r, "/fleet/people", "fleet.people")
	if !ok {
		return
	}
	p.showPeople(rw, r, http.StatusOK, &peoplePage{page: at})
}

func (p *Pages) showPeople(rw http.ResponseWriter, r *http.Request, status int, out *peoplePage) {
	var err error
	if out.List, err = p.o.People.All(r.Context()); err == nil {
		out.Keys, err = p.o.People.Keys(r.Context(), "")
	}
	if err != nil {
		p.sorry(rw, r, &out.page, err)
		return
	}
	out.Roles = people.Roles()
	for _, s := range out.sites {
		if s.Parent != "" && !slices.Contains(out.Districts, s.Parent) {
			out.Districts = append(out.Districts, s.Parent)
		}
	}
	slices.Sort(out.Districts)
	rw.Header().Set("Referrer-Policy", "no-referrer") // a secret may be on the page
	p.render(rw, r, status, "people", out)
}

func (p *Pages) changePeople(rw http.ResponseWriter, r *http.Request) {
	at, ok := p.open(rw, r, "/fleet/people", "fleet.people")
	if !ok {
		return
	}
	out := &peoplePage{page: at}
	err := p.doPeople(r, out)
	switch {
	case err != nil:
		p.showPeople(rw, r, p.says(r, &out.page, err), out)
	case out.Secret != "":
		p.showPeople(rw, r, http.StatusOK, out) // it is kept nowhere, so there is nothing to go to
	default:
		redirect(rw, r, "/fleet/people", "people")
	}
}

// districts are those that a form says; nil for all.
func districts(r *http.Request) []string {
	if r.PostFormValue("where") != "some" {
		return nil
	}
	return append([]string{}, r.PostForm["district"]...)
}

func (p *Pages) doPeople(r *http.Request, out *peoplePage) (err error) {
	store, ctx, name := p.o.People, r.Context(), field(r, "name")
	role, where := people.Role(r.PostFormValue("role")), districts(r)
	if do := r.PostFormValue("do"); where != nil && len(where) == 0 && (do == "add" || do == "set" || do == "key") {
		return errors.New(out.T("fleet.say_district"))
	}
	switch r.PostFormValue("do") {
	case "add":
		person := kept.Person{Name: strings.ToLower(name), Display: field(r, "display"), Role: role, Districts: where}
		if err = person.Check(); err == nil {
			err = store.Add(ctx, person, "")
		}
		if err == nil {
			err = p.link(r, person.Name, out)
		}
	case "set":
		if !role.Valid() {
			return errors.New(out.T("fleet.say_role"))
		}
		display := field(r, "display")
		err = store.Set(ctx, name, kept.Change{Display: &display, Role: &role, Districts: &where})
	case "disable", "enable":
		disabled := r.PostFormValue("do") == "disable"
		err = store.Set(ctx, name, kept.Change{Disabled: &disabled})
	case "link":
		err = p.link(r, name, out)
	case "key":
		days, _ := strconv.Atoi(r.PostFormValue("days"))
		out.Secret, _, err = store.CreateKey(ctx, kept.Key{Person: name, Role: role, Districts: where, Note: field(r, "note"),
			Expires: out.Now.Add(time.Duration(days) * 24 * time.Hour)})
		out.SecretOf, out.IsKey = name, true
	case "revoke_key":
		err = store.RevokeKey(ctx, field(r, "id"), "")
	default:
		err = errors.New(out.T("fleet.say_what"))
	}
	return err
}

// link makes a link for a person to set a password with.
func (p *Pages) link(r *http.Request, name string, out *peoplePage) error {
	secret, err := p.o.People.CreateLink(r.Context(), name)
	if err != nil {
		return err
	}
	out.Secret, out.SecretOf = "/first/"+secret, name
	if p.o.Link != nil {
		out.Secret = p.o.Link(secret)
	}
	return nil
}

// Bounds of the record on a page, and in a file.
const (
	pageEntries = 200
	readEntries = 10_000  // at a time
	fileEntries = 100_000 // who wants more asks for less time
)

type auditPage struct {
	page
	List          []audit.Entry
	Who, Act      string
	From, To      string // days
	Older         int64  // the ID to go on before; 0: that was all
	RecordOptions string // the filter, for links to files
}

// FileEntries is how many lines a file holds.
func (p *auditPage) FileEntries() int { return fileEntries }

// filter reads what the address asks for.
func (p *auditPage) filter(limit int) audit.Filter {
	q := p.Query()
	p.Who, p.Act, p.From, p.To = strings.TrimSpace(q.Get("who")), strings.TrimSpace(q.Get("act")), q.Get("from"), q.Get("to")
	f := audit.Filter{Who: p.Who, Act: p.Act, Limit: limit}
	if day, err := time.ParseInLocation(time.DateOnly, p.From, p.Zone); err == nil {
		f.From = day
	}
	if day, err := time.ParseInLocation(time.DateOnly, p.To, p.Zone); err == nil {
		f.To = day.AddDate(0, 0, 1)
	}
	f.Before, _ = strconv.ParseInt(q.Get("before"), 10, 64)
	q.Del("before")
	q.Del("done")
	p.RecordOptions = q.Encode()
	return f
}

func (p *Pages) auditPage(rw http.ResponseWriter, r *http.Request) {
	at, ok := p.open(rw, r, "/fleet/audit", "fleet.audit")
	if !ok {
		return
	}
	out := auditPage{page: at}
	var err error
	if out.List, err = p.o.People.Entries(r.Context(), out.filter(pageEntries)); err != nil {
		p.sorry(rw, r, &out.page, err)
		return
	}
	if len(out.List) == pageEntries {
		out.Older = out.List[pageEntries-1].ID
	}
	p.render(rw, r, http.StatusOK, "audit", &out)
}

// whole reads as much of the record as a file holds, newest first.
func (p *Pages) whole(ctx context.Context, f audit.Filter) (all []audit.Entry, err error) {
	for len(all) < fileEntries {
		some, err := p.o.People.Entries(ctx, f)
		if err != nil {
			return nil, err
		}
		if all = append(all, some...); len(some) < f.Limit {
			break
		}
		f.Before = some[len(some)-1].ID
	}
	return all, nil
}

// auditFile answers with the record as CSV or JSON.
func (p *Pages) auditFile(rw http.ResponseWriter, r *http.Request) {
	at, ok := p.open(rw, r, "/fleet/audit", "fleet.audit")
	if !ok {
		return
	}
	out := auditPage{page: at}
	list, err := p.whole(r.Context(), out.filter(readEntries))
	if err != nil {
		p.sorry(rw, r, &out.page, err)
		return
	}
	if strings.HasSuffix(r.URL.Path, ".json") {
		body, err := json.Marshal(questions.Entries(list))
		if err != nil {
			p.sorry(rw, r, &out.page, err)
			return
		}
		rw.Header().Set("Content-Type", "application/json")
		rw.Header().Set("Cache-Control", "no-store")
		rw.Header().Set("Content-Disposition", `attachment; filename="`+out.T("fleet.audit_file")+`.json"`)
		_, _ = rw.Write(body) // the reader has gone; there is nobody to tell
		return
	}
	s := &sheet.Sheet{Name: out.T("fleet.audit"), Zone: out.Zone}
	for _, key := range []string{"id", "at", "who", "via", "address", "act", "what", "detail", "ok"} {
		kind := sheet.Text
		if key == "at" {
			kind = sheet.Time
		}
		s.Columns = append(s.Columns, sheet.Column{Heading: out.T("fleet.audit_" + key), Kind: kind})
	}
	for _, e := range list {
		s.Rows = append(s.Rows, []any{strconv.FormatInt(e.ID, 10), e.At, e.Who, e.Via, e.Address, e.Act, out.Object(e.What), out.Say(e.Detail), out.T(okKey(e.OK))})
	}
	p.send(rw, r, &out.page, out.T("fleet.audit_file"), s)
}

// ActWord is what was done, in words; what has none stays as it is.
func (p *page) ActWord(act string) string { return p.word("fleet.act_", act) }

// Object is what something was done to, in words; one word is a name, also that of an account which is called like a role.
func (p *page) Object(what string) string {
	if !strings.Contains(what, " ") {
		return what
	}
	return p.Say(what)
}

// ViaWord is how somebody came, in words.
func (p *page) ViaWord(via string) string { return p.word("fleet.via_", via) }

// word is a name in words, where the catalogue has some.
func (p *page) word(of, name string) string {
	if text := p.T(of + name); text != of+name {
		return text
	}
	return name
}

func okKey(ok bool) string {
	if ok {
		return "fleet.audit_done"
	}
	return "fleet.audit_refused"
}
