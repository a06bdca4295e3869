package fingerprint

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"fmt"
	"net"
	"strings"
)

// parseCards reads the table of network cards' makers: lines "name: 000c42 085531 ...", each number the first three
// bytes of an address, as the IEEE assigned them (MA-L). What begins with # is a comment.
func parseCards(data []byte) (map[[3]byte]string, error) {
	cards := map[[3]byte]string{}
	lines := bufio.NewScanner(bytes.NewReader(data))
	lines.Buffer(nil, 1<<20)
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSpace(lines.Text())
		if line == "" || line[0] == '#' {
			continue
		}
		vendor, list, ok := strings.Cut(line, ":")
		if !ok || vendor == "" {
			return nil, fmt.Errorf("cards.txt:%d: want a maker, a colon, and numbers such as 000c42", n)
		}
		for word := range strings.FieldsSeq(list) {
			var prefix [3]byte
			if got, err := hex.Decode(prefix[:], []byte(word[:min(len(word), 6)])); err != nil || got != 3 || len(word) != 6 {
				return nil, fmt.Errorf("cards.txt:%d: %q is not six hex digits", n, word)
			}
			if other, twice := cards[prefix]; twice {
				return nil, fmt.Errorf("cards.txt:%d: %s is %s's already", n, word, other)
			}
			cards[prefix] = vendor
		}
	}
	return cards, lines.Err()
}

// cardMaker says who made a network card; "" where that is not known, and for an address that software made up (the
// bit "locally administered").
func (r *Rules) cardMaker(mac net.HardwareAddr) string {
	if r == nil || len(mac) != 6 || mac[0]&3 != 0 {
		return ""
	}
	return r.cards[[3]byte(mac[:3])]
}
