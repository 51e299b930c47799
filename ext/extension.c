/*
** extension.c -- where SQLite comes in: the one exported function, which registers everything.
**
** Begin here, then read ext/README.md: it draws the layers and follows a text, a row and a query
** through them. Each folder is a layer with one header, which is its map. From the bottom:
**
**   base/        memory, errors, buffers, files, threads
**   codec/       bytes to structures: weights, tokenizers, PNG and JPEG, the latent BLOB
**   kernels/     the numeric loops; same bits on every machine
**   model/       the Transformer-VAE: content to points and back, arithmetic of points
**   index/       nearest neighbours over vectors in shadow tables; knows no model
**   call/        one call of SQL: arguments, results, options, errors, interrupts
**   vtab/        the virtual table `latent`
**   functions/   all functions; functions.c, the table of features, is what SQL sees: start there
**
** There are two ways to use the extension: as build/latent.so, with `.load` or
** sqlite3_load_extension(); or linked into a program, compiled with -DSQLITE_CORE and registered
** with sqlite3_auto_extension((void(*)(void))sqlite3_latent_init).
*/
#include "functions.h"
#ifndef SQLITE_CORE
SQLITE_EXTENSION_INIT1
#endif

enum { OLDEST = 3040001 };      /* 3.40.1 is what Debian 12 has and the tests run on */

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
    if( message ){
      *message = sqlite3_mprintf("latent: this is SQLite %s, 3.40.1 or newer is needed",
                                 sqlite3_libversion());
    }
    return SQLITE_ERROR;
  }
  return functions_register(db, message);
}
