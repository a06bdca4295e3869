package record

import (
	"context"
	"database/sql"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"communewatch/collector/audit"
	"communewatch/collector/people"
)

// paper is a database that keeps what would be written.
type paper struct{ lines [][]any }

func (p *paper) ExecContext(_ context.Context, _ string, args ...any) (sql.Result, error) {
	p.lines = append(p.lines, args)
	return nil, nil
}

func TestWhoIsBehindAChange(t *testing.T) {
	for name, tt := range map[string]struct {
		ctx  context.Context
		e    audit.Entry
		want By
	}{
		"the program itself":  {t.Context(), audit.Entry{}, By{"system", "system", ""}},
		"a session":           {people.With(t.Context(), people.Caller{Name: "lan", Via: "session", Address: "10.0.0.5"}), audit.Entry{}, By{"lan", "screen", "10.0.0.5"}},
		"a key":               {people.With(t.Context(), people.Caller{Name: "lan/k1", Via: "key", Address: "10.0.0.5"}), audit.Entry{}, By{"lan/k1", "api", "10.0.0.5"}},
		"a command":           {people.With(t.Context(), people.Caller{Name: "root", Via: "command"}), audit.Entry{}, By{"root", "command", ""}},
		"nobody":              {people.With(t.Context(), people.Caller{Address: "127.0.0.1"}), audit.Entry{}, By{"anonymous", "screen", "127.0.0.1"}},
		"nobody, as was kept": {t.Context(), audit.Entry{Who: "anonymous 127.0.0.1", Via: "screen"}, By{"anonymous", "screen", "127.0.0.1"}},
		"who says so":         {people.With(t.Context(), people.Caller{Name: "command", Via: "command"}), audit.Entry{Who: "Lan"}, By{"Lan", "command", ""}},
	} {
		got := Behind(tt.ctx).Fill(tt.e)
		if (By{got.Who, got.Via, got.Address}) != tt.want {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

func TestLinesAreBounded(t *testing.T) {
	var p paper
	long := strings.Repeat("ớ", 5000)
	if err := (By{Who: long, Via: "screen"}).Add(t.Context(), &p, time.UnixMilli(5), audit.Entry{Act: "x", What: long, Detail: Changed(long, long)}); err != nil {
		t.Fatal(err)
	}
	for i, most := range map[int]int{1: maxWho, 5: maxWho, 6: maxDetail} {
		if text := p.lines[0][i].(string); len(text) > most || len(text) < most-10 && i != 6 || !utf8.ValidString(text) {
			t.Errorf("column %d has %d bytes", i, len(text))
		}
	}
	if detail := p.lines[0][6].(string); !strings.Contains(detail, "... -> ớ") {
		t.Error("a long value leaves no room for the other")
	}
	if err := (By{}).Add(t.Context(), &p, time.Now(), audit.Entry{}); err == nil {
		t.Error("a line without an act was written")
	}
	for want, got := range map[string]string{"a": Changed("", "a"), "was a": Changed("a", ""), "a -> b": Changed("a", "b"), "site s1, note n": Detail("site", "s1", "agent", "", "note", "n")} {
		if got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
