//go:build !linux

package usage

import "syscall"

// Queued: only Linux tells.
func Queued(syscall.Conn) (bytes int64, ok bool) { return 0, false }
