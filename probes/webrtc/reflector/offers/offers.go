// Package offers looks offers of calls over before anything is paid for them: whether they are SDP (RFC 8866) at all, and
// have what ICE and DTLS need (RFC 8839, RFC 8122). It is pure; what it lets through may still be no good.
package offers

import (
	"fmt"
	"strings"
)

// Bounds of an offer. A browser's has some 150 lines.
const (
	maxLines    = 2000
	maxSections = 8 // m-lines
)

// Check says what is wrong with an offer, nil if nothing was found. Errors name the line.
func Check(sdp string) error {
	if sdp == "" {
		return fmt.Errorf("the body is empty: POST an SDP offer")
	}
	var sections, n int
	var ufrag, pwd, fingerprint bool
	rest := sdp
	for rest != "" {
		var line string
		line, rest, _ = strings.Cut(rest, "\n")
		line = strings.TrimSuffix(line, "\r")
		n++
		switch {
		case n > maxLines:
			return fmt.Errorf("line %d: an offer has at most %d lines", n, maxLines)
		case line == "" && strings.TrimSpace(rest) == "":
			rest = ""
			continue
		case len(line) < 2 || line[1] != '=' || line[0] < 'a' || line[0] > 'z':
			return fmt.Errorf("line %d: %.40q: SDP lines are a small letter, '=' and a value", n, line)
		case n == 1 && line != "v=0":
			return fmt.Errorf("line 1: %.40q: SDP begins with v=0", line)
		}
		for i := range len(line) {
			if c := line[i]; c < ' ' && c != '\t' {
				return fmt.Errorf("line %d: has the control character %q", n, c)
			}
		}
		switch {
		case line[0] == 'm':
			if sections++; sections > maxSections {
				return fmt.Errorf("line %d: more than %d media sections", n, maxSections)
			}
			kind, _, _ := strings.Cut(line[2:], " ")
			if kind != "audio" && kind != "video" && kind != "application" {
				return fmt.Errorf("line %d: %.40q: media are audio, video or application", n, line)
			}
		case strings.HasPrefix(line, "a=ice-ufrag:"):
			ufrag = true
		case strings.HasPrefix(line, "a=ice-pwd:"):
			pwd = true
		case strings.HasPrefix(line, "a=fingerprint:"):
			fingerprint = true
		}
	}
	switch {
	case sections == 0:
		return fmt.Errorf("after line %d: no media section (m=)", n)
	case !ufrag || !pwd:
		return fmt.Errorf("after line %d: no a=ice-ufrag and a=ice-pwd: was the offer cut short?", n)
	case !fingerprint:
		return fmt.Errorf("after line %d: no a=fingerprint: was the offer cut short?", n)
	}
	return nil
}
