"""The tables of the index, and the statements that are worth a name."""

from __future__ import annotations

SCHEMA_VERSION = 3
"""As the end of `SCHEMA` sets it."""

# What a table checks, `quick_check` checks again at every start: there a value of which one bit turned may be noticed.
# Numbers sort before texts, and texts before blobs, so that a comparison tells them apart, and faster than `typeof`;
# `IN` with more than two values would build a table for each row.
SCHEMA = """
BEGIN IMMEDIATE;
CREATE TABLE IF NOT EXISTS blocks (
    key BLOB PRIMARY KEY, parent BLOB NOT NULL, root BLOB NOT NULL, kind INTEGER NOT NULL,
    start INTEGER NOT NULL, n_tokens INTEGER NOT NULL, bytes INTEGER NOT NULL, logits INTEGER NOT NULL,
    reason TEXT NOT NULL, created REAL NOT NULL, used REAL NOT NULL, cost_s REAL NOT NULL,
    hits INTEGER NOT NULL, heat REAL NOT NULL, pinned INTEGER NOT NULL, label TEXT NOT NULL,
    CHECK (length(key) = 32 AND length(parent) = 32 AND length(root) = 32 AND (start = 0) = (parent = root)),
    CHECK (key > x'' AND parent > x'' AND root > x'' AND label >= '' AND label < x''),
    CHECK (kind BETWEEN 0 AND 2 AND (reason = 'cold' OR reason = 'continued' OR reason = 'finish' OR reason = 'evict'
        OR reason = 'shutdown')),
    CHECK (start BETWEEN 0 AND 1e15 AND n_tokens BETWEEN 1 AND 1e15 AND bytes BETWEEN 1 AND 1e15),
    CHECK (logits IN (0, 1) AND pinned IN (0, 1) AND hits BETWEEN 0 AND 1e15 AND heat BETWEEN 0 AND hits),
    CHECK (created BETWEEN -1e15 AND 1e15 AND used BETWEEN -1e15 AND 1e15 AND cost_s BETWEEN 0 AND 1e15)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS blocks_by_parent ON blocks (parent, kind, n_tokens);
CREATE TABLE IF NOT EXISTS totals (rows INTEGER NOT NULL, bytes INTEGER NOT NULL);
DELETE FROM totals;
INSERT INTO totals SELECT count(*), coalesce(sum(bytes), 0) FROM blocks;
CREATE TRIGGER IF NOT EXISTS count_insert AFTER INSERT ON blocks BEGIN
    UPDATE totals SET rows = rows + 1, bytes = bytes + new.bytes;
END;
CREATE TRIGGER IF NOT EXISTS count_delete AFTER DELETE ON blocks BEGIN
    UPDATE totals SET rows = rows - 1, bytes = bytes - old.bytes;
END;
CREATE TRIGGER IF NOT EXISTS count_update AFTER UPDATE OF bytes ON blocks BEGIN
    UPDATE totals SET bytes = bytes - old.bytes + new.bytes;
END;
CREATE TABLE IF NOT EXISTS departed (
    key BLOB PRIMARY KEY, at REAL NOT NULL, why TEXT NOT NULL,
    CHECK (key > x'' AND at BETWEEN -1e15 AND 1e15 AND (why = 'evicted' OR why = 'removed' OR why = 'damaged'))
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS departed_by_time ON departed (at);
CREATE TABLE IF NOT EXISTS written (
    day TEXT PRIMARY KEY, bytes INTEGER NOT NULL, CHECK (day < x'' AND bytes BETWEEN 0 AND 1e18)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS counters (
    name TEXT PRIMARY KEY, value INTEGER NOT NULL, CHECK (name < x'' AND value BETWEEN 0 AND 1e18)
) WITHOUT ROWID;
PRAGMA user_version = 3;
COMMIT;
"""

SELECT_ROWS = """
SELECT key, parent, root, kind, start, n_tokens, bytes AS file_bytes, logits AS has_logits, reason, created, used,
    cost_s, hits, heat, pinned AS is_pinned, label
FROM blocks
"""

GENERATED_CHILDREN = "SELECT key FROM blocks WHERE parent = ? AND kind > ? ORDER BY used DESC, key LIMIT ?"

SELECT_REFS = "SELECT key, parent, kind, start, n_tokens, logits, cost_s FROM blocks"

# Whoever publishes the same block last knows its file best; who used it, and how often, stays.
INSERT = """
INSERT INTO blocks SELECT :key, :parent, :root, :kind, :start, :n_tokens, :file_bytes, :has_logits, :reason, :created,
    :used, :cost_s, :hits, :heat, :is_pinned, :label
WHERE :may_be_orphan OR :parent = :root OR EXISTS (SELECT 1 FROM blocks WHERE key = :parent)
ON CONFLICT (key) DO UPDATE SET parent = excluded.parent, root = excluded.root, kind = excluded.kind,
    start = excluded.start, n_tokens = excluded.n_tokens, bytes = excluded.bytes, logits = excluded.logits,
    reason = excluded.reason, created = excluded.created, used = max(used, excluded.used), cost_s = excluded.cost_s,
    label = excluded.label, pinned = max(pinned, excluded.pinned)
RETURNING key
"""

DELETE_LEAF = """
DELETE FROM blocks WHERE key = :key AND (pinned = 0 OR :even_pinned)
    AND NOT EXISTS (SELECT 1 FROM blocks WHERE parent = :key)
RETURNING key
"""

CANDIDATES = "SELECT key, parent, root, start, n_tokens, bytes, used, heat, pinned FROM blocks"

# Both heat and age are those before the update.
TOUCH = """
UPDATE blocks SET heat = cooled(heat, :now - used) + 1, hits = hits + 1, used = max(used, :now) WHERE key = :key
"""

REMEMBER_DEPARTED = "INSERT OR REPLACE INTO departed VALUES (?, ?, ?)"

FORGET_OLD_DEPARTED = """
DELETE FROM departed WHERE at < (SELECT at FROM departed ORDER BY at DESC LIMIT 1 OFFSET ?)
"""

ADD_WRITTEN = "INSERT INTO written VALUES (?, ?) ON CONFLICT (day) DO UPDATE SET bytes = bytes + excluded.bytes"

ADD_COUNTER = "INSERT INTO counters VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = value + excluded.value"
