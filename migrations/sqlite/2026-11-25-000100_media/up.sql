-- Files: what was uploaded, fetched or received, and where its bytes lie.

-- The bytes of a business's files, each content once. A row is there before its object is written, and until after
-- it is gone: what lies in the store and is named nowhere cannot be. One without a sha256 cannot be used: it is
-- arriving or going, and discard_at says from when on it is cleared away.
CREATE TABLE media_blobs (
    key TEXT PRIMARY KEY NOT NULL,
    business_id TEXT NOT NULL REFERENCES businesses (id),
    sha256 TEXT,
    size_bytes BIGINT NOT NULL,
    uses INTEGER NOT NULL,
    discard_at BIGINT,
    created_at BIGINT NOT NULL
);
CREATE UNIQUE INDEX media_blobs_by_content ON media_blobs (business_id, sha256);
CREATE INDEX media_blobs_to_discard ON media_blobs (discard_at) WHERE discard_at IS NOT NULL;

CREATE TABLE media (
    id BIGINT PRIMARY KEY NOT NULL,
    business_id TEXT NOT NULL REFERENCES businesses (id),
    -- The number that it was uploaded by or that received it.
    sender_id BIGINT,
    blob_key TEXT NOT NULL REFERENCES media_blobs (key),
    origin TEXT NOT NULL,
    content_type TEXT NOT NULL,
    file_name TEXT,
    sha256 TEXT NOT NULL,
    size_bytes BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT
);
CREATE INDEX media_by_business ON media (business_id, created_at, id);
CREATE INDEX media_to_expire ON media (expires_at) WHERE expires_at IS NOT NULL;

-- What the network of a sender calls a file, once it has it.
CREATE TABLE media_copies (
    media_id BIGINT NOT NULL REFERENCES media (id),
    sender_id BIGINT NOT NULL,
    adapter TEXT NOT NULL,
    upstream_id TEXT NOT NULL,
    uploaded_at BIGINT NOT NULL,
    expires_at BIGINT,
    PRIMARY KEY (media_id, sender_id)
);

-- Uploads that may be resumed. parts names the blobs that hold what arrived, as JSON.
CREATE TABLE media_uploads (
    id TEXT PRIMARY KEY NOT NULL,
    business_id TEXT NOT NULL REFERENCES businesses (id),
    file_name TEXT,
    content_type TEXT NOT NULL,
    length_bytes BIGINT NOT NULL,
    received_bytes BIGINT NOT NULL,
    parts TEXT NOT NULL,
    media_id BIGINT,
    handle TEXT,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL
);
CREATE UNIQUE INDEX media_uploads_by_handle ON media_uploads (handle);
CREATE INDEX media_uploads_to_expire ON media_uploads (expires_at);
