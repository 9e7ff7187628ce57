-- What a business says of itself, what shows that it is true, and who decided what.

-- The profile as JSON, as it was typed: what is wrong in it is kept until it is put right.
CREATE TABLE business_profiles (
    business_id TEXT PRIMARY KEY NOT NULL REFERENCES businesses (id),
    profile TEXT NOT NULL,
    updated_at BIGINT NOT NULL
);

CREATE TABLE documents (
    id TEXT PRIMARY KEY NOT NULL,
    business_id TEXT NOT NULL REFERENCES businesses (id),
    kind TEXT NOT NULL,
    file_name TEXT NOT NULL,
    content_type TEXT NOT NULL,
    size_bytes BIGINT NOT NULL,
    sha256 TEXT NOT NULL,
    uploaded_by TEXT NOT NULL,
    uploaded_at BIGINT NOT NULL
);
CREATE INDEX documents_by_business ON documents (business_id, id);

-- Apart from the rest, so that listing documents reads none of them.
CREATE TABLE document_contents (
    document_id TEXT PRIMARY KEY NOT NULL REFERENCES documents (id),
    sealed BLOB NOT NULL
);

-- Each time a business was handed in: what it said then, and how the checks came out.
CREATE TABLE submissions (
    id TEXT PRIMARY KEY NOT NULL,
    business_id TEXT NOT NULL REFERENCES businesses (id),
    submitted_at BIGINT NOT NULL,
    actor_kind TEXT NOT NULL,
    actor_id TEXT NOT NULL,
    actor_name TEXT NOT NULL,
    profile TEXT NOT NULL,
    documents TEXT NOT NULL,
    checks TEXT NOT NULL
);
CREATE INDEX submissions_by_business ON submissions (business_id, id);

-- Every step from one state to another.
CREATE TABLE business_steps (
    id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL,
    business_id TEXT NOT NULL,
    at BIGINT NOT NULL,
    action TEXT NOT NULL,
    from_state TEXT NOT NULL,
    to_state TEXT NOT NULL,
    reason TEXT,
    submission_id TEXT,
    actor_kind TEXT NOT NULL,
    actor_id TEXT NOT NULL,
    actor_name TEXT NOT NULL
);
CREATE INDEX business_steps_by_business ON business_steps (business_id);

-- The businesses that wait for a reviewer.
CREATE TABLE review_queue (
    business_id TEXT PRIMARY KEY NOT NULL REFERENCES businesses (id),
    submission_id TEXT NOT NULL REFERENCES submissions (id),
    submitted_at BIGINT NOT NULL,
    state_since BIGINT NOT NULL
);
CREATE INDEX review_queue_by_age ON review_queue (submitted_at, business_id);

-- When codes went to a phone number, whoever asked for them, and when it was registered
-- with the upstream: what limits both. The row is locked while it is decided.
CREATE TABLE code_numbers (
    phone TEXT PRIMARY KEY NOT NULL,
    counts TEXT NOT NULL,
    updated_at BIGINT NOT NULL
);
CREATE INDEX code_numbers_by_age ON code_numbers (updated_at);

-- The one code of a sender that can be used: sealed, or NULL when its network keeps it.
CREATE TABLE phone_codes (
    sender_id BIGINT PRIMARY KEY NOT NULL,
    id TEXT NOT NULL,
    sealed BLOB,
    tries INTEGER NOT NULL,
    expires_at BIGINT NOT NULL
);
CREATE INDEX phone_codes_by_expiry ON phone_codes (expires_at);

-- Who else has shown a number to be theirs.
CREATE INDEX senders_by_phone ON senders (phone);

-- The PIN of a sender's two-step verification, sealed, and when it was registered.
CREATE TABLE sender_registrations (
    sender_id BIGINT PRIMARY KEY NOT NULL,
    pin BLOB NOT NULL,
    registered_at BIGINT
);

-- What arrived at the sandbox's pretend phones.
CREATE TABLE sandbox_messages (
    id TEXT PRIMARY KEY NOT NULL,
    business_id TEXT NOT NULL,
    phone TEXT NOT NULL,
    shown_from TEXT NOT NULL,
    text TEXT NOT NULL,
    at BIGINT NOT NULL,
    arrived_at BIGINT NOT NULL
);
CREATE INDEX sandbox_messages_by_phone ON sandbox_messages (business_id, phone, id);
CREATE INDEX sandbox_messages_by_age ON sandbox_messages (arrived_at);

-- Whether body is sealed: it is for nobody but the adapter.
ALTER TABLE callbacks ADD COLUMN sealed BOOLEAN NOT NULL DEFAULT false;
