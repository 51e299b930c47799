/*
** vtab_content.c -- content that is another table's: how `t` follows it, and how it is seen where t
** does not.
**
** One rule serves all cases: what the content table says is right. Nothing that is said of a row on
** its way is trusted, and what the shadow tables say of it can be compared.
**
**   1. Whatever tells of a change names a row, and says no more: the triggers, an INSERT or UPDATE
**      by the user's own hand, 'sync', 'rebuild'. The note lies in t_pending.
**   2. When notes are flushed (vtab_pending.c), each row is read from the content table as it is
**      then: after all other triggers, whatever the conflict clause was. A row that is not there
**      leaves t.
**   3. t_rows has, for each row, what was encoded: the filters themselves, and a hash of 64 bits of
**      the contents, their types included. A row that still has both is left alone. If only filters
**      differ, nothing is encoded.
**   4. 'sync' compares every row of the content table with t_rows so, and notes those that differ,
**      are new or are gone. 'rebuild' forgets all rows and does the same. 'integrity-check' reports
**      what 'sync' would note.
**   5. A search gives no row that the content table no longer has (CONTENT_HAS): REPLACE takes rows
**      away without firing a trigger, unless PRAGMA recursive_triggers is on.
**
** A row is known by its id. If ids are not lasting, a search gives other rows than those that were
** encoded: VACUUM numbers the rows of a table without an INTEGER PRIMARY KEY anew. If two rows have
** one, or one has none, rows are lost. So content_rowid must be the INTEGER PRIMARY KEY, or a
** column of integers that is UNIQUE NOT NULL: content_check(). Of a view nobody can say so; there
** 'sync', 'rebuild' and 'integrity-check' look at the ids that it gives.
**
** A row whose content cannot be encoded, or whose filters have values that they cannot have, is in
** t_rows like any other, but has no latent. Where the table is strict it is an error.
*/
#include "vtab.h"
#include <assert.h>
#include <string.h>

/* ---- What may be content ---- */

/* ?1: schema, ?2: table, ?3: content_rowid. A PRIMARY KEY that is the rowid has no index. */
static const char HAS_LASTING_IDS[] =
  "WITH c AS (SELECT name, type, \"notnull\", pk FROM pragma_table_xinfo(?2, ?1)),"
  " i AS (SELECT name, origin FROM pragma_index_list(?2, ?1) WHERE \"unique\" AND NOT partial),"
  " alias AS (SELECT name FROM c WHERE pk AND upper(type)='INTEGER'"
  "  AND (SELECT count(*) FROM c WHERE pk)=1 AND NOT EXISTS(SELECT 1 FROM i WHERE origin='pk'))"
  "SELECT EXISTS(SELECT 1 FROM alias WHERE name=?3 COLLATE NOCASE)"
  " OR (EXISTS(SELECT 1 FROM alias) AND lower(?3) IN ('rowid', '_rowid_', 'oid')"
  "  AND NOT EXISTS(SELECT 1 FROM c WHERE name=?3 COLLATE NOCASE))"
  " OR EXISTS(SELECT 1 FROM c, i WHERE c.name=?3 COLLATE NOCASE AND \"notnull\""
  "  AND type LIKE '%INT%'"
  "  AND (SELECT count(*)=1 AND max(x.name=?3 COLLATE NOCASE)"
  "       FROM pragma_index_info(i.name, ?1) AS x))";

/* On its first row, with the three names bound; NULL on failure. */
static sqlite3_stmt *ask_schema(struct call *c, struct vtab *t, const char *text){
  sqlite3_stmt *s = store_prepare(c, t, text);
  int rc = SQLITE_OK;
  if( s==NULL ) return NULL;
  rc |= sqlite3_bind_text(s, 1, t->schema, -1, SQLITE_STATIC);
  rc |= sqlite3_bind_text(s, 2, store_content_name(t), -1, SQLITE_STATIC);
  if( sqlite3_bind_parameter_count(s)>2 ){
    rc |= sqlite3_bind_text(s, 3, t->definition.content_rowid, -1, SQLITE_STATIC);
  }
  if( rc!=SQLITE_OK ) fail_nomem(&c->err);
  if( store_step(c, s) ) return s;
  sqlite3_finalize(s);
  return NULL;
}

static int check_no_triggers(struct call *c, const struct vtab *t){
  const struct definition *d = &t->definition;
  if( !d->has_triggers ) return SQLITE_OK;
  return fail(&c->err, SQLITE_ERROR, "\"%.80s\" is a view, on which no triggers can tell of a "
              "change: write triggers=0, and INSERT INTO \"%.60s\"(\"%.60s\") VALUES('sync') "
              "after changes", d->content, t->name, t->name);
}

int content_check(struct call *c, struct vtab *t){
  const struct definition *d = &t->definition;
  enum content_type type;
  int is_lasting = 0;
  sqlite3_stmt *s;
  assert( d->content );
  store_statement(c, t, CONTENT_GET);           /* says best what is not there */
  type = store_content_type(c, t);
  if( type==CONTENT_VIEW ) return check_no_triggers(c, t);
  if( type==CONTENT_NONE ){
    fail(&c->err, SQLITE_ERROR, "no such table: %s.%s", t->schema, store_content_name(t));
  }
  s = ask_schema(c, t, HAS_LASTING_IDS);
  if( s ) is_lasting = sqlite3_column_int(s, 0);
  sqlite3_finalize(s);
  if( is_lasting || c->err.rc!=SQLITE_OK ) return c->err.rc;
  return fail(&c->err, SQLITE_ERROR, "content_rowid='%.60s' is no lasting id of the rows of "
       "\"%.60s\": expected its INTEGER PRIMARY KEY, or a column of integers that is UNIQUE NOT "
       "NULL, which may stand beside a key of texts. (VACUUM may give each rowid to another row "
       "where no column is the INTEGER PRIMARY KEY.)", d->content_rowid, d->content);
}

int content_has(struct call *c, struct vtab *t, int64_t id){
  sqlite3_stmt *s = store_find(c, t, CONTENT_HAS, id);
  sqlite3_reset(s);
  return s!=NULL;
}

/* ---- A row here and there ---- */

sqlite3_int64 content_hash(struct call *c, const struct vtab *t, sqlite3_stmt *s, int column){
  struct values_sum sum = { 0 };
  if( c->err.rc!=SQLITE_OK ) return 0;
  for(int i=0; i<t->definition.n_bodies; i++){
    sqlite3_value *v = sqlite3_column_value(s, column + i);
    values_sum_add(&sum, t, v, sqlite3_value_type(v));
  }
  if( sum.oom ) fail_nomem(&c->err);
  return (sqlite3_int64)sum.h;
}

/* Is the filter's value in a column of s the one that is stored in the row? */
static int same_filter(struct call *c, const struct vtab *t, sqlite3_stmt *row, int i,
                       sqlite3_stmt *s, int column){
  sqlite3_value *stored = sqlite3_column_value(row, COLUMN_FILTERS + i);
  sqlite3_value *v = sqlite3_value_dup(sqlite3_column_value(s, column));
  struct values_sum a = { 0 };
  struct values_sum b = { 0 };
  if( v ){
    values_sum_add(&a, t, stored, sqlite3_value_type(stored));
    values_sum_add(&b, t, v, filter_type_stored(&t->definition.filters[i], v));
  }
  if( v==NULL || a.oom || b.oom ) fail_nomem(&c->err);
  sqlite3_value_free(v);
  return a.h==b.h;
}

int content_same(struct call *c, struct vtab *t, sqlite3_stmt *row, sqlite3_stmt *s, int column,
                 sqlite3_int64 hash){
  int n = t->definition.n_filters;
  int filters_at = column + t->definition.n_bodies;
  int same = SAME_FILTERS;
  row_check_values(c, t, row);
  row_latent(c, t, row);
  if( c->err.rc==SQLITE_CORRUPT_VTAB ){
    err_clear(&c->err);
    return 0;
  }
  for(int i=0; i<n && c->err.rc==SQLITE_OK; i++){
    if( !same_filter(c, t, row, i, s, filters_at + i) ) same = 0;
  }
  if( sqlite3_column_type(row, COLUMN_FILTERS + n)!=SQLITE_INTEGER ) return same;
  if( sqlite3_column_int64(row, COLUMN_FILTERS + n)==hash ) same |= SAME_CONTENT;
  return c->err.rc==SQLITE_OK ? same : 0;
}

/* ---- All rows ---- */

/* The id of the row that s stands on, which none has had before. */
static sqlite3_int64 new_id(struct call *c, struct vtab *t, sqlite3_stmt *s, struct key_set *seen){
  sqlite3_int64 id = sqlite3_column_int64(s, 0);
  const struct definition *d = &t->definition;
  if( sqlite3_column_type(s, 0)!=SQLITE_INTEGER ){
    const char *text = (const char *)sqlite3_column_text(s, 0);
    fail(&c->err, SQLITE_ERROR, "%.60s of a row of \"%.60s\" is %.60s, expected an integer",
         d->content_rowid, d->content, text ? text : "NULL");
  }else if( key_set_add(seen, (uint64_t)id)==0 && !seen->oom ){
    fail(&c->err, SQLITE_ERROR, "two rows of \"%.60s\" have the %.60s %lld: each needs its own",
         d->content, d->content_rowid, id);
  }
  if( seen->oom ) fail_nomem(&c->err);
  return id;
}

static void compare_row(struct call *c, struct vtab *t, sqlite3_int64 id, sqlite3_stmt *s,
                        const struct content_walk *w){
  sqlite3_stmt *row = store_find(c, t, ROW_GET, id);
  int same = 0;
  if( row ){
    sqlite3_int64 hash = content_hash(c, t, s, CONTENT_BODIES);
    same = content_same(c, t, row, s, CONTENT_BODIES, hash);
  }
  if( c->err.rc==SQLITE_OK && same==SAME_ALL && w->equal ) w->equal(c, t, id, row, s, w->arg);
  sqlite3_reset(row);
  if( c->err.rc==SQLITE_OK && same!=SAME_ALL ) w->differs(c, t, id, s, w->arg);
}

int content_walk(struct call *c, struct vtab *t, const struct content_walk *w){
  struct key_set seen = { 0 };
  sqlite3_stmt *s;
  store_follow_content(c, t);
  s = store_prepare(c, t, SELECT_CONTENT);
  while( store_step(c, s) ) compare_row(c, t, new_id(c, t, s, &seen), s, w);
  sqlite3_finalize(s);
  s = store_prepare(c, t, "SELECT id FROM $rows");
  while( store_step(c, s) ){
    sqlite3_int64 id = sqlite3_column_int64(s, 0);
    if( !key_set_has(&seen, (uint64_t)id) ) w->differs(c, t, id, NULL, w->arg);
  }
  sqlite3_finalize(s);
  key_set_release(&seen);
  return c->err.rc;
}
