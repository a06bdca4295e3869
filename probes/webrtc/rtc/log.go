package rtc

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/pion/logging"
)

// library takes the media library's log. What peers do wrong is nobody's alarm: all of it is for debugging.
type library struct{ log *slog.Logger }

func (l library) NewLogger(scope string) logging.LeveledLogger {
	if l.log == nil {
		return library{}
	}
	return library{l.log.With("part", scope)}
}

func (l library) say(format string, args ...any) {
	if l.log != nil && l.log.Enabled(context.Background(), slog.LevelDebug) {
		l.log.Debug(fmt.Sprintf(format, args...))
	}
}

func (l library) Trace(string)          {}
func (l library) Tracef(string, ...any) {}
func (l library) Debug(string)          {}
func (l library) Debugf(string, ...any) {}

func (l library) Info(msg string)                   { l.say("%s", msg) }
func (l library) Infof(format string, args ...any)  { l.say(format, args...) }
func (l library) Warn(msg string)                   { l.say("%s", msg) }
func (l library) Warnf(format string, args ...any)  { l.say(format, args...) }
func (l library) Error(msg string)                  { l.say("%s", msg) }
func (l library) Errorf(format string, args ...any) { l.say(format, args...) }
