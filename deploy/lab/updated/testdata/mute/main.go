// Command mute is a release that can't be told from a good one before it runs: it knows its version and likes any settings.
// When it is to measure, it does nothing at all, and does not stop when it is asked to.
package main

import (
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// version is set by the build.
var version string

func main() {
	switch os.Args[1] {
	case "version":
		fmt.Println("communewatch-agent", version, "go", "linux")
	case "run":
		signal.Ignore(os.Interrupt, syscall.SIGTERM)
		time.Sleep(time.Hour)
	}
}
