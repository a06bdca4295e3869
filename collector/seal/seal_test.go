package seal_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"communewatch/collector/seal"
)

const planted = "planted-community-7f3a"

func sealed(t *testing.T, b *seal.Box, name, value string) string {
	t.Helper()
	s, err := b.Seal(name, value)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestWhatIsSealedIsReadAgainAndNotSeen(t *testing.T) {
	file := filepath.Join(t.TempDir(), "data", "seal.key")
	b := seal.New(file)
	if _, err := os.Stat(file); err == nil {
		t.Error("New made a key")
	}
	one, two := sealed(t, b, "snmp", planted), sealed(t, b, "snmp", planted)
	if one == two || strings.Contains(one, planted) || !strings.HasPrefix(one, "cws1:") {
		t.Error(one, two)
	}
	for _, box := range []*seal.Box{b, seal.New(file)} {
		if got, err := box.Open("snmp", one); err != nil || got != planted {
			t.Error(got, err)
		}
	}
	info, err := os.Stat(file)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Error(info.Mode(), err)
	}
	if entries, _ := os.ReadDir(filepath.Dir(file)); len(entries) != 1 {
		t.Error("files were left behind:", entries)
	}
}

func TestAValueIsBoundToItsName(t *testing.T) {
	b := seal.New(filepath.Join(t.TempDir(), "seal.key"))
	s := sealed(t, b, "snmp", planted)
	flipped := []byte(s)
	flipped[len(flipped)-3] ^= 1
	for what, c := range map[string][2]string{"another name": {"other", s}, "changed": {"snmp", string(flipped)}, "cut": {"snmp", s[:len(s)-8]}, "no text": {"snmp", ""},
		"plain": {"snmp", planted}, "newer": {"snmp", strings.Replace(s, "cws1", "cws2", 1)}, "short": {"snmp", s[:14]}} {
		got, err := b.Open(c[0], c[1])
		if !errors.Is(err, seal.ErrDamaged) && what != "short" || err == nil || got != "" {
			t.Errorf("%s: %q, %v", what, got, err)
		}
		if err != nil && strings.Contains(err.Error(), planted) {
			t.Errorf("%s: the message shows the value", what)
		}
	}
}

func TestTheWrongKeyIsSaid(t *testing.T) {
	dir := t.TempDir()
	s := sealed(t, seal.New(filepath.Join(dir, "a")), "snmp", planted)
	if _, err := seal.New(filepath.Join(dir, "none")).Open("snmp", s); !errors.Is(err, seal.ErrKey) || !strings.Contains(err.Error(), "put the key back") {
		t.Error(err)
	}
	other := seal.New(filepath.Join(dir, "b"))
	sealed(t, other, "x", "y")
	if _, err := other.Open("snmp", s); !errors.Is(err, seal.ErrKey) {
		t.Error(err)
	}
	for _, bad := range []string{"", "abc\n", strings.Repeat("ab", 31) + "\n", strings.Repeat("#", 5000), strings.Repeat(strings.Repeat("ab", 32)+"\n", 5)} {
		file := filepath.Join(dir, "bad")
		if err := os.WriteFile(file, []byte(bad), 0o600); err != nil {
			t.Fatal(err)
		}
		b := seal.New(file)
		if _, err := b.Seal("x", "y"); err == nil || strings.Contains(err.Error(), "abab") {
			t.Errorf("%.10q: %v", bad, err)
		}
		if data, _ := os.ReadFile(file); !bytes.Equal(data, []byte(bad)) {
			t.Error("a damaged key file was replaced")
		}
	}
}

func TestANewKeyLosesNothing(t *testing.T) {
	file := filepath.Join(t.TempDir(), "seal.key")
	b, beside := seal.New(file), seal.New(file)
	values := map[string]string{}
	for i := range 5 {
		name := fmt.Sprint("s", i)
		values[name] = sealed(t, b, name, planted+name)
	}
	old := values["s0"]
	stopped := errors.New("the disk is full")
	for range 6 { // more often than keys are kept
		if err := b.Change(func(func(string, string) (string, error)) error { return stopped }); !errors.Is(err, stopped) {
			t.Fatal(err)
		}
	}
	if got, err := beside.Open("s0", old); err != nil || got != planted+"s0" {
		t.Fatal("after a change that failed:", err)
	}
	err := b.Change(func(anew func(string, string) (string, error)) error {
		for name, v := range values {
			var err error
			if values[name], err = anew(name, v); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if values["s0"][:14] == old[:14] {
		t.Error("the key is the same")
	}
	for name, v := range values {
		for _, box := range []*seal.Box{b, beside, seal.New(file)} {
			if got, err := box.Open(name, v); err != nil || got != planted+name {
				t.Error(name, got, err)
			}
		}
	}
	if s := sealed(t, beside, "x", "y"); s[:14] != values["s0"][:14] {
		t.Error("another process goes on with the old key")
	}
}

func TestManyBeginAtOnce(t *testing.T) {
	file := filepath.Join(t.TempDir(), "seal.key")
	var wg sync.WaitGroup
	all := make([]string, 20)
	for i := range all {
		wg.Go(func() {
			s, err := seal.New(file).Seal("x", planted)
			if err != nil {
				t.Error(err)
			}
			all[i] = s
		})
	}
	wg.Wait()
	for _, s := range all {
		if got, err := seal.New(file).Open("x", s); err != nil || got != planted {
			t.Error(err)
		}
	}
}

func FuzzOpen(f *testing.F) {
	b := seal.New(filepath.Join(f.TempDir(), "seal.key"))
	good, err := b.Seal("x", planted)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add("cws1::")
	f.Fuzz(func(t *testing.T, text string) {
		if got, err := b.Open("x", text); err == nil && got != planted {
			t.Errorf("%q opened as %q", text, got)
		}
	})
}
