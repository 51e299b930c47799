/*
** extension.c -- where SQLite comes in: the one exported function, which registers everything. Read this first.
**
** A tour, from here down; each layer includes only what lies below it, and the first word of a file's name is its layer:
**
**   sql_*       what SQL sees. functions.c is the table of features: start there. functions_scalar.c, functions_picture.c, functions_aggregate.c, functions_path.c and functions_tokens.c
**               hold the functions, functions_table.c the virtual table behind the table-valued ones; vtab.c the table `latent`. All of them go through call.c (one call:
**               memory, model, errors, interrupts), call_value.c (arguments and results) and call_options.c (options).          map: sql.h
**   index_*     nearest neighbours over vectors in shadow tables: cells, codes, search; knows no model.                     map: index.h
**   model_*     the Transformer-VAE: text to points (encode), points to text (decode), arithmetic of points.               map: model.h
**   kernels*    the loops it is made of; same bits on every machine.                                                       map: kernels.h
**   codec_*     bytes to structures: weights, tokenizer, the latent BLOB.                                                  map: codec.h
**   base_*      memory, errors, buffers, files, threads.                                                                   map: base.h
**
** To follow one query through all of it, read scalar_decode() in functions_scalar.c, text_decode() in model_text.c, decode_tokens() in
** model_decode.c.
**
** Two ways to have it: as build/latent.so, with `.load` or sqlite3_load_extension(); or linked into a program, compiled with
** -DSQLITE_CORE and made known with sqlite3_auto_extension((void(*)(void))sqlite3_latent_init).
*/
#include "functions.h"
#ifndef SQLITE_CORE
SQLITE_EXTENSION_INIT1
#endif

/* 3.40.1 is what Debian 12 has and the tests run on. */
#define OLDEST 3040001

#if defined(_WIN32)
__declspec(dllexport)
#elif defined(__GNUC__)
__attribute__((visibility("default")))
#endif
int sqlite3_latent_init(sqlite3 *db, char **message, const sqlite3_api_routines *api){
#ifdef SQLITE_CORE
  (void)api;
#else
  SQLITE_EXTENSION_INIT2(api);
#endif
  if( sqlite3_libversion_number()<OLDEST ){
    if( message ) *message = sqlite3_mprintf("latent: this is SQLite %s, 3.40.1 or newer is needed", sqlite3_libversion());
    return SQLITE_ERROR;
  }
  return functions_register(db, message);
}
