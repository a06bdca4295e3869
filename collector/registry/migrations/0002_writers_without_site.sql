-- A writer's token needs no site: tokens.site may be NULL for kind 'writer'. SQLite can't change a column, so the
-- tables are made anew; token_uses too, since dropping tokens would delete its rows.
CREATE TABLE new_tokens (
    id         TEXT PRIMARY KEY,
    kind       TEXT NOT NULL CHECK (kind IN ('agent', 'writer')),
    site       TEXT REFERENCES sites(id), -- NULL: a writer that belongs to no site
    agent      TEXT NOT NULL, -- '' is any agent of the site
    note       TEXT NOT NULL,
    hash       BLOB NOT NULL CHECK (length(hash) = 32), -- SHA-256 of the secret; the secret itself is nowhere
    created_ms INTEGER NOT NULL,
    revoked_ms INTEGER, -- NULL: in force
    CHECK (site IS NOT NULL OR kind = 'writer')
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
