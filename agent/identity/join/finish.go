package join

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"communewatch/agent/identity"
	"communewatch/agent/spool/disk"
	"communewatch/probes"
	"communewatch/probes/enroll"
)

// alone is for how long nobody has asked when the command that began a request is taken for broken off. While it waits it
// asks every half minute.
const alone = 2 * time.Minute

// waiting is what was asked for and waits for approval.
type waiting struct {
	Code  string `json:"code"`
	Agent string `json:"agent"`
}

// leave notes that the request waits, and that somebody goes on with it.
func leave(o *Options) error {
	if !o.serviceWaits {
		return nil
	}
	file := filepath.Join(o.Dir, joiningFile)
	begun, err := readJoining(o.Dir)
	if err != nil {
		return err
	}
	if begun.Waiting != nil {
		now := o.Now()
		return os.Chtimes(file, now, now)
	}
	begun.Waiting = &waiting{o.Code.String(), o.Agent}
	return writeJoining(o.Dir, begun)
}

// forget lets go of a request that was refused.
func forget(dir string) error {
	begun, err := readJoining(dir)
	if err != nil || begun.Waiting == nil {
		return nil // there is nothing that anybody would go on with
	}
	begun.Waiting = nil
	return writeJoining(dir, begun)
}

func readJoining(dir string) (*joining, error) {
	data, err := (&disk.Disk{Private: true}).Read(filepath.Join(dir, joiningFile), maxJoining)
	if err != nil {
		return nil, err
	}
	var begun joining
	return &begun, json.Unmarshal(data, &begun)
}

func writeJoining(dir string, begun *joining) error {
	data, err := json.Marshal(begun)
	if err != nil {
		return err
	}
	return (&disk.Disk{Private: true}).ReplaceFile(filepath.Join(dir, joiningFile), append(data, '\n'))
}

// Waits says whether a machine has asked to join, and waits for approval.
func Waits(dir string) bool {
	begun, err := readJoining(dir)
	return err == nil && begun.Waiting != nil
}

// Finish goes on with requests that wait for approval and that nobody else goes on with, until the machine is enrolled or ctx
// ends. Of the options it takes neither code nor name. What it says is said once.
func Finish(ctx context.Context, o Options, every time.Duration) {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Wait == nil {
		o.Wait = wait
	}
	said := ""
	for {
		done, err := finish(ctx, &o)
		if done || ctx.Err() != nil {
			return
		}
		if text := fmt.Sprint(err); err != nil && text != said {
			o.Say("%s", text)
			said = text
		} else if err == nil {
			said = ""
		}
		if o.Wait(ctx, every) != nil {
			return
		}
	}
}

// finish asks once, if there is something to ask for.
func finish(ctx context.Context, o *Options) (done bool, err error) {
	info, err := os.Stat(filepath.Join(o.Dir, joiningFile))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	begun, err := readJoining(o.Dir)
	if err != nil || begun.Waiting == nil || o.Now().Sub(info.ModTime()).Abs() < alone {
		return false, err
	}
	asked := *o
	asked.Agent = begun.Waiting.Agent
	if asked.Code, err = enroll.ParseCode(begun.Waiting.Code); err == nil {
		err = probes.CheckName(asked.Agent)
	}
	if err != nil {
		return false, fmt.Errorf("%s: %w", joiningFile, err)
	}
	set := &identity.Set{Collectors: asked.Code.Addresses}
	if set.Key, err = identity.ReadKey(o.Dir, begun.Key); err != nil {
		return false, fmt.Errorf("the key that waits for approval: %w", err)
	}
	body, err := request(&asked, set)
	if err != nil {
		return false, err
	}
	got, err := around(ctx, &asked, body)
	var no *refused
	switch {
	case errors.As(err, &no):
		return false, errors.Join(err, forget(o.Dir))
	case err != nil || got.answer.Pending:
		return false, err
	}
	return true, accept(&asked, set, got)
}
