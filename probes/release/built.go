package release

import (
	"runtime/debug"
	"time"
)

// Built is when this program was built, as the toolchain wrote it into it: the time of the newest change that is in it. It
// is zero for programs that were built outside a repository, such as tests. No clock that says less is right.
func Built() time.Time {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return time.Time{}
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.time" {
			at, _ := time.Parse(time.RFC3339, s.Value) // zero if it can't be read
			return at
		}
	}
	return time.Time{}
}
