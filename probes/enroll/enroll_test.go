package enroll_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"communewatch/probes/enroll"
)

func code() enroll.Code {
	c := enroll.Code{Addresses: []string{"https://10.1.2.3:8787", "https://giamsat.example.gov.vn"}}
	for i := range c.Secret {
		c.Secret[i] = byte(37 * i)
	}
	for i := range c.Pin {
		c.Pin[i] = byte(255 - 11*i)
	}
	return c
}

func TestCodeSurvivesPeople(t *testing.T) {
	text := code().String()
	for name, typed := range map[string]string{
		"as printed": text, "small letters": strings.ToLower(text), "without hyphens": strings.ReplaceAll(text, "-", ""),
		"over lines": strings.ReplaceAll(text, "-", " \r\n"), "look-alikes": "CW1" + strings.NewReplacer("0", "O", "1", "l").Replace(text[3:]),
	} {
		got, err := enroll.ParseCode(typed)
		if err != nil || got.Secret != code().Secret || got.Pin != code().Pin || strings.Join(got.Addresses, " ") != strings.Join(code().Addresses, " ") {
			t.Errorf("%s: got %+v, %v", name, got, err)
		}
	}
}

// TestMistakesAreNoticed cuts a code everywhere and changes each of its characters.
func TestMistakesAreNoticed(t *testing.T) {
	text := code().String()
	for i := range len(text) {
		if _, err := enroll.ParseCode(text[:i]); err == nil || i > 5 && !errors.Is(err, enroll.ErrCut) && text[i-1] != '-' {
			t.Errorf("cut after %d characters: %v", i, err)
		}
		if text[i] == '-' {
			continue
		}
		other := byte('Z')
		if text[i] == other {
			other = 'Y'
		}
		if _, err := enroll.ParseCode(text[:i] + string(other) + text[i+1:]); err == nil {
			t.Errorf("character %d changed: taken", i)
		}
	}
	for _, bad := range []string{"", "CW1", "CW1-", "hello", text + "-0000", strings.Replace(text, "-", "-é", 1), strings.Repeat("CW1", 10000)} {
		if c, err := enroll.ParseCode(bad); err == nil {
			t.Errorf("%.20q: taken as %v", bad, c)
		}
	}
}

// A mistake in the characters that say how long the code is: it is not to be looked for at the end.
func TestAMistakeInTheFirstGroupIsSaidToBeThere(t *testing.T) {
	text := code().String()
	for _, i := range []int{4, 5} {
		for _, r := range "0123456789ABCDEFGHJKMNPQRSTVWXYZ" {
			typed := text[:i] + string(r) + text[i+1:]
			if typed == text {
				continue
			}
			_, err := enroll.ParseCode(typed)
			if !errors.Is(err, enroll.ErrMistype) || errors.Is(err, enroll.ErrCut) {
				t.Errorf("%s: %v", typed[:8], err)
			}
		}
	}
	if _, err := enroll.ParseCode(text[:4] + "Z" + text[5:]); err == nil || !strings.Contains(err.Error(), "first group") {
		t.Errorf("it is not said where: %v", err)
	}
}

func TestAddressesOfCodes(t *testing.T) {
	for _, bad := range []string{"", "http://10.0.0.1", "https://", "https://a/b", "https://u@h", "https://h?x", "10.0.0.1", "https://" + strings.Repeat("a", 100)} {
		if err := enroll.CheckAddress(bad); err == nil {
			t.Errorf("%q: taken", bad)
		}
	}
	c := code()
	c.Addresses = nil
	if c.Validate() == nil {
		t.Error("a code without addresses was taken")
	}
}

func FuzzParseCode(f *testing.F) {
	f.Add(code().String())
	f.Add("CW1-0000")
	f.Fuzz(func(t *testing.T, text string) {
		c, err := enroll.ParseCode(text)
		if err != nil {
			return
		}
		if again, err := enroll.ParseCode(c.String()); err != nil || again.String() != c.String() {
			t.Errorf("%q: read as %v, which reads as %v, %v", text, c, again, err)
		}
	})
}

// What anybody answers can be shown and logged once it was read, and what is taken for an answer has what it says.
func FuzzMessages(f *testing.F) {
	for _, seed := range []string{
		`{"site":"s08707","agent":"pc","pending":true,"retry_seconds":5,"trust":{"roots":""}}`,
		`{"site":"s08707","agent":"pc","certificate":"-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n","trust":{"roots":""},"collectors":["https://a"]}`,
		`{"code":"code_used","message":"used\u0000\ud800"}`, `{"roots":"-----BEGIN X-----"}`, `{} {}`, `[]`, "",
		`{"code":"` + strings.Repeat("é", 600) + `"}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var a enroll.Answer
		if enroll.Read(bytes.NewReader(data), &a) == nil {
			if _, err := a.Leaf(); (err == nil) == a.Pending && err != nil {
				t.Errorf("%q: an answer with neither certificate nor pause", data)
			}
			if a.Pending && (a.Retry < 5 || a.Retry > 3600) || len(a.Collectors) > 8 {
				t.Errorf("%q: taken as %+v", data, a)
			}
		}
		var tr enroll.Trust
		if enroll.Read(bytes.NewReader(data), &tr) == nil {
			if list, err := tr.Authorities(); err != nil || len(list) == 0 || len(list) > enroll.MaxRoots {
				t.Errorf("%q: %d authorities, %v", data, len(list), err)
			}
		}
		var r enroll.Refusal
		if enroll.Read(bytes.NewReader(data), &r) == nil {
			for _, text := range []string{r.Code, r.Message} {
				if len([]rune(text)) > 500 || !utf8.ValidString(text) || strings.ContainsFunc(text, unicode.IsControl) {
					t.Errorf("%q: would be shown as %q", data, text)
				}
			}
		}
	})
}

// A message that does not end is not read to its end.
func TestMessagesAreBounded(t *testing.T) {
	endless := &endless{}
	if err := enroll.Read(endless, &enroll.Trust{}); err == nil || endless.read > 4*enroll.MaxMessage {
		t.Errorf("%v after %d bytes", err, endless.read)
	}
}

type endless struct{ read int }

func (e *endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = ' '
	}
	e.read += len(p)
	return len(p), nil
}
