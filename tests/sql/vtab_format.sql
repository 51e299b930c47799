-- tiny: Shadow tables of an earlier format (not swept): 'integrity-check' is an error while they are there.
CREATE TABLE notes(id INTEGER PRIMARY KEY, body TEXT);
INSERT INTO notes VALUES (1, 'It is warm.');
CREATE VIRTUAL TABLE m USING latent(body, content='notes', content_rowid='id');
UPDATE m_config SET v=1 WHERE k='version';
ALTER TABLE notes ADD COLUMN added;
ALTER TABLE notes RENAME added TO still;        -- SQLite connects m anew
SELECT count(*) FROM m;
SELECT count(*) FROM m('It is warm.');
INSERT INTO notes(body) VALUES ('It is cold.');
INSERT INTO m(m) VALUES ('rebuild');
INSERT INTO m(m) VALUES ('integrity-check');
DROP TABLE m;
SELECT count(*) FROM sqlite_schema;
CREATE VIRTUAL TABLE m USING latent(body, content='notes', content_rowid='id');
SELECT count(*) FROM m;
-- Shadow tables of other columns, and of a later format
CREATE VIRTUAL TABLE a USING latent(title, body);
INSERT INTO a VALUES ('It is warm.', 'It is late.');
UPDATE a_config SET v=replace(v, '"title", "body"', '"title"') WHERE k='columns';
ALTER TABLE a RENAME TO b;
SELECT count(*) FROM b('It is late.');
UPDATE b_config SET v=replace(v, '"title"', '"title", "body"') WHERE k='columns';
SELECT body FROM b('It is late.');
UPDATE b_config SET v=3 WHERE k='version';
ALTER TABLE b RENAME TO c;
SELECT count(*) FROM c('It is late.');
DROP TABLE c;
