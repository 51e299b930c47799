/*
** codec_bert.c -- reads the folder of a sentence encoder of the BERT family, as Hugging Face has
** it: everything but the weights.
**
**     config.json                   the shape of the network                      needed
**     1_Pooling/config.json         how its outputs become one vector             else the mean
**     modules.json                  whether that is brought to unit length        else it is
**     sentence_bert_config.json     "max_seq_length": the window                  else all
**     config_sentence_transformers.json     "prompts": what stands before a query and a passage
**     tokenizer.json or vocab.txt   the pieces: wordpiece_open() reads them       one is needed
**
** Every number is checked here, so the layers above can multiply sizes safely.
** Each read_x() reports into the same struct err, and does nothing after a failure.
*/
#include "codec.h"
#include <assert.h>
#include <cjson/cJSON.h>
#include <string.h>

/* ---- config.json ---- */

/* A setting that has one value in every network that is read here. */
static void expect_text(const struct folder_file *p, const char *name, const char *expected){
  const char *have = json_text(p->json, name, expected);
  if( p->e->rc!=SQLITE_OK || strcmp(have, expected)==0 ) return;
  fail(p->e, SQLITE_ERROR, "%s/%s: \"%s\" is \"%.40s\", expected \"%s\"", p->folder, p->name, name,
       have, expected);
}

static void read_architecture(struct bert_shape *shape, const struct folder_file *p){
  const char *type = json_text(p->json, "model_type", "missing");
  if( p->e->rc!=SQLITE_OK ) return;
  if( strcmp(type, "mpnet")==0 ){
    shape->has_distances = 1;
    shape->first_position = 2;
  }else if( strcmp(type, "bert")!=0 ){
    fail(p->e, SQLITE_ERROR, "%s/%s: \"model_type\" is \"%.40s\", expected \"bert\" or \"mpnet\"",
         p->folder, p->name, type);
  }
}

static void read_shape(struct bert_shape *shape, const struct folder_file *p){
  const cJSON *epsilon = cJSON_GetObjectItemCaseSensitive(p->json, "layer_norm_eps");
  if( p->e->rc!=SQLITE_OK ) return;
  if( p->json==NULL ){
    fail(p->e, SQLITE_CANTOPEN, "%s: has no %s, expected the folder of a sentence encoder",
         p->folder, p->name);
    return;
  }
  read_architecture(shape, p);
  shape->d = folder_whole(p, "hidden_size", 1, 4096);
  shape->heads = folder_whole(p, "num_attention_heads", 1, 256);
  shape->layers = folder_whole(p, "num_hidden_layers", 1, 64);
  shape->h = folder_whole(p, "intermediate_size", 1, 16384);
  shape->pieces = folder_whole(p, "vocab_size", 1, 1000000);
  shape->positions = folder_whole(p, "max_position_embeddings", 4 + shape->first_position, 8192);
  if( !shape->has_distances ) shape->types = folder_whole(p, "type_vocab_size", 1, 16);
  expect_text(p, "hidden_act", "gelu");
  expect_text(p, "position_embedding_type", "absolute");
  shape->epsilon = 1e-12f;
  if( cJSON_IsNumber(epsilon) ) shape->epsilon = (float)epsilon->valuedouble;
  if( p->e->rc==SQLITE_OK && shape->d%shape->heads ){
    fail(p->e, SQLITE_CORRUPT, "%s/%s: \"hidden_size\" is %d, expected a multiple of %d heads",
         p->folder, p->name, shape->d, shape->heads);
  }
  if( p->e->rc==SQLITE_OK && !(shape->epsilon>=0 && shape->epsilon<1) ){
    fail(p->e, SQLITE_CORRUPT, "%s/%s: \"layer_norm_eps\" is %g, expected 0 to 1", p->folder,
         p->name, (double)shape->epsilon);
  }
}

/* ---- The other files ---- */

/* Every pooling mode is named; those that are true count. */
static void read_pooling(struct bert_config *c, const struct folder_file *p){
  const cJSON *item;
  if( p->e->rc!=SQLITE_OK || p->json==NULL ) return;
  cJSON_ArrayForEach(item, p->json){
    if( !cJSON_IsTrue(item) || strncmp(item->string, "pooling_mode_", 13)!=0 ) continue;
    if( strcmp(item->string, "pooling_mode_cls_token")==0 ){
      c->pooling = POOLING_CLS;
    }else if( strcmp(item->string, "pooling_mode_mean_tokens")!=0 ){
      fail(p->e, SQLITE_ERROR, "%s/%s: \"%.40s\", expected the mean of the tokens or [CLS]",
           p->folder, p->name, item->string);
    }
  }
}

/* Modules are a Transformer, a Pooling and perhaps a Normalize. Another kind, such as a Dense
** layer, is not read here. */
static void read_modules(struct bert_config *c, const struct folder_file *p){
  const cJSON *item;
  if( p->e->rc!=SQLITE_OK || p->json==NULL ) return;
  c->normalize = 0;
  cJSON_ArrayForEach(item, p->json){
    const char *type = json_text(item, "type", "missing");
    const char *last = strrchr(type, '.');
    last = last ? last + 1 : type;
    if( strcmp(last, "Normalize")==0 ){
      c->normalize = 1;
    }else if( strcmp(last, "Transformer")!=0 && strcmp(last, "Pooling")!=0 ){
      fail(p->e, SQLITE_ERROR, "%s/%s: a module \"%.40s\", expected Transformer, Pooling and "
           "Normalize", p->folder, p->name, type);
    }
  }
}

static void read_window(struct bert_config *c, const struct folder_file *p){
  const cJSON *item = cJSON_GetObjectItemCaseSensitive(p->json, "max_seq_length");
  int most = c->shape.positions - c->shape.first_position;
  int64_t window;
  c->window = most;
  if( json_whole(item, 3, most, &window) ) c->window = (int)window;
}

/* A copy of the text, owned; NULL for "". */
static char *copy_text(const char *text, struct err *e){
  char *copy;
  if( text[0]==0 ) return NULL;
  copy = mem_alloc(strlen(text) + 1);
  if( copy==NULL ) fail_nomem(e);
  else strcpy(copy, text);
  return copy;
}

static void read_prompts(struct bert_config *c, const struct folder_file *p){
  const cJSON *prompts = cJSON_GetObjectItemCaseSensitive(p->json, "prompts");
  const char *passage = json_text(prompts, "passage", json_text(prompts, "document", ""));
  if( p->e->rc!=SQLITE_OK || p->json==NULL ) return;
  c->query_prefix = copy_text(json_text(prompts, "query", ""), p->e);
  c->passage_prefix = copy_text(passage, p->e);
}

/* ---- The folder ---- */

static void read_part(struct bert_config *c, const char *folder, const char *name,
                      void (*read)(struct bert_config *c, const struct folder_file *p),
                      struct err *e){
  struct folder_file p = folder_open(folder, name, e);
  if( e->rc==SQLITE_OK ) read(c, &p);
  cJSON_Delete(p.json);
}

static void read_config(struct bert_config *c, const struct folder_file *p){
  read_shape(&c->shape, p);
}

int bert_config_open(struct bert_config *c, const char *folder, struct err *e){
  assert( folder && e->rc==SQLITE_OK );
  *c = (struct bert_config){ .normalize = 1 };
  read_part(c, folder, "config.json", read_config, e);
  read_part(c, folder, "1_Pooling/config.json", read_pooling, e);
  read_part(c, folder, "modules.json", read_modules, e);
  read_part(c, folder, "sentence_bert_config.json", read_window, e);
  read_part(c, folder, "config_sentence_transformers.json", read_prompts, e);
  if( e->rc!=SQLITE_OK ) bert_config_close(c);
  return e->rc;
}

void bert_config_close(struct bert_config *c){
  mem_free(c->query_prefix);
  mem_free(c->passage_prefix);
  *c = (struct bert_config){ 0 };
}
