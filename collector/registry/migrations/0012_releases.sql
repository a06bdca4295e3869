-- Releases of the agent, and how they go out. Times are Unix milliseconds UTC.

-- What was put into the collector. The binaries are files in data_dir/releases.
CREATE TABLE releases (
    version      TEXT PRIMARY KEY, -- as release.Version writes it
    manifest     BLOB NOT NULL,    -- byte for byte, as it was signed
    signature    BLOB NOT NULL,
    added_ms     INTEGER NOT NULL,
    added_by     TEXT NOT NULL,
    withdrawn_ms INTEGER,          -- NULL: may be given to agents
    withdrawn_by TEXT NOT NULL DEFAULT ''
) WITHOUT ROWID;

-- Roll-outs. The newest is the one that counts.
CREATE TABLE rollouts (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    version    TEXT NOT NULL REFERENCES releases (version),
    plan       TEXT NOT NULL,      -- JSON of stages.Plan
    state      TEXT NOT NULL,
    stage      INTEGER NOT NULL,
    since_ms   INTEGER NOT NULL,   -- when the stage began
    settled_ms INTEGER,            -- since when all of the stage go well; NULL: not all do
    why        TEXT NOT NULL,
    excused    TEXT NOT NULL,      -- JSON of []stages.Name
    started_ms INTEGER NOT NULL,
    started_by TEXT NOT NULL
);
