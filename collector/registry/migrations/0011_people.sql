-- Times are Unix milliseconds UTC.
-- Who may do what on screens and in the JSON API, and who did what.

CREATE TABLE people (
    name         TEXT PRIMARY KEY,      -- as it is typed to sign in: lower case
    display      TEXT NOT NULL,         -- as people write it; may be ''
    role         TEXT NOT NULL CHECK (role IN ('viewer', 'operator', 'procurement', 'admin')),
    districts    TEXT,                  -- JSON list of names; NULL: all
    hash         TEXT NOT NULL,         -- argon2id, as RFC 9106's encoded form; '': there is no password
    must_change  INTEGER NOT NULL,      -- the password was chosen by somebody else
    sso          INTEGER NOT NULL,      -- signs in with the province's own sign-on
    disabled_ms  INTEGER,               -- NULL: may sign in
    created_ms   INTEGER NOT NULL,
    created_by   TEXT NOT NULL,
    signed_in_ms INTEGER                -- NULL: never
) WITHOUT ROWID;

-- Who of the province's own sign-on an account is. A subject never changes, names do.
CREATE TABLE people_subjects (
    issuer  TEXT NOT NULL,
    subject TEXT NOT NULL,
    person  TEXT NOT NULL REFERENCES people(name) ON DELETE CASCADE,
    PRIMARY KEY (issuer, subject)
) WITHOUT ROWID;

CREATE TABLE people_sessions (
    hash       BLOB PRIMARY KEY CHECK (length(hash) = 32), -- SHA-256 of the cookie's value, which is nowhere
    person     TEXT NOT NULL REFERENCES people(name) ON DELETE CASCADE,
    created_ms INTEGER NOT NULL,
    seen_ms    INTEGER NOT NULL,  -- up to a minute behind
    address    TEXT NOT NULL,
    agent      TEXT NOT NULL,     -- the browser, as it says itself
    ended_ms   INTEGER            -- NULL: open
) WITHOUT ROWID;
CREATE INDEX people_sessions_person ON people_sessions (person, created_ms);

CREATE TABLE people_keys (
    id           TEXT PRIMARY KEY,
    hash         BLOB NOT NULL CHECK (length(hash) = 32), -- SHA-256 of the key
    person       TEXT NOT NULL REFERENCES people(name) ON DELETE CASCADE,
    role         TEXT NOT NULL CHECK (role IN ('viewer', 'operator', 'procurement', 'admin')),
    districts    TEXT,             -- as of people
    note         TEXT NOT NULL,
    created_ms   INTEGER NOT NULL,
    created_by   TEXT NOT NULL,
    expires_ms   INTEGER NOT NULL,
    revoked_ms   INTEGER,          -- NULL: in force
    last_used_ms INTEGER           -- NULL: never; up to a minute behind
) WITHOUT ROWID;
CREATE INDEX people_keys_person ON people_keys (person);

-- Links that work once.
CREATE TABLE people_links (
    hash       BLOB PRIMARY KEY CHECK (length(hash) = 32), -- SHA-256 of the link's secret
    person     TEXT REFERENCES people(name) ON DELETE CASCADE, -- whose password it sets; NULL: it makes an administrator
    created_ms INTEGER NOT NULL,
    created_by TEXT NOT NULL,
    expires_ms INTEGER NOT NULL,
    used_ms    INTEGER             -- NULL: not yet
) WITHOUT ROWID;

-- The record of changes and sign-ins. It is only added to; what is older than it has to be kept may be removed.
CREATE TABLE audit (
    id      INTEGER PRIMARY KEY AUTOINCREMENT,
    at_ms   INTEGER NOT NULL,
    who     TEXT NOT NULL,
    via     TEXT NOT NULL,
    address TEXT NOT NULL,
    act     TEXT NOT NULL,
    what    TEXT NOT NULL,
    detail  TEXT NOT NULL,
    ok      INTEGER NOT NULL
);
CREATE INDEX audit_at ON audit (at_ms);
CREATE INDEX audit_who ON audit (who);

CREATE TABLE audit_kept (from_ms INTEGER NOT NULL); -- one row
INSERT INTO audit_kept (from_ms) VALUES (0);

CREATE TRIGGER audit_not_changed BEFORE UPDATE ON audit BEGIN
    SELECT raise(ABORT, 'the record of changes is only added to');
END;
CREATE TRIGGER audit_not_removed BEFORE DELETE ON audit WHEN OLD.at_ms >= (SELECT max(from_ms) FROM audit_kept) BEGIN
    SELECT raise(ABORT, 'the record of changes is only added to');
END;
CREATE TRIGGER audit_not_replaced BEFORE INSERT ON audit WHEN EXISTS (SELECT 1 FROM audit WHERE id = NEW.id) BEGIN
    SELECT raise(ABORT, 'the record of changes is only added to');
END;
