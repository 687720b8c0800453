/* The C functions this project needs from a llama.cpp-family library, and nothing else.
 *
 * Every generation of that library has other structs, other names and other callbacks. The code
 * behind this header is compiled against the headers of the tree at hand, so that none of that
 * reaches the other side. Rules that hold for every function:
 *
 *  - It answers a status. BITNET_SHIM_OK means that every output was written.
 *  - Otherwise bitnet_shim_last_message() holds a sentence, for the calling thread, until its
 *    next call into this library.
 *  - No C++ exception leaves it. An abort() of the library below does: use a child process.
 *  - A null pointer, a negative or too large count, a buffer too short is refused, not trusted.
 *  - Lengths count elements. A structure that comes from the caller starts with its own size.
 */
#ifndef BITNET_SHIM_H
#define BITNET_SHIM_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define BITNET_SHIM_API __attribute__((visibility("default")))
#else
#define BITNET_SHIM_API
#endif

/* Grows with every change a caller could notice. Ask bitnet_shim_abi() before anything else. */
#define BITNET_SHIM_ABI 3

typedef int32_t bitnet_shim_status;
#define BITNET_SHIM_OK 0
#define BITNET_SHIM_INVALID 1     /* the caller broke a rule of this header */
#define BITNET_SHIM_UNSUPPORTED 2 /* this generation cannot do it; the message says what it lacks */
#define BITNET_SHIM_FAILED 3      /* the library said no; the message is what it logged */
#define BITNET_SHIM_EXCEPTION 4   /* the library threw; the message is what() */
#define BITNET_SHIM_TOO_SMALL 5   /* a buffer is too short; the needed length was written */
#define BITNET_SHIM_STOPPED 6     /* the node callback asked to stop */

/* What the node callback answers. */
#define BITNET_SHIM_SKIP 0    /* not interested in this node; go on */
#define BITNET_SHIM_TAKE 1    /* asked: call again with values. Called again: go on */
#define BITNET_SHIM_REPLACE 2 /* called again: the values were changed, store them */
#define BITNET_SHIM_STOP 3    /* compute nothing more */

#define BITNET_SHIM_MAX_SOURCES 10

typedef struct bitnet_shim_model bitnet_shim_model;
typedef struct bitnet_shim_session bitnet_shim_session;

/* `level` is the library's own number; `text` may end in the middle of a line. */
typedef void (*bitnet_shim_log)(void *user, int32_t level, const char *text);

typedef struct bitnet_shim_model_options {
    uint32_t size;
    uint8_t vocab_only;
    uint8_t use_mmap;
    uint8_t check_tensors;
    uint8_t repack; /* allow weights to be rearranged for speed; other kernels, other bits */
} bitnet_shim_model_options;

typedef struct bitnet_shim_model_facts {
    uint32_t size;
    int32_t n_vocab, n_embd, n_layer, n_head, n_ctx_train;
    int32_t bos, eos, eot, nl, pad;     /* -1: none */
    int32_t add_bos, add_eos;           /* 0, 1, or -1 where the library does not know */
    uint64_t n_params, n_bytes;
    char description[128];
} bitnet_shim_model_facts;

typedef struct bitnet_shim_token_facts {
    uint32_t size;
    int32_t attributes; /* the library's bit set; its numbers are the same in every generation */
    float score;
    int32_t is_end_of_generation;
    const char *text; /* as stored in the vocabulary; lives as long as the model */
} bitnet_shim_token_facts;

typedef struct bitnet_shim_source {
    const char *name;
    const char *op;
    int32_t node; /* index of the node that made it in this decode; -1 for weights and inputs */
} bitnet_shim_source;

/* One step of the graph. Everything in it lives until the callback returns. */
typedef struct bitnet_shim_node {
    const char *name;
    const char *op;
    const char *type_name;
    int32_t type;
    uint32_t index;      /* execution order within this decode, from 0 */
    uint32_t occurrence; /* how many earlier nodes of this decode had this name and op */
    uint32_t contiguous;
    uint32_t asking; /* 1: not computed yet, is it wanted? 0: here are its values */
    int64_t ne[4];
    uint64_t nb[4];
    uint32_t n_sources;
    bitnet_shim_source sources[BITNET_SHIM_MAX_SOURCES];
    float *values;   /* ne[0]*ne[1]*ne[2]*ne[3] of them, densely in order */
    size_t n_values; /* 0 while asking, and where the type has no meaning as float */
} bitnet_shim_node;

typedef int32_t (*bitnet_shim_on_node)(void *user, const bitnet_shim_node *node);

typedef struct bitnet_shim_session_options {
    uint32_t size;
    uint32_t n_ctx, n_batch, n_ubatch;
    uint32_t n_threads;
    uint32_t flash_attention;
    bitnet_shim_on_node on_node; /* null: the graph is computed unobserved */
    void *user;
} bitnet_shim_session_options;

typedef struct bitnet_shim_type_facts {
    uint32_t size;
    int32_t block_size;  /* elements per block; 0: the generation has no such type */
    uint32_t block_bytes;
    int32_t dot_partner; /* type of the second operand of its dot product; -1: none */
    uint8_t can_quantize, can_dequantize, can_quantize_activation, can_dot;
    char name[32];
} bitnet_shim_type_facts;

typedef struct bitnet_shim_requantize_options {
    uint32_t size;
    int32_t file_type; /* llama_ftype of the tree at hand */
    int32_t n_threads; /* 1 is the only count that every generation gets right for I2_S */
    uint8_t allow_requantize, pure, only_copy, quantize_output;
} bitnet_shim_requantize_options;

BITNET_SHIM_API uint32_t bitnet_shim_abi(void);
BITNET_SHIM_API const char *bitnet_shim_last_message(void);

/* Starts the library. Further calls only exchange the log callback (null: no logging). */
BITNET_SHIM_API bitnet_shim_status bitnet_shim_init(bitnet_shim_log log, void *user);

/* Lines `key=value`: the libraries' paths, system info, structure sizes, API in use. */
BITNET_SHIM_API bitnet_shim_status bitnet_shim_identity(char *text, size_t capacity,
                                                        size_t *needed);

BITNET_SHIM_API bitnet_shim_status bitnet_shim_model_open(const char *path,
                                                          const bitnet_shim_model_options *options,
                                                          bitnet_shim_model **model);
BITNET_SHIM_API void bitnet_shim_model_free(bitnet_shim_model *model);
BITNET_SHIM_API bitnet_shim_status bitnet_shim_model_describe(const bitnet_shim_model *model,
                                                              bitnet_shim_model_facts *facts);
BITNET_SHIM_API bitnet_shim_status bitnet_shim_token_describe(const bitnet_shim_model *model,
                                                              int32_t token,
                                                              bitnet_shim_token_facts *facts);
BITNET_SHIM_API bitnet_shim_status bitnet_shim_tokenize(const bitnet_shim_model *model,
                                                        const char *text, size_t text_len,
                                                        int32_t add_special, int32_t parse_special,
                                                        int32_t *tokens, size_t capacity,
                                                        size_t *needed);
/* `as_pieces`: the bytes of each token one after another, without the library's clean-up. */
BITNET_SHIM_API bitnet_shim_status bitnet_shim_detokenize(const bitnet_shim_model *model,
                                                          const int32_t *tokens, size_t n_tokens,
                                                          int32_t show_special, int32_t as_pieces,
                                                          char *text, size_t capacity,
                                                          size_t *needed);

/* The model must outlive the session. */
BITNET_SHIM_API bitnet_shim_status bitnet_shim_session_open(
    const bitnet_shim_model *model, const bitnet_shim_session_options *options,
    bitnet_shim_session **session);
BITNET_SHIM_API void bitnet_shim_session_free(bitnet_shim_session *session);
BITNET_SHIM_API bitnet_shim_status bitnet_shim_session_clear(bitnet_shim_session *session);
/* Forgets the positions `length`, `length`+1, ... and keeps those before them. */
BITNET_SHIM_API bitnet_shim_status bitnet_shim_session_truncate(bitnet_shim_session *session,
                                                                int32_t length);

/* Feeds `n_tokens` tokens at positions `first`, `first`+1, ... and writes one row of n_vocab
 * logits for each i with wanted[i] != 0, in order: n_logits must be exactly that. At least one
 * must be wanted. */
BITNET_SHIM_API bitnet_shim_status bitnet_shim_decode(bitnet_shim_session *session,
                                                      const int32_t *tokens, size_t n_tokens,
                                                      int32_t first, const uint8_t *wanted,
                                                      float *logits, size_t n_logits);

BITNET_SHIM_API bitnet_shim_status bitnet_shim_type_describe(int32_t type,
                                                             bitnet_shim_type_facts *facts);
/* A whole matrix at once, as a file stores it. I2_S: the packed codes, then the scale. `importance`
 * is null, or says of every column how much its errors matter. */
BITNET_SHIM_API bitnet_shim_status bitnet_shim_quantize(int32_t type, const float *values,
                                                        size_t rows, size_t columns,
                                                        const float *importance, uint8_t *bytes,
                                                        size_t capacity, size_t *needed);
BITNET_SHIM_API bitnet_shim_status bitnet_shim_dequantize(int32_t type, const uint8_t *bytes,
                                                          size_t n_bytes, float *values,
                                                          size_t n_values);
/* One row of activations as the dot product wants it. `scale` and `sum` are written for I8_S, whose
 * row does not hold them, and are 0 for every other type. */
BITNET_SHIM_API bitnet_shim_status bitnet_shim_quantize_activation(int32_t type,
                                                                   const float *values,
                                                                   size_t n_values, uint8_t *bytes,
                                                                   size_t capacity, size_t *needed,
                                                                   float *scale, int32_t *sum);
/* `weights` of `type` against a row of its dot partner. I2_S: the integer sum, as float. */
BITNET_SHIM_API bitnet_shim_status bitnet_shim_dot(int32_t type, size_t n_values,
                                                   const uint8_t *weights, size_t n_weights,
                                                   const uint8_t *row, size_t n_row, float *result);
BITNET_SHIM_API bitnet_shim_status bitnet_shim_requantize(
    const char *from, const char *to, const bitnet_shim_requantize_options *options);

#ifdef __cplusplus
}
#endif

#endif
