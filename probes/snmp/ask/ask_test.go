package ask

import (
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestParseOID(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{"1.3.6.1", "1.3.6.1"}, {".1.3.6.1.2.1.1.1.0", "1.3.6.1.2.1.1.1.0"}, {"0", "0"}, {"1.4294967295", "1.4294967295"},
	} {
		if got, err := ParseOID(c.in); err != nil || string(got) != c.want {
			t.Errorf("ParseOID(%q) = %q, %v; want %q", c.in, got, err, c.want)
		}
	}
	for _, bad := range []string{"", ".", "1.", "1..3", "1.03", "1.-3", "1.4294967296", "1.3.x", "sysDescr", " 1.3", "1.3" + strings.Repeat(".1", maxArcs)} {
		if got, err := ParseOID(bad); err == nil {
			t.Errorf("ParseOID(%q) = %q, want an error", bad, got)
		}
	}
}

func TestOIDsAreOrderedAsAWalkMeetsThem(t *testing.T) {
	want := []OID{"1.0.8802.1", "1.3.6.1.2", "1.3.6.1.2.1", "1.3.6.1.2.1.2", "1.3.6.1.2.1.10", "1.3.6.1.2.1.10.1", "1.3.6.1.2.1.1000", "1.3.6.1.4"}
	got := slices.Clone(want)
	slices.Reverse(got)
	slices.SortFunc(got, OID.Compare)
	if !slices.Equal(got, want) {
		t.Errorf("sorted: %v", got)
	}
}

func TestBelowAndIndex(t *testing.T) {
	for _, c := range []struct {
		oid, root OID
		below     bool
		index     string
	}{
		{"1.3.6.1.2", "1.3.6.1", true, "2"},
		{"1.3.6.1", "1.3.6.1", true, ""},
		{"1.3.6.10.2", "1.3.6.1", false, ""},
		{"1.3", "1.3.6", false, ""},
		{"1.3.6.1.7.8", "1.3.6.1", true, "7.8"},
	} {
		if got := c.oid.Below(c.root); got != c.below {
			t.Errorf("%s below %s: %v", c.oid, c.root, got)
		}
		if got := c.oid.Index(c.root); got != c.index {
			t.Errorf("%s under %s has the index %q, want %q", c.oid, c.root, got, c.index)
		}
	}
}

func TestTextOfHostileStrings(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{"plain", "plain"},
		{"padded\x00\x00\x00", "padded"},
		{"\x00\x00", ""},
		{"two\r\nlines\tand  gaps ", "two lines and gaps"},
		{"Phòng họp", "Phòng họp"},
		{"caf\xe9", "café"},       // Latin-1
		{"\xff\xfe\x00a", "ÿþ a"}, // anything
		{"bell\x07 \x1b[31mred", "bell [31mred"},
		{"zero\u200bwidth", "zero width"},
	} {
		if got := (Value{Type: Octets, Bytes: []byte(c.in)}).Text(); got != c.want {
			t.Errorf("text of %q is %q, want %q", c.in, got, c.want)
		}
	}
	if got := (Value{Type: Octets, Bytes: []byte(strings.Repeat("ạ", 1<<20))}).Text(); len(got) > MaxText || len(got) < MaxText-3 {
		t.Errorf("a text of megabytes gives %d bytes", len(got))
	}
}

func TestNumbers(t *testing.T) {
	minus := int64(-5)
	for _, c := range []struct {
		v    Value
		want int64
		ok   bool
	}{
		{Value{Type: Integer, Num: uint64(minus)}, -5, true},
		{Value{Type: Gauge32, Num: 7}, 7, true},
		{Value{Type: Octets, Bytes: []byte("7")}, 0, false},
		{Value{}, 0, false},
	} {
		if n, ok := c.v.Int(); n != c.want || ok != c.ok {
			t.Errorf("%+v is %d, %v", c.v, n, ok)
		}
	}
	if _, ok := (Value{Type: Integer, Num: uint64(minus)}).Uint(); ok {
		t.Error("a number below zero is no counter")
	}
}

func FuzzText(f *testing.F) {
	for _, s := range []string{"", "plain", "\x00", "caf\xe9", "ạ\xff", strings.Repeat("x", 3000), strings.Repeat("x", MaxText-1) + " ạ"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		got := Value{Type: Octets, Bytes: b}.Text()
		if len(got) > MaxText || !utf8.ValidString(got) || strings.ContainsAny(got, "\x00\r\n\t") || strings.TrimSpace(got) != got {
			t.Errorf("text of %q is %q", b, got)
		}
	})
}

func FuzzParseOID(f *testing.F) {
	for _, s := range []string{"1.3.6.1", ".1", "", "1.4294967296", "1.00"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		o, err := ParseOID(s)
		if err != nil {
			return
		}
		if again, err := ParseOID(string(o)); err != nil || again != o || o.Compare(again) != 0 || !o.Below(o) {
			t.Errorf("%q became %q, and that %q (%v)", s, o, again, err)
		}
	})
}
