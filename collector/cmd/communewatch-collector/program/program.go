// Package program is what the rooms of commands have in common: what they need of the program that holds them, and the
// frame of a command that holds others.
package program

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/user"
	"strconv"
	"strings"
	"time"

	"communewatch/collector"
	"communewatch/collector/people"
	"communewatch/collector/registry"

	"github.com/spf13/cobra"
)

// Access is how commands reach the collector's settings and its registry. Both are required.
type Access struct {
	Config   func() (collector.Config, error)                                  // reads the settings
	Registry func(cmd *cobra.Command, do func(*registry.Registry) error) error // opens the registry for one command
}

// Group is a command that does nothing but hold others.
func Group(use, short string, commands ...*cobra.Command) *cobra.Command {
	group := &cobra.Command{
		Use: use, Short: short,
		Args: cobra.NoArgs, // so that a mistyped command is an error
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	group.AddCommand(commands...)
	return group
}

// Exactly is cobra.ExactArgs with an error that says what is missing.
func Exactly(n int, what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) != n {
			return fmt.Errorf("give %s: %s (found %d arguments)", what, cmd.UseLine(), len(args))
		}
		return nil
	}
}

// Span is a flag for a length of time that is given in hours or days: 90m, 48h, 30d.
type Span struct{ Of *time.Duration }

// String is the length as a flag's default is printed.
func (s Span) String() string {
	if s.Of == nil {
		return ""
	}
	if hours := s.Of.Hours(); *s.Of == time.Duration(hours)*time.Hour {
		return fmt.Sprintf("%gh", hours)
	}
	return s.Of.String()
}

// Set reads a length.
func (s Span) Set(text string) error {
	const day, most = 24 * time.Hour, 100 * 366
	if n, err := strconv.ParseUint(strings.TrimSuffix(text, "d"), 10, 32); err == nil && strings.HasSuffix(text, "d") && n <= most {
		*s.Of = time.Duration(n) * day
		return nil
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		return fmt.Errorf("%.40q is no length of time; write 90m, 48h or 30d", text)
	}
	*s.Of = d
	return nil
}

// Type names the flag's value in help.
func (s Span) Type() string { return "time" }

// As returns a context that says who types a command: the user that sudo was asked by, or else the one that the program
// runs as. It is for the record; whoever can open the registry may do everything.
func As(ctx context.Context) context.Context {
	name := os.Getenv("SUDO_USER")
	if u, err := user.Current(); err == nil {
		name = cmp.Or(name, u.Username)
	}
	return people.With(ctx, people.Caller{Name: cmp.Or(name, "unknown"), Role: people.RoleAdmin, Via: "command"})
}

// PrintJSON writes v for programs, and for people who read it.
func PrintJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}

// Convert makes a list of another kind.
func Convert[A, B any](list []A, to func(A) B) []B {
	out := make([]B, len(list))
	for i, a := range list {
		out[i] = to(a)
	}
	return out
}

// Dash is s, or what stands for nothing in a table.
func Dash(s string) string { return cmp.Or(s, "-") }
