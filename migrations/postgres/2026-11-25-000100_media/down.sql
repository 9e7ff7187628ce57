DROP TABLE media_uploads;
DROP TABLE media_copies;
DROP TABLE media;
DROP TABLE media_blobs;
