package work

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"communewatch/agent/seal"
	"communewatch/probes/work"
)

// sealedAs binds the file to what it is.
const sealedAs = "work"

// kept is what the sealed file holds.
type kept struct {
	ETag string     `json:"etag"`
	Work *work.Work `json:"work"`
}

// Restore puts the work of before the restart in force, as far as it is still good. It is to be called before Run. What
// can't be read is set aside; the collector gives it again.
func (f *Fetcher) Restore() {
	k, err := f.load()
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return
	case errors.Is(err, fs.ErrPermission):
		f.o.Log.Warn("the work of before the restart may not be read by this user", "error", err)
		return
	case err != nil:
		f.o.Log.Warn("the work of before the restart can't be read; asking for it again", "file", f.file(), "error", err)
		if err := os.Rename(f.file(), f.file()+".damaged"); err != nil {
			f.o.Log.Warn("can't set it aside", "error", err)
		}
		return
	}
	if problems := f.o.Adopt(k.Work); len(problems) > 0 {
		f.refuse(problems, "") // without its tag: what the collector has now may be better
		return
	}
	f.say(work.Status{State: work.StateActive, Version: k.Work.Version, ETag: k.ETag})
	f.o.Log.Info("going on with the work of before the restart", "version", k.Work.Version)
}

func (f *Fetcher) load() (*kept, error) {
	file, err := os.Open(f.file())
	if err != nil {
		return nil, err
	}
	defer file.Close()
	const most = 2 * work.MaxWork // with what sealing adds, and escapes
	sealed, err := io.ReadAll(io.LimitReader(file, most+1))
	if err != nil {
		return nil, err
	}
	if len(sealed) > most {
		return nil, fmt.Errorf("it has more than %d bytes", most)
	}
	box, err := f.box()
	if err != nil {
		return nil, err
	}
	plain, err := box.Open(sealedAs, sealed)
	if err != nil {
		return nil, err
	}
	return unpack(plain)
}

// unpack reads what was sealed.
func unpack(plain []byte) (*kept, error) {
	var k kept
	if err := json.Unmarshal(plain, &k); err != nil {
		return nil, errors.New("it is not understood") // an error of JSON may quote what is in it
	}
	if k.Work == nil {
		return nil, errors.New("it holds no work")
	}
	if len(k.ETag) > maxTag || work.Problem(k.ETag) != k.ETag {
		k.ETag = ""
	}
	return &k, k.Work.Validate()
}

// keep writes the work down for after a restart.
func (f *Fetcher) keep(w *work.Work, tag string) error {
	box, err := f.box()
	if err != nil {
		return err
	}
	plain, err := json.Marshal(kept{tag, w})
	if err != nil {
		return err
	}
	return f.write(box, plain)
}

// write replaces the file as a whole.
func (f *Fetcher) write(box *seal.Box, plain []byte) error {
	dir := filepath.Dir(f.file())
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	t, err := os.CreateTemp(dir, filepath.Base(f.file())+".*.tmp") // 0600
	if err != nil {
		return err
	}
	_, err = t.Write(box.Seal(sealedAs, plain))
	if err == nil {
		err = t.Sync()
	}
	if closed := t.Close(); err == nil {
		err = closed
	}
	if err == nil {
		err = os.Rename(t.Name(), f.file())
	}
	if err != nil {
		_ = os.Remove(t.Name())
	}
	return err
}

// forget removes what is kept.
func (f *Fetcher) forget() error {
	if err := os.Remove(f.file()); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("the work of before could not be removed: %w", err)
	}
	return nil
}
