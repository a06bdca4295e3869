package diff

import (
	"strings"
	"testing"
)

func TestLines(t *testing.T) {
	for _, c := range []struct{ before, after, want string }{
		{"", "", ""},
		{"a\nb\n", "a\nb\n", "…"},
		{"", "a\n", "+a"},
		{"a\nb\nc\n", "a\nx\nc\n", "=a -b +x =c"},
		{"1\n2\n3\n4\n5\nold\n6\n7\n8\n9\n", "1\n2\n3\n4\n5\n6\n7\n8\n9\n", "… =3 =4 =5 -old =6 =7 =8 …"},
		{"a\nb\nc\nd\n", "b\nc\nd\ne\n", "-a =b =c =d +e"},
	} {
		var got []string
		for _, l := range Lines(c.before, c.after) {
			got = append(got, l.Sign+l.Text)
		}
		if strings.Join(got, " ") != c.want {
			t.Errorf("%q, %q: %v, want %s", c.before, c.after, got, c.want)
		}
	}
	long := strings.Repeat("a\nb\n", 2000)
	if got := Lines("x\n"+long+"y\n", "z\n"+long+long+"w\n"); len(got) < 8000 {
		t.Errorf("texts that differ in much: %d lines", len(got))
	}
}
