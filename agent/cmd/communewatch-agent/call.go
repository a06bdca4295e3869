package main

import (
	"os"

	"communewatch/probes/webrtc"

	"github.com/spf13/cobra"
)

// callCommand is the hidden command that makes one conference call in a process of its own.
const callCommand = "webrtc-call"

func newCall() *cobra.Command {
	return &cobra.Command{
		Use: callCommand, Hidden: true, Args: cobra.NoArgs, Short: "Make one conference call as told on standard input",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := webrtc.Serve(cmd.InOrStdin(), cmd.OutOrStdout()); err != nil {
				return &exit{exitOwn, err}
			}
			return nil
		},
	}
}

// callProcess is the command of a call's process; nil, which means in this process, if the program can't be found.
func callProcess() []string {
	self, err := os.Executable()
	if err != nil {
		return nil
	}
	return []string{self, callCommand}
}
