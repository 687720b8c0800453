/* Prints the bits of every logit of a text, what the model goes on with, and what happens where
 * something is wrong, as the Rust test beside it expects it. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine.h"

static void must(int32_t code, const char *what) {
    if (code != ENGINE_OK) {
        fprintf(stderr, "%s: %d: %s\n", what, (int)code, engine_error());
        exit(1);
    }
}

int main(int argc, char **argv) {
    if (argc != 3) return 2;
    engine_model *model = NULL;
    engine_session *session = NULL;
    must(engine_open(argv[1], &model), "open");
    uint32_t tokens[64];
    size_t count = 64, vocabulary = engine_vocabulary(model);
    must(engine_tokenize(model, argv[2], tokens, &count), "tokenize");
    must(engine_begin(model, 2, &session), "begin");
    float *logits = malloc(count * vocabulary * sizeof *logits);
    must(engine_logits(session, tokens, count, logits, count * vocabulary), "logits");
    for (size_t i = 0; i < count * vocabulary; i++) {
        uint32_t bits;
        memcpy(&bits, &logits[i], sizeof bits);
        printf("%08" PRIx32 "\n", bits);
    }
    engine_end(session);

    must(engine_begin(model, 0, &session), "begin again");
    engine_close(model); /* the session keeps what it needs */
    uint32_t more[8];
    size_t most = 8;
    must(engine_generate(session, tokens, count, more, &most), "generate");
    for (size_t i = 0; i < most; i++) printf("token %" PRIu32 "\n", more[i]);

    must(engine_open(argv[1], &model), "open again");
    char text[256];
    size_t length = sizeof text;
    must(engine_detokenize(model, more, most, text, &length), "detokenize");
    printf("text %s\n", text);
    uint32_t unknown = UINT32_MAX;
    size_t one = 1, none = 0;
    engine_model *other = model;
#define SAYS(call)                                  \
    do {                                            \
        int code = (int)(call);                     \
        printf("%d %s\n", code, engine_error());    \
    } while (0)
    SAYS(engine_open("/nowhere/at.all", &other));
    SAYS(engine_open(NULL, &other));
    SAYS(engine_tokenize(model, argv[2], tokens, &one));
    printf("needed %zu, and nothing was opened: %d\n", one, other == NULL);
    SAYS(engine_tokenize(model, "\xff", tokens, &count));
    SAYS(engine_logits(session, &unknown, 1, logits, vocabulary));
    SAYS(engine_logits(session, tokens, 1, logits, vocabulary - 1));
    SAYS(engine_generate(session, tokens, 0, more, &most));
    SAYS(engine_tokenize(model, argv[2], tokens, NULL));
    must(engine_logits(session, NULL, 0, NULL, none), "nothing is nothing wrong");
    engine_end(session);
    engine_close(model);
    engine_end(NULL);
    engine_close(NULL);
    free(logits);
    return 0;
}
