package province

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"golang.org/x/oauth2"
)

// provider is what the provider says of itself, OpenID Connect Discovery 1.0.
type provider struct {
	Issuer        string   `json:"issuer"`
	Authorization string   `json:"authorization_endpoint"`
	Token         string   `json:"token_endpoint"`
	Keys          string   `json:"jwks_uri"`
	Auth          []string `json:"token_endpoint_auth_methods_supported"`

	keys map[string]key
	read time.Time
}

func (p *provider) style() oauth2.AuthStyle {
	if len(p.Auth) == 0 || slices.Contains(p.Auth, "client_secret_basic") {
		return oauth2.AuthStyleInHeader
	}
	return oauth2.AuthStyleInParams
}

// rereadAfter is how old discovery may be.
const rereadAfter = time.Hour

// maxAddress bounds an address that a provider gives.
const maxAddress = 2000

func (o *SignOn) provider(ctx context.Context) (*provider, error) {
	now := o.now()
	o.mu.Lock()
	p := o.known
	o.mu.Unlock()
	if p != nil && now.Sub(p.read).Abs() < rereadAfter {
		return p, nil
	}
	data, err := o.get(ctx, strings.TrimSuffix(o.s.Issuer, "/")+"/.well-known/openid-configuration")
	var fresh *provider
	if err == nil {
		fresh, err = readProvider(data, o.s.Issuer)
	}
	if err != nil {
		return nil, fmt.Errorf("the province's sign-on %s: %w", o.s.Issuer, err)
	}
	fresh.read = now
	o.mu.Lock()
	defer o.mu.Unlock()
	if p != nil {
		fresh.keys = p.keys
	}
	o.known = fresh
	return fresh, nil
}

// checkEndpoint is checkURL for an address that may have a query.
func checkEndpoint(text string) error {
	bare, _, _ := strings.Cut(text, "?")
	return checkURL(bare)
}

// readProvider reads what a provider says of itself.
func readProvider(data []byte, issuer string) (*provider, error) {
	p := new(provider)
	if err := json.Unmarshal(data, p); err != nil {
		return nil, err
	}
	if p.Issuer != issuer {
		return nil, fmt.Errorf("it calls itself %.100q; write people.oidc.issuer exactly so if that is right", p.Issuer)
	}
	for _, at := range []string{p.Authorization, p.Token, p.Keys} {
		if len(at) > maxAddress {
			return nil, fmt.Errorf("it has an address of %d bytes, more than %d", len(at), maxAddress)
		}
		if err := checkEndpoint(at); err != nil {
			return nil, err
		}
	}
	return p, nil
}

// readKeySet reads a provider's keys.
func readKeySet(data []byte) (map[string]key, error) {
	var set struct {
		Keys []rawKey `json:"keys"`
	}
	if err := json.Unmarshal(data, &set); err != nil {
		return nil, err
	}
	return readKeys(set.Keys), nil
}

// ask waits for a place to ask the provider something.
func (o *SignOn) ask(ctx context.Context) (end func(), err error) {
	select {
	case o.asking <- struct{}{}:
		return func() { <-o.asking }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// get returns a document of the provider.
func (o *SignOn) get(ctx context.Context, at string) ([]byte, error) {
	end, err := o.ask(ctx)
	if err != nil {
		return nil, err
	}
	defer end()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, at, nil)
	if err != nil {
		return nil, err
	}
	resp, err := o.client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s answers with status %d", at, resp.StatusCode)
	}
	data, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	if err == nil && len(data) > maxAnswer {
		err = fmt.Errorf("more than %d bytes", maxAnswer)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", at, err)
	}
	return data, nil
}
