package offers_test

import (
	"strings"
	"testing"

	"communewatch/probes/webrtc/reflector/offers"
)

const good = "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\na=fingerprint:sha-256 00\r\n" +
	"m=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=ice-ufrag:abcd\r\na=ice-pwd:abcdefghijklmnopqrstuv\r\n"

func FuzzOffer(f *testing.F) {
	for _, seed := range []string{good, "", "v=0", "v=0\r\n", good + "m=", strings.Repeat("v=0\n", 3000), "v=0\r\n\r\n\r\n"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, offer string) {
		err := offers.Check(offer)
		if err == nil && (!strings.HasPrefix(offer, "v=0") || !strings.Contains(offer, "m=") || !strings.Contains(offer, "a=fingerprint:")) {
			t.Errorf("let through: %q", offer)
		}
		if err != nil && len(err.Error()) > 400 {
			t.Errorf("%d bytes of error", len(err.Error()))
		}
	})
}
