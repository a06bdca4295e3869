package audit

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"communewatch/agent/spool/pack"
	"communewatch/deploy/lab"
	"communewatch/probes/wire"
)

// maxPlain bounds a batch that is unpacked, as the spool itself does.
const maxPlain = 64 << 20

// result is one result as an agent's spool names it: the entry of a ledger, and its series.
type result struct {
	series string
	entry
}

// spooled is every result that waits in a site's spool.
type spooled map[result]bool

// readSpool reads the batches in the spool of a site's agent, which may be running: it opens nothing for writing and
// takes no lock. Damaged files hold nothing, for the agent will set them aside.
//
// A batch goes from its open file into a sealed one, and only then the open file is removed. So the open files are
// read first, and what vanishes meanwhile is found among the sealed ones. A sealed file that vanishes was acknowledged
// and is on the collector's disk: the store must be read after the spools.
func readSpool(dir, site string) (spooled, error) {
	out := spooled{}
	spool := filepath.Join(dir, "agents", site, "state", "spool")
	for _, pattern := range []string{"*/open-*.lp", "*/*.lp.gz"} {
		files, err := fs.Glob(os.DirFS(spool), pattern)
		if err != nil {
			return nil, err
		}
		for _, f := range files {
			boot, clock, ok := origin(f)
			if !ok {
				continue // quarantine, or a file that is not the spool's
			}
			data, err := os.ReadFile(filepath.Join(spool, filepath.FromSlash(f)))
			switch {
			case errors.Is(err, fs.ErrNotExist):
				continue
			case err != nil:
				return nil, fmt.Errorf("spool of %s: %w", site, err)
			}
			if strings.HasSuffix(f, ".gz") {
				if data, err = pack.Unpack(data, maxPlain); err != nil {
					continue
				}
			}
			out.add(boot, clock, data)
		}
	}
	return out, nil
}

// origin reads the boot and the clock from the path of a batch: 00000007-<boot>/<...>-<clock>.lp or .lp.gz.
func origin(path string) (boot string, clock int, ok bool) {
	folder, name, _ := strings.Cut(path, "/")
	number, boot, ok := strings.Cut(folder, "-")
	if _, err := strconv.ParseUint(number, 10, 32); err != nil || !ok {
		return "", 0, false
	}
	name = strings.TrimSuffix(strings.TrimSuffix(name, ".gz"), ".lp")
	clock, err := strconv.Atoi(name[strings.LastIndexByte(name, '-')+1:])
	return boot, clock, err == nil
}

// add notes the results in whole lines. An open file may end in a line that is just being written.
func (s spooled) add(boot string, clock int, lines []byte) {
	lines = lines[:bytes.LastIndexByte(lines, '\n')+1]
	rows, _ := wire.NewParser(wire.DefaultLimits()).Parse(lines, time.Nanosecond, 0)
	for _, r := range rows {
		series, err := wire.ParseKey(r.Key)
		if err != nil {
			continue
		}
		at := time.Unix(0, r.Time).UnixMilli()
		s[result{lab.SeriesName(series.Measurement, series.Tags), entry{boot, clock, at}}] = true
	}
}
