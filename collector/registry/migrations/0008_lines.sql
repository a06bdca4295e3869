-- What was agreed of the sites' lines, and when agents were not running.

-- Contracts of lines. Nothing is overwritten: what an import changes is withdrawn and written anew.
CREATE TABLE line_contracts (
    id           INTEGER PRIMARY KEY AUTOINCREMENT,
    site         TEXT NOT NULL,
    layer        TEXT NOT NULL,   -- broadband or dedicated
    from_day     TEXT NOT NULL,   -- 2026-01-31; '' since ever
    to_day       TEXT NOT NULL,   -- the last day; '' until the next one begins
    provider     TEXT NOT NULL,
    number       TEXT NOT NULL,   -- of the contract; may be ''
    down_mbps    REAL NOT NULL,   -- 0: not known
    up_mbps      REAL NOT NULL,
    profile      TEXT NOT NULL,   -- of the settings; may be ''
    monthly_vnd  INTEGER NOT NULL, -- 0: not known
    file         TEXT NOT NULL,   -- the list it was read from
    said_by      TEXT NOT NULL,
    at_ms        INTEGER NOT NULL,
    withdrawn_ms INTEGER,         -- NULL: in force
    withdrawn_by TEXT NOT NULL DEFAULT ''
);
CREATE UNIQUE INDEX line_contracts_line ON line_contracts (site, layer, from_day) WHERE withdrawn_ms IS NULL;

-- When an agent was not running, by its own account: from its last report before a start to that start.
CREATE TABLE agent_absences (
    site    TEXT NOT NULL,
    agent   TEXT NOT NULL,
    from_ms INTEGER NOT NULL,
    to_ms   INTEGER NOT NULL,
    PRIMARY KEY (site, agent, from_ms)
) WITHOUT ROWID;
CREATE INDEX agent_absences_to ON agent_absences (to_ms);

-- Between when and when an agent is known to have existed: what was taken away is not absent.
CREATE TABLE agent_lives (
    site     TEXT NOT NULL,
    agent    TEXT NOT NULL,
    first_ms INTEGER NOT NULL,
    last_ms  INTEGER NOT NULL,
    PRIMARY KEY (site, agent)
) WITHOUT ROWID;
