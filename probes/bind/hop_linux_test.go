package bind

import (
	"testing"

	"golang.org/x/sys/unix"
)

func TestOffender(t *testing.T) {
	head := func(origin byte) []byte { h := make([]byte, 16); h[4] = origin; return h }
	v4 := append(head(unix.SO_EE_ORIGIN_ICMP), 2, 0, 0, 0, 10, 1, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0)
	v6 := append(head(unix.SO_EE_ORIGIN_ICMP6), append([]byte{10, 0, 0, 0, 0, 0, 0, 0, 0xfe, 0x80}, make([]byte, 18)...)...)
	local := append(head(unix.SO_EE_ORIGIN_LOCAL), make([]byte, 16)...)
	for _, tt := range []struct {
		name        string
		level, kind int32
		data        []byte
		want        string
	}{
		{"router", unix.IPPROTO_IP, unix.IP_RECVERR, v4, "10.1.0.1"},
		{"IPv6 router", unix.IPPROTO_IPV6, unix.IPV6_RECVERR, v6, "fe80::"},
		{"the local machine", unix.IPPROTO_IP, unix.IP_RECVERR, local, ""},
		{"another message", unix.IPPROTO_IP, unix.IP_TTL, v4, ""},
		{"cut", unix.IPPROTO_IP, unix.IP_RECVERR, v4[:20], ""},
		{"cut in the head", unix.IPPROTO_IP, unix.IP_RECVERR, v4[:8], ""},
		{"IPv6 cut", unix.IPPROTO_IPV6, unix.IPV6_RECVERR, v6[:30], ""},
		{"empty", unix.IPPROTO_IP, unix.IP_RECVERR, nil, ""},
	} {
		m := unix.SocketControlMessage{Header: unix.Cmsghdr{Level: tt.level, Type: tt.kind}, Data: tt.data}
		got, ok := offender(m)
		if ok != (tt.want != "") || ok && got.String() != tt.want {
			t.Errorf("%s: got %v, %v; want %q", tt.name, got, ok, tt.want)
		}
	}
}
