package rtc

import (
	"strings"
	"testing"
)

func TestOnlyAddressesThatCanBeUsedAreCandidates(t *testing.T) {
	sdp := "v=0\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\n" +
		"a=candidate:1 1 udp 2130706431 10.0.0.1 4000 typ host\r\n" +
		"a=candidate:1 2 udp 2130706431 10.0.0.1 4000 typ host\r\n" + // the same for RTCP
		"a=candidate:2 1 tcp 1671430143 10.0.0.1 4000 typ host tcptype passive\r\n" +
		"a=candidate:3 1 tcp 1671430143 10.0.0.2 9 typ host tcptype active\r\n" + // it would connect to us
		"a=candidate:4 1 udp 2130706431 0b6c.local 4000 typ host\r\n" + // a name
		"a=candidate:5 1 udp 2130706431 10.0.0.3 0 typ host\r\n" +
		"a=candidate:6\r\na=end-of-candidates\r\n"
	var got []string
	for _, c := range candidates(sdp) {
		kind := "udp "
		if c.tcp {
			kind = "tcp "
		}
		got = append(got, kind+c.addr.String())
	}
	if want := "udp 10.0.0.1:4000, tcp 10.0.0.1:4000"; strings.Join(got, ", ") != want {
		t.Errorf("%q, want %q", got, want)
	}
	left := withoutCandidates(sdp, func(c candidate) bool { return c.tcp })
	if strings.Count(left, "a=candidate:") != 1 || !strings.Contains(left, "tcptype passive") || !strings.HasSuffix(left, "a=end-of-candidates\r\n") {
		t.Errorf("left:\n%s", left)
	}
}

func FuzzSDP(f *testing.F) {
	f.Add("v=0\r\nm=video 9 UDP/TLS/RTP/SAVPF 96\r\na=rtpmap:96 VP8/90000\r\na=candidate:2 1 tcp 1 10.0.0.1 4 typ host tcptype passive\r\n")
	f.Add("v=0\nm=audio 0 x\na=candidate:1 1 udp 1 fe80::1%eth0 4000 typ host\n")
	f.Fuzz(func(t *testing.T, s string) {
		if sections, err := checkSDP(s); err == nil && (len(sections) == 0 || len(sections) > maxMedia) {
			t.Errorf("%d sections were taken", len(sections))
		}
		for _, c := range candidates(s) {
			if !c.addr.IsValid() || c.addr.Port() == 0 || c.addr.Addr().Zone() != "" {
				t.Errorf("candidate %+v", c)
			}
		}
		if left := withoutCandidates(s, func(candidate) bool { return false }); len(candidates(left)) > 0 || len(left) > len(s) {
			t.Errorf("left: %q", left)
		}
	})
}
