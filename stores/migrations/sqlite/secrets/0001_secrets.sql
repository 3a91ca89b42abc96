-- Ids are 16-byte blobs, times milliseconds since 1970.

CREATE TABLE platform_key (
    name    TEXT NOT NULL PRIMARY KEY,
    wrapped BLOB NOT NULL
) WITHOUT ROWID;

-- 'a': an account's, 'r': a room's. About 120 bytes a row.
CREATE TABLE content_key (
    owner_kind TEXT NOT NULL CHECK (owner_kind IN ('a', 'r')),
    owner_id   BLOB NOT NULL,
    wrapped    BLOB NOT NULL,
    PRIMARY KEY (owner_kind, owner_id)
) WITHOUT ROWID;

CREATE TABLE reservation (
    account_id      BLOB    NOT NULL PRIMARY KEY,
    username        TEXT    NOT NULL UNIQUE,
    email           TEXT    NOT NULL UNIQUE,
    password_hash   TEXT    NOT NULL,
    idempotency_key BLOB    NOT NULL,
    fingerprint     BLOB    NOT NULL,
    command         BLOB    NOT NULL,
    created_at_ms   BIGINT  NOT NULL,
    active          BOOLEAN NOT NULL
);
CREATE INDEX reservation_pending ON reservation (created_at_ms) WHERE NOT active;

CREATE TABLE session (
    session_id    BLOB    NOT NULL PRIMARY KEY,
    account_id    BLOB    NOT NULL,
    refresh_hash  BLOB    NOT NULL,
    created_at_ms BIGINT  NOT NULL,
    expires_at_ms BIGINT  NOT NULL,
    revoked       BOOLEAN NOT NULL
) WITHOUT ROWID;
CREATE INDEX session_expiry ON session (expires_at_ms);

-- Every refresh token that a session has had, until it would have expired: an old one that comes
-- again was stolen, or its successor was.
CREATE TABLE refresh_token (
    hash          BLOB   NOT NULL PRIMARY KEY,
    session_id    BLOB   NOT NULL,
    expires_at_ms BIGINT NOT NULL
) WITHOUT ROWID;
CREATE INDEX refresh_token_expiry ON refresh_token (expires_at_ms);

CREATE TABLE claim_code (
    account_id    BLOB   NOT NULL PRIMARY KEY,
    code_hash     BLOB   NOT NULL,
    expires_at_ms BIGINT NOT NULL
) WITHOUT ROWID;
