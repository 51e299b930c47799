"""latent with APSW (PyPI: apsw), which brings the newest SQLite with it.

    python3 -m venv build/apsw && build/apsw/bin/pip install apsw
    build/apsw/bin/python examples/apsw_newest.py       from the root of the repository, after make
"""
import apsw

print('SQLite', apsw.sqlite_lib_version())
db = apsw.Connection(':memory:')
db.enable_load_extension(True)
db.load_extension('build/latent')

db.execute("""
    CREATE TABLE notes(id INTEGER PRIMARY KEY, body TEXT, z BLOB AS (latent_encode(body)) STORED);
    INSERT INTO notes(body) VALUES
      ('The beach is empty in the early morning.'), ('It is raining in the mountains.'),
      ('Two children build a castle in the sand.'), ('I got the job that I wanted.');
""")
nearest = 'SELECT body, latent_distance(z, ?1) AS d FROM notes ORDER BY d LIMIT 2'
for body, distance in db.execute(nearest, ('a quiet place by the sea',)):
    print(f'{distance:.2f}  {body}')
between = 'SELECT latent_interp(a.z, b.z, 0.5) FROM notes a, notes b WHERE a.id = 1 AND b.id = 3'
print(db.execute(between).get)
print(db.execute('SELECT count(*) FROM latent_functions').get, 'functions')
db.close()
