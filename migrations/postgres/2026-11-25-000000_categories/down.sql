ALTER TABLE messages DROP COLUMN category;
