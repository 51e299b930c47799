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
