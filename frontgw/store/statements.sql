-- Every statement of frontgw, in the dialect that SQLite and PostgreSQL share (see gen_statements.py).

-- ---- settings ----

-- name: setting_get
SELECT value FROM setting WHERE key = ?t;

-- name: setting_put
INSERT INTO setting (key, value) VALUES (?t, ?t) ON CONFLICT (key) DO UPDATE SET value = excluded.value;

