// Package exit is how commands say which exit code a failure has: scripts learn from it whose fault one is.
package exit

import (
	"errors"
	"fmt"
)

// The codes. The second is for whatever kept the agent from measuring: its settings, its flags, its permissions.
const (
	CodeNotUp = 1 // a check failed; for other commands, any failure
	CodeOwn   = 2
)

// failure is an error with its exit code. Without err nothing is printed.
type failure struct {
	code int
	err  error
}

// NotUp makes an error one of CodeNotUp.
func NotUp(err error) error { return &failure{CodeNotUp, err} }

// Own makes an error one of CodeOwn.
func Own(err error) error { return &failure{CodeOwn, err} }

// Silent is a failure about which there is nothing more to say.
func Silent(code int) error { return &failure{code, nil} }

func (f *failure) Error() string {
	if f.err == nil {
		return fmt.Sprintf("exit code %d", f.code)
	}
	return f.err.Error()
}
func (f *failure) Unwrap() error { return f.err }

// Of returns the code of an error and what is to be printed; nil for nothing. An error of no code has CodeOwn: those of
// the command line are mistakes in it.
func Of(err error) (code int, say error) {
	var f *failure
	switch {
	case err == nil:
		return 0, nil
	case errors.As(err, &f):
		return f.code, f.err
	}
	return CodeOwn, err
}
