-- Times are milliseconds since 1970. Migrations only add; see the README beside the folders.

-- One row: builds that do not know the migration of this number are refused.
CREATE TABLE compatibility (
    oldest_build BIGINT NOT NULL
);
INSERT INTO compatibility VALUES (1);

CREATE TABLE platform_key (
    name    TEXT  NOT NULL PRIMARY KEY,
    wrapped BYTEA NOT NULL
);

-- 'a': an account's, 'r': a room's.
CREATE TABLE content_key (
    owner_kind TEXT  NOT NULL CHECK (owner_kind IN ('a', 'r')),
    owner_id   UUID  NOT NULL,
    wrapped    BYTEA NOT NULL,
    PRIMARY KEY (owner_kind, owner_id)
);

CREATE TABLE reservation (
    account_id      UUID    NOT NULL PRIMARY KEY,
    username        TEXT    NOT NULL UNIQUE,
    email           TEXT    NOT NULL UNIQUE,
    password_hash   TEXT    NOT NULL,
    idempotency_key UUID    NOT NULL,
    fingerprint     BYTEA   NOT NULL,
    command         BYTEA   NOT NULL,
    created_at_ms   BIGINT  NOT NULL,
    active          BOOLEAN NOT NULL
);
CREATE INDEX reservation_pending ON reservation (created_at_ms) WHERE NOT active;

CREATE TABLE session (
    session_id    UUID    NOT NULL PRIMARY KEY,
    account_id    UUID    NOT NULL,
    refresh_hash  BYTEA   NOT NULL,
    created_at_ms BIGINT  NOT NULL,
    expires_at_ms BIGINT  NOT NULL,
    revoked       BOOLEAN NOT NULL
);
CREATE INDEX session_expiry ON session (expires_at_ms);

-- Every refresh token that a session has had, until it would have expired: an old one that comes
-- again was stolen, or its successor was.
CREATE TABLE refresh_token (
    hash          BYTEA  NOT NULL PRIMARY KEY,
    session_id    UUID   NOT NULL,
    expires_at_ms BIGINT NOT NULL
);
CREATE INDEX refresh_token_expiry ON refresh_token (expires_at_ms);

CREATE TABLE claim_code (
    account_id    UUID   NOT NULL PRIMARY KEY,
    code_hash     BYTEA  NOT NULL,
    expires_at_ms BIGINT NOT NULL
);
