package packages

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"debug/elf"
	"debug/pe"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"communewatch/probes/release"
)

// options build what tests look at: each kind of package and each kind of program once.
func options(t *testing.T, dist string) Options {
	t.Helper()
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	all := Targets()
	return Options{
		Root: root, Dist: dist, Tools: filepath.Join(root, "bin", "tools"), Say: io.Discard,
		Targets: []Target{all[0], all[2], all[3], all[6]}, // the agent for amd64 and armv7, the collector for amd64, the agent for Windows
		Release: Release{Version: "v1.2.3-5-gabcdef0", Time: time.Unix(1_790_000_000, 0).UTC()},
	}
}

const packaged = "1.2.3+5.gabcdef0"

func TestPackages(t *testing.T) {
	if testing.Short() {
		t.Skip("builds programs for three systems")
	}
	dist := filepath.Join(t.TempDir(), "dist")
	o := options(t, dist)
	if err := Build(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	t.Run("a second build is the same", func(t *testing.T) { testAgain(t, o) })
	t.Run("sha256sum finds the sums right", func(t *testing.T) {
		cmd := exec.Command("sha256sum", "--check", "--strict", "SHA256SUMS")
		cmd.Dir = dist
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%v\n%s", err, out)
		}
	})
	t.Run("programs are for the machines they are named for", func(t *testing.T) { testPrograms(t, dist) })
	t.Run("the zip for Windows", func(t *testing.T) { testZip(t, dist) })
	t.Run("the container image", func(t *testing.T) { testImage(t, dist) })
	t.Run("lists of contents", func(t *testing.T) { testLists(t, dist) })
	t.Run("deb and rpm in a throw-away root", func(t *testing.T) { testInstall(t, o) })
	t.Run("services under a real systemd", func(t *testing.T) { testServices(t, o) })
	t.Run("from the package to green on the map", func(t *testing.T) { testGreen(t, o) })
}

// sumsOf reads SHA256SUMS.
func sumsOf(t *testing.T, dist string) map[string]string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(dist, "SHA256SUMS"))
	if err != nil {
		t.Fatal(err)
	}
	list := map[string]string{}
	for line := range strings.Lines(string(data)) {
		list[strings.TrimSpace(line[66:])] = line[:64]
	}
	return list
}

func testAgain(t *testing.T, o Options) {
	want := []string{
		"communewatch-agent-" + packaged + "-1.armv7hl.rpm", "communewatch-agent-" + packaged + "-1.x86_64.rpm",
		"communewatch-agent_" + packaged + "-1_amd64.deb", "communewatch-agent_" + packaged + "-1_armhf.deb",
		"communewatch-agent_" + packaged + "_linux_amd64.cdx.json", "communewatch-agent_" + packaged + "_linux_armv7.cdx.json",
		"communewatch-agent_" + packaged + "_windows_amd64.cdx.json", "communewatch-agent_" + packaged + "_windows_amd64.zip",
		"communewatch-collector-" + packaged + "-1.x86_64.rpm", "communewatch-collector_" + packaged + "-1_amd64.deb",
		"communewatch-collector_" + packaged + "_container_amd64.tar.gz", "communewatch-collector_" + packaged + "_linux_amd64.cdx.json",
		"programs/linux_amd64/communewatch-agent", "programs/linux_amd64/communewatch-collector",
		"programs/linux_armv7/communewatch-agent", "programs/windows_amd64/communewatch-agent.exe",
	}
	first := sumsOf(t, o.Dist)
	if got := slices.Sorted(maps.Keys(first)); !slices.Equal(got, want) {
		t.Errorf("built\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	t.Setenv("TZ", "Asia/Ho_Chi_Minh")
	o.Dist = filepath.Join(t.TempDir(), "another", "dist")
	o.Targets = slices.DeleteFunc(slices.Clone(o.Targets), func(t Target) bool { return t.ARM != "" }) // nothing is done to it that is not done to the others
	slices.Reverse(o.Targets)
	if err := Build(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	again := sumsOf(t, o.Dist)
	if len(again) != len(want)-4 {
		t.Errorf("the second build made %d files, want all %d but those for armv7", len(again), len(want))
	}
	for name, sum := range again {
		if first[name] != sum {
			t.Errorf("two builds of one source differ in %s: %s and %s", name, first[name], sum)
		}
	}
}

func testPrograms(t *testing.T, dist string) {
	for folder, machine := range map[string]elf.Machine{"linux_amd64": elf.EM_X86_64, "linux_armv7": elf.EM_ARM} {
		f, err := elf.Open(filepath.Join(dist, "programs", folder, "communewatch-agent"))
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if f.Machine != machine {
			t.Errorf("%s holds a program for %s", folder, f.Machine)
		}
		if libs, err := f.ImportedLibraries(); len(libs) > 0 || err != nil {
			t.Errorf("%s needs libraries: %v, %v", folder, libs, err)
		}
	}
	out, err := exec.Command(filepath.Join(dist, "programs/linux_amd64/communewatch-agent"), "version").Output()
	if err != nil || !strings.Contains(string(out), "v1.2.3-5-gabcdef0") {
		t.Errorf("the agent says its version is %q, %v", out, err)
	}
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	program, err := os.ReadFile(filepath.Join(dist, "programs/linux_amd64/communewatch-agent"))
	if err != nil || bytes.Contains(program, []byte(filepath.Dir(filepath.Dir(here)))) {
		t.Errorf("the program tells where it was built (%v)", err)
	}
}

// read returns the files of a zip by name, without its top folder.
func read(t *testing.T, name string) map[string][]byte {
	t.Helper()
	z, err := zip.OpenReader(name)
	if err != nil {
		t.Fatal(err)
	}
	defer z.Close()
	files := map[string][]byte{}
	for _, f := range z.File {
		folder, name, ok := strings.Cut(f.Name, "/")
		if !ok || folder != "communewatch-agent_"+packaged+"_windows_amd64" {
			t.Errorf("%s would be unpacked beside the folder", f.Name)
		}
		r, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		if files[name], err = io.ReadAll(r); err != nil {
			t.Fatal(err)
		}
		r.Close()
	}
	return files
}

func testZip(t *testing.T, dist string) {
	files := read(t, filepath.Join(dist, "communewatch-agent_"+packaged+"_windows_amd64.zip"))
	for _, name := range []string{"install.ps1", "uninstall.ps1", "README-WINDOWS.txt"} {
		text := files[name]
		if !bytes.HasPrefix(text, []byte("\xef\xbb\xbf")) || bytes.Count(text, []byte("\n")) != bytes.Count(text, []byte("\r\n")) || len(text) < 500 {
			t.Errorf("%s (%d bytes) can't be read by PowerShell 5 or old editors", name, len(text))
		}
	}
	for _, want := range []string{"10240", "14393", "service install", "enroll", "icacls"} {
		if !bytes.Contains(files["install.ps1"], []byte(want)) {
			t.Errorf("install.ps1 has no %s", want)
		}
	}
	if len(files["agent.yaml"]) == 0 || len(files) != 5 {
		t.Errorf("the zip holds %d files", len(files))
	}
	program := files["communewatch-agent.exe"]
	f, err := pe.NewFile(bytes.NewReader(program))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if f.Machine != pe.IMAGE_FILE_MACHINE_AMD64 {
		t.Errorf("the program is for machine %#x", f.Machine)
	}
	said := describes(t, f)
	for key, want := range map[string]string{"ProductName": "communewatch-agent", "ProductVersion": "v1.2.3-5-gabcdef0", "OriginalFilename": "communewatch-agent.exe"} {
		if said[key] != want {
			t.Errorf("its properties say %s %q, want %q", key, said[key], want)
		}
	}
	if _, err := addResources(program, func(uint32) []byte { return nil }); err == nil {
		t.Error("a program was described twice")
	}
}

// describes reads the description of a program as Windows would, from the data directory down.
func describes(t *testing.T, f *pe.File) map[string]string {
	t.Helper()
	dir := f.OptionalHeader.(*pe.OptionalHeader64).DataDirectory[resourceTable]
	for _, s := range f.Sections {
		if dir.VirtualAddress != s.VirtualAddress || dir.Size == 0 {
			continue
		}
		data, err := s.Data()
		if err != nil {
			t.Fatal(err)
		}
		u32 := func(at uint32) uint32 {
			return uint32(data[at]) | uint32(data[at+1])<<8 | uint32(data[at+2])<<16 | uint32(data[at+3])<<24
		}
		at := uint32(0)
		for level := range 3 {
			entry := at + 16
			if level == 0 && u32(entry) != typeVersion {
				t.Fatalf("the first resource is of type %d", u32(entry))
			}
			at = u32(entry+4) &^ (1 << 31)
		}
		begin := u32(at) - s.VirtualAddress
		return texts(data[begin : begin+u32(at+4)])
	}
	t.Fatal("the program has no resources")
	return nil
}

// texts finds the pairs of texts in a VS_VERSIONINFO.
func texts(block []byte) map[string]string {
	out := map[string]string{}
	for _, key := range []string{"ProductName", "ProductVersion", "OriginalFilename"} {
		at := bytes.Index(block, wide(key))
		if at < 0 || at%4 != 2 {
			continue // a node begins at a multiple of four, its key six bytes later
		}
		from := at + len(wide(key))
		from += (4 - from%4) % 4
		var value []byte
		for i := from; i+1 < len(block) && (block[i] != 0 || block[i+1] != 0); i += 2 {
			value = append(value, block[i])
		}
		out[key] = string(value)
	}
	return out
}

func testImage(t *testing.T, dist string) {
	f, err := os.Open(filepath.Join(dist, "communewatch-collector_"+packaged+"_container_amd64.tar.gz"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	gz, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	parts := untar(t, gz)
	var manifest []struct {
		Config   string
		RepoTags []string
		Layers   []string
	}
	if err := json.Unmarshal(parts["manifest.json"], &manifest); err != nil || len(manifest) != 1 || len(manifest[0].Layers) != 1 {
		t.Fatalf("manifest %s: %v", parts["manifest.json"], err)
	}
	var config struct {
		Architecture string `json:"architecture"`
		Config       struct {
			User string `json:"User"`
		} `json:"config"`
		RootFS struct {
			DiffIDs []string `json:"diff_ids"`
		} `json:"rootfs"`
	}
	if err := json.Unmarshal(parts[manifest[0].Config], &config); err != nil {
		t.Fatal(err)
	}
	layer := parts[manifest[0].Layers[0]]
	if got := "sha256:" + digest(layer); len(config.RootFS.DiffIDs) != 1 || config.RootFS.DiffIDs[0] != got {
		t.Errorf("the image names layers %v and holds %s", config.RootFS.DiffIDs, got)
	}
	if config.Config.User != "10001:10001" || config.Architecture != "amd64" {
		t.Errorf("it runs as %q on %q", config.Config.User, config.Architecture)
	}
	if tag := manifest[0].RepoTags[0]; strings.ContainsAny(tag, "+~") {
		t.Errorf("%q can be no tag", tag)
	}
	inside := untar(t, bytes.NewReader(layer))
	if len(inside["usr/bin/communewatch-collector"]) == 0 || len(inside["etc/communewatch/collector.yaml"]) == 0 {
		t.Error("the program or its settings are missing")
	}
	if _, ok := inside["var/lib/communewatch-collector/"]; !ok {
		t.Error("there is no folder for data, so its owner would be root")
	}
}

func untar(t *testing.T, r io.Reader) map[string][]byte {
	t.Helper()
	files := map[string][]byte{}
	for tr := tar.NewReader(r); ; {
		h, err := tr.Next()
		if err == io.EOF {
			return files
		}
		if err != nil {
			t.Fatal(err)
		}
		if files[h.Name], err = io.ReadAll(tr); err != nil {
			t.Fatal(err)
		}
	}
}

func testLists(t *testing.T, dist string) {
	for program, part := range map[string]string{"communewatch-agent": "pkg:golang/github.com/gosnmp/gosnmp@", "communewatch-collector": "pkg:golang/modernc.org/sqlite@"} {
		data, err := os.ReadFile(filepath.Join(dist, program+"_"+packaged+"_linux_amd64.cdx.json"))
		if err != nil {
			t.Fatal(err)
		}
		var list struct {
			BOMFormat string `json:"bomFormat"`
			Metadata  struct {
				Timestamp time.Time `json:"timestamp"`
			} `json:"metadata"`
			Components []struct {
				PURL string `json:"purl"`
			} `json:"components"`
		}
		if err := json.Unmarshal(data, &list); err != nil {
			t.Fatal(err)
		}
		found := 0
		for _, c := range list.Components {
			if strings.HasPrefix(c.PURL, part) {
				found++
			}
		}
		if list.BOMFormat != "CycloneDX" || found != 1 || list.Metadata.Timestamp.Unix() != 1_790_000_000 {
			t.Errorf("%s: %s of %s has %d times %s among %d", program, list.BOMFormat, list.Metadata.Timestamp, found, part, len(list.Components))
		}
	}
}

func TestVersionsGrowAsPackageManagersCompareThem(t *testing.T) {
	at := time.Date(2026, 11, 26, 3, 4, 5, 0, time.UTC)
	for version, want := range map[string]string{
		"v1.2.3":                       "1.2.3",
		"1.2.3":                        "1.2.3",
		"v1.2.3-dirty":                 "1.2.3+dirty",
		"v1.3.0-rc.1":                  "1.3.0~rc.1",
		"v1.2.3-5-gabcdef0":            "1.2.3+5.gabcdef0",
		"v1.3.0-rc.1-5-gabcdef0-dirty": "1.3.0~rc.1+5.gabcdef0+dirty",
		"4949711":                      "0.0.0~20261126030405.4949711",
		"4949711-dirty":                "0.0.0~20261126030405.4949711.dirty",
		"0.0.0-412.g4949711":           "0.0.0~20261126030405.4949711",
		"0.0.0-412.g4949711-dirty":     "0.0.0~20261126030405.4949711.dirty",
	} {
		if got := (Release{Version: version, Time: at}).Packaged(); got != want {
			t.Errorf("%s is packaged as %s, want %s", version, got, want)
		}
	}
	if _, err := exec.LookPath("dpkg"); err != nil {
		t.Skip("no dpkg here, so what it makes of the order is not looked at")
	}
	order := []string{"0.0.0~20261126030405.f", "0.0.0~20261126030406.a", "1.2.3", "1.2.3+5.gabc", "1.3.0~rc.1", "1.3.0"}
	for i := range order[1:] {
		if err := exec.Command("dpkg", "--compare-versions", order[i]+"-1", "lt", order[i+1]+"-1").Run(); err != nil {
			t.Errorf("dpkg does not take %s for newer than %s: %v", order[i+1], order[i], err)
		}
	}
}

func TestWhatIsBuiltIsReadFromTheEnvironmentOrRefused(t *testing.T) {
	env := func(version, epoch string) func(string) string {
		return func(k string) string { return map[string]string{"VERSION": version, "SOURCE_DATE_EPOCH": epoch}[k] }
	}
	r, err := Describes(t.Context(), t.TempDir(), env("v2.0.0", "1790000000"))
	if err != nil || r.Version != "v2.0.0" || r.Time.Unix() != 1790000000 {
		t.Errorf("%+v, %v", r, err)
	}
	for _, c := range [][3]string{
		{"v1 -X main.x=y", "1790000000", "letters, digits"},
		{"v1.0.0", "yesterday", "seconds since 1970"},
		{"v1.0.0", "0", "1980"},
		{"v1.0.0", "", "set SOURCE_DATE_EPOCH"},
		{"", "", "set VERSION"},
	} {
		if _, err := Describes(t.Context(), t.TempDir(), env(c[0], c[1])); err == nil || !strings.Contains(err.Error(), c[2]) {
			t.Errorf("version %q of %q: %v, want %q", c[0], c[1], err, c[2])
		}
	}
}

// TestWhatIsBuiltWithoutATagTakesReleases: agents compare versions, and a hash is none.
func TestWhatIsBuiltWithoutATagTakesReleases(t *testing.T) {
	dir := t.TempDir()
	run := func(args ...string) {
		t.Helper()
		cmd := exec.Command("git", append([]string{"-c", "user.name=x", "-c", "user.email=x@example.vn", "-c", "commit.gpgsign=false"}, args...)...)
		cmd.Dir = dir
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("git %v: %v: %s", args, err, out)
		}
	}
	run("init", "-q")
	var last release.Version
	for i, commits := range []int{1, 8, 1, 1} { // 1, 9, 10, and the release
		for range commits {
			run("commit", "-q", "--allow-empty", "-m", "x")
		}
		if i == 3 {
			run("tag", "v0.0.1")
		}
		r, err := Describes(t.Context(), dir, func(string) string { return "" })
		if err != nil {
			t.Fatal(err)
		}
		v, err := release.ParseVersion(r.Version)
		if err != nil || i > 0 && v.Compare(last) <= 0 {
			t.Errorf("%s is no later version than %v: %v", r.Version, last, err)
		}
		last = v
	}
}

func TestAFolderWithOtherThingsIsNotEmptied(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "thesis.txt"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	err := Build(t.Context(), options(t, dir))
	if err == nil || !strings.Contains(err.Error(), "not of a build") {
		t.Errorf("got %v", err)
	}
	if _, err := os.Stat(filepath.Join(dir, "thesis.txt")); err != nil {
		t.Error(err)
	}
}

func TestUnitsAreHardAndRight(t *testing.T) {
	if _, err := exec.LookPath("systemd-analyze"); err != nil {
		t.Skip("no systemd-analyze here (package systemd), so units are not looked at")
	}
	for unit, most := range map[string]int{"agent/communewatch-agent": 20, "agent/communewatch-shutdown": 10, "collector/communewatch-collector": 20} {
		file := filepath.Join("files", unit+".service")
		out, err := exec.Command("systemd-analyze", "security", "--offline=true", "--no-pager", fmt.Sprintf("--threshold=%d", most), file).CombinedOutput()
		if err != nil {
			t.Errorf("%s is more exposed than %d.%d: %v\n%s", file, most/10, most%10, err, out)
		}
	}
}
