package service

import (
	"bytes"
	"context"
	"log/slog"
	"sync"
)

// journal is the event log of Windows.
type journal interface {
	Info(v ...any) error
	Warning(v ...any) error
	Error(v ...any) error
}

// eventHandler writes log lines to a journal, which keeps time and source itself.
type eventHandler struct {
	journal journal
	text    slog.Handler // writes into buf
	mu      *sync.Mutex  // guards buf; both are shared by all handlers made of one
	buf     *bytes.Buffer
}

// newEventHandler returns a handler for lines of a level and above.
func newEventHandler(j journal, level slog.Level) *eventHandler {
	buf := &bytes.Buffer{}
	text := slog.NewTextHandler(buf, &slog.HandlerOptions{Level: level, ReplaceAttr: func(groups []string, a slog.Attr) slog.Attr {
		if len(groups) == 0 && (a.Key == slog.TimeKey || a.Key == slog.LevelKey) {
			return slog.Attr{}
		}
		return a
	}})
	return &eventHandler{journal: j, text: text, mu: &sync.Mutex{}, buf: buf}
}

// Enabled is of slog.Handler.
func (h *eventHandler) Enabled(ctx context.Context, l slog.Level) bool { return h.text.Enabled(ctx, l) }

// Handle is of slog.Handler.
func (h *eventHandler) Handle(ctx context.Context, r slog.Record) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.buf.Reset()
	if err := h.text.Handle(ctx, r); err != nil {
		return err
	}
	line := string(bytes.TrimRight(h.buf.Bytes(), "\n"))
	switch {
	case r.Level >= slog.LevelError:
		return h.journal.Error(line)
	case r.Level >= slog.LevelWarn:
		return h.journal.Warning(line)
	}
	return h.journal.Info(line)
}

// WithAttrs is of slog.Handler.
func (h *eventHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &eventHandler{h.journal, h.text.WithAttrs(attrs), h.mu, h.buf}
}

// WithGroup is of slog.Handler.
func (h *eventHandler) WithGroup(name string) slog.Handler {
	return &eventHandler{h.journal, h.text.WithGroup(name), h.mu, h.buf}
}
