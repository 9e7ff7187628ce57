-- How far a message has come on its chain of channels, as JSON; nothing for a message with one channel.
ALTER TABLE messages ADD COLUMN routing TEXT;
-- The sender that took over last, and whose lane the message waits in.
ALTER TABLE messages ADD COLUMN via_sender_id BIGINT;
-- When it is to be looked at whether another channel takes over.
ALTER TABLE messages ADD COLUMN look_at BIGINT;
CREATE INDEX messages_to_look_at ON messages (look_at, id) WHERE look_at IS NOT NULL;

-- Networks' ids of messages on channels that they have left.
CREATE TABLE left_ids (
    upstream_id TEXT NOT NULL,
    message_id TEXT NOT NULL REFERENCES messages (id),
    PRIMARY KEY (upstream_id, message_id)
);

-- Which chain the messages of a business take, or of one of its senders; 0 stands for all of them. JSON.
CREATE TABLE routing_rules (
    business_id TEXT NOT NULL REFERENCES businesses (id),
    sender_id BIGINT NOT NULL,
    rules TEXT NOT NULL,
    updated_at BIGINT NOT NULL,
    PRIMARY KEY (business_id, sender_id)
);

-- Senders whose channel does not work now. A sender without a row works, as far as is known.
CREATE TABLE channels (
    sender_id BIGINT PRIMARY KEY NOT NULL REFERENCES senders (id),
    reason TEXT NOT NULL,
    code BIGINT,
    needs_operator BOOLEAN NOT NULL,
    -- Probes that failed since it stopped working.
    failures INTEGER NOT NULL,
    since BIGINT NOT NULL,
    -- When it is tried next, and until when somebody does.
    probe_at BIGINT NOT NULL,
    probing_until BIGINT NOT NULL,
    -- The settings that it failed with, hashed: with others it is tried at once.
    settings TEXT NOT NULL
);
