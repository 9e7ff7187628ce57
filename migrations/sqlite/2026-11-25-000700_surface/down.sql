ALTER TABLE endpoints DROP COLUMN overrides;
DROP TABLE qr_codes;
DROP TABLE sender_profiles;
