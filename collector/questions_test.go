package collector

import (
	"encoding/json"
	"net/http"
	"testing"
	"time"

	"communewatch/collector/api/fleet"
	"communewatch/collector/people"
	"communewatch/collector/registry"
	kept "communewatch/collector/registry/people"
)

// A collector that runs answers programs for its fleet, its people and its record, by what their keys may.
func TestProgramsAskForFleetPeopleAndRecord(t *testing.T) {
	cfg := openConfig(t)
	cfg.People.Anonymous = people.RoleNobody
	register(t, cfg, "s1")
	reg, err := registry.Open(t.Context(), cfg.RegistryFile(), registry.Options{})
	if err != nil {
		t.Fatal(err)
	}
	keys := map[people.Role]string{}
	for _, role := range []people.Role{people.RoleViewer, people.RoleOperator, people.RoleAdmin} {
		name := "a" + string(role)
		if err := reg.People().Add(t.Context(), kept.Person{Name: name, Role: role}, ""); err != nil {
			t.Fatal(err)
		}
		if keys[role], _, err = reg.People().CreateKey(t.Context(), kept.Key{Person: name, Role: role, Expires: time.Now().Add(time.Hour)}); err != nil {
			t.Fatal(err)
		}
	}
	if err := reg.Close(); err != nil {
		t.Fatal(err)
	}
	c := run(t, cfg, &http.Client{})
	get := func(role people.Role, path string, into any) int {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, c.url+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		if keys[role] != "" {
			req.Header.Set("Authorization", "Bearer "+keys[role])
		}
		resp, err := c.client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		if resp.StatusCode == http.StatusOK && into != nil {
			if err := json.NewDecoder(resp.Body).Decode(into); err != nil {
				t.Fatal(path, err)
			}
		}
		return resp.StatusCode
	}
	for _, tt := range []struct {
		role                          people.Role
		fleet, people, audit, metrics int
	}{
		{people.RoleNobody, 401, 401, 401, 401}, // plain HTTP: whoever asks here may be a proxy's client
		{people.RoleViewer, 403, 403, 403, 200},
		{people.RoleOperator, 200, 403, 403, 200},
		{people.RoleAdmin, 200, 200, 200, 200},
	} {
		for path, want := range map[string]int{"/api/v1/fleet": tt.fleet, "/api/v1/people": tt.people, "/api/v1/audit": tt.audit, "/metrics": tt.metrics} {
			if got := get(tt.role, path, nil); got != want {
				t.Errorf("%q asks for %s: %d, want %d", tt.role, path, got, want)
			}
		}
	}
	var list fleet.People
	var record fleet.Record
	if get(people.RoleAdmin, "/api/v1/people", &list) != 200 || list.Total != 3 || len(list.People[0].Keys) != 1 {
		t.Errorf("%+v", list)
	}
	if get(people.RoleAdmin, "/api/v1/audit?act=token.", &record) != 200 || len(record.Entries) != 1 || record.Entries[0].Act != "token.create" {
		t.Errorf("%+v", record)
	}
	c.stop()
}
