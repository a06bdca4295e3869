-- Imports of purchase lists, so that one can be taken back. Removing a phase is kept like an import that holds nothing.
CREATE TABLE purchase_imports (
    id        INTEGER PRIMARY KEY AUTOINCREMENT,
    file      TEXT NOT NULL,    -- '' when no list was read
    action    TEXT NOT NULL CHECK (action IN ('import', 'replace', 'remove')),
    said_by   TEXT NOT NULL,
    at_ms     INTEGER NOT NULL,
    phases    TEXT NOT NULL,    -- JSON: each phase's row in purchase_phases as it was before, null where there was none
    undone_ms INTEGER,          -- NULL: in force
    undone_by TEXT NOT NULL DEFAULT ''
);

-- The pieces that an import added, changed or removed, as they were before it.
CREATE TABLE purchase_changes (
    import INTEGER NOT NULL REFERENCES purchase_imports(id),
    unit   TEXT NOT NULL,
    phase  TEXT NOT NULL,
    before TEXT NOT NULL,       -- JSON as in purchase_units; '' where it was not there
    PRIMARY KEY (import, unit)
) WITHOUT ROWID;
CREATE INDEX purchase_changes_unit ON purchase_changes (unit, import);
CREATE INDEX purchase_changes_phase ON purchase_changes (phase, import);
