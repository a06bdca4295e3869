package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/spf13/cobra"

	"communewatch/probes"
	"communewatch/probes/snmp/ask"
	"communewatch/probes/snmp/identify"
	"communewatch/probes/snmp/recording"
)

// identified is what the command prints of one device as JSON.
type identified struct {
	Address  string     `json:"address,omitempty"`
	Vendor   *string    `json:"vendor"` // null: unknown
	Model    *string    `json:"model"`
	Version  *string    `json:"version"`
	Serial   *string    `json:"serial"`
	Class    *string    `json:"class"`
	Evidence []evidence `json:"evidence"`
}

type evidence struct {
	Fact       probes.FactName `json:"fact"`
	Value      string          `json:"value"`
	Source     string          `json:"source"`
	Confidence float64         `json:"confidence"`
}

func asIdentified(address string, facts []probes.Fact) identified {
	out := identified{Address: address, Evidence: []evidence{}}
	for _, f := range facts {
		out.Evidence = append(out.Evidence, evidence{f.Name, f.Value, f.Source, f.Confidence})
		value := f.Value
		for name, field := range map[probes.FactName]**string{probes.FactVendor: &out.Vendor, probes.FactModel: &out.Model,
			probes.FactVersion: &out.Version, probes.FactSerial: &out.Serial, probes.FactClass: &out.Class} {
			if name == f.Name {
				*field = &value
			}
		}
	}
	return out
}

func newIdentify() *cobra.Command {
	var replay, profiles string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "identify HOST[:PORT]",
		Short: "Say what a device is, with the evidence",
		Args:  cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			var own fs.FS
			if profiles != "" {
				own = os.DirFS(profiles)
			}
			engine, err := identify.New(own)
			if err != nil {
				return err
			}
			if replay == "" {
				return errors.New("give --replay FILE")
			}
			dev, err := openRecording(replay)
			if err != nil {
				return err
			}
			return printIdentity(cmd.Context(), cmd.OutOrStdout(), engine, dev, "", asJSON)
		},
	}
	cmd.Flags().StringVar(&replay, "replay", "", "identify from a recording in place of a device")
	cmd.Flags().StringVar(&profiles, "profiles", "", "folder with further profiles; they go before the built-in ones")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func openRecording(file string) (ask.Device, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	rec, err := recording.Parse(f)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return rec, nil
}

func printIdentity(ctx context.Context, w io.Writer, engine *identify.Engine, dev ask.Device, address string, asJSON bool) error {
	id, err := engine.Identify(ctx, dev)
	if err != nil {
		return err
	}
	if asJSON {
		enc := json.NewEncoder(w)
		enc.SetEscapeHTML(false)
		return enc.Encode(asIdentified(address, id.Facts))
	}
	_, err = fmt.Fprint(w, id)
	return err
}
