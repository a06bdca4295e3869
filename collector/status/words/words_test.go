package words

import (
	"strings"
	"testing"
	"time"

	"communewatch/collector/clock"
	"communewatch/collector/history"
	"communewatch/collector/phrase"
	"communewatch/collector/status"
	"communewatch/collector/store"
)

var (
	zone = time.FixedZone("", 7*3600)
	now  = time.Date(2026, 11, 26, 15, 0, 0, 0, zone)
)

func TestAwaySaysSinceWhenAndWhatItMeans(t *testing.T) {
	away := store.Condition{Away: true, Since: time.Date(2026, 11, 26, 14, 5, 9, 0, zone).UTC(), Reason: "dial tcp: refused"}
	for _, tc := range []struct {
		store  status.Store
		vi, en string
	}{
		{status.Store{Replayed: true}, "", ""},
		{status.Store{Replayed: true, Condition: away},
			"Cơ sở dữ liệu không trả lời từ 14:05 ngày 26/11/2026. Các trạm vẫn đo và giữ kết quả; số liệu trên màn hình dừng ở lúc đó.",
			"The database has not answered since 14:05 on 26/11/2026. Agents go on measuring and keep their results; figures on screen stop at that time."},
		{status.Store{Replayed: true, Condition: store.Condition{Away: true}},
			"Cơ sở dữ liệu không trả lời. Các trạm vẫn đo và giữ kết quả; số liệu trên màn hình chưa được cập nhật.",
			"The database does not answer. Agents go on measuring and keep their results; figures on screen are not up to date."},
		{status.Store{},
			"Máy chủ vừa khởi động và đang đọc lại số liệu gần đây; trạng thái các điểm sẽ có sau ít phút. Các trạm vẫn đo và giữ kết quả.",
			"The collector has just started and is reading the recent past; states of sites will be known in a few minutes. Agents go on measuring and keep their results."},
	} {
		if got := Away(phrase.Vietnamese, tc.store, zone); got != tc.vi {
			t.Errorf("\n got %q\nwant %q", got, tc.vi)
		}
		if got := Away(phrase.English, tc.store, zone); got != tc.en {
			t.Errorf("\n got %q\nwant %q", got, tc.en)
		}
	}
}

func TestClockInDoubtSaysWhatMendsIt(t *testing.T) {
	if Doubted(phrase.Vietnamese, nil, zone) != "" {
		t.Error("something is said of a clock that is believed")
	}
	d := clock.Doubt{Machine: now.AddDate(5, 0, 0), Believed: now.UTC()}
	for _, tc := range []struct {
		lang phrase.Lang
		d    clock.Doubt
		want []string
	}{
		{phrase.Vietnamese, clock.Doubt{Machine: d.Machine, Believed: d.Believed, Far: true}, []string{"clock confirm", "nếu đúng"}},
		{phrase.English, clock.Doubt{Machine: d.Machine, Believed: d.Believed, Agents: d.Machine, Agree: 3, Far: true}, []string{"clock confirm"}},
		{phrase.Vietnamese, d, []string{"15:00 26/11/2031", "15:00 26/11/2026", "các trạm xác nhận"}},
		{phrase.English, d, []string{"15:00 26/11/2031", "15:00 26/11/2026", "once agents confirm"}},
		{phrase.English, clock.Doubt{Machine: d.Machine, Believed: d.Believed, Agents: d.Machine, Agree: 2, Differ: 1}, []string{"once agents confirm"}},
		{phrase.Vietnamese, clock.Doubt{Machine: d.Machine, Believed: d.Believed, Agents: now.Add(time.Hour), Differ: 3}, []string{"Các trạm báo bây giờ là 16:00 26/11/2026: hãy chỉnh"}},
		{phrase.English, clock.Doubt{Machine: d.Machine, Believed: d.Believed, Agents: now.Add(time.Hour), Differ: 3}, []string{"Agents say that it is 16:00 26/11/2026: set"}},
	} {
		got := Doubted(tc.lang, &tc.d, zone)
		for _, w := range tc.want {
			if !strings.Contains(got, w) {
				t.Errorf("%q lacks %q", got, w)
			}
		}
	}
}

func TestWarningsAreToldWhileItAnswers(t *testing.T) {
	warned := status.Store{Replayed: true, Warnings: []string{"retention is 30 days"}}
	if Warned(phrase.Vietnamese, warned) == "" || Away(phrase.Vietnamese, warned, zone) != "" {
		t.Error("a database with a warning is taken for one that is away, or for one without")
	}
	warned.Away = true
	if Warned(phrase.Vietnamese, warned) != "" || Warned(phrase.English, status.Store{}) != "" {
		t.Error("warned of what is away, or without a warning")
	}
}

func TestBehindIsSaidOnceItLastsHours(t *testing.T) {
	at := func(hours int) time.Time { return now.Add(time.Duration(-hours) * time.Hour) }
	for _, tc := range []struct {
		rollups history.Progress
		vi, en  string
	}{
		{history.Progress{}, "", ""},
		{history.Progress{To: at(2)}, "", ""},
		{history.Progress{To: at(5)}, "Việc tổng hợp số liệu đang chậm: mới tổng hợp đến 10:00 26/11/2026.", "Summing figures up is behind: it has reached 10:00 26/11/2026."},
		{history.Progress{To: at(1), Failed: "disk full"}, "Việc tổng hợp số liệu đang bị lỗi, mới tổng hợp đến 14:00 26/11/2026; hệ thống tự thử lại.",
			"Summing figures up fails and has reached 14:00 26/11/2026; it is tried again by itself."},
		{history.Progress{Failed: "disk full"}, "Việc tổng hợp số liệu đang bị lỗi; hệ thống tự thử lại.", "Summing figures up fails; it is tried again by itself."},
	} {
		s := status.Status{Rollups: tc.rollups}
		if got := Behind(phrase.Vietnamese, s, now, zone); got != tc.vi {
			t.Errorf("\n got %q\nwant %q", got, tc.vi)
		}
		if got := Behind(phrase.English, s, now, zone); got != tc.en {
			t.Errorf("\n got %q\nwant %q", got, tc.en)
		}
	}
}
