package ber

import (
	"bytes"
	"math"
	"slices"
	"testing"
)

func TestNumbersTakeTheFewestBytes(t *testing.T) {
	for v, want := range map[int64]string{
		0: "\x02\x01\x00", 127: "\x02\x01\x7f", 128: "\x02\x02\x00\x80", -1: "\x02\x01\xff", -128: "\x02\x01\x80", -129: "\x02\x02\xff\x7f",
		math.MaxInt32: "\x02\x04\x7f\xff\xff\xff", math.MinInt32: "\x02\x04\x80\x00\x00\x00",
	} {
		b := AppendInt(nil, v)
		if string(b) != want {
			t.Errorf("%d is %x, want %x", v, b, want)
		}
		if got, rest, err := ExpectInt(b); err != nil || int64(got) != v || len(rest) > 0 {
			t.Errorf("%x is %d, %v", b, got, err)
		}
	}
	for v, want := range map[uint64]string{0: "\x41\x01\x00", 128: "\x41\x02\x00\x80", math.MaxUint32: "\x41\x05\x00\xff\xff\xff\xff",
		math.MaxUint64: "\x41\x09\x00\xff\xff\xff\xff\xff\xff\xff\xff"} {
		if b := AppendUint(nil, Counter32, v); string(b) != want {
			t.Errorf("%d is %x, want %x", v, b, want)
		}
	}
}

func TestOIDs(t *testing.T) {
	for _, tc := range []struct {
		arcs []uint32
		want string
	}{
		{[]uint32{1, 3, 6, 1}, "\x2b\x06\x01"},
		{[]uint32{0, 0}, "\x00"},
		{[]uint32{2, 999, 3}, "\x88\x37\x03"}, // X.690 8.19.5
		{[]uint32{1, 3, math.MaxUint32}, "\x2b\x8f\xff\xff\xff\x7f"},
	} {
		b := AppendOID(nil, tc.arcs)
		k, err := DecodeOID(b)
		if string(b) != tc.want || err != nil || !slices.Equal(k.Arcs(), tc.arcs) {
			t.Errorf("%v is %x and back %v, %v", tc.arcs, b, k.Arcs(), err)
		}
	}
	for _, bad := range []string{"\x2b\x8f", "\x2b\x9f\xff\xff\xff\x7f", string(bytes.Repeat([]byte{1}, MaxArcs+1))} {
		if k, err := DecodeOID([]byte(bad)); err == nil {
			t.Errorf("%x is %v", bad, k.Arcs())
		}
	}
	a, b := MakeKey([]uint32{1, 3, 9}), MakeKey([]uint32{1, 3, 10})
	if a >= b || !MakeKey([]uint32{1, 3, 9, 1}).Below(a) || b.Below(a) || a.Below(a) {
		t.Error("keys are out of order")
	}
}

func TestMalformed(t *testing.T) {
	for _, bad := range []string{"", "\x02", "\x02\x02\x00", "\x02\x80\x00", "\x04\x84\x00\x00\x00\x00", "\x02\x05\x01\x01\x01\x01\x01", "\x02\x00"} {
		if v, _, err := ExpectInt([]byte(bad)); err == nil {
			t.Errorf("%x is %d", bad, v)
		}
	}
}

func FuzzOID(f *testing.F) {
	f.Add([]byte("\x2b\x06\x01\x02\x01"))
	f.Fuzz(func(t *testing.T, b []byte) {
		k, err := DecodeOID(b)
		if err != nil || len(b) == 0 {
			return
		}
		again, err := DecodeOID(AppendOID(nil, k.Arcs()))
		if err != nil || again != k {
			t.Fatalf("%x is %v and then %v, %v", b, k.Arcs(), again.Arcs(), err)
		}
	})
}
