// Package phone is the code that somebody in an office reads out over the phone, so that whoever listens knows what the
// agent's page shows there, with no connection between the two: which site, what its three lights are, and when.
//
// A code is the site's id, a hyphen and six characters of Crockford's base 32 (no I, L, O, U): six bits of lights, two bits
// each; eighteen bits of the time in minutes, which come again every 182 days; six bits of a check sum over all of it and
// the site, which notices 63 of 64 mistakes.
package phone

import (
	"errors"
	"fmt"
	"hash/crc32"
	"strings"
	"time"

	"communewatch/probes"
)

// Light is what one of the lights shows.
type Light uint8

// The lights. The zero Light knows nothing.
const (
	Dark   Light = iota // nothing is known: no results, or only trouble of the agent's own
	Green               // well
	Yellow              // degraded
	Red                 // down
)

// Lights are the three of the page.
type Lights struct {
	LAN, Line, Conference Light
}

// Code is what a code says.
type Code struct {
	Site   string
	Lights Lights
	At     time.Time // whole minutes
}

const (
	alphabet   = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
	length     = 6
	timeBits   = 18
	sumBits    = 6
	everyCycle = 1 << timeBits // minutes
)

// Errors of Parse; compare with errors.Is.
var (
	ErrForm = errors.New("that is no code of an agent's page; it looks like s08707-4F7K2Q")
	ErrSum  = errors.New("the code has a mistake in it; have it read out again")
)

func (c Code) minute() uint32 { return uint32(c.At.Unix()/60) & (everyCycle - 1) }

func (c Code) sum(head uint32) uint32 {
	return crc32.ChecksumIEEE(fmt.Appendf(nil, "%s %d", c.Site, head)) & (1<<sumBits - 1)
}

// String writes the code. The site must be a name; lights beyond Red show as Dark.
func (c Code) String() string {
	var lights uint32
	for _, l := range []Light{c.Lights.LAN, c.Lights.Line, c.Lights.Conference} {
		if l > Red {
			l = Dark
		}
		lights = lights<<2 | uint32(l)
	}
	head := lights<<timeBits | c.minute()
	bits := head<<sumBits | c.sum(head)
	text := make([]byte, length)
	for i := range text {
		text[length-1-i] = alphabet[bits>>(5*i)&31]
	}
	return c.Site + "-" + string(text)
}

// Parse reads a code as it is heard: in either case, with spaces. Of all times that it may mean it takes the one nearest to
// now.
func Parse(text string, now time.Time) (Code, error) {
	if len(text) > 200 {
		return Code{}, ErrForm
	}
	text = strings.Join(strings.Fields(text), "")
	i := strings.LastIndexByte(text, '-')
	if i < 0 {
		return Code{}, ErrForm
	}
	c := Code{Site: strings.ToLower(text[:i])}
	if probes.CheckName(c.Site) != nil {
		return Code{}, ErrForm
	}
	heard := strings.NewReplacer("O", "0", "I", "1", "L", "1").Replace(strings.ToUpper(text[i+1:]))
	if len(heard) != length {
		return Code{}, ErrForm
	}
	var bits uint32
	for _, r := range heard {
		at := strings.IndexRune(alphabet, r)
		if at < 0 {
			return Code{}, ErrForm
		}
		bits = bits<<5 | uint32(at)
	}
	head := bits >> sumBits
	if c.sum(head) != bits&(1<<sumBits-1) {
		return Code{}, ErrSum
	}
	lights := head >> timeBits
	c.Lights = Lights{Light(lights >> 4 & 3), Light(lights >> 2 & 3), Light(lights & 3)}
	here := now.Unix() / 60
	minute := here - (here-int64(head&(everyCycle-1)))&(everyCycle-1) // not after now
	if here-minute > everyCycle/2 {
		minute += everyCycle
	}
	c.At = time.Unix(minute*60, 0).UTC()
	return c, nil
}
