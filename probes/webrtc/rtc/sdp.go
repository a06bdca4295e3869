package rtc

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"github.com/pion/sdp/v3"

	"communewatch/probes"
)

// ErrSDP is in the chain of every error about a session description that is not taken.
var ErrSDP = errors.New("session description")

// section is an m-line of a description.
type section struct {
	media probes.Media // "" for the data channel and what is rejected
	codec string       // of video, the first of those that the hub takes: "vp8" or "h264"; "" for none
}

// checkSDP refuses what is too big or no session description before the library reads it, and lists its m-lines.
func checkSDP(s string) ([]section, error) {
	fail := func(format string, args ...any) ([]section, error) {
		return nil, fmt.Errorf("%w: %s", ErrSDP, fmt.Sprintf(format, args...))
	}
	switch {
	case len(s) > MaxSDP:
		return fail("%d bytes, more than %d", len(s), MaxSDP)
	case !strings.HasPrefix(s, "v=0"):
		return fail("does not begin with v=0")
	case strings.IndexByte(s, 0) >= 0:
		return fail("has a NUL byte")
	}
	lines, media, candidates := 0, 0, 0
	for line := range strings.Lines(s) {
		lines++
		switch {
		case strings.HasPrefix(line, "m="):
			media++
		case strings.HasPrefix(line, "a=candidate:"):
			candidates++
		}
	}
	switch {
	case lines > maxLines:
		return fail("%d lines, more than %d", lines, maxLines)
	case media == 0:
		return fail("no media")
	case media > maxMedia:
		return fail("%d media, more than %d", media, maxMedia)
	case candidates > maxCandidates:
		return fail("%d candidates, more than %d", candidates, maxCandidates)
	}
	var d sdp.SessionDescription
	if err := fenced("parsing", func() error { return d.UnmarshalString(s) }); err != nil {
		return fail("%.200s", strings.SplitN(err.Error(), "\n", 2)[0])
	}
	sections := make([]section, 0, media)
	for _, m := range d.MediaDescriptions {
		var at section
		_, bundled := m.Attribute("bundle-only")
		if m.MediaName.Port.Value == 0 && !bundled {
			sections = append(sections, at)
			continue
		}
		switch m.MediaName.Media {
		case "audio":
			at.media = probes.MediaAudio
		case "video":
			at.media = probes.MediaVideo
			at.codec = firstVideo(m)
		}
		sections = append(sections, at)
	}
	return sections, nil
}

// firstVideo returns the first codec of a video section, in the order of preference, that the hub takes.
func firstVideo(m *sdp.MediaDescription) string {
	names := map[string]string{} // payload type -> codec
	for _, a := range m.Attributes {
		if a.Key != "rtpmap" {
			continue
		}
		payload, codec, ok := strings.Cut(a.Value, " ")
		name, _, _ := strings.Cut(codec, "/")
		if name = strings.ToLower(name); ok && (name == "vp8" || name == "h264") {
			names[payload] = name
		}
	}
	for _, payload := range m.MediaName.Formats {
		if name := names[payload]; name != "" {
			return name
		}
	}
	return ""
}

// candidate is what is needed of an a=candidate line (RFC 8839 5.1).
type candidate struct {
	fields []string
	tcp    bool // and passive: it waits to be connected to
	addr   netip.AddrPort
}

func parseCandidate(line string) (candidate, bool) {
	rest, ok := strings.CutPrefix(strings.TrimSpace(line), "a=candidate:")
	if !ok {
		return candidate{}, false
	}
	c := candidate{fields: strings.Fields(rest)}
	if len(c.fields) < 8 {
		return candidate{}, false
	}
	addr, err := netip.ParseAddr(c.fields[4])
	if err != nil {
		return candidate{}, false // a name; none is looked up
	}
	port, err := strconv.ParseUint(c.fields[5], 10, 16)
	if err != nil || port == 0 {
		return candidate{}, false
	}
	c.addr = unmapped(netip.AddrPortFrom(addr.WithZone(""), uint16(port)))
	if strings.EqualFold(c.fields[2], "tcp") {
		c.tcp = true
		for i := 8; i+1 < len(c.fields); i += 2 {
			if c.fields[i] == "tcptype" && c.fields[i+1] != "passive" {
				return candidate{}, false
			}
		}
	}
	return c, true
}

// withoutCandidates returns s without those of its candidate lines for which keep is false. Lines that keep no
// candidate at all, such as those with a name for an address, go too.
func withoutCandidates(s string, keep func(candidate) bool) string {
	var out strings.Builder
	out.Grow(len(s))
	for line := range strings.Lines(s) {
		if strings.HasPrefix(line, "a=candidate:") {
			if c, ok := parseCandidate(line); !ok || !keep(c) {
				continue
			}
		}
		out.WriteString(line)
	}
	return out.String()
}

// candidates lists the candidates of a description, each once.
func candidates(s string) []candidate {
	var all []candidate
	seen := map[string]bool{}
	for line := range strings.Lines(s) {
		c, ok := parseCandidate(line)
		if key := fmt.Sprint(c.tcp, c.addr); ok && !seen[key] {
			seen[key] = true
			all = append(all, c)
		}
	}
	return all
}
