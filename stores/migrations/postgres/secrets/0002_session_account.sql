-- An account sees its own sessions.
CREATE INDEX session_account ON session (account_id);
