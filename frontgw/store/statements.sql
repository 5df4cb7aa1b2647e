-- Every statement of frontgw, in the dialect that SQLite and PostgreSQL share (see gen_statements.py).

-- ---- settings ----

-- name: setting_get
SELECT value FROM setting WHERE key = ?t;

-- name: setting_put
INSERT INTO setting (key, value) VALUES (?t, ?t) ON CONFLICT (key) DO UPDATE SET value = excluded.value;

-- name: setting_lock
INSERT INTO setting (key, value) VALUES (?t, ?t) ON CONFLICT (key) DO UPDATE SET value = setting.value RETURNING value;

-- name: setting_delete
DELETE FROM setting WHERE key = ?t;

-- name: audit_head_clear
DELETE FROM audit_head;

-- name: account_any
-- scan: ends at the first row
SELECT id FROM account ORDER BY id LIMIT 1;

-- ---- contents ----

-- name: blob_touch
INSERT INTO blob (hash, size, touched_ms) VALUES (?t, ?i, ?i) ON CONFLICT (hash) DO UPDATE SET touched_ms = excluded.touched_ms;

-- name: blob_data_put
INSERT INTO blob_data (hash, bytes) VALUES (?t, ?b) ON CONFLICT (hash) DO NOTHING;

-- name: blob_data_get
SELECT bytes FROM blob_data WHERE hash = ?t;

-- name: blob_unused
SELECT hash FROM blob WHERE touched_ms < ?i
    AND NOT EXISTS (SELECT 1 FROM version WHERE version.hash = blob.hash)
    AND NOT EXISTS (SELECT 1 FROM snapshot_entry WHERE snapshot_entry.hash = blob.hash)
    ORDER BY touched_ms LIMIT ?i;

-- name: blob_forget
DELETE FROM blob WHERE hash = ?t AND touched_ms < ?i
    AND NOT EXISTS (SELECT 1 FROM version WHERE version.hash = blob.hash)
    AND NOT EXISTS (SELECT 1 FROM snapshot_entry WHERE snapshot_entry.hash = blob.hash);

-- name: blob_data_forget
DELETE FROM blob_data WHERE hash = ?t;

-- name: blob_list_page
SELECT hash, size FROM blob WHERE hash > ?t ORDER BY hash LIMIT ?i;

-- ---- audit log ----

-- name: audit_head_lock
UPDATE audit_head SET seq = seq + 1 WHERE id = 1 RETURNING seq, hash;

-- name: audit_head_set
UPDATE audit_head SET hash = ?t WHERE id = 1;

-- name: audit_head_get
SELECT seq, hash FROM audit_head WHERE id = 1;

-- name: audit_insert
INSERT INTO audit (seq, at_ms, actor, role, ip, action, object, course, details, prev_hash, hash)
    VALUES (?i, ?i, ?t, ?t, ?t, ?t, ?t, ?t, ?t, ?t, ?t);

-- name: audit_page
SELECT seq, at_ms, actor, role, ip, action, object, course, details, prev_hash, hash
    FROM audit WHERE seq > ?i ORDER BY seq LIMIT ?i;

-- ---- logging in, sessions ----

-- name: login_delay_lock
INSERT INTO login_delay (login, ip, fails, last_ms) VALUES (?t, ?t, 0, 0)
    ON CONFLICT (login, ip) DO UPDATE SET fails = login_delay.fails RETURNING fails, last_ms;

-- name: login_delay_set
UPDATE login_delay SET fails = ?i, last_ms = ?i WHERE login = ?t AND ip = ?t;

-- name: login_delay_forget
DELETE FROM login_delay WHERE login = ?t AND ip = ?t;

-- name: login_delay_expire
DELETE FROM login_delay WHERE last_ms < ?i;

-- name: account_by_login
SELECT id, pw_hash, state FROM account WHERE login = ?t;

-- name: account_rehash
UPDATE account SET pw_hash = ?t WHERE id = ?t AND pw_hash = ?t;

-- name: session_insert
INSERT INTO session (hash, id, account, created_ms, seen_ms, ip, agent) VALUES (?t, ?t, ?t, ?i, ?i, ?t, ?t);

-- name: session_by_hash
SELECT account.id, account.login, account.is_admin, account.pw_once, session.id, session.created_ms, session.seen_ms
    FROM session JOIN account ON account.id = session.account
    WHERE session.hash = ?t AND account.state = 'active';

-- name: session_touch
UPDATE session SET seen_ms = ?i WHERE hash = ?t;

-- name: session_end_hash
DELETE FROM session WHERE hash = ?t;

-- name: session_end_one
DELETE FROM session WHERE id = ?t AND account = ?t;

-- name: session_end_all
DELETE FROM session WHERE account = ?t AND id <> ?t RETURNING id;

-- name: session_list
SELECT id, created_ms, seen_ms, ip, agent FROM session WHERE account = ?t ORDER BY created_ms;

-- name: session_expire_idle
DELETE FROM session WHERE seen_ms < ?i;

-- name: session_expire_old
DELETE FROM session WHERE created_ms < ?i;

-- name: session_count
-- scan: counts them all, those that have run out are gone within a minute
SELECT COUNT(DISTINCT account), COUNT(*) FROM session WHERE seen_ms >= ?i;

-- ---- API keys ----

-- name: key_insert
INSERT INTO api_key (id, hash, account, name, scopes, created_ms, expires_ms) VALUES (?t, ?t, ?t, ?t, ?i, ?i, ?i);

-- name: key_count
SELECT COUNT(*) FROM api_key WHERE account = ?t AND revoked_ms = 0;

-- name: key_by_hash
SELECT account.id, account.login, account.is_admin, account.pw_once, api_key.scopes, api_key.used_ms
    FROM api_key JOIN account ON account.id = api_key.account
    WHERE api_key.hash = ?t AND api_key.revoked_ms = 0 AND api_key.expires_ms > ?i AND account.state = 'active';

-- name: key_touch
UPDATE api_key SET used_ms = ?i WHERE hash = ?t;

-- name: key_list
SELECT id, name, scopes, created_ms, expires_ms, used_ms FROM api_key
    WHERE account = ?t AND revoked_ms = 0 ORDER BY created_ms;

-- name: key_revoke
UPDATE api_key SET revoked_ms = ?i WHERE id = ?t AND account = ?t AND revoked_ms = 0;

-- name: key_revoke_all
UPDATE api_key SET revoked_ms = ?i WHERE account = ?t AND revoked_ms = 0;

-- ---- accounts ----

-- name: quota_insert
INSERT INTO quota (id, bytes_max, files_max) VALUES (?t, ?i, ?i);

-- name: quota_set_max
UPDATE quota SET bytes_max = CASE WHEN ?i > 0 THEN ?i ELSE bytes_max END,
    files_max = CASE WHEN ?i > 0 THEN ?i ELSE files_max END
    WHERE id = (SELECT quota_id FROM account WHERE id = ?t);

-- name: account_insert
INSERT INTO account (id, login, name, pw_hash, pw_once, is_admin, state, quota_id, home_course, created_ms)
    VALUES (?t, ?t, ?t, ?t, ?i, ?i, 'active', ?t, ?t, ?i) ON CONFLICT (login) DO NOTHING;

-- name: account_get
SELECT account.id, login, name, is_admin, pw_once, state, locale, account.created_ms, bytes, files, bytes_max, files_max
    FROM account JOIN quota ON quota.id = account.quota_id WHERE account.id = ?t;

-- name: account_list
SELECT id, login, name, is_admin, state, created_ms FROM account WHERE login > ?t ORDER BY login LIMIT ?i;

-- name: account_lock
UPDATE account SET state = state WHERE id = ?t RETURNING login, pw_hash, is_admin, state;

-- name: account_set
UPDATE account SET name = COALESCE(?t, name), locale = COALESCE(?t, locale), state = COALESCE(?t, state),
    is_admin = CASE WHEN ?i >= 0 THEN ?i ELSE is_admin END WHERE id = ?t;

-- name: account_admins
-- scan: of an index that holds nobody but admins
SELECT COUNT(*) FROM account WHERE is_admin = 1 AND state = 'active' AND id <> ?t;

-- name: account_password
UPDATE account SET pw_hash = ?t, pw_once = ?i WHERE id = ?t;

-- name: account_exists
SELECT is_admin FROM account WHERE id = ?t;

-- name: home_role
SELECT enrollment.role FROM account
    JOIN enrollment ON enrollment.course = account.home_course AND enrollment.account = ?t
    WHERE account.id = ?t;

-- name: staff_somewhere
SELECT 1 FROM enrollment WHERE account = ?t AND role <> 'student' LIMIT 1;

-- ---- courses ----

-- name: course_insert
INSERT INTO course (id, code, title, term, state, quota_id, created_ms) VALUES (?t, ?t, ?t, ?t, 'active', ?t, ?i)
    ON CONFLICT (code) DO NOTHING;

-- name: course_get
SELECT course.id, code, title, term, state, created_ms, bytes, files, bytes_max, files_max
    FROM course JOIN quota ON quota.id = course.quota_id WHERE course.id = ?t;

-- name: course_list_mine
SELECT course.id, code, title, term, state, enrollment.role, course.created_ms
    FROM enrollment JOIN course ON course.id = enrollment.course WHERE enrollment.account = ?t ORDER BY course.id;

-- name: course_list_all
SELECT id, code, title, term, state, 'admin', created_ms FROM course WHERE id > ?t ORDER BY id LIMIT ?i;

-- name: course_set
UPDATE course SET title = COALESCE(?t, title), term = COALESCE(?t, term), state = COALESCE(?t, state) WHERE id = ?t;

-- name: course_role
SELECT course.state, enrollment.role, course.quota_id FROM course
    LEFT JOIN enrollment ON enrollment.course = course.id AND enrollment.account = ?t WHERE course.id = ?t;

-- name: member_list
SELECT account.id, login, name, role, account.state, enrollment.created_ms
    FROM enrollment JOIN account ON account.id = enrollment.account WHERE enrollment.course = ?t ORDER BY login;

-- name: member_role
SELECT role FROM enrollment WHERE course = ?t AND account = ?t;

-- name: member_put
INSERT INTO enrollment (course, account, role, created_ms) VALUES (?t, ?t, ?t, ?i)
    ON CONFLICT (course, account) DO UPDATE SET role = excluded.role;

-- name: member_add
INSERT INTO enrollment (course, account, role, created_ms) VALUES (?t, ?t, ?t, ?i)
    ON CONFLICT (course, account) DO NOTHING;

-- name: member_remove
DELETE FROM enrollment WHERE course = ?t AND account = ?t;

-- name: join_code_insert
INSERT INTO join_code (id, code, course, author, created_ms, expires_ms, uses_left) VALUES (?t, ?t, ?t, ?t, ?i, ?i, ?i);

-- name: join_code_list
SELECT id, code, created_ms, expires_ms, uses_left FROM join_code
    WHERE course = ?t AND revoked_ms = 0 AND expires_ms > ?i AND uses_left > 0 ORDER BY created_ms;

-- name: join_code_use
UPDATE join_code SET uses_left = uses_left - 1
    WHERE code = ?t AND revoked_ms = 0 AND expires_ms > ?i AND uses_left > 0 RETURNING course;

-- name: join_code_revoke
UPDATE join_code SET revoked_ms = ?i WHERE id = ?t AND course = ?t AND revoked_ms = 0;

-- ---- sections ----

-- name: section_insert
INSERT INTO section (id, course, kind, title, pos, visible_from_ms, due_ms, created_ms)
    VALUES (?t, ?t, ?t, ?t, ?i, ?i, ?i, ?i);

-- name: section_list
SELECT section.id, kind, title, pos, visible_from_ms, due_ms, locked, section.created_ms, workspace.id
    FROM section JOIN workspace ON workspace.section = section.id
    WHERE section.course = ?t AND deleted_ms = 0 AND visible_from_ms <= ?i ORDER BY pos, section.id;

-- name: section_get
SELECT section.id, kind, title, pos, visible_from_ms, due_ms, locked, section.created_ms, workspace.id, section.course
    FROM section JOIN workspace ON workspace.section = section.id WHERE section.id = ?t AND deleted_ms = 0;

-- name: section_set
UPDATE section SET title = COALESCE(?t, title), pos = CASE WHEN ?i >= 0 THEN ?i ELSE pos END,
    visible_from_ms = CASE WHEN ?i >= 0 THEN ?i ELSE visible_from_ms END,
    due_ms = CASE WHEN ?i >= 0 THEN ?i ELSE due_ms END,
    locked = CASE WHEN ?i >= 0 THEN ?i ELSE locked END WHERE id = ?t;

-- name: section_delete
UPDATE section SET deleted_ms = ?i WHERE id = ?t AND deleted_ms = 0;

-- ---- workspaces ----

-- name: workspace_insert
INSERT INTO workspace (id, owner, course, section, quota_id, created_ms) VALUES (?t, ?t, ?t, ?t, ?t, ?i)
    ON CONFLICT DO NOTHING;

-- name: workspace_personal
INSERT INTO workspace (id, owner, course, quota_id, created_ms)
    SELECT ?t, account.id, ?t, account.quota_id, ?i FROM account WHERE account.id = ?t
    ON CONFLICT DO NOTHING;

-- ---- files ----

-- name: workspace_get
SELECT workspace.id, workspace.owner, workspace.course, workspace.section, workspace.quota_id,
    section.visible_from_ms, section.deleted_ms, course.state, enrollment.role
    FROM workspace
    LEFT JOIN section ON section.id = workspace.section
    LEFT JOIN course ON course.id = workspace.course
    LEFT JOIN enrollment ON enrollment.course = workspace.course AND enrollment.account = ?t
    WHERE workspace.id = ?t;

-- name: workspace_list_mine
SELECT workspace.id, workspace.owner, workspace.course, account.login, account.name, workspace.created_ms
    FROM workspace JOIN account ON account.id = workspace.owner WHERE workspace.owner = ?t ORDER BY workspace.id;

-- name: workspace_list_course
SELECT workspace.id, workspace.owner, workspace.course, account.login, account.name, workspace.created_ms
    FROM workspace JOIN account ON account.id = workspace.owner WHERE workspace.course = ?t ORDER BY account.login;

-- name: quota_get
SELECT bytes, files, history_bytes, bytes_max, files_max FROM quota WHERE id = ?t;

-- name: quota_lock
UPDATE quota SET bytes = bytes WHERE id = ?t RETURNING bytes, files, history_bytes, bytes_max, files_max;

-- name: quota_set
UPDATE quota SET bytes = ?i, files = ?i, history_bytes = ?i WHERE id = ?t;

-- name: node_get
SELECT id, workspace, parent, name, is_dir, seq, hash, size, author, created_ms, modified_ms, deleted_ms
    FROM node WHERE id = ?t;

-- name: node_by_name
SELECT id, workspace, parent, name, is_dir, seq, hash, size, author, created_ms, modified_ms, deleted_ms
    FROM node WHERE workspace = ?t AND parent = ?t AND name = ?t AND deleted_ms = 0;

-- name: node_list
SELECT id, workspace, parent, name, is_dir, seq, hash, size, author, created_ms, modified_ms, deleted_ms
    FROM node WHERE workspace = ?t AND deleted_ms = 0 ORDER BY id;

-- name: node_trash
SELECT id, workspace, parent, name, is_dir, seq, hash, size, author, created_ms, modified_ms, deleted_ms
    FROM node WHERE workspace = ?t AND deleted_ms > 0 ORDER BY deleted_ms DESC LIMIT ?i;

-- name: node_deleted_at
SELECT id, workspace, parent, name, is_dir, seq, hash, size, author, created_ms, modified_ms, deleted_ms
    FROM node WHERE workspace = ?t AND deleted_ms = ?i ORDER BY id;

-- name: node_insert
INSERT INTO node (id, workspace, parent, name, is_dir, seq, hash, size, author, created_ms, modified_ms)
    VALUES (?t, ?t, ?t, ?t, ?i, 0, '', 0, ?t, ?i, ?i) ON CONFLICT DO NOTHING;

-- name: node_move
UPDATE node SET parent = ?t, name = ?t WHERE id = ?t;

-- name: node_set_deleted
UPDATE node SET deleted_ms = ?i WHERE id = ?t;

-- name: node_set_version
UPDATE node SET seq = ?i, hash = ?t, size = ?i, author = ?t, modified_ms = ?i WHERE id = ?t;

-- name: placement_add
INSERT INTO placement (node, n, workspace, parent, name, live, author, since_ms)
    SELECT ?t, COALESCE(MAX(n), 0) + 1, ?t, ?t, ?t, ?i, ?t, ?i FROM placement WHERE node = ?t;

-- name: placement_at
SELECT placement.node, placement.parent, placement.name, placement.live, placement.author, placement.since_ms,
    node.is_dir, node.created_ms
    FROM placement JOIN node ON node.id = placement.node
    WHERE placement.workspace = ?t AND placement.since_ms <= ?i ORDER BY placement.node, placement.n;

-- name: version_at
SELECT version.node, version.seq, version.hash, version.size, version.author, version.created_ms
    FROM node JOIN version ON version.node = node.id
    WHERE node.workspace = ?t AND version.created_ms <= ?i ORDER BY version.node, version.seq;

-- name: version_insert
INSERT INTO version (node, seq, hash, size, author, cause, label, base_seq, created_ms)
    VALUES (?t, ?i, ?t, ?i, ?t, ?t, ?t, ?i, ?i);

-- name: version_get
SELECT seq, hash, size, author, cause, label, base_seq, created_ms FROM version WHERE node = ?t AND seq = ?i;

-- name: version_before
SELECT seq, hash, size, author, cause, label, base_seq, created_ms FROM version
    WHERE node = ?t AND seq <= ?i ORDER BY seq DESC LIMIT 1;

-- name: version_list
SELECT seq, hash, size, author, cause, label, base_seq, created_ms FROM version
    WHERE node = ?t AND seq < ?i ORDER BY seq DESC LIMIT ?i;

-- name: version_at_node
SELECT seq, hash, size, author, cause, label, base_seq, created_ms FROM version
    WHERE node = ?t AND created_ms <= ?i ORDER BY seq DESC LIMIT 1;

-- name: version_label
UPDATE version SET label = ?t WHERE node = ?t AND seq = ?i;

-- name: version_oldest
SELECT version.node, version.seq, version.size FROM workspace
    JOIN node ON node.workspace = workspace.id
    JOIN version ON version.node = node.id
    WHERE workspace.quota_id = ?t AND version.seq < node.seq AND version.label = ''
    AND version.cause NOT IN ('run', 'submit', 'restore')
    ORDER BY version.created_ms LIMIT ?i;

-- name: version_delete
DELETE FROM version WHERE node = ?t AND seq = ?i;

-- name: version_nodes_between
SELECT DISTINCT node FROM version WHERE created_ms >= ?i AND created_ms < ?i;

-- name: version_thin_list
SELECT seq, size, cause, label, created_ms FROM version WHERE node = ?t ORDER BY seq;

-- name: node_quota
SELECT workspace.quota_id FROM node JOIN workspace ON workspace.id = node.workspace WHERE node.id = ?t;

-- ---- submissions ----

-- name: workspace_of
SELECT id FROM workspace WHERE owner = ?t AND COALESCE(course, '') = ?t;

-- name: snapshot_insert
INSERT INTO snapshot (id, workspace, author, created_ms) VALUES (?t, ?t, ?t, ?i);

-- name: snapshot_entry
INSERT INTO snapshot_entry (snapshot, path, is_dir, node, seq, hash, size) VALUES (?t, ?t, ?i, ?t, ?i, ?t, ?i);

-- name: snapshot_entries
SELECT path, is_dir, node, seq, hash, size FROM snapshot_entry WHERE snapshot = ?t ORDER BY path;

-- name: version_submitted
UPDATE version SET label = 'submitted' WHERE node = ?t AND seq = ?i AND label = '';

-- name: submission_insert
INSERT INTO submission (id, section, account, snapshot, late, created_ms) VALUES (?t, ?t, ?t, ?t, ?i, ?i);

-- name: submission_list
SELECT submission.id, section, account, login, name, snapshot, late, grade, feedback, graded_by, graded_ms, submission.created_ms
    FROM submission JOIN account ON account.id = submission.account
    WHERE section = ?t ORDER BY submission.account, submission.created_ms;

-- name: submission_list_own
SELECT submission.id, section, account, login, name, snapshot, late, grade, feedback, graded_by, graded_ms, submission.created_ms
    FROM submission JOIN account ON account.id = submission.account
    WHERE section = ?t AND account = ?t ORDER BY submission.created_ms;

-- name: submission_get
SELECT submission.id, submission.section, account, login, name, snapshot, late, grade, feedback, graded_by, graded_ms,
    submission.created_ms, section.course
    FROM submission JOIN account ON account.id = submission.account JOIN section ON section.id = submission.section
    WHERE submission.id = ?t;

-- name: submission_grade
UPDATE submission SET grade = ?t, feedback = ?t, graded_by = ?t, graded_ms = ?i WHERE id = ?t;

-- ---- executions ----

-- name: execution_insert
INSERT INTO execution (id, account, node, seq, verdict, exit_code, cpu_ms, wall_ms, memory_peak_bytes, started_ms, ended_ms)
    VALUES (?t, ?t, ?t, ?i, ?t, ?i, ?i, ?i, ?i, ?i, ?i);

-- name: execution_list
SELECT id, account, seq, verdict, exit_code, cpu_ms, wall_ms, memory_peak_bytes, started_ms, ended_ms
    FROM execution WHERE node = ?t ORDER BY started_ms DESC LIMIT ?i;

-- ---- the trash ----

-- name: trash_old
SELECT id FROM node WHERE deleted_ms > 0 AND deleted_ms < ?i ORDER BY deleted_ms LIMIT ?i;

-- name: trash_purge_node
UPDATE node SET deleted_ms = -deleted_ms WHERE id = ?t AND deleted_ms > 0;

-- name: trash_purge_versions
DELETE FROM version WHERE node = ?t;

-- name: trash_version_bytes
SELECT CAST(COALESCE(SUM(size), 0) AS BIGINT) FROM version WHERE node = ?t;

