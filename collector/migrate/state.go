package migrate

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"
	"time"

	"communewatch/collector/rollup"
	"communewatch/collector/store/embedded/disk"
)

// State is how far a migration is, as its file says.
type State struct {
	From, To     string // Side.String
	FromName     string // as settings call the store
	ToName       string
	Begun        time.Time
	Changed      time.Time // when the file was written
	IntoExisting bool      // the target held something before
	DroppedOld   bool      // what the target does not keep was left behind, as was asked
	Old          int64     // how much that was
	Finished     bool      // everything was copied and compared

	Reach   map[rollup.Level]time.Time // rows and windows before it were copied
	Sums    sums                       // what was read of the source so far
	Refused int64                      // rows that the target would not take
	Reasons []string
}

// ErrNoState says that no migration was begun, or that its file was removed.
var ErrNoState = errors.New("no migration was begun")

func newState(o Options) *State {
	return &State{From: o.From.String(), To: o.To.String(), FromName: o.From.Name, ToName: o.To.Name, Begun: o.Now().UTC(),
		Reach: map[rollup.Level]time.Time{}, Sums: sums{}}
}

func (s *State) of(o Options) bool { return s.From == o.From.String() && s.To == o.To.String() }

// stage says in words how far the migration is.
func (s *State) stage() string {
	if s.Finished {
		return "finished " + s.Changed.UTC().Format(time.RFC3339)
	}
	return "not finished, last worked on " + s.Changed.UTC().Format(time.RFC3339)
}

// header is the first line of a state file; a checksum of the rest follows. The number is the format's.
const header = "communewatch migration 1 crc32c "

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// maxState is far above what ten years of a hundred measurements need.
const maxState = 256 << 20

// ReadState reads a state file. Its error is ErrNoState where there is none.
func ReadState(file string) (*State, error) {
	if info, err := os.Stat(file); err == nil && info.Size() > maxState {
		return nil, damaged(file, errors.New("too long"))
	}
	data, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, ErrNoState
	}
	if err != nil {
		return nil, err
	}
	s, err := parseState(data)
	if err != nil {
		return nil, damaged(file, err)
	}
	return s, nil
}

func damaged(file string, err error) error {
	return fmt.Errorf("%s can't be used (%w); remove it and migrate anew with --into-existing: copying again is harmless", file, err)
}

func parseState(data []byte) (*State, error) {
	first, body, ok := bytes.Cut(data, []byte("\n"))
	sum, known := bytes.CutPrefix(first, []byte(header))
	if !ok || !known {
		return nil, errors.New("it is not a migration's state, or of a newer version")
	}
	if string(sum) != fmt.Sprintf("%08x", crc32.Checksum(body, castagnoli)) {
		return nil, errors.New("its checksum is wrong")
	}
	var s State
	if err := json.Unmarshal(body, &s); err != nil {
		return nil, err
	}
	if s.From == "" || s.To == "" {
		return nil, errors.New("it names no stores")
	}
	if s.Reach == nil {
		s.Reach = map[rollup.Level]time.Time{}
	}
	if s.Sums == nil {
		s.Sums = sums{}
	}
	return &s, nil
}

func (s *State) save(file string, now time.Time) error {
	s.Changed = now.UTC()
	body, err := json.Marshal(s)
	if err != nil {
		return err
	}
	data := fmt.Appendf(nil, "%s%08x\n", header, crc32.Checksum(body, castagnoli))
	if err := disk.WriteFile(file, append(data, body...)); err != nil {
		return fmt.Errorf("keep the migration's state: %w", err)
	}
	return nil
}

// Warning says what to tell about a migration when a collector starts with the store called name: nothing, or what is
// wrong. fatal says that it must not start, because it would show a past with holes and fill the wrong store.
func (s *State) Warning(name, file string) (text string, fatal bool) {
	switch {
	case s.Finished && name == s.FromName:
		return fmt.Sprintf("a migration to %s is finished, but the settings still say store: %s; what is measured from now on goes there alone. "+
			"Set store: %s, or remove %s", s.To, name, s.ToName, file), false
	case s.Finished:
		return "", false
	case name == s.ToName:
		return fmt.Sprintf("the migration from %s to %s is %s, so store: %s has only part of the past. Run the same `communewatch-collector migrate` again, which goes on where it ended; "+
			"or set store: %s for now; or remove %s to do without the rest", s.From, s.To, s.stage(), name, s.FromName, file), true
	}
	return fmt.Sprintf("the migration from %s to %s is %s. Nothing is lost: the next run of `communewatch-collector migrate` copies what comes in until then; "+
		"remove %s to forget it", s.From, s.To, s.stage(), file), false
}
