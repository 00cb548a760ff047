#include "channel/cloudflare/command.h"

#include <stdlib.h>
#include <string.h>

#include "base/grow.h"
#include "base/limits.h"
#include "base/own.h"
#include "http/json_scan.h"

struct reading {
    struct json_scan scan;
    uint64_t total; /* bytes of the body so far */
    bool broken;
    struct cf_output command; /* owned */
    char *rest;               /* the body without the command's bytes; owned */
    size_t nrest, cap;
    void (*whole)(struct http_exchange *x, yyjson_val *body, struct cf_output *command);
};

static void reading_free(struct reading *r) {
    cf_output_free(&r->command);
    free(r->rest);
    free(r);
}

static void over(struct http_exchange *x, bool cut) {
    (void)cut;
    reading_free(x->ctx);
}

/* False: it is too long, or there is no memory. */
static bool keep(struct reading *r, const char *bytes, size_t n) {
    if (n > MAX_JSON_BODY - r->nrest ||
        !mem_grow(&r->rest, &r->cap, r->nrest + n + YYJSON_PADDING_SIZE, 1))
        return false;
    memcpy(r->rest + r->nrest, bytes, n);
    r->nrest += n;
    return true;
}

/* --- piece by piece --------------------------------------------------------------------------- */

static bool in_command(const struct reading *r) {
    return json_scan_in_text(&r->scan) && strcmp(r->scan.name, "command") == 0;
}

/* Bytes up to the next quote, so that what stands before a text ends with the one that opens it. */
static size_t to_quote(const char *bytes, size_t n) {
    const char *quote = memchr(bytes, '"', n);
    return quote ? (size_t)(quote - bytes) + 1 : n;
}

/* How many bytes were used, or SIZE_MAX as keep(). Of several commands the last counts, as with
 * JSON.parse(). */
static size_t take(struct reading *r, const char *bytes, size_t n) {
    bool within = in_command(r);
    size_t used = 0;
    struct slice piece;
    enum json_scan_event event =
        json_scan_next(&r->scan, bytes, within ? n : to_quote(bytes, n), &used, &piece);
    r->broken = event == JSON_SCAN_BAD;
    if (r->broken)
        return n;
    if (within && event == JSON_SCAN_TEXT)
        cf_output_put(&r->command, piece.s, piece.n);
    bool kept = !within ? keep(r, bytes, used) : event == JSON_SCAN_END ? keep(r, "\"", 1) : true;
    if (!within && in_command(r))
        cf_output_free(&r->command);
    return kept ? used : SIZE_MAX;
}

static size_t body(struct http_exchange *x, const char *bytes, size_t n) {
    struct reading *r = x->ctx;
    bool large = n > MAX_CF_BODY - r->total;
    r->total += large ? 0 : n;
    for (size_t at = 0, k; !large && at < n && !r->broken; at += k) {
        k = take(r, bytes + at, n - at);
        if (k == SIZE_MAX) {
            large = true;
            break;
        }
    }
    if (large)
        cf_refuse(x, 413, "");
    return n;
}

/* --- the end ---------------------------------------------------------------------------------- */

static void refuse(struct http_exchange *x, const char *why) {
    cf_fail(x, CF_INTERNAL_ERROR, NULL, "Failed to parse request body: %s", why);
}

static void parse(struct http_exchange *x, struct reading *r) {
    yyjson_read_err e;
    memset(r->rest + r->nrest, 0, YYJSON_PADDING_SIZE);
    yyjson_doc *doc = http_read_json(r->rest, r->nrest, &e);
    x->ctx = NULL;
    x->handler = NULL;
    if (!doc)
        refuse(x, e.msg);
    else if (r->command.failed)
        cf_fail(x, CF_COMMAND_EXECUTION_ERROR, NULL, "the command could not be kept: %s",
                strerror(r->command.failed));
    else
        r->whole(x, yyjson_doc_get_root(doc), &r->command);
    yyjson_doc_free(doc);
    reading_free(r);
}

static void body_end(struct http_exchange *x) {
    struct reading *r = x->ctx;
    if (r->total == 0)
        refuse(x, "it is empty");
    else if (r->broken || !r->scan.done)
        refuse(x, "it is not one JSON object in UTF-8");
    else
        parse(x, r);
}

static const struct http_handler handler = { .body = body, .body_end = body_end, .over = over };

void cf_read_command(struct http_exchange *x,
                     void (*whole)(struct http_exchange *x, yyjson_val *body,
                                   struct cf_output *command)) {
    if (x->head.framing == HTTP_LENGTH && x->head.length > MAX_CF_BODY) {
        cf_refuse(x, 413, "");
        return;
    }
    struct reading *r = calloc(1, sizeof *r);
    if (!r) {
        cf_no_memory(x, "a request");
        return;
    }
    r->command = CF_OUTPUT_EMPTY;
    r->whole = whole;
    x->ctx = r;
    x->handler = &handler;
}
