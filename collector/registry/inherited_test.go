package registry

import (
	"database/sql"
	"fmt"
	"io/fs"
	"path/filepath"
	"testing"

	"communewatch/collector/audit"
)

// What was changed of the inventory before there was one record is in it after the update.
func TestInventoryJoinsTheRecord(t *testing.T) {
	file := filepath.Join(t.TempDir(), "registry.db")
	db, err := sql.Open("sqlite", file)
	if err != nil {
		t.Fatal(err)
	}
	names, err := fs.Glob(migrationFiles, "migrations/*.sql")
	if err != nil {
		t.Fatal(err)
	}
	var script string
	for _, name := range names[:12] {
		text, err := fs.ReadFile(migrationFiles, name)
		if err != nil {
			t.Fatal(err)
		}
		script += string(text) + ";\n"
	}
	script += fmt.Sprintf(`PRAGMA user_version = 12; PRAGMA application_id = %d;
		INSERT INTO inventory_audit (at_ms, said_by, action, object, before, after) VALUES (1000, 'Lan', 'say model', 'd1', 'A', 'B'), (2000, 'Minh', 'retire', 'local-1', '', '');
		INSERT INTO people (name, display, role, hash, must_change, sso, created_ms, created_by) VALUES ('lan', '', 'viewer', '', 0, 1, 1, 'x'), ('hung', '', 'viewer', 'h', 0, 1, 1, 'x');
		INSERT INTO people_sessions (hash, person, created_ms, seen_ms, address, agent) VALUES (zeroblob(32), 'lan', 1, 1, '', ''), (randomblob(32), 'hung', 1, 1, '', '')`, applicationID)
	if _, err := db.Exec(script); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	r, err := Open(t.Context(), file, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	list, err := r.People().Entries(t.Context(), audit.Filter{Act: "inventory."})
	if err != nil || len(list) != 2 || list[1].Act != "inventory.say" || list[1].Who != "Lan" || list[1].What != "d1" || list[1].Detail != "say model: A -> B" ||
		list[1].At.UnixMilli() != 1000 || list[0].Act != "inventory.retire" {
		t.Errorf("%+v %v", list, err)
	}
	for name, want := range map[string]bool{"lan": true, "hung": false} {
		var sso bool
		if err := r.read.QueryRowContext(t.Context(), "SELECT sso FROM people_sessions WHERE person = ?", name).Scan(&sso); err != nil || sso != want {
			t.Errorf("%s: a session of the sign-on: %t %v", name, sso, err)
		}
	}
}
