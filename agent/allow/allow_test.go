package allow

import (
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
)

func TestWhatIsKeptIsReadAgain(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "identity")
	if list, err := Kept(folder); err != nil || list != nil {
		t.Errorf("before: %v, %v", list, err)
	}
	want, err := Parse([]string{"203.0.113.7", "198.51.100.9/24", "2001:db8::/32", "203.0.113.7/32", "0.0.0.0/0"})
	if err != nil {
		t.Fatal(err)
	}
	if err := Keep(folder, want); err != nil {
		t.Fatal(err)
	}
	got, err := Kept(folder)
	if err != nil || !slices.Equal(got, want) || len(got) != 4 || got[1] != netip.MustParsePrefix("198.51.100.0/24") {
		t.Errorf("kept %v of %v (%v)", got, want, err)
	}
	if info, err := os.Stat(filepath.Join(folder, keptFile)); err != nil || runtime.GOOS != "windows" && info.Mode().Perm() != 0o600 {
		t.Errorf("others may see or change it: %v, %v", info, err)
	}
	if err := Keep(folder, nil); err != nil {
		t.Fatal(err)
	}
	if got, err := Kept(folder); err != nil || got != nil {
		t.Errorf("after all was taken away: %v, %v", got, err)
	}
	if err := Keep(folder, nil); err != nil {
		t.Errorf("nothing in the place of nothing: %v", err)
	}
}

func TestWhatNothingLetsIn(t *testing.T) {
	for text, want := range map[string]string{
		"mail.example": "neither an address nor a prefix", "": "neither", "10.1.0.0/99": "neither", "127.0.0.1": "this machine", "::1": "this machine",
		"169.254.0.0/16": "its link", "224.0.0.5": "a group", "fe80::1": "its link",
	} {
		if list, err := Parse([]string{"203.0.113.7", text}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, %v", text, list, err)
		}
	}
	var many []string
	for i := range Most + 1 {
		many = append(many, netip.AddrFrom4([4]byte{203, 0, 113, byte(i)}).String())
	}
	if _, err := Parse(many); err == nil || !strings.Contains(err.Error(), "too many") {
		t.Errorf("%d: %v", len(many), err)
	}
}

// Whatever is in the file, nothing is let in that people could not have let in.
func FuzzKept(f *testing.F) {
	f.Add([]byte("203.0.113.7/32\n2001:db8::/32\n"))
	f.Add([]byte("127.0.0.1\n\x00"))
	f.Fuzz(func(t *testing.T, data []byte) {
		folder := t.TempDir()
		if err := os.WriteFile(filepath.Join(folder, keptFile), data, 0o600); err != nil {
			t.Fatal(err)
		}
		list, err := Kept(folder)
		if err != nil && list != nil {
			t.Fatalf("%v beside %v", list, err)
		}
		for _, p := range list {
			if !p.IsValid() || p != p.Masked() || Check(p) != nil {
				t.Errorf("%s is let in", p)
			}
		}
	})
}
