package phrase

import (
	"testing"

	"communewatch/collector/readiness"
	"communewatch/probes"
)

func TestEndpointsAreToldByWhatIsKnown(t *testing.T) {
	for _, tc := range []struct {
		e      readiness.Endpoint
		vi, en string
	}{
		{readiness.Endpoint{}, "Chưa có kết quả mới", "Nothing fresh is known"},
		{readiness.Endpoint{Known: true, Level: readiness.None}, "Không trả lời", "Does not answer"},
		{readiness.Endpoint{Known: true, Level: readiness.Ping}, "Mức 0/4: có trả lời", "Level 0/4: answers at all"},
		{readiness.Endpoint{Known: true, Level: readiness.Signalling, Rungs: [readiness.Levels]readiness.Rung{readiness.Signalling: {Kind: probes.KindH323}}},
			"Mức 2/4: mở cổng báo hiệu H.323", "Level 2/4: takes H.323 signalling connections"},
		{readiness.Endpoint{Known: true, Level: readiness.Signalling, Rungs: [readiness.Levels]readiness.Rung{readiness.Signalling: {Kind: probes.KindSIP}}},
			"Mức 2/4: trả lời SIP", "Level 2/4: answers SIP"},
		{readiness.Endpoint{Known: true, Level: readiness.Quality}, "Mức 4/4: cuộc gọi gần đây đạt chất lượng", "Level 4/4: recent call went well"},
	} {
		if got := Endpoint(Vietnamese, tc.e); got != tc.vi {
			t.Errorf("got %q, want %q", got, tc.vi)
		}
		if got := Endpoint(English, tc.e); got != tc.en {
			t.Errorf("got %q, want %q", got, tc.en)
		}
	}
	for _, tc := range []struct {
		r      readiness.Rung
		vi, en string
	}{
		{readiness.Rung{State: readiness.StateReached}, "", ""},
		{readiness.Rung{Code: readiness.CodeUnchecked}, "Chưa có phép đo nào cho mức này", "No check looks at this level"},
		{readiness.Rung{Code: readiness.CodeNoAnswer, Target: "room-sip", Kind: probes.KindSIP, Outcome: probes.OutcomeTimeout}, "room-sip không trả lời SIP", "room-sip does not answer SIP"},
		{readiness.Rung{Code: readiness.CodeBadCall, Target: "room", Loss: 0.081}, "Cuộc gọi gần nhất của room mất 8,1 % gói tin", "The newest call of room lost 8.1 % of its packets"},
		{readiness.Rung{Code: readiness.CodeUnregistered, Target: "room"}, "room chưa đăng ký được với gatekeeper hoặc máy chủ SIP", "room is registered with neither gatekeeper nor SIP server"},
	} {
		if got := Stop(Vietnamese, tc.r); got != tc.vi {
			t.Errorf("got %q, want %q", got, tc.vi)
		}
		if got := Stop(English, tc.r); got != tc.en {
			t.Errorf("got %q, want %q", got, tc.en)
		}
	}
	for _, c := range []readiness.Code{readiness.CodeUnchecked, readiness.CodeStale, readiness.CodeNoAnswer, readiness.CodeUnregistered,
		readiness.CodeNoRegistration, readiness.CodeNotTold, readiness.CodeNoCall, readiness.CodeBadCall} {
		for _, l := range Langs() {
			if Stop(l, readiness.Rung{Code: c, Target: "room"}) == "" {
				t.Errorf("%s has no words in %s", c, l)
			}
		}
	}
}
