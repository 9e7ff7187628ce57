-- How senders present themselves: the profile that people see in their apps, as JSON.
CREATE TABLE sender_profiles (
    sender_id BIGINT PRIMARY KEY NOT NULL REFERENCES senders (id),
    profile TEXT NOT NULL,
    updated_at BIGINT NOT NULL
);

-- Codes that open a chat with a sender with a message already typed.
CREATE TABLE qr_codes (
    code TEXT PRIMARY KEY NOT NULL,
    business_id TEXT NOT NULL REFERENCES businesses (id),
    sender_id BIGINT NOT NULL REFERENCES senders (id),
    prefilled_message TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
);
CREATE INDEX qr_codes_by_sender ON qr_codes (sender_id, code);
CREATE INDEX qr_codes_by_business ON qr_codes (business_id, code);

-- Whether the endpoint is the one that subscribed_apps of the Cloud API sets.
ALTER TABLE endpoints ADD COLUMN overrides BOOLEAN NOT NULL DEFAULT false;
