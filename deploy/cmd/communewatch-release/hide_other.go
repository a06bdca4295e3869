//go:build !linux && !windows

package main

import "os"

// hide can't have a terminal not show what is typed.
func hide(*os.File) (restore func(), ok bool) { return nil, false }
