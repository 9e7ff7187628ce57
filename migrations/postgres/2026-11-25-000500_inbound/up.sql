-- What people sent to senders. Of a message of a network there is one row: its id there
-- tells a repeat. body is the Cloud API's message object, with our ids in it.
CREATE TABLE inbound_messages (
    id TEXT COLLATE "C" PRIMARY KEY NOT NULL,
    business_id TEXT COLLATE "C" NOT NULL,
    sender_id BIGINT NOT NULL,
    -- Who sent it: a number, a user id, or both.
    phone TEXT COLLATE "C",
    user_id TEXT COLLATE "C",
    parent_user_id TEXT,
    profile_name TEXT,
    username TEXT,
    kind TEXT NOT NULL,
    body TEXT NOT NULL,
    context_id TEXT,
    upstream_id TEXT COLLATE "C" NOT NULL,
    sent_at BIGINT NOT NULL,
    received_at BIGINT NOT NULL,
    read_at BIGINT,
    -- When it was last said that an answer is being written.
    typing_at BIGINT,
    UNIQUE (sender_id, upstream_id)
);
CREATE INDEX inbound_messages_by_business ON inbound_messages (business_id, id);
CREATE INDEX inbound_messages_by_phone ON inbound_messages (business_id, phone, id) WHERE phone IS NOT NULL;
CREATE INDEX inbound_messages_by_user ON inbound_messages (business_id, user_id, id) WHERE user_id IS NOT NULL;

-- The customer-care window of a person at a sender, once under each address of theirs.
CREATE TABLE windows (
    sender_id BIGINT NOT NULL,
    recipient TEXT COLLATE "C" NOT NULL,
    business_id TEXT COLLATE "C" NOT NULL,
    last_inbound_id TEXT COLLATE "C" NOT NULL,
    last_inbound_at BIGINT NOT NULL,
    -- The last free entry point: what it was, when the person came by it, and until when
    -- one is open; NULL as long as nobody answered.
    entry TEXT,
    entry_at BIGINT,
    entry_until BIGINT,
    PRIMARY KEY (sender_id, recipient)
);
-- Those that an answer would open for 72 hours.
CREATE INDEX windows_with_unanswered_entry ON windows (sender_id, recipient)
    WHERE entry_at IS NOT NULL AND (entry_until IS NULL OR entry_until < entry_at + 259200000);

-- Who must not reach a sender, and whom it does not reach: by number, by user id, or both.
CREATE TABLE blocked_people (
    id TEXT COLLATE "C" PRIMARY KEY NOT NULL,
    business_id TEXT COLLATE "C" NOT NULL,
    sender_id BIGINT NOT NULL,
    phone TEXT COLLATE "C",
    user_id TEXT COLLATE "C",
    blocked_at BIGINT NOT NULL,
    -- Messages of theirs that were dropped.
    dropped BIGINT NOT NULL,
    UNIQUE (sender_id, phone),
    UNIQUE (sender_id, user_id)
);
CREATE INDEX blocked_people_by_sender ON blocked_people (sender_id, id);
