package wire_test

import (
	"math"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"communewatch/probes"
	"communewatch/probes/wire"
)

func TestParse(t *testing.T) {
	for _, c := range []struct{ name, in, want string }{
		{"empty", "", ""},
		{"blank lines and comments", "\n  \n# a comment, with=1\r\n\r\n#", ""},
		{"a line", "m,a=b f=1 5", `"m" "a"="b" | "f"=1(float) @5`},
		{"no timestamp", "m f=1", `"m" | "f"=1(float) @99`},
		{"windows line ends", "m f=1 5\r\nm f=2\r\nm f=3 \r\nm f=4 7\r", `"m" | "f"=1(float) @5
"m" | "f"=2(float) @99
"m" | "f"=3(float) @99
"m" | "f"=4(float) @7`},
		{"spaces around", "   m,a=b   f=1   5   ", `"m" "a"="b" | "f"=1(float) @5`},
		{"tags are sorted by ParseKey", "m,b=2,a=1 f=1 5", `"m" "a"="1" "b"="2" | "f"=1(float) @5`},
		{"integers", "m a=1i,b=-5i,c=0i,d=-0i,e=9223372036854775807i,f=007i 5",
			`"m" | "a"=1(integer) "b"=-5(integer) "c"=0(integer) "d"=0(integer) "e"=9.223372036854776e+18(integer) "f"=7(integer) @5`},
		{"unsigned integers", "m a=1u,b=18446744073709551615u 5", `"m" | "a"=1(integer) "b"=1.8446744073709552e+19(integer) @5`},
		{"floats", "m a=1.5,b=-0.25,c=1e3,d=1E-3,e=.5,f=5.,g=1e+2,h=-0,i=0.1234567890123456789,j=1e-400 5",
			`"m" | "a"=1.5(float) "b"=-0.25(float) "c"=1000(float) "d"=0.001(float) "e"=0.5(float) "f"=5(float) "g"=100(float) "h"=-0(float) "i"=0.12345678901234568(float) "j"=0(float) @5`},
		{"booleans", "m a=t,b=T,c=true,d=True,e=TRUE,f=f,g=F,h=false,i=False,j=FALSE 5",
			`"m" | "a"=1(boolean) "b"=1(boolean) "c"=1(boolean) "d"=1(boolean) "e"=1(boolean) "f"=0(boolean) "g"=0(boolean) "h"=0(boolean) "i"=0(boolean) "j"=0(boolean) @5`},
		{"strings", `m a="",b="x",c="a \"b\" \\ c",d="1,2 3=4" 5`, `"m" | "a"="" "b"="x" "c"="a \"b\" \\ c" "d"="1,2 3=4" @5`},
		{"strings over lines", "m a=\"x\ny\" 5\nm a=\"z\" 6", `"m" | "a"="x\ny" @5
"m" | "a"="z" @6`},
		{"string escapes", `m a="\n\r\t\x" 5`, `"m" | "a"="\n\r\t\\x" @5`},
		{"string ends in a backslash", `m a="C:\\" 5`, `"m" | "a"="C:\\" @5`},
		{"escapes", `a\ b\,c=d,k\,\=\ x=v\ \,\=,l=\q f\ \,\==1 5`, `"a b,c=d" "k,= x"="v ,=" "l"="\\q" | "f ,="=1(float) @5`},
		{"backslash is literal before anything else", `a\\b\c,k=v\x\\y f\z=1 5`, `"a\\\\b\\c" "k"="v\\x\\\\y" | "f\\z"=1(float) @5`},
		{"UTF-8", "đo,nơi=Tích\\ Sơn số=1 5", `"đo" "nơi"="Tích Sơn" | "số"=1(float) @5`},
		{"quotes outside strings are plain", `m,a="x" "f"=1 5`, `"m" "a"="\"x\"" | "\"f\""=1(float) @5`},
		{"negative time", "m f=1 -5", `"m" | "f"=1(float) @-5`},
		{"field twice", "m f=1,f=2 5", `"m" | "f"=1(float) "f"=2(float) @5`},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := wire.NewParser(wire.DefaultLimits())
			rows, bad := p.Parse([]byte(c.in), time.Nanosecond, 99)
			if len(bad) > 0 {
				t.Errorf("bad lines: %+v", bad)
			}
			if diff := cmp.Diff(c.want, strings.Join(showRows(t, rows), "\n")); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestParsePrecision(t *testing.T) {
	for _, c := range []struct {
		precision time.Duration
		want      int64
	}{{0, 7}, {time.Nanosecond, 7}, {time.Microsecond, 7e3}, {time.Millisecond, 7e6}, {time.Second, 7e9}, {time.Hour, 7 * 3600e9}} {
		rows, _ := wire.NewParser(wire.Limits{}).Parse([]byte("m f=1 7"), c.precision, 0)
		if len(rows) != 1 || rows[0].Time != c.want {
			t.Errorf("precision %v: got %v, want time %d", c.precision, rows, c.want)
		}
	}
}

func TestBadLines(t *testing.T) {
	small := wire.Limits{LineBytes: 200, Tags: 3, TagKeyBytes: 8, TagValueBytes: 10, Fields: 3, FieldKeyBytes: 8, TextBytes: 20}
	for _, c := range []struct{ name, in, want string }{
		{"words", "hello world", `field "world" has no value`},
		{"one word", "hello", "no fields"},
		{"only tags", "m,a=b", "no fields"},
		{"only tags and a space", "m,a=b ", "no fields"},
		{"no measurement", ",a=b f=1", "no measurement: unexpected ','"},
		{"comma before the fields", "m, f=1", "tag expected after a comma: unexpected ' '"},
		{"tag without value", "m,a= f=1", `tag "a" has no value`},
		{"tag without sign", "m,a f=1", `tag "a" has no value`},
		{"equals sign in a tag value", "m,a=b=c f=1", `in measurement and tags: unexpected '='`},
		{"tag twice", "m,a=1,b=2,a=3 f=1", `tag "a" twice`},
		{"tag twice in a row", "m,a=1,a=1 f=1", `tag "a" twice`},
		{"too many tags", "m,a=1,b=2,c=3,d=4 f=1", "more than 3 tags"},
		{"long measurement", "mmmmmmmmm f=1", "measurement longer than 8 bytes"},
		{"long tag name", "m,aaaaaaaaa=1 f=1", `tag name "aaaaaaaaa" longer than 8 bytes`},
		{"long tag value", "m,a=12345678901 f=1", `value of tag "a" longer than 10 bytes`},
		{"control character in a tag", "m,a=b\x01c f=1", "in measurement and tags: control character 0x01"},
		{"tab in the measurement", "m\tx f=1", "in measurement and tags: control character 0x09"},
		{"control character in a field name", "m f\x02=1", "field expected: control character 0x02"},
		{"NUL", "m,a=\x00 f=1", `tag "a" has no value`},
		{"invalid UTF-8 in a tag", "m,a=\xff f=1", "measurement and tags are not valid UTF-8"},
		{"invalid UTF-8 in a field name", "m \xff=1", `field name "�" is not valid UTF-8`},
		{"invalid UTF-8 in a string", "m f=\"\xff\"", `field "f": string is not valid UTF-8`},
		{"field without value", "m f", `field "f" has no value`},
		{"field with empty value", "m f=", `field "f": no value`},
		{"field without name", "m =1", "field expected: unexpected '='"},
		{"comma at the end", "m f=1,", "field expected: unexpected end"},
		{"comma and space", "m f=1, g=2", "field expected: unexpected ' '"},
		{"NaN", "m f=NaN", `field "f": "NaN" is not a number that can be stored; leave the field out`},
		{"Inf", "m f=-Inf", `field "f": "-Inf" is not a number that can be stored; leave the field out`},
		{"plus inf", "m f=+inf", `field "f": "+inf" is not a number that can be stored; leave the field out`},
		{"word", "m f=abc", `field "f": "abc" is no number, boolean or quoted string`},
		{"plus", "m f=+1", `field "f": "+1" is no number, boolean or quoted string`},
		{"hexadecimal", "m f=0x1p4", `field "f": "0x1p4" is no number, boolean or quoted string`},
		{"two points", "m f=1.2.3", `field "f": "1.2.3" is no number, boolean or quoted string`},
		{"point only", "m f=.", `field "f": "." is no number, boolean or quoted string`},
		{"minus only", "m f=-", `field "f": "-" is no number, boolean or quoted string`},
		{"integer with a fraction", "m f=1.5i", `field "f": "1.5i" is no number, boolean or quoted string`},
		{"integer range", "m f=9223372036854775808i", `field "f": integer "9223372036854775808i" is out of range`},
		{"unsigned range", "m f=18446744073709551616u", `field "f": unsigned integer "18446744073709551616u" is out of range`},
		{"negative unsigned", "m f=-1u", `field "f": "-1u" is no number, boolean or quoted string`},
		{"float range", "m f=1e400", `field "f": number "1e400" is out of range`},
		{"too many fields", "m a=1,b=2,c=3,d=4", "more than 3 fields"},
		{"long field name", "m fffffffff=1", `field name "fffffffff" longer than 8 bytes`},
		{"long string", `m f="123456789012345678901"`, `field "f": string longer than 20 bytes`},
		{"long line", "m f=1" + strings.Repeat(" ", 200) + "5", "the line is longer than 200 bytes"},
		{"text after a string", `m f="a"b 5`, `after field "f": unexpected 'b'`},
		{"open string", `m f="abc`, `field "f": the quoted string is not closed before the end of the body`},
		{"timestamp word", "m f=1 now", `"now" is no timestamp; it must be a whole number`},
		{"timestamp fraction", "m f=1 1.5", `"1.5" is no timestamp; it must be a whole number`},
		{"timestamp range", "m f=1 9223372036854775808", `"9223372036854775808" is no timestamp; it must be a whole number`},
		{"timestamp overflow", "m f=1 9223372036854775807", "timestamp 9223372036854775807 is out of range for precision 1ms"},
		{"text after the timestamp", "m f=1 5 6", "after the timestamp: unexpected '6'"},
		{"carriage return inside", "m f=1\rx", `after field "f": unexpected end of line`},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := wire.NewParser(small)
			// The lines around it must survive, whatever it is; an open string swallows what follows.
			rows, bad := p.Parse([]byte("a f=1 5\n"+c.in+"\nb f=2 5\n"), time.Millisecond, 0)
			survivors := 2
			if c.name == "open string" {
				survivors = 1
			}
			if c.name == "comma at the end" {
				c.want = "field expected: unexpected end of line"
			}
			if len(rows) != survivors || len(bad) != 1 {
				t.Fatalf("%d rows and %+v, want %d rows and one bad line", len(rows), bad, survivors)
			}
			if bad[0].Line != 2 || bad[0].Reason != c.want {
				t.Errorf("got  line %d: %s\nwant line 2: %s", bad[0].Line, bad[0].Reason, c.want)
			}
			if survivors == 2 && rows[1].Line != 3 {
				t.Errorf("the line behind it is number %d, want 3", rows[1].Line)
			}
			if p.Rejected() != 1 || p.Lines() != survivors+1 {
				t.Errorf("rejected %d of %d", p.Rejected(), p.Lines())
			}
		})
	}
}

// TestHiddenLines: what stands in a quoted string of a bad line must never be taken for a line.
func TestHiddenLines(t *testing.T) {
	for _, in := range []string{
		"log v=NaN,msg=\"\nicmp,site=s1 lost=1\n\",x=1 5\ngood f=1\n",
		"log msg=\"\nicmp,site=s1 lost=1\n" + strings.Repeat("x", 70<<10) + "\" 5\ngood f=1\n",
		"log msg=\"\nicmp,site=s1 lost=1\n\" soon\ngood f=1\n",
		"log msg=\"a\xff\nicmp,site=s1 lost=1\n\" 5\ngood f=1\n",
	} {
		rows, bad := wire.NewParser(wire.Limits{}).Parse([]byte(in), 0, 0)
		if len(rows) != 1 || string(rows[0].Key) != "good" || len(bad) != 1 || bad[0].Line != 1 {
			t.Errorf("%.60q: rows %v, bad %v", in, rows, bad)
		}
	}
	rows, _ := wire.NewParser(wire.Limits{}).Parse([]byte("log msg=\"\n\nx\" 5\ngood f=1\n"), 0, 0)
	if len(rows) != 2 || rows[1].Line != 4 {
		t.Errorf("lines behind a string of three lines are miscounted: %v", rows)
	}
}

func TestTornLine(t *testing.T) {
	in := "check error=\"conn\ncheck error=\"ok\",up=t 5\ncheck error=\"fine\" 6\n"
	rows, bad := wire.NewParser(wire.Limits{}).Parse([]byte(in), 0, 0)
	if len(rows) != 1 || rows[0].Time != 6 || len(bad) != 1 {
		t.Errorf("rows %v, bad %v; want the line behind the torn one", rows, bad)
	}
}

func TestBounds(t *testing.T) {
	p := wire.NewParser(wire.Limits{Lines: 10, BadLines: 3})
	rows, bad := p.Parse([]byte(strings.Repeat("m f=1\n", 20)), 0, 0)
	if len(rows) != 10 || len(bad) != 1 || !strings.Contains(bad[0].Reason, "more than 10 lines") {
		t.Errorf("%d rows, bad %v", len(rows), bad)
	}
	rows, bad = p.Parse([]byte(strings.Repeat("x\n", 8)), 0, 0)
	if len(rows) != 0 || len(bad) != 3 || p.Rejected() != 8 {
		t.Errorf("%d rows, %d bad lines described, %d counted", len(rows), len(bad), p.Rejected())
	}
}

func TestNextReadsInPortions(t *testing.T) {
	p := wire.NewParser(wire.Limits{})
	p.Reset([]byte("m f=1 1\nbad\nm f=2 2\nm f=3 3\n"), 0, 0)
	var got []string
	for more := true; more; {
		var rows []wire.Row
		rows, _, more = p.Next(2)
		got = append(got, strconv.Itoa(len(rows)))
	}
	if diff := cmp.Diff([]string{"2", "1"}, got); diff != "" || p.Rejected() != 1 || p.Lines() != 4 {
		t.Errorf("portions %v, rejected %d of %d", got, p.Rejected(), p.Lines())
	}
}

func TestExcerptIsPrintable(t *testing.T) {
	in := "\x1b[31mm,a=Tích\xff " + strings.Repeat("ạ", 100)
	_, bad := wire.NewParser(wire.Limits{}).Parse([]byte(in), 0, 0)
	if len(bad) != 1 || strings.Contains(bad[0].Text, "\x1b") || !utf8.ValidString(bad[0].Text) || len(bad[0].Text) > 90 ||
		!strings.HasSuffix(bad[0].Text, "ạ...") {
		t.Errorf("excerpt %+v", bad)
	}
}

// TestNumbersAreExact compares the short-form reader with strconv at the edges of its range and all over it.
func TestNumbersAreExact(t *testing.T) {
	words := []string{"0", "-0", "0.0", "9007199254740992", "9007199254740993", "900719925474099.3", "0.9007199254740993",
		"0.00000000000000001", "123456789.123456789", "9999999999999999999", "0.000000000000000001", "1.7976931348623157e308", "5e-324"}
	for i := range 20000 {
		x := math.Float64frombits(uint64(i) * 0x9E3779B97F4A7C15)
		if !math.IsNaN(x) && !math.IsInf(x, 0) {
			words = append(words, strconv.FormatFloat(x, 'g', -1, 64))
		}
		words = append(words, strconv.FormatFloat(float64(i*7919)/1e7, 'f', -1, 64), strconv.FormatFloat(float64(i)/997, 'f', 1+i%18, 64))
	}
	p := wire.NewParser(wire.Limits{})
	for _, w := range words {
		want, err := strconv.ParseFloat(w, 64)
		if err != nil {
			t.Fatal(err)
		}
		rows, bad := p.Parse([]byte("m f="+w), 0, 0)
		if len(bad) > 0 || math.Float64bits(rows[0].Fields[0].Num) != math.Float64bits(want) {
			t.Fatalf("%s: read %v (%v), want %v", w, rows, bad, want)
		}
	}
}

func TestParseKey(t *testing.T) {
	s, err := wire.ParseKey([]byte(`a\ b,z=1,k\=x=v\,w`))
	if err != nil {
		t.Fatal(err)
	}
	want := wire.Series{Measurement: "a b", Tags: probes.Tags{{Key: "k=x", Value: "v,w"}, {Key: "z", Value: "1"}}}
	if diff := cmp.Diff(want, s); diff != "" {
		t.Error(diff)
	}
	for _, bad := range []string{"", ",a=b", "m,", "m,a", "m,a=", "m,=b", "m,a=b=c", "m f=1", "m,a=b,a=c", "m,a=\xff", "m\n"} {
		if s, err := wire.ParseKey([]byte(bad)); err == nil {
			t.Errorf("ParseKey(%q) = %v, want an error", bad, s)
		}
	}
}

func TestWarmParserDoesNotAllocate(t *testing.T) {
	body := []byte(strings.Repeat(`check,agent=a,kind=icmp,layer=lan,path=lan,site=s08707,target=gw error="say \"no\"",took_seconds=0.01234567890123456,up=t 1795000000123000000`+"\n", 100))
	p := wire.NewParser(wire.DefaultLimits())
	if n := testing.AllocsPerRun(50, func() { p.Parse(body, time.Nanosecond, 0) }); n > 0 {
		t.Errorf("%v allocations per body of 100 lines", n)
	}
}
