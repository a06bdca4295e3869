package main

import (
	"os"

	"golang.org/x/sys/windows"
)

// hide has a console not show what is typed, until restore. It reports false for what is no console.
func hide(f *os.File) (restore func(), ok bool) {
	console := windows.Handle(f.Fd())
	var was uint32
	if windows.GetConsoleMode(console, &was) != nil {
		return nil, false
	}
	mute := was&^windows.ENABLE_ECHO_INPUT | windows.ENABLE_LINE_INPUT | windows.ENABLE_PROCESSED_INPUT
	if windows.SetConsoleMode(console, mute) != nil {
		return nil, false
	}
	return func() { _ = windows.SetConsoleMode(console, was) }, true // a console that is gone shows nothing
}
