-- Types: TEXT, BIGINT (numbers, flags 0/1, milliseconds since the epoch), BLOB. Ids are ULIDs made in C.
-- One column a line, indented by four blanks: gen_statements.py reads them for backup and restore.

CREATE TABLE setting (
    key TEXT PRIMARY KEY,
    value TEXT NOT NULL
);

-- Who a workspace's bytes are charged to: a person, or a course. Locked (by updating it) before every change of a file.
CREATE TABLE quota (
    id TEXT PRIMARY KEY,
    bytes BIGINT NOT NULL DEFAULT 0 CHECK (bytes >= 0),
    files BIGINT NOT NULL DEFAULT 0 CHECK (files >= 0),
    history_bytes BIGINT NOT NULL DEFAULT 0 CHECK (history_bytes >= 0),
    bytes_max BIGINT NOT NULL,
    files_max BIGINT NOT NULL
);

CREATE TABLE course (
    id TEXT PRIMARY KEY,
    code TEXT NOT NULL UNIQUE,
    title TEXT NOT NULL,
    term TEXT NOT NULL,
    state TEXT NOT NULL,
    quota_id TEXT NOT NULL REFERENCES quota (id),
    created_ms BIGINT NOT NULL
);

-- home_course: whose staff made the account, and may give it a new password.
CREATE TABLE account (
    id TEXT PRIMARY KEY,
    login TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL,
    pw_hash TEXT,
    pw_once BIGINT NOT NULL DEFAULT 0,
    is_admin BIGINT NOT NULL DEFAULT 0,
    state TEXT NOT NULL,
    locale TEXT NOT NULL DEFAULT '',
    quota_id TEXT NOT NULL REFERENCES quota (id),
    home_course TEXT REFERENCES course (id),
    created_ms BIGINT NOT NULL
);

CREATE INDEX account_admin ON account (id) WHERE is_admin = 1;

CREATE TABLE session (
    hash TEXT PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    account TEXT NOT NULL REFERENCES account (id),
    created_ms BIGINT NOT NULL,
    seen_ms BIGINT NOT NULL,
    ip TEXT NOT NULL,
    agent TEXT NOT NULL
);
CREATE INDEX session_account ON session (account, created_ms);
CREATE INDEX session_seen ON session (seen_ms);
CREATE INDEX session_created ON session (created_ms);

-- Failed logins, per name and address, so that class mates cannot lock each other out from elsewhere.
CREATE TABLE login_delay (
    login TEXT NOT NULL,
    ip TEXT NOT NULL,
    fails BIGINT NOT NULL,
    last_ms BIGINT NOT NULL,
    PRIMARY KEY (login, ip)
);
CREATE INDEX login_delay_last ON login_delay (last_ms);

CREATE TABLE api_key (
    id TEXT PRIMARY KEY,
    hash TEXT NOT NULL UNIQUE,
    account TEXT NOT NULL REFERENCES account (id),
    name TEXT NOT NULL,
    scopes BIGINT NOT NULL,
    created_ms BIGINT NOT NULL,
    expires_ms BIGINT NOT NULL,
    used_ms BIGINT NOT NULL DEFAULT 0,
    revoked_ms BIGINT NOT NULL DEFAULT 0
);
CREATE INDEX api_key_account ON api_key (account, created_ms);

CREATE TABLE enrollment (
    course TEXT NOT NULL REFERENCES course (id),
    account TEXT NOT NULL REFERENCES account (id),
    role TEXT NOT NULL,
    created_ms BIGINT NOT NULL,
    PRIMARY KEY (course, account)
);
CREATE INDEX enrollment_account ON enrollment (account);

CREATE TABLE join_code (
    id TEXT PRIMARY KEY,
    code TEXT NOT NULL UNIQUE,
    course TEXT NOT NULL REFERENCES course (id),
    author TEXT NOT NULL,
    created_ms BIGINT NOT NULL,
    expires_ms BIGINT NOT NULL,
    uses_left BIGINT NOT NULL,
    revoked_ms BIGINT NOT NULL DEFAULT 0
);
CREATE INDEX join_code_course ON join_code (course, created_ms);

CREATE TABLE section (
    id TEXT PRIMARY KEY,
    course TEXT NOT NULL REFERENCES course (id),
    kind TEXT NOT NULL,
    title TEXT NOT NULL,
    pos BIGINT NOT NULL,
    visible_from_ms BIGINT NOT NULL,
    due_ms BIGINT NOT NULL DEFAULT 0,
    locked BIGINT NOT NULL DEFAULT 0,
    deleted_ms BIGINT NOT NULL DEFAULT 0,
    created_ms BIGINT NOT NULL
);
CREATE INDEX section_course ON section (course, pos);

CREATE TABLE workspace (
    id TEXT PRIMARY KEY,
    owner TEXT REFERENCES account (id),
    course TEXT REFERENCES course (id),
    section TEXT REFERENCES section (id),
    quota_id TEXT NOT NULL REFERENCES quota (id),
    created_ms BIGINT NOT NULL
);
CREATE UNIQUE INDEX workspace_personal ON workspace (owner, COALESCE(course, '')) WHERE owner IS NOT NULL;
CREATE UNIQUE INDEX workspace_section ON workspace (section) WHERE section IS NOT NULL;
CREATE INDEX workspace_quota ON workspace (quota_id);
CREATE INDEX workspace_course ON workspace (course);

CREATE TABLE blob (
    hash TEXT PRIMARY KEY,
    size BIGINT NOT NULL,
    touched_ms BIGINT NOT NULL
);
CREATE INDEX blob_touched ON blob (touched_ms);

CREATE TABLE blob_data (
    hash TEXT PRIMARY KEY,
    bytes BLOB NOT NULL
);

-- A file or a directory, as it is now. parent '' is the workspace's root; seq 0 is a directory.
CREATE TABLE node (
    id TEXT PRIMARY KEY,
    workspace TEXT NOT NULL REFERENCES workspace (id),
    parent TEXT NOT NULL,
    name TEXT NOT NULL,
    is_dir BIGINT NOT NULL,
    seq BIGINT NOT NULL,
    hash TEXT NOT NULL,
    size BIGINT NOT NULL,
    author TEXT NOT NULL,
    created_ms BIGINT NOT NULL,
    modified_ms BIGINT NOT NULL,
    deleted_ms BIGINT NOT NULL DEFAULT 0
);
CREATE UNIQUE INDEX node_name ON node (workspace, parent, name) WHERE deleted_ms = 0;
CREATE INDEX node_deleted ON node (workspace, deleted_ms);
CREATE INDEX node_trash ON node (deleted_ms) WHERE deleted_ms > 0;
CREATE INDEX node_hash ON node (hash);

-- Where a node was: one row each time it was made, renamed, moved, deleted or restored.
CREATE TABLE placement (
    node TEXT NOT NULL REFERENCES node (id),
    n BIGINT NOT NULL,
    workspace TEXT NOT NULL REFERENCES workspace (id),
    parent TEXT NOT NULL,
    name TEXT NOT NULL,
    live BIGINT NOT NULL,
    author TEXT NOT NULL,
    since_ms BIGINT NOT NULL,
    PRIMARY KEY (node, n)
);
CREATE INDEX placement_workspace ON placement (workspace, since_ms);

CREATE TABLE version (
    node TEXT NOT NULL REFERENCES node (id),
    seq BIGINT NOT NULL,
    hash TEXT NOT NULL REFERENCES blob (hash),
    size BIGINT NOT NULL,
    author TEXT NOT NULL,
    cause TEXT NOT NULL,
    label TEXT NOT NULL DEFAULT '',
    base_seq BIGINT NOT NULL,
    created_ms BIGINT NOT NULL,
    PRIMARY KEY (node, seq)
);
CREATE INDEX version_hash ON version (hash);
CREATE INDEX version_created ON version (created_ms);

CREATE TABLE snapshot (
    id TEXT PRIMARY KEY,
    workspace TEXT NOT NULL REFERENCES workspace (id),
    author TEXT NOT NULL,
    created_ms BIGINT NOT NULL
);
CREATE INDEX snapshot_workspace ON snapshot (workspace, created_ms);

CREATE TABLE snapshot_entry (
    snapshot TEXT NOT NULL REFERENCES snapshot (id),
    path TEXT NOT NULL,
    is_dir BIGINT NOT NULL,
    node TEXT NOT NULL,
    seq BIGINT NOT NULL,
    hash TEXT NOT NULL,
    size BIGINT NOT NULL,
    PRIMARY KEY (snapshot, path)
);
CREATE INDEX snapshot_entry_hash ON snapshot_entry (hash);

CREATE TABLE submission (
    id TEXT PRIMARY KEY,
    section TEXT NOT NULL REFERENCES section (id),
    account TEXT NOT NULL REFERENCES account (id),
    snapshot TEXT NOT NULL REFERENCES snapshot (id),
    late BIGINT NOT NULL,
    grade TEXT NOT NULL DEFAULT '',
    feedback TEXT NOT NULL DEFAULT '',
    graded_by TEXT NOT NULL DEFAULT '',
    graded_ms BIGINT NOT NULL DEFAULT 0,
    created_ms BIGINT NOT NULL
);
CREATE INDEX submission_section ON submission (section, account, created_ms);
CREATE INDEX submission_account ON submission (account, created_ms);

CREATE TABLE execution (
    id TEXT PRIMARY KEY,
    account TEXT NOT NULL REFERENCES account (id),
    node TEXT NOT NULL REFERENCES node (id),
    seq BIGINT NOT NULL,
    verdict TEXT NOT NULL,
    exit_code BIGINT,
    cpu_ms BIGINT NOT NULL,
    wall_ms BIGINT NOT NULL,
    memory_peak_bytes BIGINT NOT NULL,
    started_ms BIGINT NOT NULL,
    ended_ms BIGINT NOT NULL
);
CREATE INDEX execution_node ON execution (node, started_ms);
CREATE INDEX execution_account ON execution (account, started_ms);

-- Append only; each row's hash covers the one before it.
CREATE TABLE audit (
    seq BIGINT PRIMARY KEY,
    at_ms BIGINT NOT NULL,
    actor TEXT NOT NULL,
    role TEXT NOT NULL,
    ip TEXT NOT NULL,
    action TEXT NOT NULL,
    object TEXT NOT NULL,
    course TEXT NOT NULL,
    details TEXT NOT NULL,
    prev_hash TEXT NOT NULL,
    hash TEXT NOT NULL
);

CREATE TABLE audit_head (
    id BIGINT PRIMARY KEY,
    seq BIGINT NOT NULL,
    hash TEXT NOT NULL
);
INSERT INTO audit_head (id, seq, hash) VALUES (1, 0, '');
