package phone_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"communewatch/probes/phone"
)

var now = time.Date(2026, 11, 26, 8, 31, 0, 0, time.UTC)

func TestWhatIsReadOutIsUnderstood(t *testing.T) {
	for i := range 64 {
		for _, ago := range []time.Duration{0, time.Minute, 47 * time.Hour, 80 * 24 * time.Hour, -10 * time.Minute} {
			want := phone.Code{Site: "s08707", At: now.Add(-ago),
				Lights: phone.Lights{LAN: phone.Light(i >> 4), Line: phone.Light(i >> 2 & 3), Conference: phone.Light(i & 3)}}
			for _, heard := range []string{want.String(), strings.ToLower(want.String()), " " + strings.Replace(want.String(), "-", " - ", 1)} {
				if got, err := phone.Parse(heard, now); err != nil || got != want {
					t.Fatalf("%q: got %+v, %v; want %+v", heard, got, err, want)
				}
			}
		}
	}
}

// TestAWrongCharacterIsNoticed changes each character into each other one.
func TestAWrongCharacterIsNoticed(t *testing.T) {
	code := phone.Code{Site: "s08707", At: now, Lights: phone.Lights{LAN: phone.Green, Line: phone.Red}}.String()
	missed, tried := 0, 0
	for i := len("s08707-"); i < len(code); i++ {
		for _, r := range "0123456789ABCDEFGHJKMNPQRSTVWXYZ" {
			if byte(r) == code[i] {
				continue
			}
			tried++
			if _, err := phone.Parse(code[:i]+string(r)+code[i+1:], now); err == nil {
				missed++
			} else if !errors.Is(err, phone.ErrSum) {
				t.Errorf("%v", err)
			}
		}
	}
	if missed*30 > tried {
		t.Errorf("%d of %d mistakes were not noticed", missed, tried)
	}
}

func TestWhatIsNoCode(t *testing.T) {
	for _, bad := range []string{"", "s08707", "-123456", "s08707-12345", "s08707-1234567", "s08707-12345U", "S 1/2-123456", strings.Repeat("s", 300)} {
		if c, err := phone.Parse(bad, now); !errors.Is(err, phone.ErrForm) {
			t.Errorf("%.20q: %+v, %v", bad, c, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add("s08707-4F7K2Q")
	f.Fuzz(func(t *testing.T, text string) {
		if c, err := phone.Parse(text, now); err == nil {
			if again, err := phone.Parse(c.String(), now); err != nil || again != c {
				t.Errorf("%q: %+v, then %+v, %v", text, c, again, err)
			}
		}
	})
}
