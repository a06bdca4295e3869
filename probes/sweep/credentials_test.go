package sweep

import (
	"fmt"
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
		{Credentials{V3: User{Name: "monitor", AuthKeyFile: secret, PrivKey: "x"}}, ""},
		{Credentials{}, "community"},
		{Credentials{Community: "a", CommunityFile: secret}, "community_file"},
		{Credentials{CommunityFile: secret + "x"}, "community_file"},
		{Credentials{Version: "3", Community: "a"}, "v3.user"},
		{Credentials{Version: "2c", V3: User{Name: "u"}, Community: "a"}, "v3.user"},
		{Credentials{Version: "4", Community: "a"}, "version"},
		{Credentials{V3: User{Name: "u", PrivKey: "x"}}, "v3.auth_key"},
		{Credentials{V3: User{Name: "u", AuthKey: "x", Auth: "rot13"}}, "v3.auth"},
		{Credentials{V3: User{Name: "u", AuthKey: "x", PrivKey: "x", Priv: "rot13"}}, "v3.priv"},
		{Credentials{Community: strings.Repeat("x", maxSecret+1)}, "community"},
		{Credentials{Community: "a", Timeout: time.Hour, Retries: 9}, "timeout retries"},
	} {
		var got []string
		tt.in.Validate(func(at, format string, args ...any) { got = append(got, at) })
		if strings.Join(got, " ") != tt.want {
			t.Errorf("%q %q: got %v, want %q", tt.in.Community, tt.in.V3.Name, got, tt.want)
		}
		_, err := tt.in.Resolve()
		if (err == nil) != (tt.want == "") || err != nil && !strings.HasPrefix(err.Error(), strings.Fields(tt.want)[0]+": ") {
			t.Errorf("%q: %v", tt.want, err)
		}
	}
	got, err := Credentials{Version: "auto", V3: User{Name: "monitor", AuthKeyFile: secret}}.Resolve()
	if err != nil || got.Version != "3" || got.V3.AuthKey != "hush" || got.V3.Auth != "sha256" || got.V3.Priv != "" || got.Port != 161 || got.Timeout != 2*time.Second {
		t.Errorf("got %q, %v", got.Version, err)
	}
	if text := fmt.Sprintf("%v %+v %#v %v", got, &got, got, Options{SNMP: &got}); strings.Contains(text, "hush") {
		t.Errorf("the secret is shown: %s", text)
	}
}
