package orders

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"communewatch/probes/orders"
)

// maxStored bounds the file of a hold, which has a time and a note.
const maxStored = 4 << 10

// store keeps the collector's hold in a file. It is a help and no more: where the disk fails, the hold is in force
// until the process ends.
type store struct {
	file string
	log  *slog.Logger
}

// stored is what is in the file.
type stored struct {
	Until time.Time `json:"until"` // by the clock on the wall
	Note  string    `json:"note,omitempty"`
}

// keep writes down a hold that lasts d from now on; zero removes it.
func (s *store) keep(now time.Time, d time.Duration, note string) {
	err := os.Remove(s.file)
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	if d > 0 {
		err = s.write(stored{now.Add(d).Round(0), note})
	}
	if err != nil {
		s.log.Warn("can't keep the hold for after a restart", "error", err)
	}
}

// write replaces the file as a whole.
func (s *store) write(h stored) error {
	data, err := json.Marshal(h)
	if err != nil {
		return err
	}
	dir := filepath.Dir(s.file)
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return err
	}
	f, err := os.CreateTemp(dir, filepath.Base(s.file)+".*.tmp")
	if err != nil {
		return err
	}
	_, err = f.Write(append(data, '\n'))
	if err == nil {
		err = f.Sync()
	}
	if closed := f.Close(); err == nil {
		err = closed
	}
	if err == nil {
		err = os.Rename(f.Name(), s.file)
	}
	if err != nil {
		_ = os.Remove(f.Name())
	}
	return err
}

// load returns how long the hold of the file goes on, and its note; zero for none that can be believed.
func (s *store) load(now time.Time) (left time.Duration, note string) {
	h, err := s.read()
	if errors.Is(err, fs.ErrNotExist) {
		return 0, ""
	}
	if err == nil {
		if left = h.Until.Sub(now); left <= 0 {
			return 0, "" // over
		}
		// What the collector could not have ordered is damage, or a clock that was wrong.
		o := orders.Order{ID: "stored", Kind: orders.KindHold, Expires: orders.Seconds(time.Second), Hold: &orders.Hold{For: orders.Seconds(left), Note: h.Note}}
		err = o.Validate()
	}
	if err != nil {
		s.log.Warn("the hold of before the restart is ignored", "file", s.file, "error", err)
		return 0, ""
	}
	s.log.Info("a hold of before the restart goes on", "for", left.Round(time.Second), "meeting", h.Note)
	return left, h.Note
}

func (s *store) read() (h stored, err error) {
	f, err := os.Open(s.file)
	if err != nil {
		return h, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxStored+1))
	if err != nil {
		return h, err
	}
	if len(data) > maxStored {
		return h, fmt.Errorf("it has more than %d bytes", maxStored)
	}
	return h, json.Unmarshal(data, &h)
}
