package evidence

import (
	"slices"
	"testing"

	"communewatch/inventory/purchases/cells"
	"communewatch/probes"
)

// Lists of purchases, devices and rules must call one thing by one name, or a purchase never finds its device.
func TestListsNameClassesAsProbesDo(t *testing.T) {
	for text, want := range map[string]string{"Thiết bị hội nghị truyền hình": "videoconference", "MCU": "conference_server", "Bộ chuyển mạch": "switch",
		"Máy tính": "pc", "Bộ lưu điện": "ups"} {
		if got := cells.ClassOf(text); got != want || !slices.Contains(probes.Classes(), got) {
			t.Errorf("%s is %q, want %q of %v", text, got, want, probes.Classes())
		}
	}
}
