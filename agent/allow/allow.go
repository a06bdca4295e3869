// Package allow keeps which addresses a machine lets the collector's checks speak to, beside those of its settings file.
//
// An agent sends to private networks only when its checks come from afar, so that whoever holds the collector can't make a
// scanner of it. A measuring point on the Internet is outside of them. It is for the machine's own people to let it in, and
// the one moment at which somebody is at each machine is when it joins: what is said then is kept beside the identity, where
// the agent alone may write, and no settings file has to be edited.
package allow

import (
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"communewatch/agent/spool/disk"
	"communewatch/probes/bind"
)

const (
	keptFile = "allow.txt" // a prefix a line
	maxFile  = 16 << 10
	// Most prefixes that are kept: a list that is longer was made by a mistake.
	Most = 100
)

// ParsePrefix reads an address or a prefix.
func ParsePrefix(s string) (netip.Prefix, error) {
	if a, err := netip.ParseAddr(s); err == nil {
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	p, err := netip.ParsePrefix(s)
	if err != nil {
		return p, fmt.Errorf("%.80q is neither an address nor a prefix such as 10.1.0.0/16", s)
	}
	return p.Masked(), nil
}

// Check refuses a prefix that nothing lets in; all of the Internet may be let in.
func Check(p netip.Prefix) error {
	if bind.Forbidden(p.Addr()) && p.Bits() > 0 {
		return fmt.Errorf("%s is this machine, its link or a group, which checks from the collector may never speak to", p)
	}
	return nil
}

// Parse reads what a person names; none is left over of what is named twice.
func Parse(named []string) (list []netip.Prefix, err error) {
	for _, s := range named {
		p, err := ParsePrefix(strings.TrimSpace(s))
		if err == nil {
			err = Check(p)
		}
		if err != nil {
			return nil, err
		}
		if !slices.Contains(list, p) {
			list = append(list, p)
		}
	}
	if len(list) > Most {
		return nil, fmt.Errorf("%d addresses and prefixes are too many; the most is %d", len(list), Most)
	}
	return list, nil
}

// Keep keeps a list in the identity's folder, in the place of the one before. It takes effect when the agent starts.
func Keep(folder string, list []netip.Prefix) error {
	file := filepath.Join(folder, keptFile)
	if len(list) == 0 {
		if err := os.Remove(file); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return nil
	}
	if len(list) > Most {
		return fmt.Errorf("%d addresses and prefixes are too many; the most is %d", len(list), Most)
	}
	d := disk.Disk{Private: true}
	if err := d.Mkdir(folder); err != nil {
		return err
	}
	var text strings.Builder
	for _, p := range list {
		fmt.Fprintln(&text, p)
	}
	return d.ReplaceFile(file, []byte(text.String()))
}

// Kept is the list that is kept; nothing where there is none.
func Kept(folder string) ([]netip.Prefix, error) {
	data, err := (&disk.Disk{}).Read(filepath.Join(folder, keptFile), maxFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var list []netip.Prefix
	if err == nil {
		list, err = Parse(strings.Fields(string(data)))
	}
	if err != nil {
		return nil, fmt.Errorf("the addresses that this machine allows can't be used; say them again with `communewatch-agent allow add`: %w", err)
	}
	return list, nil
}
