-- Who may open the dashboard. Links and sessions of before named no user, so they are
-- over: whoever runs the installation issues a new link.

DROP TABLE sign_in_links;
DROP TABLE sessions;

-- email, password_hash and totp_secret are NULL until the person signed in for the
-- first time. totp_secret is sealed; totp_step is the last step whose code was used.
CREATE TABLE users (
    id TEXT PRIMARY KEY NOT NULL,
    email TEXT UNIQUE,
    name TEXT NOT NULL,
    role TEXT NOT NULL,
    reseller_id TEXT REFERENCES resellers (id),
    business_id TEXT REFERENCES businesses (id),
    password_hash TEXT,
    totp_secret BLOB,
    totp_step BIGINT,
    created_at BIGINT NOT NULL,
    seen_at BIGINT
);
CREATE INDEX users_by_role ON users (role, id);
CREATE INDEX users_by_reseller ON users (reseller_id, id) WHERE reseller_id IS NOT NULL;

CREATE TABLE recovery_codes (
    user_id TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    hash TEXT NOT NULL,
    PRIMARY KEY (user_id, hash)
);

CREATE TABLE sign_in_links (
    hash TEXT PRIMARY KEY NOT NULL,
    user_id TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    resets_two_factor BOOLEAN NOT NULL,
    expires_at BIGINT NOT NULL
);
CREATE INDEX sign_in_links_by_user ON sign_in_links (user_id);

-- stage is how far the person has come; only an open session opens anything.
-- pending_secret is the sealed secret of a second factor that is being set up.
CREATE TABLE sessions (
    id TEXT PRIMARY KEY NOT NULL,
    hash TEXT NOT NULL UNIQUE,
    user_id TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    stage TEXT NOT NULL,
    address TEXT,
    device TEXT NOT NULL,
    pending_secret BLOB,
    created_at BIGINT NOT NULL,
    seen_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL
);
CREATE INDEX sessions_by_user ON sessions (user_id, id);

-- Tries to sign in, by what they were for and by where they came from. The name says
-- which, and is a hash of it.
CREATE TABLE sign_in_tries (
    name TEXT PRIMARY KEY NOT NULL,
    failures INTEGER NOT NULL,
    blocked_until BIGINT NOT NULL,
    tried_at BIGINT NOT NULL
);
CREATE INDEX sign_in_tries_by_age ON sign_in_tries (tried_at);
