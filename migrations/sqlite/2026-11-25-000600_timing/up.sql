ALTER TABLE messages ADD COLUMN template_name TEXT;
-- When it is to be sent, of a message that was scheduled or shifted by quiet hours. Stays when it is sent.
ALTER TABLE messages ADD COLUMN scheduled_at BIGINT;

-- Lists go from the newest message to the oldest by id, which begins with the time of acceptance. No index names the
-- state: it changes with every attempt and receipt, and an update that changes no indexed column touches no index. What
-- is pending has a due time, what went wrong has an error; both change when they change the row's place anyway.
CREATE INDEX messages_by_business ON messages (business_id, id);
CREATE INDEX messages_by_recipient ON messages (business_id, recipient, id);
CREATE INDEX messages_by_sender ON messages (business_id, sender_id, id);
CREATE INDEX messages_by_category ON messages (business_id, category, id);
CREATE INDEX messages_by_template ON messages (business_id, template_name, id) WHERE template_name IS NOT NULL;
CREATE INDEX messages_by_callback_data ON messages (business_id, callback_data, id) WHERE callback_data IS NOT NULL;
CREATE INDEX messages_pending ON messages (business_id, id) WHERE due_at IS NOT NULL;
CREATE INDEX messages_in_trouble ON messages (business_id, id) WHERE error IS NOT NULL;
