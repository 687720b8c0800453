/* engine.h: the BitNet engine from C. Link with -lbitnet_engine, which is built by
 *
 *   cargo build --release -p engine-c
 *
 * A function that can fail answers 0 or why not, and engine_error says the rest. Nothing here
 * throws, aborts or unwinds for what it is given, except for pointers that point nowhere. A model
 * may be used by several threads at once, a session by one at a time.
 */
#ifndef BITNET_ENGINE_H
#define BITNET_ENGINE_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct engine_model engine_model;
typedef struct engine_session engine_session;

enum {
    ENGINE_OK = 0,
    ENGINE_REFUSED = 1, /* a file, or what was asked, is not acceptable */
    ENGINE_FAILED = 2,  /* a pass was not computed, or its result is no number */
    ENGINE_ROOM = 3,    /* what was handed over is too small: the needed count is written */
    ENGINE_BUG = 4      /* a panic of the engine, which it should not have */
};

/* What the last call of this thread that did not answer ENGINE_OK had to say: a stable code in
 * capitals, a colon, a sentence. It stays valid until this thread's next such call. */
const char *engine_error(void);

/* Opens a GGUF file, read into memory. */
int32_t engine_open(const char *path, engine_model **model);
/* Sessions keep what they need: a model may be closed before them. NULL is nothing to do. */
void engine_close(engine_model *model);
/* How many tokens there are, which is the length of a row of logits; 0 for NULL. */
size_t engine_vocabulary(const engine_model *model);

/* The ids of a UTF-8 text, special tokens added as the model asks for them and read where they are
 * written out. `count` is how many there is room for, and then how many there are. */
int32_t engine_tokenize(const engine_model *model, const char *text, uint32_t *tokens,
                        size_t *count);
/* The text of ids without its end, special tokens left out; a byte of 0 follows where there is
 * room. `length` is how many bytes there is room for, and then how many there are. */
int32_t engine_detokenize(const engine_model *model, const uint32_t *tokens, size_t count,
                          char *text, size_t *length);

/* An empty session on so many threads; 0 is one for each processor. No bit depends on it. */
int32_t engine_begin(const engine_model *model, size_t threads, engine_session **session);
void engine_end(engine_session *session);

/* Feeds tokens behind those that were fed before and writes `count` rows of logits. `room` is how
 * many floats there is room for; with too little nothing is computed. */
int32_t engine_logits(engine_session *session, const uint32_t *tokens, size_t count, float *logits,
                      size_t room);
/* Reads a prompt and goes on with it, the likeliest token each time. `most` is how many tokens
 * there is room for, and then how many came before the model ended its text. */
int32_t engine_generate(engine_session *session, const uint32_t *prompt, size_t count,
                        uint32_t *tokens, size_t *most);

#ifdef __cplusplus
}
#endif

#endif
