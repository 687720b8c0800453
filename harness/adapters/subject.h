/* subject.h: an engine that `harness crossval --subject` can judge. Copy this file.
 *
 * Write the five functions below. Then
 *   cc -shared -fPIC engine.c -o libengine.so            --subject lib:./libengine.so
 *   cc -DSUBJECT_SERVE engine.c -o engine                --subject 'serve: ./engine'
 * With -DSUBJECT_NODES in the second where there is a sixth, subject_watch.
 * The first is loaded into a process of the harness's; the second speaks the protocol on its
 * standard streams, so it may live anywhere that ssh reaches.
 *
 * All floats are IEEE single precision. A pointer that is handed out stays valid until the next
 * call with the same session. Print to stderr what you like: its end is told if you die.
 */
#ifndef SUBJECT_H
#define SUBJECT_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Who you are: a name. Behind it may stand, a line each, `profile: NAME`, if you claim an
 * arithmetic, and `offers: ` with what you can do, if that is less than `prefill rows decode
 * greedy`: "my-engine 1.2\nprofile: ggml-avx512\noffers: prefill rows". */
const char *subject_identity(void);

/* Opens a model file, with room for so many positions, computing `ubatch` tokens together at most
 * on so many threads. NULL if you do not accept it; say why on stderr. */
void *subject_open(const char *model, int32_t context, int32_t ubatch, int32_t threads);

/* Computes `count` tokens behind those that were fed before. If `last_only`, only the logits of
 * the last are asked for. 0, or another number if you cannot. */
int32_t subject_feed(void *session, const int32_t *tokens, int32_t count, int32_t last_only);

/* The logits of the last feed: a row for each token, or one if only the last was asked for. */
const float *subject_logits(void *session, int32_t *rows, int32_t *vocab);

/* Closes what subject_open opened. */
void subject_free(void *session);

/* Optional, offered as `nodes`, and `replace` if you go on from what it leaves behind: from now on
 * call `node` with every node of the graph as soon as it is computed, under the name llama.cpp has
 * for it, `Qcur-0|MUL_MAT#0`, its shape outermost first. It may overwrite the values. With NULL
 * nobody looks any more. */
typedef void (*subject_node)(void *data, const char *key, const int64_t *shape, int32_t dims,
                             float *values);
void subject_watch(void *session, subject_node node, void *data);

#ifdef __cplusplus
}
#endif

#ifdef SUBJECT_SERVE
/* ---- The protocol on standard input and output, made of the five functions. ---------------- */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What stands behind `"key":` in a line, or NULL. */
static const char *subject_value(const char *line, const char *key) {
    static char quoted[64];
    snprintf(quoted, sizeof quoted, "\"%s\":", key);
    const char *at = strstr(line, quoted);
    return at ? at + strlen(quoted) : NULL;
}

static long subject_number(const char *line, const char *key) {
    const char *at = subject_value(line, key);
    return at ? strtol(at, NULL, 10) : 0;
}

/* A string without its quotes and escapes; the caller frees it. */
static char *subject_string(const char *line, const char *key) {
    const char *at = subject_value(line, key);
    char *text = (char *)malloc(strlen(line) + 1), *end = text;
    if (at && *at == '"') {
        for (at++; *at && *at != '"'; at++) {
            if (*at != '\\') {
                *end++ = *at;
                continue;
            }
            at++;
            switch (*at) {
            case 'n': *end++ = '\n'; break;
            case 't': *end++ = '\t'; break;
            case 'r': *end++ = '\r'; break;
            case 'b': *end++ = '\b'; break;
            case 'f': *end++ = '\f'; break;
            case 'u': { /* the harness escapes nothing but control characters like this */
                unsigned code = 0;
                sscanf(at + 1, "%4x", &code);
                *end++ = (char)code;
                at += 4;
                break;
            }
            default: *end++ = *at;
            }
        }
    }
    *end = 0;
    return text;
}

static const char subject_digits[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/* Writes bytes as base64. */
static void subject_base64(FILE *to, const unsigned char *bytes, size_t count) {
    const char *digits = subject_digits;
    for (size_t i = 0; i < count; i += 3) {
        size_t left = count - i;
        unsigned group = bytes[i] << 16;
        if (left > 1) group |= bytes[i + 1] << 8;
        if (left > 2) group |= bytes[i + 2];
        putc(digits[group >> 18], to);
        putc(digits[group >> 12 & 63], to);
        putc(left > 1 ? digits[group >> 6 & 63] : '=', to);
        putc(left > 2 ? digits[group & 63] : '=', to);
    }
}

static void subject_say(const char *answer) {
    puts(answer);
    fflush(stdout);
}

/* What stands behind `key` in a line of the identity, or what stands there otherwise. */
static char *subject_told(const char *key, const char *otherwise) {
    const char *at = strstr(subject_identity(), key);
    char *told = strdup(at ? at + strlen(key) : otherwise);
    told[strcspn(told, "\n")] = 0;
    return told;
}

static void subject_hello(void) {
    char *profile = subject_told("\nprofile: ", "");
    char *offers = subject_told("\noffers: ", "prefill rows decode greedy");
    const char *identity = subject_identity(), *between = "";
    printf("{\"ok\":true,\"protocol\":1,\"name\":\"%.*s\",", (int)strcspn(identity, "\n"),
           identity);
    if (*profile) printf("\"profile\":\"%s\",", profile);
    printf("\"offers\":[");
    for (char *word = strtok(offers, " "); word; word = strtok(NULL, " ")) {
        printf("%s\"%s\"", between, word);
        between = ",";
    }
    subject_say("]}");
    free(profile);
    free(offers);
}

#ifdef SUBJECT_NODES
/* Reads so many bytes of base64. */
static void subject_unbase64(const char *text, unsigned char *bytes, size_t count) {
    unsigned group = 0, bits = 0;
    for (size_t at = 0; at < count && *text; text++) {
        const char *digit = strchr(subject_digits, *text);
        if (!digit) return;
        group = group << 6 | (unsigned)(digit - subject_digits);
        bits += 6;
        if (bits >= 8) bytes[at++] = (unsigned char)(group >> (bits -= 8));
    }
}

/* The nodes of a feed as JSON, and the line that says what takes whose place. */
struct subject_seen {
    FILE *to;
    const char *begin, *between;
};

static void subject_see(void *data, const char *key, const int64_t *shape, int32_t dims,
                        float *values) {
    struct subject_seen *seen = (struct subject_seen *)data;
    const char *given = seen->begin ? strstr(seen->begin, "\"replace\":") : NULL;
    size_t size = sizeof *values;
    char *quoted = (char *)malloc(strlen(key) + 10);
    fprintf(seen->to, "%s{\"key\":\"%s\",\"shape\":[", seen->between, key);
    for (int32_t i = 0; i < dims; i++) {
        fprintf(seen->to, "%s%lld", i ? "," : "", (long long)shape[i]);
        size *= (size_t)shape[i];
    }
    fprintf(seen->to, "],\"data\":\"");
    subject_base64(seen->to, (const unsigned char *)values, size);
    fprintf(seen->to, "\"}");
    seen->between = ",";
    sprintf(quoted, "\"key\":\"%s\"", key);
    given = given ? strstr(given, quoted) : NULL;
    given = given ? strstr(given, "\"data\":\"") : NULL;
    if (given) subject_unbase64(given + 8, (unsigned char *)values, size);
    free(quoted);
}
#endif /* SUBJECT_NODES */

/* Feeds the ids of a line, watched if that of `begin` asks for it. */
static void subject_answer_feed(void *session, const char *line, const char *begin) {
    const char *at = subject_value(line, "tokens");
    int32_t *tokens = (int32_t *)malloc((strlen(line) + 1) * sizeof *tokens);
    int32_t count = 0, rows = 0, vocab = 0;
    for (at = at ? at + 1 : "]"; *at && *at != ']';) {
        char *end;
        tokens[count++] = (int32_t)strtol(at, &end, 10);
        at = *end == ',' ? end + 1 : end;
    }
    char *nodes = NULL;
#ifdef SUBJECT_NODES
    size_t room = 0;
    struct subject_seen seen = {open_memstream(&nodes, &room), begin, ""};
    int watched = begin && (strstr(begin, "\"nodes\":true") || strstr(begin, "\"replace\":"));
    if (session && watched) subject_watch(session, subject_see, &seen);
#else
    (void)begin;
#endif
    int failed = session ? subject_feed(session, tokens, count, strstr(line, "\"last\"") != NULL)
                         : 1;
    free(tokens);
#ifdef SUBJECT_NODES
    if (session && watched) subject_watch(session, NULL, NULL);
    fclose(seen.to);
#endif
    if (failed) {
        subject_say("{\"ok\":false,\"error\":\"the engine could not compute these tokens\"}");
        free(nodes);
        return;
    }
    const float *logits = subject_logits(session, &rows, &vocab);
    printf("{\"ok\":true,\"logits\":\"");
    size_t size = (size_t)rows * (size_t)vocab * sizeof *logits;
    subject_base64(stdout, (const unsigned char *)logits, size);
    printf("\"");
    if (nodes) printf(",\"nodes\":[%s]", nodes);
    subject_say("}");
    free(nodes);
}

int main(void) {
    char *line = NULL, *model = NULL, *begin = NULL;
    size_t room = 0;
    void *session = NULL;
    while (getline(&line, &room, stdin) > 0) {
        char *op = subject_string(line, "op");
        if (!strcmp(op, "hello")) {
            subject_hello();
        } else if (!strcmp(op, "open")) {
            free(model);
            model = subject_string(line, "model");
            /* The length of a row is known when something was fed. */
            int32_t first = 0, rows = 0, vocab = 0;
            void *probe = subject_open(model, 8, 8, 1);
            if (probe && !subject_feed(probe, &first, 1, 1)) subject_logits(probe, &rows, &vocab);
            if (probe) subject_free(probe);
            if (vocab) {
                printf("{\"ok\":true,\"vocab\":%d", (int)vocab);
                subject_say("}");
            } else {
                subject_say("{\"ok\":false,\"error\":\"the engine does not open this model\"}");
            }
        } else if (!strcmp(op, "begin")) {
            if (session) subject_free(session);
            free(begin);
            begin = strdup(line);
            session = subject_open(model ? model : "", (int32_t)subject_number(line, "context"),
                                   (int32_t)subject_number(line, "ubatch"),
                                   (int32_t)subject_number(line, "threads"));
            subject_say(session ? "{\"ok\":true}"
                                : "{\"ok\":false,\"error\":\"the engine does not open it\"}");
        } else if (!strcmp(op, "feed")) {
            subject_answer_feed(session, line, begin);
        } else if (!strcmp(op, "bye")) {
            subject_say("{\"ok\":true}");
            free(op);
            break;
        } else {
            subject_say("{\"ok\":false,\"error\":\"the engine does not do that\"}");
        }
        free(op);
    }
    if (session) subject_free(session);
    free(model);
    free(begin);
    free(line);
    return 0;
}
#endif /* SUBJECT_SERVE */
#endif /* SUBJECT_H */
