"""latent in Python's own sqlite3 module.

    /usr/bin/python3 examples/python_sqlite3.py         from the root of the repository, after make

The Python of Debian and Fedora can load extensions. Those that pyenv builds or Apple ships often
cannot: see apsw_newest.py then.
"""
import sqlite3

db = sqlite3.connect(':memory:')
db.enable_load_extension(True)
db.load_extension('build/latent')
db.enable_load_extension(False)

with open('sql/notes.sql', encoding='utf8') as f:
    db.executescript(f.read())
db.execute('ALTER TABLE notes ADD COLUMN z BLOB')
db.execute('UPDATE notes SET z = latent_encode(body)')

question = 'a quiet place by the sea'
nearest = 'SELECT latent_distance(z, ?1), body FROM notes ORDER BY 1 LIMIT 3'
for distance, body in db.execute(nearest, (question,)):
    print(f'{distance:.2f}  {body}')

ends = ('The sun is shining.', 'It is raining in the mountains.')
for t, content in db.execute('SELECT t, content FROM latent_path(?, ?, 5)', ends):
    print(f'{t:.2f}  {content}')

# A latent is bytes: keep it, send it, hand its numbers to NumPy.
z, = db.execute('SELECT latent_mean(z) FROM notes WHERE topic = ?', ('sea',)).fetchone()
print(len(z), 'bytes:', db.execute('SELECT latent_decode(?)', (z,)).fetchone()[0])

# An error says what came and what was expected.
try:
    db.execute("SELECT latent_decode('hello', '{\"beam\": 4}')").fetchone()
except sqlite3.Error as error:
    print('refused:', error)
