/* dlfcn.h -- a module in WebAssembly does not know where it came from: model_find.c is told by
** LATENT_MODEL. */
#ifndef LATENT_WEB_DLFCN_H
#define LATENT_WEB_DLFCN_H

typedef struct { const char *dli_fname; } Dl_info;

static inline int dladdr(const void *address, Dl_info *info){
  (void)address;
  info->dli_fname = 0;
  return 0;
}

#endif
