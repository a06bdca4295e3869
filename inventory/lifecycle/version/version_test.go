package version

import "testing"

func TestVersions(t *testing.T) {
	for _, tc := range []struct {
		a, b string
		want int
	}{
		{"7.1", "7.10", -1}, {"7.9", "7.10", -1}, {"7.10", "7.10.0", 0}, {"v7.0.12,build0523", "7.0.12", 0},
		{"7.16rc1", "7.16", -1}, {"7.16beta2", "7.15.3", 1}, {"15.2(7)E4", "15.2(7)E2", 0}, {"15.2(7)E", "15.2(4)E", 1},
		{"4.4.5.8_BT", "4.4.5.8", 0}, {"6.49.6 (long-term)", "6.49.10", -1}, {"10.1.9-h1", "10.1.9", 0},
	} {
		a, _ := Parse(tc.a)
		b, _ := Parse(tc.b)
		if got := a.Compare(b); got != tc.want {
			t.Errorf("%s against %s: %d, want %d", tc.a, tc.b, got, tc.want)
		}
		if got := b.Compare(a); got != -tc.want {
			t.Errorf("%s against %s: %d, want %d", tc.b, tc.a, got, -tc.want)
		}
	}
	for _, tc := range []struct {
		version, minima string
		below, known    bool
	}{
		{"4.3.2.8", "4.3.2.9 4.4.3.2", true, true}, {"4.3.2.9", "4.3.2.9 4.4.3.2", false, true},
		{"4.4.3.1", "4.3.2.9 4.4.3.2", true, true}, {"4.4.3.2", "4.3.2.9 4.4.3.2", false, true},
		{"3.9.7", "4.3.2.9 4.4.3.2", true, true}, {"4.5.0", "4.3.2.9 4.4.3.2", false, true},
		{"4.3.9.9", "4.3.2.9 4.5.0", false, true}, {"4.4.0", "4.3.2.9 4.5.0", false, false},
		{"3.9.8.2", "3.9.8.3", true, true}, {"1.0", "", false, false},
	} {
		v, _ := Parse(tc.version)
		if below, known := v.Below(tc.minima); below != tc.below || known != tc.known {
			t.Errorf("%s below %s: %v %v, want %v %v", tc.version, tc.minima, below, known, tc.below, tc.known)
		}
	}
	for _, bad := range []string{"", "v", "abc", "-1", "(2)", "99999999999999999999"} {
		if v, ok := Parse(bad); ok {
			t.Errorf("%q is read as %v", bad, v)
		}
	}
}
