package password

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
)

func cheap() Cost { return Cost{MemoryKiB: 64, Passes: 1, Lanes: 1} }

func TestVerify(t *testing.T) {
	h := New(cheap(), 1)
	const chosen = "bốn từ dễ nhớ"
	hash, err := h.Hash(t.Context(), chosen)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(hash, "nhớ") || !strings.HasPrefix(hash, "$argon2id$v=19$m=64,t=1,p=1$") {
		t.Error(hash)
	}
	decomposed := "bốn từ dễ nhớ"
	for password, want := range map[string]bool{chosen: true, decomposed: true, "bon tu de nho": false, "": false, chosen + strings.Repeat("x", 300): false} {
		if ok, old, err := h.Verify(t.Context(), hash, password); ok != want || old || err != nil {
			t.Errorf("%q: %v %v %v", password, ok, old, err)
		}
	}
	if ok, _, err := h.Verify(t.Context(), "", chosen); ok || err != nil {
		t.Error("an account without a password was entered:", err)
	}
	dearer := New(Cost{MemoryKiB: 128, Passes: 1, Lanes: 1}, 1)
	if ok, old, err := dearer.Verify(t.Context(), hash, chosen); !ok || !old || err != nil {
		t.Error("a hash of another cost:", ok, old, err)
	}
	again, _ := h.Hash(t.Context(), chosen)
	if again == hash {
		t.Error("the same salt twice")
	}
}

// Whoever guesses can't make more be worked out, nor wait, than was allowed for.
func TestBusy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := New(cheap(), 1)
		leave, err := h.enter(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		failed := make(chan error, 8)
		for range 8 {
			go func() { _, err := h.Hash(ctx, "x"); failed <- err }()
		}
		synctest.Wait()
		if _, err := h.Hash(t.Context(), "x"); !errors.Is(err, ErrBusy) {
			t.Error(err)
		}
		cancel()
		for range 8 {
			if err := <-failed; !errors.Is(err, context.Canceled) {
				t.Error(err)
			}
		}
		leave()
		if _, err := h.Hash(t.Context(), "x"); err != nil {
			t.Error("a place was not given back:", err)
		}
	})
}

func TestCheck(t *testing.T) {
	for password, want := range map[string]error{
		"short":                    ErrShort,
		"chín chữ":                 ErrShort,
		"mười ký tự":               nil, // ten letters, more bytes
		"correct horse battery":    nil,
		strings.Repeat("dài ", 60): ErrLong,
		"aaaaaaaaaaaaaa":           ErrKnown,
		"1212121212121":            ErrKnown,
		"Password123":              ErrKnown,
		"communewatch!":            ErrKnown,
		"1234567890ab":             ErrKnown,
		"nguyenlannguyenlan":       ErrKnown, // the name itself
		"has a\ttab in it":         ErrLetters,
		"bad \xff utf eight":       ErrLetters,
	} {
		if err := Check(password, "nguyenlan"); !errors.Is(err, want) || (err == nil) != (want == nil) {
			t.Errorf("%q: %v, want %v", password, err, want)
		}
	}
}

func FuzzDecode(f *testing.F) {
	h := New(cheap(), 1)
	good := h.made("x")
	f.Add(good)
	f.Add(strings.Replace(good, "m=64", "m=4294967295", 1))
	f.Add("$argon2id$v=19$m=64,t=1,p=1$$")
	f.Fuzz(func(t *testing.T, text string) {
		c, salt, hash, err := decode(text)
		if err != nil {
			if text != "" && strings.Contains(err.Error(), text) && len(text) > 30 {
				t.Error("the error repeats the hash")
			}
			return
		}
		if c.MemoryKiB > maxMemoryKiB || c.Passes > maxPasses || c.Lanes > maxLanes {
			t.Errorf("%+v", c)
		}
		c2, salt2, hash2, err := decode(encode(c, salt, hash))
		if err != nil || c2 != c || string(salt2) != string(salt) || string(hash2) != string(hash) {
			t.Errorf("%q does not survive", text)
		}
	})
}
