DROP TABLE sign_in_tries;
DROP TABLE sessions;
DROP TABLE sign_in_links;
DROP TABLE recovery_codes;
DROP TABLE users;

CREATE TABLE sign_in_links (
    hash TEXT COLLATE "C" PRIMARY KEY NOT NULL,
    user_name TEXT NOT NULL,
    expires_at BIGINT NOT NULL,
    used_at BIGINT
);

CREATE TABLE sessions (
    hash TEXT COLLATE "C" PRIMARY KEY NOT NULL,
    user_name TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL
);
