-- Times are Unix milliseconds UTC, days are text as 2025-07-01 ('' is since ever).

-- A site is nothing but its identity; everything that can be said of it is dated.
CREATE TABLE sites (
    id TEXT PRIMARY KEY
) WITHOUT ROWID;

CREATE TABLE site_attributes (
    site        TEXT NOT NULL REFERENCES sites(id),
    valid_from  TEXT NOT NULL,
    name        TEXT NOT NULL,
    type        TEXT NOT NULL,
    code        TEXT NOT NULL,
    parent      TEXT NOT NULL,
    parent_code TEXT NOT NULL,
    lat         REAL, -- both or neither
    lon         REAL,
    PRIMARY KEY (site, valid_from),
    CHECK ((lat IS NULL) = (lon IS NULL))
) WITHOUT ROWID;

CREATE TABLE tokens (
    id         TEXT PRIMARY KEY,
    kind       TEXT NOT NULL CHECK (kind IN ('agent', 'writer')),
    site       TEXT NOT NULL REFERENCES sites(id),
    agent      TEXT NOT NULL, -- '' is any agent of the site
    note       TEXT NOT NULL,
    hash       BLOB NOT NULL CHECK (length(hash) = 32), -- SHA-256 of the secret; the secret itself is nowhere
    created_ms INTEGER NOT NULL,
    revoked_ms INTEGER -- NULL: in force
) WITHOUT ROWID;

-- Apart from tokens, so that writing down a use does not make every process read the tokens again.
CREATE TABLE token_uses (
    token        TEXT PRIMARY KEY REFERENCES tokens(id) ON DELETE CASCADE,
    last_used_ms INTEGER NOT NULL
) WITHOUT ROWID;

-- Rises with every change of tokens, whoever makes it; a running collector polls it to notice a revocation.
CREATE TABLE token_version (
    one     INTEGER PRIMARY KEY CHECK (one = 1),
    version INTEGER NOT NULL
);
INSERT INTO token_version VALUES (1, 1);
CREATE TRIGGER tokens_inserted AFTER INSERT ON tokens BEGIN UPDATE token_version SET version = version + 1; END;
CREATE TRIGGER tokens_updated AFTER UPDATE ON tokens BEGIN UPDATE token_version SET version = version + 1; END;
CREATE TRIGGER tokens_deleted AFTER DELETE ON tokens BEGIN UPDATE token_version SET version = version + 1; END;

-- Which batches of one start of an agent arrived: all up to through, and those in above (pairs of varints: gap and
-- length). skipped counts the numbers up to through that never came. boot '' is a writer that doesn't count.
CREATE TABLE accounts (
    id         INTEGER PRIMARY KEY,
    site       TEXT NOT NULL,
    agent      TEXT NOT NULL,
    boot       TEXT NOT NULL,
    through    INTEGER NOT NULL,
    skipped    INTEGER NOT NULL,
    above      BLOB NOT NULL,
    unnumbered INTEGER NOT NULL,
    replays    INTEGER NOT NULL,
    points     INTEGER NOT NULL,
    rejected   INTEGER NOT NULL,
    first_ms   INTEGER NOT NULL,
    last_ms    INTEGER NOT NULL,
    UNIQUE (site, agent, boot)
);
CREATE INDEX accounts_last ON accounts (last_ms);

-- How much each clock of an agent was off. Written once, never changed: a replayed batch gets the same times again.
CREATE TABLE clock_shifts (
    site     TEXT NOT NULL,
    agent    TEXT NOT NULL,
    boot     TEXT NOT NULL,
    clock    INTEGER NOT NULL,
    shift_ns INTEGER NOT NULL,
    set_ms   INTEGER NOT NULL,
    PRIMARY KEY (site, agent, boot, clock)
) WITHOUT ROWID;
CREATE INDEX clock_shifts_set ON clock_shifts (set_ms);

-- History of states. layer and check_name '' mean the site as a whole, check_name '' a layer as a whole.
CREATE TABLE changes (
    site       TEXT NOT NULL,
    at_ms      INTEGER NOT NULL,
    layer      TEXT NOT NULL,
    check_name TEXT NOT NULL,
    from_state TEXT NOT NULL,
    to_state   TEXT NOT NULL,
    reason     TEXT NOT NULL,
    PRIMARY KEY (site, at_ms, layer, check_name)
) WITHOUT ROWID;
CREATE INDEX changes_at ON changes (at_ms);

-- The newest of them, kept apart because a start reads all of these and none of those.
CREATE TABLE last_changes (
    site       TEXT NOT NULL,
    layer      TEXT NOT NULL,
    check_name TEXT NOT NULL,
    at_ms      INTEGER NOT NULL,
    from_state TEXT NOT NULL,
    to_state   TEXT NOT NULL,
    reason     TEXT NOT NULL,
    PRIMARY KEY (site, layer, check_name)
) WITHOUT ROWID;
