DROP TABLE blocked_people;
DROP TABLE windows;
DROP TABLE inbound_messages;
