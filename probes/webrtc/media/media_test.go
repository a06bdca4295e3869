package media_test

import (
	"encoding/hex"
	"math"
	"slices"
	"testing"
	"time"

	"communewatch/probes"
	"communewatch/probes/orders"
	"communewatch/probes/webrtc/media"
)

func TestEveryProfileKeepsItsRate(t *testing.T) {
	for _, p := range media.Profiles() {
		if err := media.Check(p); err != nil {
			t.Errorf("a profile of ours: %v", err)
		}
		want := map[probes.Media]int{probes.MediaAudio: p.AudioBPS, probes.MediaVideo: p.VideoBPS}
		for i, s := range media.Streams(p) {
			if i == 0 && s.Media != probes.MediaAudio {
				t.Errorf("%s: stream 0 is %s, want audio first", p.Name, s.Media)
			}
			sum := 0
			for n := range s.Packets() {
				size := s.Size(n)
				if size < media.StampSize || size > s.PacketBytes || size > media.MaxPacket {
					t.Errorf("%s %s: packet %d of a frame has %d bytes", p.Name, s.Media, n, size)
				}
				sum += size
			}
			if sum != s.FrameBytes {
				t.Errorf("%s %s: packets of a frame add up to %d bytes, the frame has %d", p.Name, s.Media, sum, s.FrameBytes)
			}
			if got := float64(8*s.FrameBytes) / s.Interval.Seconds(); math.Abs(got-float64(want[s.Media])) > 0.002*float64(want[s.Media]) {
				t.Errorf("%s %s: %.0f bit/s are sent, want %d", p.Name, s.Media, got, want[s.Media])
			}
		}
		if named, ok := media.Named(p.Name); !ok || named != p {
			t.Errorf("Named(%q) = %+v, %v", p.Name, named, ok)
		}
	}
	if _, ok := media.Named("8k"); ok {
		t.Error("a profile that is not there was found")
	}
}

func TestStreamsLookLikeRealOnes(t *testing.T) {
	p, _ := media.Named("720p")
	streams := media.Streams(p)
	if got := len(streams); got != 2 {
		t.Fatalf("%d streams, want 2", got)
	}
	if a := streams[0]; a.Packets() != 1 || a.Size(0) != 80 || a.Interval != 20*time.Millisecond || a.RTPTime(50) != 48000 {
		t.Errorf("audio of 32 kbit/s: %+v, want a packet of 80 bytes every 20 ms, 48000 ticks in 50 of them", a)
	}
	if v := streams[1]; v.Packets() != 7 || v.PacketBytes != 1191 || v.RTPTime(30) < 89999 || v.RTPTime(30) > 90000 {
		t.Errorf("video of 2 Mbit/s: %+v with %d packets, want bursts of 7", v, v.Packets())
	}
	// 50 packets/s x 136 bytes + 30 frames/s x (8333 + 7x56) bytes, in bits.
	if got := media.WireBPS(p); math.Abs(got-(54_400+2_094_000)) > 100 {
		t.Errorf("720p takes %.0f bit/s of the line, want 2148400", got)
	}
}

func TestBadProfilesAreNamed(t *testing.T) {
	for want, p := range map[string]orders.Profile{
		`profile "x" has neither audio nor video: give audio_bps, video_bps or both`:  {Name: "x"},
		`profile "x": audio of 6000 bit/s: want 25600 to 512000, or 0 for none`:       {Name: "x", AudioBPS: 6000},
		`profile "x": audio of -1 bit/s: want 25600 to 512000, or 0 for none`:         {Name: "x", AudioBPS: -1},
		`profile "x": video of 90000000 bit/s: want 32000 to 50000000, or 0 for none`: {Name: "x", VideoBPS: 90_000_000, FPS: 30},
		`profile "x": video of 0 frames per second: want 1 to 60`:                     {Name: "x", VideoBPS: 600_000},
		`profile "x": video of 1000 frames per second: want 1 to 60`:                  {Name: "x", VideoBPS: 600_000, FPS: 1000},
	} {
		if err := media.Check(p); err == nil || err.Error() != want {
			t.Errorf("Check(%+v) = %v\nwant %s", p, err, want)
		}
	}
}

func TestAStampSurvivesTheWay(t *testing.T) {
	s := media.Stamp{Stream: 1, Last: true, FramePackets: 7, Session: 0x1122334455667788, Seq: 0x01020304, Frame: 0x0a0b0c0d, Sent: 1234567890 * time.Nanosecond}
	b := slices.Repeat([]byte{0xff}, 100)
	s.Put(b)
	// The layout is a contract between two programs of different age.
	if got, want := hex.EncodeToString(b[:32]), "63776d3101010007112233445566778801020304"+"0a0b0c0d"+"00000000499602d2"; got != want {
		t.Errorf("stamp\n%s, want\n%s", got, want)
	}
	if got, ok := media.Read(b); !ok || got != s {
		t.Errorf("Read = %+v, %v, want %+v", got, ok, s)
	}
	if e, ok := media.ReadEcho(b); ok {
		t.Errorf("an echo that nobody wrote: %+v", e)
	}
	e := media.Echo{Received: time.Hour, Resent: time.Hour + 3*time.Microsecond, Count: 99, Seq: 98}
	media.PutEcho(b, e)
	if got, ok := media.ReadEcho(b); !ok || got != e {
		t.Errorf("ReadEcho = %+v, %v, want %+v", got, ok, e)
	}
	if got, ok := media.Read(b); !ok || got != s {
		t.Errorf("with an echo, Read = %+v, %v, want %+v", got, ok, s)
	}
	for i := range 8 * media.StampSize {
		b[i/8] ^= 1 << (i % 8)
		_, stamp := media.Read(b)
		_, echo := media.ReadEcho(b)
		if inStamp := i/8 < 36; stamp == inStamp || echo != inStamp {
			t.Errorf("bit %d turned: stamp read %v, echo read %v", i, stamp, echo)
		}
		b[i/8] ^= 1 << (i % 8)
	}
}

func FuzzRead(f *testing.F) {
	b := make([]byte, 80)
	f.Add(slices.Clone(b))
	f.Add([]byte("cwm1"))
	media.Stamp{FramePackets: 1, Seq: math.MaxUint32, Sent: math.MaxInt64}.Put(b)
	f.Add(slices.Clone(b))
	media.PutEcho(b, media.Echo{Received: math.MaxInt64, Resent: math.MaxInt64, Count: 1})
	f.Add(slices.Clone(b))
	f.Add(slices.Clone(b[:media.StampSize-1]))
	f.Fuzz(func(t *testing.T, b []byte) {
		stamp, isStamp := media.Read(b)
		echo, isEcho := media.ReadEcho(b)
		if (isStamp || isEcho) && len(b) < media.StampSize {
			t.Fatalf("read from %d bytes", len(b))
		}
		again := make([]byte, media.StampSize)
		if isStamp {
			stamp.Put(again)
			if string(again[:36]) != string(b[:36]) {
				t.Fatalf("%+v is written as %x, was read from %x", stamp, again[:36], b[:36])
			}
			if stamp.FramePackets == 0 || stamp.Sent < 0 {
				t.Fatalf("a stamp that makes no sense: %+v", stamp)
			}
		}
		if isEcho {
			media.PutEcho(again, echo)
			if string(again[36:]) != string(b[36:media.StampSize]) {
				t.Fatalf("%+v is written as %x, was read from %x", echo, again[36:], b[36:media.StampSize])
			}
			if echo.Received < 0 || echo.Resent < echo.Received {
				t.Fatalf("an echo that makes no sense: %+v", echo)
			}
		}
	})
}
