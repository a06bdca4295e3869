package packages

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Describes reads from git what is being built. SOURCE_DATE_EPOCH and VERSION in the environment go before it, for source
// that came without its history.
func Describes(ctx context.Context, root string, getenv func(string) string) (Release, error) {
	r := Release{Version: getenv("VERSION")}
	if r.Version == "" {
		var err error
		if r.Version, err = describe(ctx, root); err != nil {
			return r, fmt.Errorf("%w; without a git checkout set VERSION and SOURCE_DATE_EPOCH", err)
		}
	}
	if !plainVersion.MatchString(r.Version) {
		return r, fmt.Errorf("version %q: use letters, digits and . + - only", r.Version)
	}
	epoch := getenv("SOURCE_DATE_EPOCH")
	if epoch == "" {
		out, err := git(ctx, root, "log", "-1", "--format=%ct")
		if err != nil {
			return r, fmt.Errorf("%w; without a git checkout set SOURCE_DATE_EPOCH", err)
		}
		epoch = out
	}
	seconds, err := strconv.ParseInt(epoch, 10, 64)
	if err != nil || seconds < 315_532_800 || seconds > 4_102_444_800 { // a zip can't hold years before 1980
		return r, fmt.Errorf("SOURCE_DATE_EPOCH %q: want seconds since 1970, of the years 1980 to 2100", epoch)
	}
	r.Time = time.Unix(seconds, 0).UTC()
	return r, nil
}

// describe is git's word for the commit. Without any tag it is 0.0.0-COMMITS.gHASH: older than any release, so that what was
// built before the first one takes releases too.
func describe(ctx context.Context, root string) (string, error) {
	if version, err := git(ctx, root, "describe", "--tags", "--dirty"); err == nil {
		return version, nil
	}
	hash, err := git(ctx, root, "describe", "--always", "--dirty", "--exclude", "*")
	if err != nil {
		return "", err
	}
	commits, err := git(ctx, root, "rev-list", "--count", "HEAD")
	return "0.0.0-" + commits + ".g" + hash, err
}

func git(ctx context.Context, root string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "git", args...)
	cmd.Dir = root
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("git %s: %w", args[0], err)
	}
	return strings.TrimSpace(string(out)), nil
}

var (
	plainVersion = regexp.MustCompile(`^[0-9A-Za-z][0-9A-Za-z.+-]{0,80}$`)
	untagged     = regexp.MustCompile(`^0\.0\.0-[0-9]+\.g([0-9a-f]+(?:-dirty)?)$`)
	tagged       = regexp.MustCompile(`^v?([0-9]+\.[0-9]+\.[0-9]+)(?:-([0-9A-Za-z.]+?))??(?:-([0-9]+)-g([0-9a-f]+))?(-dirty)?$`)
)

// Packaged is the version as package managers compare it. v1.2.3 is 1.2.3; v1.3.0-rc.1 is 1.3.0~rc.1, which is older than
// 1.3.0; five commits after v1.2.3 it is 1.2.3+5.gabcdef0. Without a tag it is 0.0.0~ and the commit's time, so that later
// commits are newer.
func (r Release) Packaged() string {
	version := untagged.ReplaceAllString(r.Version, "$1")
	m := tagged.FindStringSubmatch(version)
	if m == nil {
		return "0.0.0~" + r.Time.Format("20060102150405") + "." + strings.ReplaceAll(version, "-", ".")
	}
	version = m[1]
	if m[2] != "" {
		version += "~" + m[2]
	}
	if m[3] != "" {
		version += "+" + m[3] + ".g" + m[4]
	}
	if m[5] != "" {
		version += "+dirty"
	}
	return version
}

// settle gives a CycloneDX list the commit's time; the time it was made at would differ with each build.
func settle(file string, r Release) error {
	data, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	var list map[string]any
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	if err := dec.Decode(&list); err != nil {
		return err
	}
	meta, ok := list["metadata"].(map[string]any)
	if !ok {
		return fmt.Errorf("it has no metadata")
	}
	meta["timestamp"] = r.Time.Format(time.RFC3339)
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(list); err != nil {
		return err
	}
	return os.WriteFile(file, out.Bytes(), 0o644)
}

// sums writes SHA256SUMS over all files of a folder, as sha256sum --check reads it.
func sums(dist string) error {
	var lines []string
	err := filepath.WalkDir(dist, func(p string, d os.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		f, err := os.Open(p)
		if err != nil {
			return err
		}
		defer f.Close()
		h := sha256.New()
		if _, err := io.Copy(h, f); err != nil {
			return err
		}
		name, err := filepath.Rel(dist, p)
		lines = append(lines, hex.EncodeToString(h.Sum(nil))+"  "+filepath.ToSlash(name)+"\n")
		return err
	})
	if err != nil {
		return err
	}
	slices.SortFunc(lines, func(a, b string) int { return strings.Compare(a[64:], b[64:]) })
	return os.WriteFile(filepath.Join(dist, "SHA256SUMS"), []byte(strings.Join(lines, "")), 0o644)
}
