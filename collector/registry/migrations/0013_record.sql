-- Times are Unix milliseconds UTC.

-- Who came by the province's own sign-on has to go through it anew after a time of its own.
ALTER TABLE people_sessions ADD COLUMN sso INTEGER NOT NULL DEFAULT 0;
UPDATE people_sessions SET sso = 1 WHERE person IN (SELECT name FROM people WHERE sso AND hash = '');

-- There is one record of changes. What was changed of the inventory before is taken over into it; who typed the command
-- was not noted then.
INSERT INTO audit (at_ms, who, via, address, act, what, detail, ok)
    SELECT at_ms, substr(said_by, 1, 200), 'command', '', 'inventory.' || substr(action, 1, instr(action || ' ', ' ') - 1), substr(object, 1, 200),
        substr(action || ': ' || before || ' -> ' || after, 1, 2000), 1
    FROM inventory_audit ORDER BY id;
