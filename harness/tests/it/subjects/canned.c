/* An engine that repeats logits from a file, and does one thing wrong if it is told to.
 * CANNED_LOGITS is a file of rows of CANNED_VOCAB floats, the row of each position. */
#include "subject.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct session {
    float *rows, *shown;
    int32_t vocab, count, fed, given;
    subject_node look;
    void *data;
};

static int is_told(const char *fault) {
    const char *told = getenv("CANNED_FAULT");
    return told && !strcmp(told, fault);
}

const char *subject_identity(void) {
    if (is_told("nodes") || is_told("deaf")) return "canned 1\noffers: prefill rows nodes replace";
    return is_told("claim") ? "canned 1\nprofile: ggml-avx512\noffers: prefill rows"
                            : "canned 1\noffers: prefill rows";
}

void *subject_open(const char *model, int32_t context, int32_t ubatch, int32_t threads) {
    struct session *session = calloc(1, sizeof *session);
    FILE *file = fopen(getenv("CANNED_LOGITS"), "rb"), *weights = fopen(model, "rb");
    (void)context, (void)ubatch, (void)threads;
    if (!file || !weights || is_told("refuse")) {
        fprintf(stderr, "canned: it does not open\n");
        return NULL;
    }
    fclose(weights);
    fseek(file, 0, SEEK_END);
    long bytes = ftell(file);
    rewind(file);
    session->vocab = atoi(getenv("CANNED_VOCAB"));
    session->count = (int32_t)(bytes / 4 / session->vocab);
    session->rows = malloc((size_t)bytes);
    if (fread(session->rows, 1, (size_t)bytes, file) != (size_t)bytes) return NULL;
    fclose(file);
    if (is_told("shift")) {
        memmove(session->rows + session->vocab, session->rows,
                (size_t)bytes - (size_t)session->vocab * 4);
    }
    return session;
}

int32_t subject_feed(void *opaque, const int32_t *tokens, int32_t count, int32_t last_only) {
    struct session *session = opaque;
    (void)tokens;
    int32_t first = last_only ? session->fed + count - 1 : session->fed;
    session->given = last_only ? 1 : count;
    session->fed += count;
    if (session->fed > 8 && is_told("die")) {
        fprintf(stderr, "canned: the last words\n");
        abort();
    }
    if (session->fed > 8 && is_told("hang")) sleep(600);
    if (session->fed > 8 && is_told("short")) session->given--;
    if (first + session->given > session->count) return 1;
    free(session->shown);
    size_t bytes = (size_t)session->given * (size_t)session->vocab * 4;
    session->shown = malloc(bytes + 4);
    memcpy(session->shown, session->rows + (size_t)first * (size_t)session->vocab, bytes);
    static float drift = 0;
    if (is_told("drift")) session->shown[0] += drift++;
    if (is_told("ulp") && session->given > 3) {
        uint32_t bits;
        memcpy(&bits, session->shown + 3 * session->vocab + 100, 4);
        bits++;
        memcpy(session->shown + 3 * session->vocab + 100, &bits, 4);
    }
    if (session->look) {
        /* One that does not go on from other values shows a copy. */
        float *copy = malloc(bytes + 4), *seen = is_told("deaf") ? copy : session->shown;
        int64_t shape[2] = {session->given, session->vocab};
        memcpy(copy, session->shown, bytes);
        session->look(session->data, "result_output|MUL_MAT#0", shape, 2, seen);
        free(copy);
    }
    return 0;
}

void subject_watch(void *opaque, subject_node look, void *data) {
    struct session *session = opaque;
    session->look = look;
    session->data = data;
}

const float *subject_logits(void *opaque, int32_t *rows, int32_t *vocab) {
    struct session *session = opaque;
    *rows = session->given;
    *vocab = session->vocab;
    return session->shown;
}

void subject_free(void *opaque) {
    struct session *session = opaque;
    free(session->rows);
    free(session->shown);
    free(session);
}
