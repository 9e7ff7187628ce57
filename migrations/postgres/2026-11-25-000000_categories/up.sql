ALTER TABLE messages ADD COLUMN category TEXT NOT NULL DEFAULT 'service';
