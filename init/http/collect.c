#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/grow.h"
#include "http/conn.h"

/* --- collecting ------------------------------------------------------------------------------- */

/* The length that is announced is not believed: memory is taken as bytes come. */
size_t collect(struct http_exchange *x, const char *bytes, size_t n) {
    bool large = n > MAX_JSON_BODY - x->json_len;
    if (large || !mem_grow(&x->json, &x->json_cap, x->json_len + n + YYJSON_PADDING_SIZE, 1)) {
        exchange_fail(x, large ? 413 : 503);
        return n;
    }
    memcpy(x->json + x->json_len, bytes, n);
    x->json_len += n;
    return n;
}

/* --- parsing: yyjson's tree has 16 bytes for each value, so up to 16 for each byte of text ---- */

static void *tree_alloc(void *large, size_t n) {
    *(bool *)large |= n > MAX_JSON_TREE;
    return n > MAX_JSON_TREE ? NULL : malloc(n);
}

static void *tree_realloc(void *large, void *p, size_t old, size_t n) {
    (void)old;
    *(bool *)large |= n > MAX_JSON_TREE;
    return n > MAX_JSON_TREE ? NULL : realloc(p, n);
}

static void tree_free(void *large, void *p) {
    (void)large;
    free(p);
}

/* `large` is told when that is why; it is not looked at any more once the tree is there. */
static yyjson_doc *read_json(char *text, size_t n, bool *large, yyjson_read_err *e) {
    yyjson_alc alc = { tree_alloc, tree_realloc, tree_free, large };
    return yyjson_read_opts(text, n, YYJSON_READ_INSITU, &alc, e);
}

yyjson_doc *http_read_json(char *text, size_t n, yyjson_read_err *e) {
    bool large = false;
    return read_json(text, n, &large, e);
}

static void refuse(struct http_exchange *x, const yyjson_read_err *e, bool large) {
    char text[160];
    if (large || e->code == YYJSON_READ_ERROR_MEMORY_ALLOCATION) {
        exchange_refuse_body(x, large ? 413 : 503);
        return;
    }
    (void)snprintf(text, sizeof text, "the body is not JSON: %s at byte %zu", e->msg, e->pos);
    x->site->refuse(x, 400, text);
}

void collect_end(struct http_exchange *x) {
    bool large = false;
    yyjson_read_err e;
    if (x->json_len == 0) {
        x->route->open(x, NULL);
        return;
    }
    memset(x->json + x->json_len, 0, YYJSON_PADDING_SIZE);
    yyjson_doc *doc = read_json(x->json, x->json_len, &large, &e);
    if (doc)
        x->route->open(x, yyjson_doc_get_root(doc));
    else
        refuse(x, &e, large);
    yyjson_doc_free(doc);
    free(x->json);
    x->json = NULL;
    x->json_len = x->json_cap = 0;
}
