-- Is a text Python? It needs no model.
.print what Python has
SELECT latent_valid(value) FROM json_each('["x = 1", "", "# c", "def f(a, /, *b, c=1, **d):\n    return a\n", "@x\nclass A(B):\n    \"\"\"d\"\"\"\n    y: int = 3\n", "match x:\n    case [1, *_]:\n        y\n    case _: z\n", "print >>f, x", "x = (\n1,\n   2)\ny\n", "def f():\n  a; b\n  c\n", "if x: y\nelse:\n\tz\n", "async def f(): await x", "f\"{x!r:>{w}} {y=}\"", "é = \"𝒳\"", "type X = int"]');
.print what it does not have
SELECT latent_valid(value) FROM json_each('["x = ", "def f(", "x y", "a = \"b", "\"\"\"", ")", "f''{''", "print \"a\"", "exec \"x\"", "a <> b", "SELECT 1", "for x in y", "x = 1 if y"]');
.print where the lines stand
SELECT latent_valid(value) FROM json_each('["  x", "x\n  y", "def f():\n      a\n   b", "def f():\n", "if x:\ny", "class A:\n  # c\nx = 1", "if x:\n  a\n # c\n  b", "def f():\n    a\n\n\nb"]');
.print bytes
SELECT latent_valid('x = ''' || char(0) || ''''), latent_valid(CAST(x'78203d20ff' AS TEXT)), latent_valid(CAST(x'78203d2022c322' AS TEXT));
.print arguments
SELECT latent_valid(NULL), latent_valid('x', NULL), latent_valid('x', 'python');
SELECT latent_valid('x', 'Python');
SELECT latent_valid(42);
SELECT latent_valid(x'78');
SELECT latent_valid();
.print long ones
SELECT latent_valid(replace(hex(zeroblob(50000)), '00', 'x = 1' || char(10)));
SELECT latent_valid(replace(hex(zeroblob(20000)), '00', '(') || 'x' || replace(hex(zeroblob(20000)), '00', ')'));
SELECT latent_valid(replace(hex(zeroblob(20000)), '00', '[('));
SELECT latent_valid('x = ' || replace(hex(zeroblob(20000)), '00', 'not ') || 'x');
SELECT latent_valid('"""' || replace(hex(zeroblob(200000)), '00', 'it''s '));
.print a constraint, a generated column, an index
CREATE TABLE code(body TEXT CHECK( latent_valid(body) ), n AS (latent_valid(body)) STORED);
CREATE INDEX valid ON code(latent_valid(body, 'python'));
INSERT INTO code VALUES('x = 1');
INSERT INTO code VALUES('x =');
SELECT * FROM code;
