// Command communewatch-bench measures what the product claims and writes docs/BENCHMARKS.md; `make bench` runs it.
package main

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"os/signal"
	"syscall"

	"communewatch/deploy/lab/bench"
	"communewatch/deploy/lab/bench/calls"
	"communewatch/deploy/lab/load"

	"github.com/spf13/cobra"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var o bench.Options
	cmd := &cobra.Command{
		Use: "communewatch-bench", Short: "Measure the programs in bin/", Args: cobra.NoArgs,
		SilenceUsage: true, SilenceErrors: true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			o.Out = cmd.OutOrStdout()
			return bench.Run(cmd.Context(), o)
		},
	}
	cmd.Flags().StringVar(&o.Bin, "bin", "bin", "folder of the programs")
	cmd.Flags().StringSliceVar(&o.Only, "only", nil, "sections to run: ingest, scale, query, agent, spool, rtt, snmp, polls, judge, influx, stores, reports, calls (no report is written then)")
	cmd.Flags().StringVar(&o.Report, "report", "docs/BENCHMARKS.md", "file to write the results to")
	cmd.Flags().BoolVar(&o.Small, "small", false, "influx, stores and reports with small numbers, to try them (no report is written then)")
	cmd.AddCommand(askCommand(), loadCommand())
	if err := cmd.ExecuteContext(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "communewatch-bench:", err)
		os.Exit(1)
	}
}

// askCommand is what the benchmark starts to read a device.
func askCommand() *cobra.Command {
	var all bool
	cmd := &cobra.Command{
		Use: "ask ADDRESS", Hidden: true, Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return bench.Asker(cmd.Context(), cmd.OutOrStdout(), args[0], all)
		},
	}
	cmd.Flags().BoolVar(&all, "all", false, "every variable")
	return cmd
}

// loadCommand is what the benchmark starts to make calls.
func loadCommand() *cobra.Command {
	var o load.Options
	var local string
	cmd := &cobra.Command{
		Use: "load", Hidden: true, Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			if o.Local, err = netip.ParseAddr(local); err != nil {
				return err
			}
			return calls.Load(cmd.Context(), cmd.OutOrStdout(), o)
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.Service, "service", "reflector", "reflector or janus")
	f.StringVar(&o.URL, "url", "", "of its signalling")
	f.StringVar(&o.Token, "token", "", "that it wants")
	f.StringVar(&local, "local", "127.0.0.1", "address to call from")
	f.IntVar(&o.Sessions, "calls", 1, "calls at once")
	return cmd
}
