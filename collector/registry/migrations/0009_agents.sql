-- The fleet: agents with an identity of their own, the join codes that they came with, and what they last said.
-- Times are Unix milliseconds UTC.

-- A join code without its secret, of which there is a hash.
CREATE TABLE join_codes (
    id           TEXT PRIMARY KEY,
    site         TEXT NOT NULL REFERENCES sites(id),
    agent        TEXT NOT NULL,    -- the name that the agent gets; '' is the one it asks for
    replaces     INTEGER NOT NULL CHECK (replaces IN (0, 1)),
    approve      INTEGER NOT NULL CHECK (approve IN (0, 1)),
    note         TEXT NOT NULL,
    hash         BLOB NOT NULL UNIQUE CHECK (length(hash) = 32), -- SHA-256 of the secret
    created_ms   INTEGER NOT NULL,
    said_by      TEXT NOT NULL,
    expires_ms   INTEGER NOT NULL,
    used_ms      INTEGER,          -- NULL: not yet
    used_by      TEXT NOT NULL DEFAULT '', -- the agent's name
    key          BLOB CHECK (length(key) = 32), -- SHA-256 of the key that it is bound to; NULL: to none yet
    cancelled_ms INTEGER           -- NULL: not
) WITHOUT ROWID;
CREATE INDEX join_codes_created ON join_codes (created_ms);

-- One row for each time that a machine was let in, or waits to be. Those that were thrown out stay, so that their keys
-- are known.
CREATE TABLE agents (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    site        TEXT NOT NULL REFERENCES sites(id),
    agent       TEXT NOT NULL,
    state       TEXT NOT NULL CHECK (state IN ('pending', 'active', 'revoked')),
    code        TEXT NOT NULL,     -- the join code's ID
    key         BLOB NOT NULL CHECK (length(key) = 32), -- that asked, or that the newest certificate is for
    machine     TEXT NOT NULL,     -- JSON: enroll.Machine
    asked_ms    INTEGER NOT NULL,
    approved_ms INTEGER,           -- NULL: not yet
    revoked_ms  INTEGER,           -- NULL: not
    said_by     TEXT NOT NULL,     -- who approved it or threw it out
    why         TEXT NOT NULL,
    clone_ms    INTEGER,           -- when two machines were last seen with this identity; NULL: never
    clone_why   TEXT NOT NULL DEFAULT ''
);
-- At most one of a name may report, and one may wait to take its place.
CREATE UNIQUE INDEX agents_active ON agents (site, agent) WHERE state = 'active';
CREATE UNIQUE INDEX agents_pending ON agents (site, agent) WHERE state = 'pending';
CREATE INDEX agents_name ON agents (site, agent);

CREATE TABLE agent_certificates (
    agent      INTEGER NOT NULL REFERENCES agents(id) ON DELETE CASCADE,
    number     INTEGER NOT NULL,   -- of the agent's certificates, from 1
    serial     TEXT NOT NULL,
    key        BLOB NOT NULL CHECK (length(key) = 32),
    issued_ms  INTEGER NOT NULL,
    expires_ms INTEGER NOT NULL,
    used_ms    INTEGER,            -- when presence first came with it; NULL: never
    PRIMARY KEY (agent, number)
) WITHOUT ROWID;

-- What agents last said of themselves; those with a token too.
CREATE TABLE agent_presence (
    site       TEXT NOT NULL,
    agent      TEXT NOT NULL,
    heard_ms   INTEGER NOT NULL,
    stopped_ms INTEGER,            -- NULL: it did not say that it stops
    presence   TEXT NOT NULL,      -- JSON: presence.Presence
    trail      TEXT NOT NULL,      -- JSON: its newest starts
    PRIMARY KEY (site, agent)
) WITHOUT ROWID;

-- Rises with every change of who may report, whoever makes it; a running collector polls it to notice a revocation.
CREATE TABLE agent_version (
    one     INTEGER PRIMARY KEY CHECK (one = 1),
    version INTEGER NOT NULL
);
INSERT INTO agent_version VALUES (1, 1);
CREATE TRIGGER agents_inserted AFTER INSERT ON agents BEGIN UPDATE agent_version SET version = version + 1; END;
CREATE TRIGGER agents_updated AFTER UPDATE OF state, key ON agents BEGIN UPDATE agent_version SET version = version + 1; END;
CREATE TRIGGER agents_deleted AFTER DELETE ON agents BEGIN UPDATE agent_version SET version = version + 1; END;
CREATE TRIGGER agent_certificates_inserted AFTER INSERT ON agent_certificates BEGIN UPDATE agent_version SET version = version + 1; END;

-- What a writer's token is for: JSON lists of names. '' is what it was before: the one site in column site, or any, and
-- any measurement.
ALTER TABLE tokens ADD COLUMN sites TEXT NOT NULL DEFAULT '';
ALTER TABLE tokens ADD COLUMN measurements TEXT NOT NULL DEFAULT '';
UPDATE token_version SET version = version + 1;
