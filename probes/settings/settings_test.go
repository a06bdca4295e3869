package settings

import (
	"strings"
	"testing"
	"time"
)

type inner struct {
	Name    string        `yaml:"name"`
	Every   time.Duration `yaml:"every"`
	Options Node          `yaml:"options"`
}

type outer struct {
	Listen string            `yaml:"listen"`
	Count  int               `yaml:"count"`
	On     bool              `yaml:"on"`
	Checks []inner           `yaml:"checks"`
	Paths  map[string]*inner `yaml:"paths"`
}

func TestEveryMistakeIsReportedAtOnceWithItsLine(t *testing.T) {
	const file = `lisen: ":80"
count: many
on: maybe
checks:
  - name: a
    every: soon
  - name: b
    name: c
    extra: 1
paths: [x]
`
	var got outer
	doc := Read("bad.yaml", []byte(file), &got)
	doc.Problem("checks[0].name", "is taken")
	doc.Problem("checks[7].name", "is not there")
	err := doc.Err()
	if err == nil {
		t.Fatal("no error")
	}
	want := []string{
		`bad.yaml:1: lisen: unknown key; did you mean "listen"?`,
		`bad.yaml:2: count: "many" is not a whole number`,
		`bad.yaml:3: on: "maybe" is not true or false`,
		`bad.yaml:5: checks[0].name: is taken`,
		`bad.yaml:5: checks[7].name: is not there`,
		`bad.yaml:6: checks[0].every: "soon" is not a duration such as 30s, 5m or 1h`,
		`bad.yaml:8: checks[1].name: given twice; the first is on line 7`,
		`bad.yaml:9: checks[1].extra: unknown key; known here: every, name, options`,
		`bad.yaml:10: paths: expected keys and values here, found a list`,
	}
	if got := err.Error(); got != strings.Join(want, "\n") {
		t.Errorf("got\n%s\nwant\n%s", got, strings.Join(want, "\n"))
	}
}

// A time that can't be read does not hide what follows it.
func TestWrongTimesAreReportedLikeTheRest(t *testing.T) {
	var got struct {
		Stays []struct {
			From time.Time `yaml:"from"`
		} `yaml:"stays"`
		Title string `yaml:"title"`
	}
	doc := Read("bad.yaml", []byte("stays:\n- from: Monday\n- from: 2026-12-05T08:00:00+07:00\n- from: 2026-13-05\ntitle: after\n"), &got)
	want := `bad.yaml:2: stays[0].from: "Monday" is not a time such as 2026-01-31T08:00:00+07:00
bad.yaml:4: stays[2].from: "2026-13-05" is not a time such as 2026-01-31T08:00:00+07:00`
	if err := doc.Err(); err == nil || err.Error() != want {
		t.Errorf("got\n%v\nwant\n%s", err, want)
	}
	if got.Title != "after" || len(got.Stays) != 3 || got.Stays[1].From.IsZero() {
		t.Errorf("%+v", got)
	}
}

func TestDefaultsStayAndDeferredPartsAreStrict(t *testing.T) {
	got := outer{Listen: "127.0.0.1:1", Count: 7}
	doc := Read("x.yaml", []byte("count: 8\nchecks:\n- name: a\n  options: {listen: x, cuont: 1}\n"), &got)
	if err := doc.Err(); err != nil {
		t.Fatal(err)
	}
	if got.Listen != "127.0.0.1:1" || got.Count != 8 {
		t.Errorf("got %+v", got)
	}
	var opts outer
	doc.Decode(got.Checks[0].Options, "checks[0].options", &opts)
	err := doc.Err()
	if err == nil || err.Error() != `x.yaml:4: checks[0].options.cuont: unknown key; did you mean "count"?` {
		t.Errorf("got %v", err)
	}
	if opts.Listen != "x" {
		t.Errorf("got %+v", opts)
	}
}

func TestBrokenFiles(t *testing.T) {
	for _, tc := range []struct{ name, in, want string }{
		{"tab", "a:\n\t- b", "not valid YAML"},
		{"two documents", "count: 1\n---\ncount: 2\n", "second document"},
		{"not a mapping", "- a\n", "expected keys and values here, found a list"},
		{"alias", "listen: &x a\ncount: *x\n", "aliases are not supported"},
		{"huge", strings.Repeat("#", MaxFile+1), "larger than"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var got outer
			err := Read("f.yaml", []byte(tc.in), &got).Err()
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, want %q", err, tc.want)
			}
		})
	}
	var got outer
	if err := Read("f.yaml", nil, &got).Err(); err != nil {
		t.Errorf("an empty file: %v", err)
	}
}

func FuzzRead(f *testing.F) {
	f.Add([]byte("listen: a\nchecks: [{name: b, every: 3s}]\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		var got outer
		doc := Read("f.yaml", data, &got)
		doc.Problem("checks[0].name", "x")
		if doc.Err() == nil {
			t.Fatal("problem forgotten")
		}
	})
}
