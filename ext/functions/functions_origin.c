/*
** functions_origin.c -- where the parents of latent_breed() and latent_explore() come from.
**
** The argument is one of
**
**   '["It rains.", {...}]'   a JSON array: texts, and latents as latent_json() gives them. Their
**                            ids are 1, 2, 3, ...
**   'SELECT png, id FROM t'  a query: content or a latent, and if there are more columns, its id
**                            and its generation. It runs as a statement of the application's own,
**                            which is why the functions are DIRECTONLY; it must only read.
**   'garden'                 a table or view with a column `latent` or `content`, or both: the
**                            latent counts where it is not NULL. The id is the rowid; of a view it
**                            is the column `id`, or else 1, 2, 3. A latent table has such a column.
**
** Rows whose value is NULL are left out. Tables that are named are read with
** SQLITE_PREPARE_NO_VTAB, since the name may come from data: what they are made of reaches no
** virtual table but the latent table itself.
*/
#include "functions.h"
#include <string.h>

enum { COLUMN_VALUE, COLUMN_ID, COLUMN_GENERATION, COLUMN_TYPE };

static void open_array(struct origin *s, struct content text, const char *what){
  static const char read[] = "SELECT value, key + 1, 0, type FROM json_each(?1)";
  struct call *c = s->call;
  struct near t = { .call = c };
  if( !is_json_array(c, text) ){
    fail(&c->err, SQLITE_ERROR, "%s is no JSON array of texts and latents", what);
  }
  s->is_json = 1;
  s->statement = nested_prepare(&t, sqlite3_mprintf(read));
  if( s->statement==NULL ) return;
  check_bound(c, sqlite3_bind_text64(s->statement, 1, text.bytes, text.n, SQLITE_TRANSIENT,
                                     SQLITE_UTF8));
}

/* Nothing but a semicolon may follow the query. */
static int is_end(const char *tail){
  while( is_sql_space(*tail) || *tail==';' ) tail++;
  return *tail==0;
}

static void open_query(struct origin *s, struct content text, const char *what){
  struct call *c = s->call;
  const char *tail = "";
  int n = 0;
  int rc = sqlite3_prepare_v3(c->connection->db, text.bytes, (int)text.n, 0, &s->statement, &tail);
  if( rc==SQLITE_NOMEM ) fail_nomem(&c->err);
  else if( rc!=SQLITE_OK ) fail(&c->err, rc, "%s: %s", what, sqlite3_errmsg(c->connection->db));
  if( c->err.rc!=SQLITE_OK ) return;
  n = sqlite3_column_count(s->statement);
  if( !sqlite3_stmt_readonly(s->statement) || !is_end(tail) ){
    fail(&c->err, SQLITE_ERROR, "%s is more than a query: expected one SELECT that only reads",
         what);
  }else if( n>3 ){
    fail(&c->err, SQLITE_ERROR, "%s gives %d columns, expected content or a latent, and perhaps an "
         "id and a generation", what, n);
  }
}

/* ---- Tables ---- */

static int has_column(struct near *t, const char *name){
  static const char sql[] =
    "SELECT 1 FROM pragma_table_xinfo(%Q, %Q) WHERE name = %Q COLLATE NOCASE";
  sqlite3_stmt *s = nested_prepare(t, sqlite3_mprintf(sql, t->table, t->schema, name));
  int has = nested_step(t, s);
  sqlite3_finalize(s);
  return has;
}

/* What is read of a row, in SQL; NULL: the table has none of it. */
static const char *value_of(struct near *t){
  int has_latent = has_column(t, "latent");
  int has_content = has_column(t, "content");
  if( has_latent && has_content ) return "coalesce(T.latent, T.content)";
  if( has_latent || has_content ) return has_latent ? "T.latent" : "T.content";
  fail(&t->call->err, SQLITE_ERROR, "\"%.100s\" has no column \"latent\" and none \"content\": "
       "expected one of them, or a query, 'SELECT body, id FROM ...'", t->table);
  return "NULL";
}

/* The id of a row; "NULL": rows are counted. */
static const char *id_of(struct near *t, int has_rowid){
  if( has_rowid ) return rowid_name(t);
  return has_column(t, "id") ? "id" : "NULL";
}

int origin_table(struct origin *s, struct call *c, const char *name){
  static const char sql[] = "SELECT %s, %s%s, %s FROM \"%w\".\"%w\" AS T ORDER BY %s";
  struct near t = { .call = c };
  sqlite3_stmt *found = near_named(&t, name, "1");
  const char *type = found ? (const char *)sqlite3_column_text(found, 2) : NULL;
  int is_virtual = type && strcmp(type, "virtual")==0;
  int is_view = type && strcmp(type, "view")==0;
  int has_rowid = found && !is_view && sqlite3_column_int(found, 3)==0;
  const char *value, *id, *generation;
  int is_counted;
  sqlite3_finalize(found);
  *s = (struct origin){ .call = c };
  if( found==NULL && c->err.rc==SQLITE_OK ){
    fail(&c->err, SQLITE_ERROR, "no such table: %.100s (expected a table, a query that begins with "
         "SELECT or WITH, or a JSON array)", name);
  }
  if( c->err.rc!=SQLITE_OK ) return c->err.rc;
  value = value_of(&t);
  id = id_of(&t, has_rowid);
  generation = has_column(&t, "generation") ? "T.generation" : "0";
  if( c->err.rc!=SQLITE_OK ) return c->err.rc;
  is_counted = strcmp(id, "NULL")==0;
  s->statement = nested_prepare_with(&t,
      sqlite3_mprintf(sql, value, is_counted ? "" : "T.", id, generation, t.schema, t.table,
                      is_counted ? "1" : "2"),
      is_virtual ? 0 : SQLITE_PREPARE_NO_VTAB);
  return c->err.rc;
}

/* ---- The door ---- */

static int begins_with(struct content text, const char *word){
  size_t n = strlen(word);
  return text.n>n && sqlite3_strnicmp(text.bytes, word, (int)n)==0
      && !is_word_part(((const unsigned char *)text.bytes)[n]);
}

int origin_open(struct origin *s, struct call *c, struct content text, const char *what){
  struct content begin = text;
  *s = (struct origin){ .call = c };
  if( c->err.rc!=SQLITE_OK ) return c->err.rc;
  while( begin.n>0 && is_sql_space(*(const char *)begin.bytes) ){
    begin.bytes = (const char *)begin.bytes + 1;
    begin.n--;
  }
  if( begin.n>0 && *(const char *)begin.bytes=='[' ) open_array(s, text, what);
  else if( begins_with(begin, "SELECT") || begins_with(begin, "WITH") ) open_query(s, text, what);
  else origin_table(s, c, text.bytes);
  return c->err.rc;
}

void origin_close(struct origin *s){
  sqlite3_finalize(s->statement);
  s->statement = NULL;
}

/* An item of the array, as a point. */
static struct latent read_item(struct origin *s, const char *what){
  struct call *c = s->call;
  sqlite3_value *v = sqlite3_column_value(s->statement, COLUMN_VALUE);
  const char *type = (const char *)sqlite3_column_text(s->statement, COLUMN_TYPE);
  struct latent z = { 0 };
  if( type==NULL ) fail_nomem(&c->err);
  else if( strcmp(type, "object")==0 ) z = latent_from_json(c, value_bytes(c, v));
  else if( strcmp(type, "text")==0 || strcmp(type, "null")==0 ) z = value_latent(c, v, what);
  else fail(&c->err, SQLITE_ERROR, "%s is of type %.20s, expected a text or a latent", what, type);
  check_point(c, &z, what);
  return z;
}

/* A whole number of a column; `otherwise` where there is none, or it is NULL. */
static sqlite3_int64 read_whole(struct origin *s, int column, sqlite3_int64 otherwise){
  sqlite3_stmt *statement = s->statement;
  int type = column<sqlite3_column_count(statement) ? sqlite3_column_type(statement, column)
                                                    : SQLITE_NULL;
  if( type==SQLITE_NULL ) return otherwise;
  if( type==SQLITE_INTEGER ) return sqlite3_column_int64(statement, column);
  fail(&s->call->err, SQLITE_ERROR, "row %d of the parents has a column %d (%s) that is no integer",
       s->n, column + 1, column==COLUMN_ID ? "its id" : "its generation");
  return otherwise;
}

int origin_next(struct origin *s, struct seed *out){
  static const sqlite3_int64 most = 1000000000;
  struct call *c = s->call;
  struct near t = { .call = c };
  char what[40];
  while( s->statement && nested_step(&t, s->statement) ){
    sqlite3_int64 generation;
    sqlite3_snprintf(sizeof(what), what, "parent %d", ++s->n);
    *out = (struct seed){ .id = read_whole(s, COLUMN_ID, s->n) };
    generation = read_whole(s, COLUMN_GENERATION, 0);
    out->generation = generation>=0 && generation<most ? (int)generation : 0;
    if( s->is_json ) out->z = read_item(s, what);
    else out->z = value_point(c, sqlite3_column_value(s->statement, COLUMN_VALUE), what);
    if( c->err.rc!=SQLITE_OK ) return 0;
    if( out->z.n_segments>0 ) return 1;
  }
  return 0;
}
