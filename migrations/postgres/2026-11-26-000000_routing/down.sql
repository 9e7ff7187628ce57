DROP TABLE channels;
DROP TABLE routing_rules;
DROP TABLE left_ids;
DROP INDEX messages_to_look_at;
ALTER TABLE messages DROP COLUMN look_at;
ALTER TABLE messages DROP COLUMN via_sender_id;
ALTER TABLE messages DROP COLUMN routing;
