// Command communewatch-release makes and signs releases of the agent, on the machine of whoever makes them: the private
// key never has to be anywhere else. Its files are those of minisign, which can do the same with them. See docs/updates.md.
package main

import (
	"archive/zip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"aead.dev/minisign"
	"github.com/spf13/cobra"

	"communewatch/probes/release"
)

func main() {
	if err := root(os.Stdin).ExecuteContext(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, "communewatch-release:", err)
		os.Exit(1)
	}
}

func root(stdin io.Reader) *cobra.Command {
	cmd := &cobra.Command{
		Use: "communewatch-release", Short: "Make and sign releases of the agent", SilenceUsage: true, SilenceErrors: true,
		Args: cobra.NoArgs, RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newKeygen(stdin), newMake(), newSign(stdin), newVerify())
	return cmd
}

func newKeygen(stdin io.Reader) *cobra.Command {
	p := password{stdin: stdin}
	cmd := &cobra.Command{
		Use: "keygen NAME", Short: "Make a pair of keys: NAME.key, encrypted with a password, and NAME.pub", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			secret, err := p.read(cmd, true)
			if err != nil {
				return err
			}
			public, private, err := minisign.GenerateKey(nil)
			if err != nil {
				return err
			}
			encrypted, err := minisign.EncryptKey(secret, private)
			if err != nil {
				return err
			}
			open, err := public.MarshalText()
			if err != nil {
				return err
			}
			if err := create(args[0]+".key", encrypted, 0o600); err != nil {
				return err
			}
			if err := create(args[0]+".pub", append(open, '\n'), 0o644); err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "keep %s.key where no other machine reaches it; put this into updates.keys of the collector's and the agents' settings:\n%s\n", args[0], public)
			return err
		},
	}
	p.flag(cmd)
	return cmd
}

// create writes a file that must not be there yet.
func create(name string, data []byte, mode os.FileMode) error {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	return errors.Join(err, f.Sync(), f.Close())
}

func newMake() *cobra.Command {
	var version, from, notes, out string
	var valid time.Duration
	var rollback bool
	cmd := &cobra.Command{
		Use: "make --version V --out FOLDER BINARY...", Short: "Make a release's folder of the agent's binaries, one for each platform", Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			now := time.Now().UTC().Truncate(time.Second)
			m := release.Manifest{Product: release.Product, Built: now, Expires: now.Add(valid), Notes: notes, Rollback: rollback}
			if m.Version, err = release.ParseVersion(version); err != nil {
				return fmt.Errorf("--version: %w", err)
			}
			if from != "" {
				if m.From, err = release.ParseVersion(from); err != nil {
					return fmt.Errorf("--from: %w", err)
				}
			}
			if err := os.Mkdir(out, 0o755); err != nil {
				return err
			}
			defer func() {
				if err != nil {
					_ = os.RemoveAll(out) // so that the next try can make it
				}
			}()
			for _, name := range args {
				f, err := add(cmd.Context(), out, name, m.Version)
				if err != nil {
					return fmt.Errorf("%s: %w", name, err)
				}
				m.Files = append(m.Files, f)
			}
			if err := m.Validate(); err != nil {
				return err
			}
			data, err := json.MarshalIndent(m, "", "  ")
			if err != nil {
				return err
			}
			if err := create(filepath.Join(out, release.ManifestFile), append(data, '\n'), 0o644); err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "release %v is in %s; read its manifest, then: communewatch-release sign --key NAME.key %s\n", m.Version, out, out)
			return err
		},
	}
	cmd.Flags().StringVar(&version, "version", "", "of the release; what the binaries were stamped with")
	cmd.Flags().StringVar(&from, "from", "", "least `version` that may update to it")
	cmd.Flags().StringVar(&notes, "notes", "", "what is new, for people")
	cmd.Flags().StringVar(&out, "out", "", "`folder` to make")
	cmd.Flags().DurationVar(&valid, "valid", 180*24*time.Hour, "how long agents may take it")
	cmd.Flags().BoolVar(&rollback, "rollback", false, "agents with a newer version may take it too")
	_ = cmd.MarkFlagRequired("version") // both exist: they were made above
	_ = cmd.MarkFlagRequired("out")
	return cmd
}

// platforms are those that the agent is built for.
var platforms = [][2]string{{"linux", "amd64"}, {"linux", "arm64"}, {"linux", "arm"}, {"windows", "amd64"}, {"windows", "arm64"}}

// add puts a binary into the release's folder and describes it.
func add(ctx context.Context, out, name string, v release.Version) (f release.File, err error) {
	if name, err = filepath.Abs(name); err != nil { // a bare name would be looked for in PATH
		return f, err
	}
	data, err := os.ReadFile(name)
	if err != nil {
		return f, err
	}
	in, err := os.Open(name)
	if err != nil {
		return f, err
	}
	defer in.Close()
	for _, p := range platforms {
		if release.CheckBinary(in, p[0], p[1]) == nil {
			f.OS, f.Arch = p[0], p[1]
		}
	}
	if f.OS == "" {
		return f, release.ErrBinary
	}
	if f.OS == runtime.GOOS && f.Arch == runtime.GOARCH { // those for other machines can't be asked here
		said, err := exec.CommandContext(ctx, name, "version").Output()
		if err != nil {
			return f, fmt.Errorf("ask it for its version: %w", err)
		}
		if words := strings.Fields(string(said)); len(words) < 2 || words[0] != release.Product {
			return f, fmt.Errorf("it is not %s: it says %.100q", release.Product, said)
		} else if got, err := release.ParseVersion(words[1]); err != nil || got != v {
			return f, fmt.Errorf("it says that it is version %s, and agents would refuse it as %v", words[1], v)
		}
	}
	sum := sha256.Sum256(data)
	f.Name = fmt.Sprintf("%s_%v_%s_%s", release.Product, v, f.OS, f.Arch)
	f.Size, f.SHA256 = int64(len(data)), hex.EncodeToString(sum[:])
	return f, create(filepath.Join(out, f.Name), data, 0o755)
}

func newSign(stdin io.Reader) *cobra.Command {
	p := password{stdin: stdin}
	var key string
	cmd := &cobra.Command{
		Use: "sign --key NAME.key FOLDER", Short: "Sign a release, and put all of it into FOLDER.zip, to be carried to the collector", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			dir := filepath.Clean(args[0])
			data, m, err := checked(dir)
			if err != nil {
				return err
			}
			secret, err := p.read(cmd, false)
			if err != nil {
				return err
			}
			private, err := minisign.PrivateKeyFromFile(secret, key)
			if err != nil {
				return fmt.Errorf("%s: %w; is the password right?", key, err)
			}
			signature := minisign.SignWithComments(private, data, fmt.Sprintf("%s %v", m.Product, m.Version), fmt.Sprintf("signature of key %016X", private.ID()))
			if err := create(filepath.Join(dir, release.SignatureFile), signature, 0o644); err != nil {
				return err
			}
			if err := pack(dir, dir+".zip", m); err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "release %v is signed with key %016X; carry %s.zip to the collector: communewatch-collector release add %s.zip\n", m.Version, private.ID(), dir, filepath.Base(dir))
			return err
		},
	}
	cmd.Flags().StringVar(&key, "key", "", "private key `file`")
	_ = cmd.MarkFlagRequired("key") // it exists: it was made on the line above
	p.flag(cmd)
	return cmd
}

// checked reads a release's manifest and compares the binaries with it.
func checked(dir string) ([]byte, *release.Manifest, error) {
	data, err := os.ReadFile(filepath.Join(dir, release.ManifestFile))
	if err != nil {
		return nil, nil, err
	}
	m, err := release.ParseManifest(data)
	if err != nil {
		return nil, nil, err
	}
	for _, f := range m.Files {
		content, err := os.ReadFile(filepath.Join(dir, f.Name))
		if err != nil {
			return nil, nil, err
		}
		if sum := sha256.Sum256(content); int64(len(content)) != f.Size || hex.EncodeToString(sum[:]) != f.SHA256 {
			return nil, nil, fmt.Errorf("%s is not what the manifest says", f.Name)
		}
	}
	return data, m, nil
}

// pack puts a release's files into a ZIP file.
func pack(dir, name string, m *release.Manifest) (err error) {
	out, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	z := zip.NewWriter(out)
	names := []string{release.ManifestFile, release.SignatureFile}
	for _, f := range m.Files {
		names = append(names, f.Name)
	}
	for _, n := range names {
		content, err := os.ReadFile(filepath.Join(dir, n))
		if err != nil {
			return err
		}
		w, err := z.Create(n)
		if err != nil {
			return err
		}
		if _, err := w.Write(content); err != nil {
			return err
		}
	}
	return z.Close()
}

func newVerify() *cobra.Command {
	var keys []string
	cmd := &cobra.Command{
		Use: "verify --key PUBLIC FOLDER", Short: "Check a release as agents do", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			for i, k := range keys {
				if data, err := os.ReadFile(k); err == nil {
					keys[i] = string(data)
				}
			}
			pinned, err := release.ParseKeys(keys)
			if err != nil {
				return err
			}
			data, err := os.ReadFile(filepath.Join(args[0], release.ManifestFile))
			if err != nil {
				return err
			}
			signature, err := os.ReadFile(filepath.Join(args[0], release.SignatureFile))
			if err != nil {
				return err
			}
			m, err := release.Verify(data, signature, pinned)
			if errors.Is(err, release.ErrForeign) {
				return errors.New("the release is signed with another key than those of --key")
			}
			if err != nil {
				return err
			}
			if _, _, err := checked(args[0]); err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "release %v is good until %s\n", m.Version, m.Expires.Format(time.DateOnly))
			return err
		},
	}
	cmd.Flags().StringArrayVar(&keys, "key", nil, "public `key`, or the file with it; may be given several times")
	return cmd
}
