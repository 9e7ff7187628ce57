DELETE FROM messages WHERE sealed IS NOT NULL;
ALTER TABLE messages DROP COLUMN sealed;
DROP TABLE one_time_passwords;
