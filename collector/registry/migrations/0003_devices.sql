-- Equipment: what probes found, what was bought, what people said of it. Times are Unix milliseconds UTC, days are
-- text as 2025-07-01 ('' is not known), prices are whole VND (0 is not known).

-- What changes gets the next revision, so that a reader can ask for what is new.
CREATE TABLE device_revision (
    one      INTEGER PRIMARY KEY CHECK (one = 1),
    revision INTEGER NOT NULL,
    removed  INTEGER NOT NULL, -- the revision at which devices were last removed
    others   INTEGER NOT NULL, -- of purchases, links and the catalogue
    stamp    INTEGER NOT NULL  -- of the last transaction that took sightings
);
INSERT INTO device_revision VALUES (1, 0, 0, 0, 0);

CREATE TABLE devices (
    id       INTEGER PRIMARY KEY AUTOINCREMENT, -- never used again: it is in people's documents
    site     TEXT NOT NULL,    -- where it was seen last
    first_ms INTEGER NOT NULL, -- 0: never seen
    last_ms  INTEGER NOT NULL,
    identity TEXT NOT NULL,    -- JSON: what it is known again by
    revision INTEGER NOT NULL
);
CREATE INDEX devices_site ON devices (site);
CREATE INDEX devices_revision ON devices (revision);

-- Devices that turned out to be another one.
CREATE TABLE device_aliases (
    device   INTEGER PRIMARY KEY,
    became   INTEGER NOT NULL REFERENCES devices(id) ON DELETE CASCADE,
    at_ms    INTEGER NOT NULL,
    revision INTEGER NOT NULL
);
CREATE INDEX device_aliases_revision ON device_aliases (revision);

-- Which check sees which device. A check may see several, and over the years another one under the same key.
CREATE TABLE device_sightings (
    id         INTEGER PRIMARY KEY,
    site       TEXT NOT NULL,
    agent      TEXT NOT NULL,
    target     TEXT NOT NULL,
    path       TEXT NOT NULL,
    device_key TEXT NOT NULL, -- the tag that tells apart what one check sees
    device     INTEGER NOT NULL REFERENCES devices(id) ON DELETE CASCADE,
    kind       TEXT NOT NULL, -- of the check; '' until it is known
    first_ms   INTEGER NOT NULL,
    last_ms    INTEGER NOT NULL,
    UNIQUE (site, agent, target, path, device_key, device)
);
CREATE INDEX device_sightings_device ON device_sightings (device);

-- Values over time, as one sighting saw them: from the first to the last time that it was read. The newest row of a
-- fact is its present value.
CREATE TABLE device_facts (
    device     INTEGER NOT NULL REFERENCES devices(id) ON DELETE CASCADE,
    fact       TEXT NOT NULL,
    sighting   INTEGER NOT NULL,
    from_ms    INTEGER NOT NULL,
    to_ms      INTEGER NOT NULL,
    value      TEXT NOT NULL,
    source     TEXT NOT NULL,
    confidence REAL NOT NULL,
    PRIMARY KEY (device, fact, sighting, from_ms)
) WITHOUT ROWID;

-- Pairs that may be one device, or that claim the same number. device < other.
CREATE TABLE device_duplicates (
    device INTEGER NOT NULL REFERENCES devices(id) ON DELETE CASCADE,
    other  INTEGER NOT NULL REFERENCES devices(id) ON DELETE CASCADE,
    why    TEXT NOT NULL,
    at_ms  INTEGER NOT NULL,
    PRIMARY KEY (device, other)
) WITHOUT ROWID;
CREATE INDEX device_duplicates_other ON device_duplicates (other);

-- What people said of a device, with the document it rests on. Nothing is overwritten: the newest that was not taken
-- back is in force.
CREATE TABLE device_statements (
    id            INTEGER PRIMARY KEY,
    device        INTEGER NOT NULL REFERENCES devices(id),
    name          TEXT NOT NULL,
    value         TEXT NOT NULL,
    source        TEXT NOT NULL,
    said_by       TEXT NOT NULL,
    at_ms         INTEGER NOT NULL,
    withdrawn_ms  INTEGER, -- NULL: in force
    withdrawn_by  TEXT NOT NULL DEFAULT ''
);
CREATE INDEX device_statements_device ON device_statements (device);

CREATE TABLE device_tickets (
    id      INTEGER PRIMARY KEY,
    device  INTEGER NOT NULL REFERENCES devices(id),
    day     TEXT NOT NULL,
    kind    TEXT NOT NULL CHECK (kind IN ('failure', 'repair', 'quote')),
    cost    INTEGER NOT NULL,
    note    TEXT NOT NULL,
    said_by TEXT NOT NULL,
    at_ms   INTEGER NOT NULL
);
CREATE INDEX device_tickets_device ON device_tickets (device);

-- A purchase list as it was imported; importing the same phase again replaces its pieces.
CREATE TABLE purchase_phases (
    name        TEXT PRIMARY KEY,
    file        TEXT NOT NULL,
    imported_ms INTEGER NOT NULL,
    imported_by TEXT NOT NULL
) WITHOUT ROWID;

CREATE TABLE purchase_units (
    id    TEXT PRIMARY KEY, -- stays with the piece when its list is imported again
    phase TEXT NOT NULL REFERENCES purchase_phases(name) ON DELETE CASCADE,
    unit  TEXT NOT NULL     -- JSON
) WITHOUT ROWID;
CREATE INDEX purchase_units_phase ON purchase_units (phase);

-- What people said of which piece is which device; all other links are worked out.
CREATE TABLE purchase_links (
    unit    TEXT NOT NULL,
    device  INTEGER NOT NULL,
    denied  INTEGER NOT NULL CHECK (denied IN (0, 1)), -- 1: they are not the same
    source  TEXT NOT NULL,
    said_by TEXT NOT NULL,
    at_ms   INTEGER NOT NULL,
    PRIMARY KEY (unit, device)
) WITHOUT ROWID;
CREATE INDEX purchase_links_device ON purchase_links (device);

-- Rows that reviewers added to the catalogue.
CREATE TABLE catalogue_rows (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    row        TEXT NOT NULL, -- JSON
    said_by    TEXT NOT NULL,
    at_ms      INTEGER NOT NULL,
    retired_ms INTEGER -- NULL: in force
);

-- Every change that people made.
CREATE TABLE inventory_audit (
    id      INTEGER PRIMARY KEY,
    at_ms   INTEGER NOT NULL,
    said_by TEXT NOT NULL,
    action  TEXT NOT NULL,
    object  TEXT NOT NULL,
    before  TEXT NOT NULL,
    after   TEXT NOT NULL
);
CREATE INDEX inventory_audit_object ON inventory_audit (object);
