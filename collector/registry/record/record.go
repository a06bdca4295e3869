// Package record keeps, in the registry's file, the record of who changed what and who signed in (collector/audit has
// its words). Every room of the registry writes its lines in the transaction of the change itself: there is neither a
// change without its line nor a line without its change. The table can only be added to; registry/people removes what is
// older than it has to be kept.
package record

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"strings"
	"time"

	"communewatch/collector/audit"
	"communewatch/collector/people"
)

// Bounds of an entry's texts, in bytes.
const (
	maxWho    = 200
	maxAct    = 64
	maxDetail = 4096
	maxValue  = 1500 // of one that was changed, so that both have room
)

// By is who is behind a change. It is taken from the context that a change comes with: that of a transaction does not
// tell any more.
type By struct{ Who, Via, Address string }

// Behind is who is behind a context.
func Behind(ctx context.Context) By {
	c, told := people.Told(ctx)
	via := map[string]string{"session": "screen", "key": "api", "command": "command", "system": "system"}[c.Via]
	switch {
	case !told:
		return By{Who: "system", Via: "system"}
	case via == "":
		via = "screen"
	}
	return By{Who: cmp.Or(c.Name, people.Anonymous), Via: via, Address: c.Address}
}

// Fill returns the entry with what it does not say of who is behind it.
func (b By) Fill(e audit.Entry) audit.Entry {
	if from, unnamed := people.Unnamed(e.Who); unnamed { // the address has a column of its own
		e.Who, e.Address = people.Anonymous, cmp.Or(e.Address, from)
	}
	e.Who, e.Via, e.Address = cmp.Or(e.Who, b.Who), cmp.Or(e.Via, b.Via), cmp.Or(e.Address, b.Address)
	return e
}

// Execer is a connection or a transaction.
type Execer interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
}

// Add writes a line into the record, of the time at unless the entry has one. It is on disk when the transaction is.
func (b By) Add(ctx context.Context, c Execer, at time.Time, e audit.Entry) error {
	if e.Act == "" {
		return errors.New("a line of the record of changes names no act")
	}
	e = b.Fill(e)
	if !e.At.IsZero() {
		at = e.At
	}
	_, err := c.ExecContext(ctx, "INSERT INTO audit (at_ms, who, via, address, act, what, detail, ok) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
		at.UnixMilli(), cut(e.Who, maxWho), cut(e.Via, maxAct), cut(e.Address, maxAct), cut(e.Act, maxAct), cut(e.What, maxWho), cut(e.Detail, maxDetail), e.OK)
	return err
}

func cut(text string, most int) string {
	return strings.ToValidUTF8(text[:min(len(text), most)], "")
}

// Changed words what something was and is now for an entry's detail; either may be empty.
func Changed(before, after string) string {
	short := func(text string) string {
		if len(text) > maxValue {
			return cut(text, maxValue) + "..."
		}
		return text
	}
	switch before, after = short(before), short(after); {
	case before == "":
		return after
	case after == "":
		return "was " + before
	}
	return before + " -> " + after
}

// Detail words what is not empty of names and values: of "site", "s1", "agent", "" it is "site s1".
func Detail(pairs ...string) string {
	var said []string
	for i := 0; i+1 < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			said = append(said, pairs[i]+" "+pairs[i+1])
		}
	}
	return strings.Join(said, ", ")
}

// Lengths of an answer.
const (
	standardEntries = 200
	mostEntries     = 10_000
)

// Querier is a connection, a transaction or all connections.
type Querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

// Entries reads the record, newest first.
func Entries(ctx context.Context, from Querier, f audit.Filter) ([]audit.Entry, error) {
	where, args := "1", []any{}
	and := func(clause string, v any) { where, args = where+" AND "+clause, append(args, v) }
	if !f.From.IsZero() {
		and("at_ms >= ?", f.From.UnixMilli())
	}
	if !f.To.IsZero() {
		and("at_ms < ?", f.To.UnixMilli())
	}
	if f.Who != "" {
		and("who = ?", f.Who)
	}
	if n := len(f.Act); n > 0 && f.Act[n-1] == '.' {
		and("instr(act, ?) = 1", f.Act)
	} else if n > 0 {
		and("act = ?", f.Act)
	}
	if f.Before > 0 {
		and("id < ?", f.Before)
	}
	limit := f.Limit
	if limit <= 0 {
		limit = standardEntries
	}
	rows, err := from.QueryContext(ctx, "SELECT id, at_ms, who, via, address, act, what, detail, ok FROM audit WHERE "+where+" ORDER BY id DESC LIMIT ?",
		append(args, min(limit, mostEntries))...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	out := []audit.Entry{}
	for rows.Next() {
		var e audit.Entry
		var at int64
		if err := rows.Scan(&e.ID, &at, &e.Who, &e.Via, &e.Address, &e.Act, &e.What, &e.Detail, &e.OK); err != nil {
			return nil, err
		}
		e.At = time.UnixMilli(at).UTC()
		out = append(out, e)
	}
	return out, rows.Err()
}
