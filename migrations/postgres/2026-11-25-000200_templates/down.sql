DROP TABLE template_names;
ALTER TABLE templates ADD COLUMN status TEXT NOT NULL DEFAULT 'PENDING';
ALTER TABLE templates ADD COLUMN components TEXT NOT NULL DEFAULT '[]';
UPDATE templates SET status = 'APPROVED' WHERE used_state = 'approved';
UPDATE templates SET components = (
    SELECT v.components FROM template_versions v
    WHERE v.template_id = templates.id AND v.number = COALESCE(templates.in_use, templates.latest)
);
DROP TABLE template_versions;
DROP INDEX templates_of_business;
ALTER TABLE templates DROP COLUMN latest;
ALTER TABLE templates DROP COLUMN state;
ALTER TABLE templates DROP COLUMN in_use;
ALTER TABLE templates DROP COLUMN used_state;
ALTER TABLE templates DROP COLUMN quality;
ALTER TABLE templates DROP COLUMN updated_at;
