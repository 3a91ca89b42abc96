-- Keys are wrapped by the master key, tokens and codes are hashes.
CREATE TABLE platform_keys (
    name    TEXT PRIMARY KEY,
    wrapped BLOB NOT NULL
);

-- kind: 0 account, 1 room
CREATE TABLE content_keys (
    kind    INTEGER NOT NULL,
    owner   BLOB    NOT NULL,
    wrapped BLOB    NOT NULL,
    PRIMARY KEY (kind, owner)
);

CREATE TABLE reservations (
    account_id      BLOB PRIMARY KEY,
    username        TEXT    NOT NULL UNIQUE,
    email           TEXT    NOT NULL UNIQUE,
    password_hash   TEXT    NOT NULL,
    idempotency_key BLOB    NOT NULL,
    fingerprint     BLOB    NOT NULL,
    command         BLOB    NOT NULL,
    created_at_ms   INTEGER NOT NULL,
    active          INTEGER NOT NULL
);
CREATE INDEX pending_reservations ON reservations (created_at_ms) WHERE active = 0;

CREATE TABLE sessions (
    session_id    BLOB PRIMARY KEY,
    account_id    BLOB    NOT NULL,
    refresh_hash  BLOB    NOT NULL UNIQUE,
    created_at_ms INTEGER NOT NULL,
    expires_at_ms INTEGER NOT NULL,
    revoked       INTEGER NOT NULL
);
CREATE INDEX sessions_by_expiry ON sessions (expires_at_ms);

-- Refresh tokens that were exchanged: one that comes again ends its session.
CREATE TABLE used_refresh_hashes (
    refresh_hash BLOB PRIMARY KEY,
    session_id   BLOB NOT NULL REFERENCES sessions (session_id) ON DELETE CASCADE
);
CREATE INDEX used_refresh_hashes_by_session ON used_refresh_hashes (session_id);

CREATE TABLE claim_codes (
    account_id    BLOB PRIMARY KEY,
    code_hash     BLOB    NOT NULL,
    expires_at_ms INTEGER NOT NULL
);
