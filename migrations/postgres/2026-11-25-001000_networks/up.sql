-- Templates at networks that review them, and what is to be done about each there next. A row outlives its template, so
-- that a deleted one is deleted at its network as well.
CREATE TABLE network_templates (
    template_id BIGINT PRIMARY KEY NOT NULL,
    account_id BIGINT NOT NULL,
    name TEXT COLLATE "C" NOT NULL,
    language TEXT NOT NULL,
    -- The network: its adapter's name.
    adapter TEXT NOT NULL,
    -- What the network calls it, once it has said so.
    upstream_id TEXT COLLATE "C",
    -- submit, check, unpause or delete; of `version`.
    task TEXT NOT NULL,
    version INTEGER NOT NULL,
    -- From when on it is to be done; while somebody does it, until when that one has it. NULL: nothing is to be done.
    due_at BIGINT,
    attempts INTEGER NOT NULL,
    -- Why it was not done the last time.
    error TEXT,
    submitted_at BIGINT,
    checked_at BIGINT,
    -- When the network last said something of it by itself.
    heard_at BIGINT
);
CREATE INDEX network_templates_due ON network_templates (due_at) WHERE due_at IS NOT NULL;
CREATE INDEX network_templates_of_account ON network_templates (account_id, upstream_id);
CREATE INDEX templates_to_forward ON templates (id) WHERE state = 'approved_internal';

-- Files that people sent and that their network still has: each is fetched to the id that the tenant was told.
CREATE TABLE arriving_media (
    id BIGINT PRIMARY KEY NOT NULL,
    business_id TEXT COLLATE "C" NOT NULL,
    sender_id BIGINT NOT NULL,
    adapter TEXT NOT NULL,
    upstream_id TEXT COLLATE "C" NOT NULL,
    content_type TEXT,
    file_name TEXT,
    -- From when on it is to be fetched; while somebody fetches it, until when that one has it. NULL: it cannot be had.
    due_at BIGINT,
    attempts INTEGER NOT NULL,
    error TEXT,
    created_at BIGINT NOT NULL
);
CREATE INDEX arriving_media_due ON arriving_media (due_at) WHERE due_at IS NOT NULL;
CREATE INDEX arriving_media_by_age ON arriving_media (created_at);
