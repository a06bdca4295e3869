package recording

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"communewatch/probes/snmp/ask"

	"github.com/google/go-cmp/cmp"
)

const sample = `# a switch
1.3.6.1.2.1.1.1.0|4|A switch | with a bar
.1.3.6.1.2.1.1.2.0|6|1.3.6.1.4.1.9.1.1208
1.3.6.1.2.1.1.3.0|67|4294967295
1.3.6.1.2.1.2.2.1.6.10|4x|00112233aaff
1.3.6.1.2.1.2.2.1.6.2|4x|

1.3.6.1.2.1.2.2.1.8.2|2|-1
1.3.6.1.2.1.2.2.1.8.3|2|4294967295
1.3.6.1.2.1.4.20.1.1.10.0.0.1|64|10.0.0.1
1.3.6.1.2.1.4.20.1.1.10.0.0.2|64x|0a000002
1.3.6.1.2.1.31.1.1.1.6.2|70|18446744073709551615
1.3.6.1.4.1.1.1.0|68x|9f780441200000
1.3.6.1.4.1.1.2.0|5|
1.3.6.1.4.1.1.3.0|4e|a\x00b\n\\
1.3.6.1.2.1.1.1.0|4|the first one counts
`

func TestParseReadsEveryType(t *testing.T) {
	rec, err := Parse(strings.NewReader(strings.ReplaceAll(sample, "\n", "\r\n")))
	if err != nil || rec.Bad() != 0 {
		t.Fatal(err, rec.Problems())
	}
	want := []ask.Var{
		{OID: "1.3.6.1.2.1.1.1.0", Value: ask.Value{Type: ask.Octets, Bytes: []byte("A switch | with a bar")}},
		{OID: "1.3.6.1.2.1.1.2.0", Value: ask.Value{Type: ask.ObjectID, Bytes: []byte("1.3.6.1.4.1.9.1.1208")}},
		{OID: "1.3.6.1.2.1.1.3.0", Value: ask.Value{Type: ask.TimeTicks, Num: 4294967295}},
		{OID: "1.3.6.1.2.1.2.2.1.6.2", Value: ask.Value{Type: ask.Octets, Bytes: []byte{}}},
		{OID: "1.3.6.1.2.1.2.2.1.6.10", Value: ask.Value{Type: ask.Octets, Bytes: []byte{0, 0x11, 0x22, 0x33, 0xaa, 0xff}}},
		{OID: "1.3.6.1.2.1.2.2.1.8.2", Value: ask.Value{Type: ask.Integer, Num: 1<<64 - 1}},
		{OID: "1.3.6.1.2.1.2.2.1.8.3", Value: ask.Value{Type: ask.Integer, Num: 1<<64 - 1}},
		{OID: "1.3.6.1.2.1.4.20.1.1.10.0.0.1", Value: ask.Value{Type: ask.IPAddress, Bytes: []byte{10, 0, 0, 1}}},
		{OID: "1.3.6.1.2.1.4.20.1.1.10.0.0.2", Value: ask.Value{Type: ask.IPAddress, Bytes: []byte{10, 0, 0, 2}}},
		{OID: "1.3.6.1.2.1.31.1.1.1.6.2", Value: ask.Value{Type: ask.Counter64, Num: 1<<64 - 1}},
		{OID: "1.3.6.1.4.1.1.1.0", Value: ask.Value{Type: ask.Opaque, Bytes: []byte{0x9f, 0x78, 4, 0x41, 0x20, 0, 0}}},
		{OID: "1.3.6.1.4.1.1.2.0", Value: ask.Value{Type: ask.Null}},
		{OID: "1.3.6.1.4.1.1.3.0", Value: ask.Value{Type: ask.Octets, Bytes: []byte("a\x00b\n\\")}},
	}
	if diff := cmp.Diff(want, rec.Vars()); diff != "" {
		t.Error(diff)
	}

	var out bytes.Buffer
	if err := rec.Write(&out); err != nil {
		t.Fatal(err)
	}
	again, err := Parse(&out)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, again.Vars()); diff != "" {
		t.Error("written and read again:", diff)
	}
}

func TestBadLinesAreCountedWithTheirNumber(t *testing.T) {
	for _, c := range []struct{ line, want string }{
		{"no bars", "want OID|TAG|VALUE"},
		{"1.3.6|4", "want OID|TAG|VALUE"},
		{"1.3..6|4|x", "is not an OID"},
		{"1.3.6|4:numeric|rate=1", "is not a tag"},
		{"1.3.6|x|00", "is not a tag"},
		{"1.3.6|99|1", "of no type"},
		{"1.3.6|4x|0g", "not hexadecimal"},
		{"1.3.6|2|4294967296", "not a 32-bit integer"},
		{"1.3.6|65|-1", "not a number of 32 bits"},
		{"1.3.6|70|18446744073709551616", "not a number of 64 bits"},
		{"1.3.6|64|10.0.0", "not an IPv4 address"},
		{"1.3.6|64x|0a00", "not the four bytes"},
		{"1.3.6|6|iso.org", "is not an OID"},
		{`1.3.6|4e|\q`, "escapes nothing"},
		{`1.3.6|4e|\`, "escapes nothing"},
		{`1.3.6|4e|\x1`, "escapes nothing"},
	} {
		rec, err := Parse(strings.NewReader("1.3.6.1|2|7\n" + c.line + "\n"))
		if err != nil {
			t.Errorf("%q: %v", c.line, err)
			continue
		}
		if rec.Len() != 1 || rec.Bad() != 1 || rec.Problems()[0].Line != 2 || !strings.Contains(rec.Problems()[0].Text, c.want) {
			t.Errorf("%q: %d variables, %v, want one problem with %q", c.line, rec.Len(), rec.Problems(), c.want)
		}
		if _, err := Parse(strings.NewReader(c.line)); err == nil || !strings.Contains(err.Error(), "line 1") {
			t.Errorf("%q alone: %v, want an error that names line 1", c.line, err)
		}
	}
	if _, err := Parse(strings.NewReader("")); err == nil {
		t.Error("an empty file is a recording")
	}
}

func TestLinesAsLongAsTheyLikeAreBounded(t *testing.T) {
	value := strings.Repeat("a", 2<<20)
	rec, err := Parse(strings.NewReader("1.3.1|4|" + value + "\n1.3.2|4|" + strings.Repeat("b", maxLine) + "\n1.3.3|2|3"))
	if err != nil || rec.Len() != 2 || len(rec.Vars()[0].Value.Bytes) != len(value) || rec.Bad() != 1 || rec.Problems()[0].Line != 2 {
		t.Errorf("%v, %d variables, %v", err, rec.Len(), rec.Problems())
	}
	if _, err := Parse(endless{}); err == nil || !strings.Contains(err.Error(), "no recording") {
		t.Errorf("an endless file: %v", err)
	}
}

type endless struct{}

func (endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = "#\n"[i%2]
	}
	return len(p), nil
}

func TestWalkAndGet(t *testing.T) {
	ctx := t.Context()
	rec, err := Parse(strings.NewReader(sample))
	if err != nil {
		t.Fatal(err)
	}
	vars, err := rec.Walk(ctx, "1.3.6.1.2.1.2.2.1.6", 10)
	if err != nil || len(vars) != 2 || vars[0].OID != "1.3.6.1.2.1.2.2.1.6.2" {
		t.Errorf("walk: %v %v", vars, err)
	}
	if vars, err := rec.Walk(ctx, "1.3.6.1.2.1.2.2.1.6", 1); len(vars) != 1 || !errors.Is(err, ask.ErrPartial) {
		t.Errorf("walk of one: %v %v", vars, err)
	}
	if vars, err := rec.Walk(ctx, "", 100); len(vars) != rec.Len() || err != nil {
		t.Errorf("walk of all: %d variables, %v", len(vars), err)
	}
	if vars, err := rec.Walk(ctx, "1.3.6.1.2.1.2.2.1.60", 10); len(vars) != 0 || err != nil {
		t.Errorf("walk of nothing: %v %v", vars, err)
	}
	got, err := rec.Get(ctx, "1.3.6.1.2.1.1.3.0", "1.3.9", "1.3.6.1.2.1.1.1.0")
	if err != nil || len(got) != 2 || got[0].OID != "1.3.6.1.2.1.1.3.0" {
		t.Errorf("get: %v %v", got, err)
	}
	n := 0
	for v, ok := rec.Next(""); ok; v, ok = rec.Next(v.OID) {
		n++
	}
	if n != rec.Len() {
		t.Errorf("next reaches %d of %d", n, rec.Len())
	}
}

func TestSecretsAreNotRecorded(t *testing.T) {
	text := func(oid ask.OID, s string) ask.Var {
		return ask.Var{OID: oid, Value: ask.Value{Type: ask.Octets, Bytes: []byte(s)}}
	}
	keep := []ask.Var{
		text("1.3.6.1.2.1.1.5.0", "public library"), // a short secret is found by chance, so only as a whole
		text("1.3.6.1.2.1.25.4.2.1.4.7", "/usr/bin/mysql"),
		text("1.3.6.1.6.3.10.2.1.1.0", "\x80\x00\x00\x09"),
	}
	dev := New(append([]ask.Var{
		text("1.3.6.1.4.1.9.2.1.61.0", "public\x00\x00"),
		text("1.3.6.1.4.1.171.11.1.0", "user=admin;key=long-secret-1"),
		text("1.3.6.1.4.1.99.1.6.112.117.98.108.105.99", "rw"), // a table whose index is the community
		text("1.3.6.1.2.1.25.4.2.1.5.7", "-pPassword"),
		text("1.3.6.1.6.3.18.1.1.1.2.1", "other"),
		text("1.3.6.1.6.3.15.1.2.2.1.3.1", "user"),
		text("1.3.6.1.6.3.16.1.2.1.3.1", "group"),
	}, keep...))
	roots := append(DefaultRoots(), "1.3.6.1.6.3") // even if somebody asks for it
	rec, err := Record(context.Background(), dev, Options{Roots: roots, Secrets: []string{"public", "long-secret-1", ""}})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(New(keep).Vars(), rec.Vars()); diff != "" {
		t.Error(diff)
	}
}

func TestRecordKeepsWhatCameOfABrokenDevice(t *testing.T) {
	dev := New([]ask.Var{{OID: "1.3.6.1.2.1.1", Value: ask.Value{Type: ask.Null}}, {OID: "1.3.6.1.2.1.2", Value: ask.Value{Type: ask.Null}}})
	rec, err := Record(t.Context(), dev, Options{Max: 1})
	if rec.Len() != 1 || !errors.Is(err, ask.ErrPartial) {
		t.Errorf("%d variables, %v", rec.Len(), err)
	}
}

// bottomless has variables without an end below every root, each of which takes it some time.
type bottomless struct {
	each  time.Duration
	given int
}

func (e *bottomless) Get(context.Context, ...ask.OID) ([]ask.Var, error) { return nil, nil }

func (e *bottomless) Walk(ctx context.Context, root ask.OID, most int) ([]ask.Var, error) {
	var out []ask.Var
	for len(out) < most {
		if e.each > 0 {
			select {
			case <-time.After(e.each):
			case <-ctx.Done():
				return out, fmt.Errorf("%w: %w", ctx.Err(), ask.ErrPartial)
			}
		}
		e.given++
		out = append(out, ask.Var{OID: root + ask.OID(fmt.Sprintf(".1.%d", len(out))), Value: ask.Value{Type: ask.Integer, Num: 1}})
	}
	return out, ask.ErrPartial
}

func TestRecordOfAnEndlessDeviceEnds(t *testing.T) {
	dev := &bottomless{}
	rec, err := Record(t.Context(), dev, Options{})
	if dev.given != 200_000 || rec.Len() != 200_000 || !errors.Is(err, ask.ErrPartial) || !strings.Contains(err.Error(), "200000 variables are enough") {
		t.Errorf("%d variables asked for, %d recorded, %v", dev.given, rec.Len(), err)
	}
	synctest.Test(t, func(t *testing.T) {
		dev, begin := &bottomless{each: time.Second}, time.Now()
		rec, err := Record(t.Context(), dev, Options{})
		if took := time.Since(begin); took != 5*time.Minute || rec.Len() < 299 || !errors.Is(err, ask.ErrPartial) || !strings.Contains(err.Error(), "longer than 5m0s") {
			t.Errorf("%d variables in %s, %v", rec.Len(), took, err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if rec, err := Record(ctx, dev, Options{}); rec.Len() < 59 || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("cut off: %d variables, %v", rec.Len(), err)
		}
	})
}

// FuzzParse begins with short files, and compares without go-cmp, whose ways are random: the fuzzer shortens every find
// byte by byte until it takes another way, and would be at that for a minute each time.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{"1.3|4x|00ff", "1.3|4e|\\x00", "1|2|-1\n", ".1.3|6|1.3.6\r\n#", "1.3|64|10.0.0.1", "1.3|64x|0a000001", "1.3|70|18446744073709551615", "1.2|5|\n1.1|68|x"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		rec, err := Parse(bytes.NewReader(data))
		if err != nil {
			return
		}
		var out bytes.Buffer
		if err := rec.Write(&out); err != nil {
			t.Fatal(err)
		}
		text := out.String()
		again, err := Parse(&out)
		if err != nil || again.Bad() != 0 {
			t.Fatalf("what was written can't be read: %v", err)
		}
		same := func(a, b ask.Var) bool {
			return a.OID == b.OID && a.Value.Type == b.Value.Type && a.Value.Num == b.Value.Num && bytes.Equal(a.Value.Bytes, b.Value.Bytes)
		}
		if !slices.EqualFunc(rec.Vars(), again.Vars(), same) {
			t.Fatalf("%+v was written as\n%s", rec.Vars(), text)
		}
	})
}
