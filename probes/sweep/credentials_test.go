package sweep

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestCredentials(t *testing.T) {
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte(" hush \n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		in   Credentials
		want string // the keys that are wrong
	}{
		{Credentials{Community: "office"}, ""},
		{Credentials{CommunityFile: secret, Version: "2c"}, ""},
		{Credentials{User: "monitor", AuthKeyFile: secret, PrivKey: "x"}, ""},
		{Credentials{}, "community"},
		{Credentials{Community: "a", CommunityFile: secret}, "community_file"},
		{Credentials{CommunityFile: secret + "x"}, "community_file"},
		{Credentials{Version: "3", Community: "a"}, "user"},
		{Credentials{Version: "2c", User: "u", Community: "a"}, "user"},
		{Credentials{Version: "4", Community: "a"}, "version"},
		{Credentials{User: "u", PrivKey: "x"}, "auth_key"},
		{Credentials{User: "u", AuthKey: "x", Auth: "rot13"}, "auth"},
		{Credentials{User: "u", AuthKey: "x", PrivKey: "x", Priv: "rot13"}, "priv"},
		{Credentials{Community: strings.Repeat("x", maxSecret+1)}, "community"},
		{Credentials{Community: "a", Timeout: time.Hour, Retries: 9}, "timeout retries"},
	} {
		var got []string
		tt.in.Validate(func(at, format string, args ...any) { got = append(got, at) })
		if strings.Join(got, " ") != tt.want {
			t.Errorf("%+v: got %v, want %q", tt.in, got, tt.want)
		}
		_, err := tt.in.Resolve()
		if (err == nil) != (tt.want == "") || err != nil && !strings.HasPrefix(err.Error(), strings.Fields(tt.want)[0]+": ") {
			t.Errorf("%+v: %v", tt.in, err)
		}
	}
	got, err := Credentials{User: "monitor", AuthKeyFile: secret}.Resolve()
	if err != nil || got.Version != "3" || got.AuthKey != "hush" || got.Auth != "sha256" || got.Priv != "" || got.Port != 161 || got.Timeout != 2*time.Second {
		t.Errorf("got %+v, %v", got, err)
	}
}
