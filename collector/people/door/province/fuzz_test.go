package province

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/golang-jwt/jwt/v5"

	"communewatch/collector/people"
)

// What a provider answers is read as if anybody could have written it: it may be taken over, and what stands before it.

func FuzzKeySet(f *testing.F) {
	f.Add([]byte(`{"keys":[{"kty":"RSA","n":"AQAB","e":"AQAB"},{"kty":"EC","crv":"P-256","x":"AA","y":"AA"},{"kty":"OKP","crv":"Ed25519","x":"AA"}]}`))
	f.Add([]byte(`{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"a","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}`))
	f.Add([]byte(`{"keys":null} {}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		keys, err := readKeySet(data)
		if err != nil && keys != nil || len(keys) > maxKeys {
			t.Fatal(len(keys), err)
		}
		for id, k := range keys {
			if k.public == nil || len(k.algs) == 0 || k.takes("none") || k.takes("HS256") {
				t.Errorf("%q: %+v", id, k)
			}
		}
	})
}

func FuzzDiscovery(f *testing.F) {
	const issuer = "https://sso.example"
	f.Add([]byte(`{"issuer":"https://sso.example","authorization_endpoint":"https://sso.example/auth?a=b","token_endpoint":"https://sso.example/token","jwks_uri":"https://sso.example/keys","token_endpoint_auth_methods_supported":["client_secret_post"]}`))
	f.Add([]byte(`{"issuer":"https://sso.example","authorization_endpoint":"javascript:alert(1)","token_endpoint":"file:///etc/passwd","jwks_uri":"http://10.0.0.1/"}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := readProvider(data, issuer)
		if err != nil {
			if len(err.Error()) > 1000 {
				t.Errorf("an error of %d bytes", len(err.Error()))
			}
			return
		}
		if p.Issuer != issuer {
			t.Error(p.Issuer)
		}
		for _, at := range []string{p.Authorization, p.Token, p.Keys} {
			if len(at) > maxAddress || !strings.HasPrefix(strings.ToLower(at), "https://") && !strings.Contains(at, "://localhost") && !strings.Contains(at, "://127.") && !strings.Contains(at, "://[") {
				t.Errorf("would be asked: %q", at)
			}
		}
	})
}

// trusting is a sign-on that has the key of a provider already, so that it asks nobody.
func trusting(t testing.TB) (*SignOn, *provider, *ecdsa.PrivateKey) {
	s := DefaultSettings()
	s.Issuer, s.ClientID = "https://sso.example", "communewatch"
	s.Roles = []Rule{{Group: "g", Role: people.RoleViewer}}
	o, err := New(s, now)
	if err != nil {
		t.Fatal(err)
	}
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	o.lastKeys = now() // asked for a moment ago
	return o, &provider{Issuer: s.Issuer, keys: map[string]key{"ec": {&private.PublicKey, []string{"ES256"}}}}, private
}

func sign(t testing.TB, private *ecdsa.PrivateKey, claims jwt.MapClaims) string {
	token := jwt.NewWithClaims(jwt.SigningMethodES256, claims)
	token.Header["kid"] = "ec"
	text, err := token.SignedString(private)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// FuzzIDToken changes a good token: one that is not byte for byte what was signed is not believed.
func FuzzIDToken(f *testing.F) {
	o, p, private := trusting(f)
	good := sign(f, private, jwt.MapClaims{"iss": o.s.Issuer, "aud": "communewatch", "sub": "1", "nonce": "n", "iat": now().Unix(), "exp": now().Unix() + 60, "preferred_username": "lan"})
	if _, err := o.verify(f.Context(), p, good, "n"); err != nil {
		f.Fatal(err)
	}
	parts := strings.Split(good, ".")
	for _, at := range []string{good, good + ".", parts[0] + ".e30." + parts[2], "eyJhbGciOiJub25lIn0." + parts[1] + ".", parts[1] + "." + parts[0] + "." + parts[2],
		"eyJhbGciOiJFUzI1NiIsImtpZCI6ImVjIn0." + parts[1] + ".AAAA", good[:len(good)-1] + "A", "..", ""} {
		f.Add(at)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		if claims, err := o.verify(t.Context(), p, raw, "n"); err == nil && raw != good && claims["sub"] != "1" {
			t.Errorf("%q is believed: %v", raw, claims)
		}
	})
}

// FuzzClaims reads whatever a provider signs.
func FuzzClaims(f *testing.F) {
	o, p, private := trusting(f)
	for _, text := range []string{`{"sub":"1","preferred_username":"lan","name":"Nguyễn Thị Lan","groups":["a","g"]}`, `{"sub":1,"groups":{"g":true}}`, `{"groups":"g","sub":"x","preferred_username":"\u0000"}`,
		`{"aud":["communewatch","x"],"azp":7,"exp":1e400,"iat":"now"}`, `{"aud":[],"exp":null,"nonce":["n"]}`} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		claims := jwt.MapClaims{}
		if json.Unmarshal(data, &claims) != nil {
			return
		}
		for name, v := range map[string]any{"iss": o.s.Issuer, "aud": "communewatch", "nonce": "n", "exp": now().Unix() + 60} {
			if _, says := claims[name]; !says {
				claims[name] = v
			}
		}
		read, err := o.verify(t.Context(), p, sign(t, private, claims), "n")
		if err != nil {
			return
		}
		said, err := o.said(read)
		switch {
		case err != nil && (said.Subject != "" || said.Role != people.RoleNobody):
			t.Errorf("%+v with %v", said, err)
		case err != nil:
		case said.Subject == "" || len(said.Subject) > 255 || said.Name == "" || len(said.Display) > 200 || !utf8.ValidString(said.Display) || strings.ContainsAny(said.Display, "\n\r\x00"):
			t.Errorf("%+v", said)
		case said.Role != people.RoleNobody && said.Role != people.RoleViewer:
			t.Errorf("the rules give no %s", said.Role)
		}
	})
}

// FuzzCookie holds what browsers bring back to what was sealed.
func FuzzCookie(f *testing.F) {
	o, _, _ := trusting(f)
	good := o.sealed(begun{State: "s", Nonce: "n", Verifier: "v", Next: "/", At: now()})
	f.Add(good)
	f.Add(good[:len(good)-4])
	f.Add("")
	f.Fuzz(func(t *testing.T, value string) {
		if b, ok := o.opened(value); ok && value != good {
			t.Errorf("%q is taken for %+v", value, b)
		}
	})
}
