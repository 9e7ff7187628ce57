DROP TABLE arriving_media;
DROP INDEX templates_to_forward;
DROP TABLE network_templates;
