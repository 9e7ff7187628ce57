-- One row for each language of a template; what it says is in its versions. `state` is that of the newest version;
-- `in_use` is the version that messages are made of, `used_state` its state. All three are kept with the versions,
-- under the lock of this row.
ALTER TABLE templates ADD COLUMN latest INTEGER NOT NULL DEFAULT 1;
ALTER TABLE templates ADD COLUMN state TEXT NOT NULL DEFAULT 'draft';
ALTER TABLE templates ADD COLUMN in_use INTEGER;
ALTER TABLE templates ADD COLUMN used_state TEXT;
ALTER TABLE templates ADD COLUMN quality TEXT NOT NULL DEFAULT 'UNKNOWN';
ALTER TABLE templates ADD COLUMN updated_at BIGINT NOT NULL DEFAULT 0;

CREATE TABLE template_versions (
    template_id BIGINT NOT NULL REFERENCES templates (id),
    number INTEGER NOT NULL,
    state TEXT NOT NULL,
    category TEXT NOT NULL,
    previous_category TEXT,
    parameter_format TEXT NOT NULL,
    -- As the network is to have them, a JSON array.
    components TEXT NOT NULL,
    -- As they were written, where that is something else; and what each parameter is made of.
    source TEXT,
    variables TEXT NOT NULL,
    samples TEXT,
    ttl_seconds BIGINT,
    -- Of body and footer: two templates of one account must not say the same.
    fingerprint TEXT COLLATE "C" NOT NULL,
    author_kind TEXT NOT NULL,
    author_id TEXT COLLATE "C" NOT NULL,
    author_name TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    submitter_kind TEXT,
    submitter_id TEXT COLLATE "C",
    submitter_name TEXT,
    submitted_at BIGINT,
    decided_at BIGINT,
    -- The network that has it to review, or has reviewed it: its adapter's name.
    network TEXT,
    -- Why it was sent back, turned down, paused or archived, and what would help.
    reason TEXT,
    rejection TEXT,
    recommendation TEXT,
    PRIMARY KEY (template_id, number)
);
CREATE INDEX template_versions_waiting ON template_versions (submitted_at, template_id)
    WHERE state = 'pending_internal';

INSERT INTO template_versions
    (template_id, number, state, category, parameter_format, components, variables, fingerprint, author_kind, author_id,
     author_name, created_at, network)
    SELECT id, 1, CASE status WHEN 'APPROVED' THEN 'approved' ELSE 'draft' END, category, 'positional', components, '[]',
        '', 'system', '', 'Waystation', created_at, 'sandbox'
    FROM templates;
UPDATE templates SET state = 'approved', in_use = 1, used_state = 'approved' WHERE status = 'APPROVED';
UPDATE templates SET updated_at = created_at;

ALTER TABLE templates DROP COLUMN status;
ALTER TABLE templates DROP COLUMN components;
CREATE INDEX templates_of_business ON templates (business_id, created_at, id);

-- What holds for all languages of a template: which are tried when one cannot be sent, a JSON array; and from when on
-- the name of one that was deleted can be used again.
CREATE TABLE template_names (
    account_id BIGINT NOT NULL REFERENCES accounts (id),
    name TEXT COLLATE "C" NOT NULL,
    fallback TEXT NOT NULL,
    reusable_at BIGINT,
    PRIMARY KEY (account_id, name)
);
