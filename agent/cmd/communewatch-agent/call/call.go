// Package call is the command that makes one conference call in a process of its own, and how others start it.
package call

import (
	"os"

	"communewatch/probes/webrtc"

	"github.com/spf13/cobra"
)

// Name is the hidden command's.
const Name = "webrtc-call"

// New returns the command.
func New() *cobra.Command {
	return &cobra.Command{
		Use: Name, Hidden: true, Args: cobra.NoArgs, Short: "Make one conference call as told on standard input",
		RunE: func(cmd *cobra.Command, _ []string) error {
			return webrtc.Serve(cmd.InOrStdin(), cmd.OutOrStdout())
		},
	}
}

// Process is the command of a call's process; nil, which means in this process, if the program can't be found.
func Process() []string {
	self, err := os.Executable()
	if err != nil {
		return nil
	}
	return []string{self, Name}
}
