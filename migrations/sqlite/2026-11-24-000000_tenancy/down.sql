DROP TABLE vault_keys;
DROP TABLE audit_head;
DROP TABLE audit_log;
DROP TABLE abuse_cases;
DROP TABLE sender_signals;
DROP TABLE usage_days;
DROP TABLE access_tokens;
DROP TABLE oauth_clients;

CREATE TABLE api_keys_of_businesses (
    id TEXT PRIMARY KEY NOT NULL,
    business_id TEXT NOT NULL REFERENCES businesses (id),
    name TEXT NOT NULL,
    prefix TEXT NOT NULL,
    hash TEXT NOT NULL UNIQUE,
    created_at BIGINT NOT NULL,
    revoked_at BIGINT
);
INSERT INTO api_keys_of_businesses (id, business_id, name, prefix, hash, created_at, revoked_at)
SELECT id, business_id, name, prefix, hash, created_at, revoked_at FROM api_keys WHERE business_id IS NOT NULL;
DROP TABLE api_keys;
ALTER TABLE api_keys_of_businesses RENAME TO api_keys;

ALTER TABLE senders DROP COLUMN paused_reason;
ALTER TABLE senders DROP COLUMN paused_at;
ALTER TABLE senders DROP COLUMN phone_verified_at;
ALTER TABLE senders DROP COLUMN channel;

-- Sealed secrets cannot be had back in the clear.
ALTER TABLE businesses ADD COLUMN app_secret TEXT NOT NULL DEFAULT '';
DROP TABLE signing_secrets;
ALTER TABLE businesses ADD COLUMN verified_at BIGINT;
UPDATE businesses SET verified_at = created_at WHERE state = 'approved';
DROP INDEX businesses_by_state;
DROP INDEX businesses_by_reseller;
ALTER TABLE businesses DROP COLUMN policy;
ALTER TABLE businesses DROP COLUMN state;

ALTER TABLE resellers DROP COLUMN policy;
ALTER TABLE resellers DROP COLUMN status_reason;
ALTER TABLE resellers DROP COLUMN status;
