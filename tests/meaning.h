/*
** meaning.h -- for programs that copy a text model's weights: its sentence encoder beside the copy.
*/
#ifndef MEANING_H
#define MEANING_H
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* folder/meaning becomes a link to the folder "meaning" beside the weights at `model`, if there is
** one. */
static inline void meaning_link(const char *model, const char *folder){
  const char *slash = strrchr(model, '/');
  char from[PATH_MAX + 16], to[PATH_MAX + 16], real[PATH_MAX];
  snprintf(from, sizeof(from), "%.*smeaning", slash ? (int)(slash + 1 - model) : 0, model);
  snprintf(to, sizeof(to), "%s/meaning", folder);
  unlink(to);
  if( realpath(from, real) && symlink(real, to)!=0 ) perror(to);
}

#endif
