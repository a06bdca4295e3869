package probes_test

import (
	"testing"

	"communewatch/probes"
)

func TestPlaceholder(t *testing.T) {
	for _, s := range []string{"", "  ", "To be filled by O.E.M.", "To Be Filled By O.E.M", "System Product Name", "System Serial Number",
		"Default string", "None", "N/A", "0", "00000000", "0000-0000", "FF:FF:FF:FF:FF:FF", "XXXXXXXX", "...", "0123456789", "123456789",
		"1234567890", "12345", "<none>", "Not Specified", "O.E.M.", "INVALID", "012345678901234"} {
		if !probes.Placeholder(s) {
			t.Errorf("%q was taken for a real value", s)
		}
	}
	for _, s := range []string{"FOC1932X0AB", "8G83G2S", "PF0A1B2C", "1234", "7", "11", "222", "12345A", "23456789", "X1", "111222", "10AYS0XX00", "2960", "Precision 3630", "Model 80"} {
		if probes.Placeholder(s) {
			t.Errorf("%q was taken for a placeholder", s)
		}
	}
}
