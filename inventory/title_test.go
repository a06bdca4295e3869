package inventory

import "testing"

func TestATitleHasTheTypeOnce(t *testing.T) {
	for want, s := range map[string]Site{
		"xã Đồng Tâm": {Name: "Đồng Tâm", Type: "xã"}, "Xã Đồng Tâm": {Name: "Xã Đồng Tâm", Type: "xã"}, "Phường Hội Hợp": {Name: "Phường Hội Hợp", Type: "phường"},
		"Hội Hợp": {Name: "Hội Hợp"}, "xã Xãn": {Name: "Xãn", Type: "xã"},
	} {
		if got := s.Title(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
