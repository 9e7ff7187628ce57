-- Times are milliseconds since the Unix epoch. Ids are 26-character ULIDs unless a
-- column says otherwise; numbers that tenants see on the Cloud API routes (accounts,
-- senders, templates) are digits below 2^53.

CREATE TABLE resellers (
    id TEXT PRIMARY KEY NOT NULL,
    name TEXT NOT NULL,
    created_at BIGINT NOT NULL
);

CREATE TABLE businesses (
    id TEXT PRIMARY KEY NOT NULL,
    reseller_id TEXT NOT NULL REFERENCES resellers (id),
    name TEXT NOT NULL,
    verified_at BIGINT,
    -- Signs the webhooks of this business; given to it once, in the clear.
    app_secret TEXT NOT NULL,
    created_at BIGINT NOT NULL
);

-- What the Cloud API calls a WhatsApp Business Account (WABA).
CREATE TABLE accounts (
    id BIGINT PRIMARY KEY NOT NULL,
    business_id TEXT NOT NULL REFERENCES businesses (id),
    created_at BIGINT NOT NULL
);

CREATE TABLE senders (
    id BIGINT PRIMARY KEY NOT NULL,
    account_id BIGINT NOT NULL REFERENCES accounts (id),
    business_id TEXT NOT NULL REFERENCES businesses (id),
    phone TEXT NOT NULL,
    display_name TEXT NOT NULL,
    adapter TEXT NOT NULL,
    connection TEXT NOT NULL,
    created_at BIGINT NOT NULL
);
CREATE INDEX senders_by_business ON senders (business_id);

CREATE TABLE api_keys (
    id TEXT PRIMARY KEY NOT NULL,
    business_id TEXT NOT NULL REFERENCES businesses (id),
    name TEXT NOT NULL,
    prefix TEXT NOT NULL,
    hash TEXT NOT NULL UNIQUE,
    created_at BIGINT NOT NULL,
    revoked_at BIGINT
);

CREATE TABLE templates (
    id BIGINT PRIMARY KEY NOT NULL,
    account_id BIGINT NOT NULL REFERENCES accounts (id),
    business_id TEXT NOT NULL REFERENCES businesses (id),
    name TEXT NOT NULL,
    language TEXT NOT NULL,
    category TEXT NOT NULL,
    status TEXT NOT NULL,
    components TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    UNIQUE (account_id, name, language)
);

-- due_at is when the next try was or is due, NULL once there is nothing left to try.
-- It stays while an attempt runs, so that starting one changes no indexed column;
-- leased_until says how long the attempt is its owner's.
CREATE TABLE messages (
    id TEXT PRIMARY KEY NOT NULL,
    business_id TEXT NOT NULL,
    sender_id BIGINT NOT NULL,
    recipient TEXT NOT NULL,
    kind TEXT NOT NULL,
    body TEXT NOT NULL,
    rendered TEXT NOT NULL,
    callback_data TEXT,
    state SMALLINT NOT NULL,
    attempt INTEGER NOT NULL,
    tries INTEGER NOT NULL,
    ambiguous BOOLEAN NOT NULL,
    receipts SMALLINT NOT NULL,
    owner TEXT,
    due_at BIGINT,
    leased_until BIGINT,
    upstream_id TEXT,
    error TEXT,
    accepted_at BIGINT NOT NULL,
    attempted_at BIGINT,
    updated_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL
);
CREATE INDEX messages_due ON messages (due_at, id) WHERE due_at IS NOT NULL;
CREATE INDEX messages_by_upstream_id ON messages (upstream_id) WHERE upstream_id IS NOT NULL;

CREATE TABLE message_events (
    id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL,
    message_id TEXT NOT NULL,
    at BIGINT NOT NULL,
    name TEXT NOT NULL,
    attempt INTEGER,
    adapter TEXT,
    detail TEXT
);
CREATE INDEX message_events_by_message ON message_events (message_id);

CREATE TABLE idempotency_keys (
    scope TEXT NOT NULL,
    key TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    message_id TEXT NOT NULL,
    expires_at BIGINT NOT NULL,
    PRIMARY KEY (scope, key)
);
CREATE INDEX idempotency_keys_by_expiry ON idempotency_keys (expires_at);

-- What networks told us and what is not worked off yet: raw callback bodies, and
-- single receipts whose message is not known so far. due_at is NULL for a receipt
-- that waited in vain and is kept to be looked at.
CREATE TABLE callbacks (
    id TEXT PRIMARY KEY NOT NULL,
    adapter TEXT NOT NULL,
    sender_id BIGINT NOT NULL,
    parsed BOOLEAN NOT NULL,
    body BLOB NOT NULL,
    received_at BIGINT NOT NULL,
    due_at BIGINT
);
CREATE INDEX callbacks_due ON callbacks (due_at, id) WHERE due_at IS NOT NULL;
CREATE INDEX callbacks_aside ON callbacks (id) WHERE due_at IS NULL;

CREATE TABLE endpoints (
    id TEXT PRIMARY KEY NOT NULL,
    business_id TEXT NOT NULL REFERENCES businesses (id),
    url TEXT NOT NULL,
    verify_token TEXT NOT NULL,
    created_at BIGINT NOT NULL
);
CREATE INDEX endpoints_by_business ON endpoints (business_id);

-- The outbox of tenant webhooks: a row is written in the transaction of the change
-- it tells of. due_at as in messages; NULL once delivered or given up.
CREATE TABLE deliveries (
    id TEXT PRIMARY KEY NOT NULL,
    business_id TEXT NOT NULL,
    endpoint_id TEXT NOT NULL,
    message_id TEXT NOT NULL,
    payload TEXT NOT NULL,
    state SMALLINT NOT NULL,
    attempt INTEGER NOT NULL,
    due_at BIGINT,
    last_status INTEGER,
    last_error TEXT,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
);
CREATE INDEX deliveries_due ON deliveries (due_at, id) WHERE due_at IS NOT NULL;
CREATE INDEX deliveries_dead ON deliveries (id) WHERE state = 2;

CREATE TABLE sign_in_links (
    hash TEXT PRIMARY KEY NOT NULL,
    user_name TEXT NOT NULL,
    expires_at BIGINT NOT NULL,
    used_at BIGINT
);

CREATE TABLE sessions (
    hash TEXT PRIMARY KEY NOT NULL,
    user_name TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL
);
