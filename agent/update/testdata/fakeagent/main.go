// Command fakeagent is an agent that does nothing but update itself, for tests. Its version and how it behaves are
// stamped into the built file.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"communewatch/agent/ship"
	"communewatch/agent/update"
	"communewatch/agent/update/launch"
)

// stamp is set by the build to a marker, and that is overwritten in the file: "1.1.0 crash".
var stamp string

func main() {
	version, mode, _ := strings.Cut(strings.TrimSpace(stamp), " ")
	switch os.Args[1] {
	case "version":
		fmt.Println("communewatch-agent", version, "go", "x/y")
	case "check-config":
		if mode == "picky" {
			fmt.Fprintln(os.Stderr, "agent.yaml:1: unknown key")
			os.Exit(1)
		}
		if mode == "token" && (os.Getenv("LAB_TOKEN") == "" || os.Getenv("COMMUNEWATCH_RELEASE") != "") {
			fmt.Fprintln(os.Stderr, "agent.yaml:1: the environment has no variable")
			os.Exit(1)
		}
	case "guard":
		var g launch.GuardFlags
		set := flag.NewFlagSet("guard", flag.ExitOnError)
		set.StringVar(&g.Dir, "dir", "", "")
		set.StringVar(&g.Version, "version", "", "")
		set.IntVar(&g.PID, "pid", 0, "")
		set.DurationVar(&g.Window, "window", 0, "")
		set.BoolVar(&g.Stay, "stay", false, "")
		_ = set.Parse(os.Args[2:])
		if err := launch.Guard(context.Background(), g, []string{os.Args[0], "guard"}); err != nil {
			fmt.Fprintln(os.Stderr, "guard:", err)
			os.Exit(1)
		}
	case "run":
		os.Exit(run(version, mode))
	}
}

func run(version, mode string) int {
	var dir, url, key string
	var window, guard time.Duration
	var supervise bool
	set := flag.NewFlagSet("run", flag.ExitOnError)
	set.StringVar(&dir, "dir", "", "")
	set.StringVar(&url, "url", "", "")
	set.StringVar(&key, "key", "", "")
	set.DurationVar(&window, "window", time.Minute, "")
	set.DurationVar(&guard, "guard", 2*time.Minute, "")
	set.BoolVar(&supervise, "supervise", false, "")
	_ = set.Parse(os.Args[2:])
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	log := slog.New(slog.NewTextHandler(os.Stderr, nil)).With("pid", os.Getpid(), "version", version)
	launched, handled, err := launch.Launch(ctx, launch.Options{Dir: dir, Version: version, Args: os.Args, Log: log, Window: window, GuardTime: guard,
		Guard: []string{"guard"}, Supervise: supervise})
	if err != nil {
		log.Error("launch", "error", err)
		return 1
	}
	if handled {
		return 0
	}
	ctx, end := launch.StopOnEOF(ctx)
	defer end()
	report(url, "/start?version="+version+"&reason="+string(launched.Reason))
	switch {
	case mode == "crash", mode == "wilt" && launched.Reason == "": // the second only when it is on trial no more
		return 3
	case mode == "hang":
		signal.Ignore(os.Interrupt, syscall.SIGTERM)
		time.Sleep(time.Hour)
	}
	settings := update.DefaultSettings()
	settings.Enabled, settings.Keys, settings.BytesPerSecond = new(true), []string{key}, 1<<30
	settings.Validate(dir, dir, func(at, format string, args ...any) {
		log.Error("settings", "at", at, "problem", fmt.Sprintf(format, args...))
	})
	u := update.New(update.Options{Settings: settings, Dir: dir, Version: version, Launched: launched, Agent: "pc", Config: "agent.yaml",
		Collectors: []ship.Collector{{URL: url}}, Log: log, Window: window, Every: 200 * time.Millisecond,
		Healthy:  func() bool { return mode != "silent" && mode != "lost" && report(url, "/results?version="+version) },
		Answered: func() bool { return mode != "lost" }})
	go func() {
		for ctx.Err() == nil {
			s := u.Status()
			report(url, "/presence?version="+version+"&state="+s.State+"&of="+s.Version)
			time.Sleep(100 * time.Millisecond)
		}
	}()
	err = u.Run(ctx)
	if errors.Is(err, update.ErrSwitch) {
		log.Info("switching", "error", launch.Restart(launched, os.Args))
		return launch.ExitAgain
	}
	if err != nil {
		log.Error("updater", "error", err)
		return 1
	}
	return 0
}

func report(url, path string) bool {
	resp, err := http.Get(url + path)
	if err != nil {
		return false
	}
	_ = resp.Body.Close()
	return resp.StatusCode == http.StatusNoContent
}
