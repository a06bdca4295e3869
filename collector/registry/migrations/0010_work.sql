-- Times are Unix milliseconds UTC.
-- What agents are to do.

-- Every version of the fleet's plan. Nothing is overwritten: to go back is a new version with an old text.
CREATE TABLE plan_versions (
    id       INTEGER PRIMARY KEY AUTOINCREMENT,
    at_ms    INTEGER NOT NULL,
    said_by  TEXT NOT NULL,
    note     TEXT NOT NULL,
    plan     TEXT NOT NULL,     -- YAML, as people wrote it
    site_values TEXT NOT NULL,  -- what sites have, as JSON in one form; '' for nothing
    hash     TEXT NOT NULL,     -- SHA-256 of both
    restores INTEGER            -- the version whose texts these are; NULL: none's
);
CREATE TRIGGER plan_versions_stay BEFORE UPDATE ON plan_versions
BEGIN
    SELECT raise(ABORT, 'versions of the plan are never changed');
END;

-- Secrets that checks need, sealed (collector/seal). An id is never used again, so it tells one setting from the next.
CREATE TABLE work_secrets (
    id      INTEGER PRIMARY KEY AUTOINCREMENT,
    name    TEXT NOT NULL UNIQUE,
    sealed  TEXT NOT NULL,
    at_ms   INTEGER NOT NULL,
    said_by TEXT NOT NULL
);
