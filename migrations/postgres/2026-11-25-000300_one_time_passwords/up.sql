-- A one-time password: who it was for and how often it was guessed. sealed is all that is kept of the code: its hash,
-- which only the vault opens.
-- fallback_at is when it goes out by SMS unless it was delivered before, NULL without a fallback and once that is
-- decided; fallback_sealed is what the message of the id fallback_message_id would say.
CREATE TABLE one_time_passwords (
    id TEXT COLLATE "C" PRIMARY KEY NOT NULL,
    business_id TEXT COLLATE "C" NOT NULL,
    recipient TEXT COLLATE "C" NOT NULL,
    sealed BYTEA NOT NULL,
    tries INTEGER NOT NULL,
    message_id TEXT COLLATE "C" NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    verified_at BIGINT,
    fallback_at BIGINT,
    fallback_sender_id BIGINT,
    fallback_message_id TEXT COLLATE "C",
    fallback_sealed BYTEA
);
CREATE INDEX one_time_passwords_by_expiry ON one_time_passwords (expires_at);
CREATE INDEX one_time_passwords_to_fall_back ON one_time_passwords (fallback_at) WHERE fallback_at IS NOT NULL;

-- What a message says that brings a code, for nobody but the adapter: then body and rendered say nothing.
ALTER TABLE messages ADD COLUMN sealed BYTEA;
