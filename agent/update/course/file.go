package course

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"time"

	"communewatch/agent/spool/disk"
)

// The state's file in the folder of releases, and the lock that those who change it hold.
const (
	stateFile = "state.json"
	lockFile  = "state.lock"
	maxState  = 64 << 10 // bytes
)

const (
	lockTries = 100
	lockPause = 50 * time.Millisecond // others hold it for the length of one write
)

// File keeps a State in a folder. Several processes may use it at once.
type File struct {
	Dir  string
	Disk *disk.Disk // nil: the real one
}

func (f File) disk() *disk.Disk {
	if f.Disk == nil {
		return &disk.Disk{}
	}
	return f.Disk
}

// ErrDamaged says that the state's file can't be read. What it held is lost, so the package's binary runs.
var ErrDamaged = errors.New("the state of updates is damaged; the package's own binary runs")

// Load reads the state. With an error it is the zero State.
func (f File) Load() (State, error) {
	data, err := f.disk().Read(filepath.Join(f.Dir, stateFile), maxState)
	if errors.Is(err, fs.ErrNotExist) {
		return State{}, nil
	}
	if errors.Is(err, disk.ErrDamaged) {
		return State{}, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	if err != nil {
		return State{}, err
	}
	return parse(data)
}

// parse reads a State. What a newer agent may have added to it is let pass: an older one has to find its way.
func parse(data []byte) (State, error) {
	var s State
	if err := json.Unmarshal(data, &s); err != nil {
		return State{}, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	if s.Format != format || s.Trial != nil && s.Trial.Starts < 0 {
		return State{}, fmt.Errorf("%w: format %d", ErrDamaged, s.Format)
	}
	return s, nil
}

// Change puts what do makes of the state in its place, and returns it. A damaged file counts as an empty state, and is
// overwritten.
func (f File) Change(do func(State) (State, error)) (State, error) {
	if err := f.disk().Mkdir(f.Dir); err != nil {
		return State{}, err
	}
	lock, err := disk.Lock(filepath.Join(f.Dir, lockFile))
	for try := 0; errors.Is(err, disk.ErrLocked) && try < lockTries; try++ {
		time.Sleep(lockPause)
		lock, err = disk.Lock(filepath.Join(f.Dir, lockFile))
	}
	if err != nil {
		return State{}, fmt.Errorf("state of updates: %w", err)
	}
	defer lock.Close()
	was, err := f.Load()
	if err != nil && !errors.Is(err, ErrDamaged) {
		return State{}, err
	}
	is, err := do(was)
	if err != nil {
		return was, err
	}
	is.Format = format
	data, err := json.MarshalIndent(is, "", "  ")
	if err != nil {
		return was, err
	}
	if err := f.disk().ReplaceFile(filepath.Join(f.Dir, stateFile), append(data, '\n')); err != nil {
		return was, fmt.Errorf("state of updates: %w", err)
	}
	return is, nil
}
