DROP TABLE vault_keys;
DROP TABLE audit_head;
DROP TABLE audit_log;
DROP FUNCTION audit_log_is_append_only;
DROP FUNCTION audit_log_follows_its_head;
DROP TABLE abuse_cases;
DROP TABLE sender_signals;
DROP TABLE usage_days;
DROP TABLE access_tokens;
DROP TABLE oauth_clients;

DELETE FROM api_keys WHERE business_id IS NULL;
DROP INDEX api_keys_by_owner;
ALTER TABLE api_keys DROP COLUMN successor_id;
ALTER TABLE api_keys DROP COLUMN last_used_address;
ALTER TABLE api_keys DROP COLUMN last_used_at;
ALTER TABLE api_keys DROP COLUMN expires_at;
ALTER TABLE api_keys DROP COLUMN signed;
ALTER TABLE api_keys DROP COLUMN addresses;
ALTER TABLE api_keys DROP COLUMN scopes;
ALTER TABLE api_keys DROP COLUMN mode;
ALTER TABLE api_keys DROP COLUMN reseller_id;
ALTER TABLE api_keys ALTER COLUMN business_id SET NOT NULL;

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
