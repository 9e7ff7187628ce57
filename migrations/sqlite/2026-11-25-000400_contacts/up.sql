-- The people that a business writes to, what they agreed to, and what they want no more of.

-- What hashes of addresses are keyed with, sealed.
CREATE TABLE hash_keys (
    name TEXT PRIMARY KEY NOT NULL,
    sealed BLOB NOT NULL,
    created_at BIGINT NOT NULL
);

-- phone_hash and user_hash are keyed hashes over the business and the address, and what
-- a contact is found by. tags and attributes are JSON.
CREATE TABLE contacts (
    id TEXT PRIMARY KEY NOT NULL,
    business_id TEXT NOT NULL REFERENCES businesses (id),
    phone TEXT,
    phone_hash TEXT UNIQUE,
    user_id TEXT,
    user_hash TEXT UNIQUE,
    profile_name TEXT,
    given_name TEXT,
    language TEXT,
    time_zone TEXT,
    tags TEXT NOT NULL,
    attributes TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
);
CREATE INDEX contacts_by_business ON contacts (business_id, id);
CREATE INDEX contacts_by_change ON contacts (business_id, updated_at, id);

-- What lists are filtered by: "#tag" and "name=value".
CREATE TABLE contact_terms (
    business_id TEXT NOT NULL,
    term TEXT NOT NULL,
    contact_id TEXT NOT NULL REFERENCES contacts (id) ON DELETE CASCADE,
    PRIMARY KEY (business_id, term, contact_id)
);
CREATE INDEX contact_terms_by_contact ON contact_terms (contact_id);

CREATE TABLE contact_attributes (
    business_id TEXT NOT NULL REFERENCES businesses (id),
    name TEXT NOT NULL,
    kind TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (business_id, name)
);

-- Only ever added to. What holds is the last one of a contact, channel and category.
CREATE TABLE contact_consents (
    id TEXT PRIMARY KEY NOT NULL,
    business_id TEXT NOT NULL,
    contact_id TEXT NOT NULL REFERENCES contacts (id) ON DELETE CASCADE,
    channel TEXT NOT NULL,
    category TEXT NOT NULL,
    granted BOOLEAN NOT NULL,
    source TEXT NOT NULL,
    text_version TEXT,
    evidence TEXT,
    at BIGINT NOT NULL,
    recorded_at BIGINT NOT NULL
);
CREATE INDEX contact_consents_by_contact ON contact_consents (contact_id, id);

-- Who must not be written to. person is the keyed hash, all that is left of somebody
-- who was erased: then address is NULL.
CREATE TABLE suppressions (
    id TEXT PRIMARY KEY NOT NULL,
    business_id TEXT NOT NULL REFERENCES businesses (id),
    person TEXT NOT NULL,
    address TEXT,
    channel TEXT NOT NULL,
    category TEXT NOT NULL,
    source TEXT NOT NULL,
    detail TEXT,
    confirmation_id TEXT,
    created_at BIGINT NOT NULL
);
CREATE UNIQUE INDEX suppressions_by_person ON suppressions (person, channel, category);
CREATE INDEX suppressions_by_business ON suppressions (business_id, id);

-- What a person is told once when they opt out, and when they opt in again.
CREATE TABLE opt_out_settings (
    business_id TEXT PRIMARY KEY NOT NULL REFERENCES businesses (id),
    stop_text TEXT,
    start_text TEXT,
    updated_at BIGINT NOT NULL
);

CREATE TABLE contact_imports (
    id TEXT PRIMARY KEY NOT NULL,
    business_id TEXT NOT NULL REFERENCES businesses (id),
    state TEXT NOT NULL,
    rows_read BIGINT NOT NULL,
    rows_created BIGINT NOT NULL,
    rows_updated BIGINT NOT NULL,
    rows_failed BIGINT NOT NULL,
    failure TEXT,
    started_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
);
CREATE INDEX contact_imports_by_business ON contact_imports (business_id, id);

CREATE TABLE contact_import_errors (
    import_id TEXT NOT NULL REFERENCES contact_imports (id) ON DELETE CASCADE,
    line BIGINT NOT NULL,
    place BIGINT NOT NULL,
    name TEXT NOT NULL,
    message TEXT NOT NULL,
    PRIMARY KEY (import_id, line, place)
);
