-- Who may send: the tree below a reseller, what each part of it may use, and the
-- credentials that speak for it.

ALTER TABLE resellers ADD COLUMN status TEXT NOT NULL DEFAULT 'active';
ALTER TABLE resellers ADD COLUMN status_reason TEXT;
-- What the whole subtree may use, as a JSON object.
ALTER TABLE resellers ADD COLUMN policy TEXT NOT NULL DEFAULT '{}';

ALTER TABLE businesses ADD COLUMN state TEXT NOT NULL DEFAULT 'draft';
ALTER TABLE businesses ADD COLUMN policy TEXT NOT NULL DEFAULT '{}';
UPDATE businesses SET state = 'approved' WHERE verified_at IS NOT NULL;
ALTER TABLE businesses DROP COLUMN verified_at;
CREATE INDEX businesses_by_reseller ON businesses (reseller_id, id);
CREATE INDEX businesses_by_state ON businesses (state, id);

-- The secrets that sign a business's webhooks, sealed. Two are live while one takes
-- over from the other; expires_at is NULL for the one that stays.
CREATE TABLE signing_secrets (
    id TEXT COLLATE "C" PRIMARY KEY NOT NULL,
    business_id TEXT COLLATE "C" NOT NULL REFERENCES businesses (id),
    sealed BYTEA NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT
);
CREATE INDEX signing_secrets_by_business ON signing_secrets (business_id);
-- In the clear until the next start, which seals them: a sealed one never starts
-- with a zero byte.
INSERT INTO signing_secrets (id, business_id, sealed, created_at)
SELECT id, id, '\x00'::bytea || convert_to(app_secret, 'UTF8'), created_at FROM businesses;
ALTER TABLE businesses DROP COLUMN app_secret;

ALTER TABLE senders ADD COLUMN channel TEXT NOT NULL DEFAULT 'whatsapp';
ALTER TABLE senders ADD COLUMN phone_verified_at BIGINT;
ALTER TABLE senders ADD COLUMN paused_at BIGINT;
ALTER TABLE senders ADD COLUMN paused_reason TEXT;
-- Numbers of businesses that were verified before count as theirs.
UPDATE senders SET phone_verified_at = created_at
WHERE business_id IN (SELECT id FROM businesses WHERE state = 'approved');

-- A key without a business is its reseller's.
ALTER TABLE api_keys ALTER COLUMN business_id DROP NOT NULL;
ALTER TABLE api_keys ADD COLUMN reseller_id TEXT COLLATE "C" REFERENCES resellers (id);
UPDATE api_keys SET reseller_id = (SELECT reseller_id FROM businesses WHERE businesses.id = api_keys.business_id);
ALTER TABLE api_keys ALTER COLUMN reseller_id SET NOT NULL;
ALTER TABLE api_keys ADD COLUMN mode TEXT NOT NULL DEFAULT 'live';
UPDATE api_keys SET mode = 'test' WHERE prefix LIKE 'ws\_test\_%';
ALTER TABLE api_keys ADD COLUMN scopes TEXT NOT NULL DEFAULT 'admin';
ALTER TABLE api_keys ADD COLUMN addresses TEXT NOT NULL DEFAULT '';
ALTER TABLE api_keys ADD COLUMN signed BOOLEAN NOT NULL DEFAULT false;
ALTER TABLE api_keys ADD COLUMN expires_at BIGINT;
ALTER TABLE api_keys ADD COLUMN last_used_at BIGINT;
ALTER TABLE api_keys ADD COLUMN last_used_address TEXT;
ALTER TABLE api_keys ADD COLUMN successor_id TEXT COLLATE "C";
CREATE INDEX api_keys_by_owner ON api_keys (reseller_id, coalesce(business_id, ''), id);

-- OAuth 2.0 clients: an id that may be known, and a secret that is exchanged for
-- short-lived access tokens. The previous secret holds for a while after a change.
CREATE TABLE oauth_clients (
    id TEXT COLLATE "C" PRIMARY KEY NOT NULL,
    reseller_id TEXT COLLATE "C" NOT NULL REFERENCES resellers (id),
    business_id TEXT COLLATE "C" REFERENCES businesses (id),
    name TEXT NOT NULL,
    mode TEXT NOT NULL,
    scopes TEXT NOT NULL,
    addresses TEXT NOT NULL,
    secret_hash TEXT COLLATE "C" NOT NULL,
    previous_hash TEXT COLLATE "C",
    previous_until BIGINT,
    created_at BIGINT NOT NULL,
    expires_at BIGINT,
    last_used_at BIGINT,
    last_used_address TEXT,
    revoked_at BIGINT
);
CREATE INDEX oauth_clients_by_owner ON oauth_clients (reseller_id, coalesce(business_id, ''), id);

CREATE TABLE access_tokens (
    hash TEXT COLLATE "C" PRIMARY KEY NOT NULL,
    client_id TEXT COLLATE "C" NOT NULL REFERENCES oauth_clients (id),
    scopes TEXT NOT NULL,
    expires_at BIGINT NOT NULL
);
CREATE INDEX access_tokens_by_expiry ON access_tokens (expires_at);

-- Messages accepted, by day (days since 1970, UTC). Each process counts in a shard
-- of its own, so that no two wait for the same row.
CREATE TABLE usage_days (
    business_id TEXT COLLATE "C" NOT NULL,
    day INTEGER NOT NULL,
    sender_id BIGINT NOT NULL,
    shard INTEGER NOT NULL,
    messages BIGINT NOT NULL,
    PRIMARY KEY (business_id, day, sender_id, shard)
);

-- What speaks against a sender, by day: see the rule in core/src/abuse.
CREATE TABLE sender_signals (
    sender_id BIGINT NOT NULL,
    day INTEGER NOT NULL,
    kind TEXT COLLATE "C" NOT NULL,
    count BIGINT NOT NULL,
    PRIMARY KEY (sender_id, day, kind)
);

-- Senders that the rule paused, until a reviewer decides.
CREATE TABLE abuse_cases (
    id TEXT COLLATE "C" PRIMARY KEY NOT NULL,
    reseller_id TEXT COLLATE "C" NOT NULL,
    business_id TEXT COLLATE "C" NOT NULL,
    sender_id BIGINT NOT NULL,
    reason TEXT NOT NULL,
    evidence TEXT NOT NULL,
    opened_at BIGINT NOT NULL,
    closed_at BIGINT,
    resolution TEXT
);
CREATE UNIQUE INDEX abuse_cases_open ON abuse_cases (sender_id) WHERE closed_at IS NULL;

-- Append-only and chained: each entry's hash covers the one before it.
CREATE TABLE audit_log (
    seq BIGINT PRIMARY KEY NOT NULL,
    at BIGINT NOT NULL,
    actor_kind TEXT NOT NULL,
    actor_id TEXT NOT NULL,
    actor_name TEXT NOT NULL,
    address TEXT,
    request_id TEXT,
    action TEXT NOT NULL,
    reseller_id TEXT COLLATE "C",
    business_id TEXT COLLATE "C",
    subject TEXT NOT NULL,
    before TEXT,
    after TEXT,
    hash TEXT COLLATE "C" NOT NULL
);
CREATE INDEX audit_log_by_reseller ON audit_log (reseller_id, seq) WHERE reseller_id IS NOT NULL;
CREATE INDEX audit_log_by_business ON audit_log (business_id, seq) WHERE business_id IS NOT NULL;
-- The end of the chain: whoever appends locks it, so entries are in the order of
-- their commits.
CREATE TABLE audit_head (
    id INTEGER PRIMARY KEY NOT NULL,
    seq BIGINT NOT NULL,
    hash TEXT NOT NULL
);
INSERT INTO audit_head (id, seq, hash) VALUES (1, 0, '');
CREATE FUNCTION audit_log_is_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the audit log is append-only';
END
$$;
CREATE FUNCTION audit_log_follows_its_head() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.seq <> (SELECT seq FROM audit_head WHERE id = 1) THEN
        RAISE EXCEPTION 'an entry of the audit log stands at its end';
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER audit_log_at_end BEFORE INSERT ON audit_log
    FOR EACH ROW EXECUTE FUNCTION audit_log_follows_its_head();
CREATE TRIGGER audit_log_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_log
    FOR EACH STATEMENT EXECUTE FUNCTION audit_log_is_append_only();

-- For each key that seals, something sealed with it: a process with another key finds
-- out when it starts, not when it has to open a secret.
CREATE TABLE vault_keys (
    id TEXT COLLATE "C" PRIMARY KEY NOT NULL,
    proof BYTEA NOT NULL,
    created_at BIGINT NOT NULL
);
