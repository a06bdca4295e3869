-- Rehearsals of meetings. Verdicts are not kept: they are worked out from what is here.
CREATE TABLE rehearsals (
    id         INTEGER PRIMARY KEY AUTOINCREMENT, -- never used again: people write it into documents
    state      TEXT NOT NULL CHECK (state IN ('planned', 'running', 'done', 'stopped', 'aborted', 'missed')),
    schedule   TEXT NOT NULL,  -- the entry of the settings that asked for it; '' for a person
    created_ms INTEGER NOT NULL,
    at_ms      INTEGER,        -- NULL: it was begun at once
    began_ms   INTEGER,
    ended_ms   INTEGER,
    plan       TEXT NOT NULL,  -- JSON: rehearsal.Plan
    why        TEXT NOT NULL,  -- JSON: notes of its end
    runs       TEXT NOT NULL,  -- JSON: the steps as they went
    evidence   TEXT NOT NULL   -- JSON: what was known of the sites beside the calls
);
CREATE INDEX rehearsals_state ON rehearsals (state);

-- What became of one site in one step.
CREATE TABLE rehearsal_results (
    rehearsal INTEGER NOT NULL REFERENCES rehearsals(id) ON DELETE CASCADE,
    step      INTEGER NOT NULL,
    site      TEXT NOT NULL,
    result    TEXT NOT NULL,   -- JSON: rehearsal.Result
    PRIMARY KEY (rehearsal, step, site)
) WITHOUT ROWID;

-- Times in which the line belongs to a meeting.
CREATE TABLE holds (
    id       INTEGER PRIMARY KEY AUTOINCREMENT,
    meeting  TEXT NOT NULL,
    said_by  TEXT NOT NULL,
    began_ms INTEGER NOT NULL,
    until_ms INTEGER NOT NULL  -- brought forward when somebody ends it
);
CREATE INDEX holds_until ON holds (until_ms);

-- Operators' tokens start and stop rehearsals, and can do nothing else. The tables are made anew as in 0002.
CREATE TABLE new_tokens (
    id         TEXT PRIMARY KEY,
    kind       TEXT NOT NULL CHECK (kind IN ('agent', 'writer', 'operator')),
    site       TEXT REFERENCES sites(id), -- NULL: a writer that belongs to no site, or an operator
    agent      TEXT NOT NULL, -- '' is any agent of the site
    note       TEXT NOT NULL,
    hash       BLOB NOT NULL CHECK (length(hash) = 32), -- SHA-256 of the secret; the secret itself is nowhere
    created_ms INTEGER NOT NULL,
    revoked_ms INTEGER, -- NULL: in force
    CHECK (site IS NOT NULL OR kind IN ('writer', 'operator')),
    CHECK (kind <> 'operator' OR site IS NULL AND agent = '')
) WITHOUT ROWID;
INSERT INTO new_tokens (id, kind, site, agent, note, hash, created_ms, revoked_ms)
    SELECT id, kind, site, agent, note, hash, created_ms, revoked_ms FROM tokens;

CREATE TABLE new_token_uses (
    token        TEXT PRIMARY KEY REFERENCES new_tokens(id) ON DELETE CASCADE, -- follows the renaming below
    last_used_ms INTEGER NOT NULL
) WITHOUT ROWID;
INSERT INTO new_token_uses (token, last_used_ms) SELECT token, last_used_ms FROM token_uses;

DROP TABLE token_uses;
DROP TABLE tokens; -- and its triggers
ALTER TABLE new_tokens RENAME TO tokens;
ALTER TABLE new_token_uses RENAME TO token_uses;

CREATE TRIGGER tokens_inserted AFTER INSERT ON tokens BEGIN UPDATE token_version SET version = version + 1; END;
CREATE TRIGGER tokens_updated AFTER UPDATE ON tokens BEGIN UPDATE token_version SET version = version + 1; END;
CREATE TRIGGER tokens_deleted AFTER DELETE ON tokens BEGIN UPDATE token_version SET version = version + 1; END;
UPDATE token_version SET version = version + 1;
