#include "channel/cloudflare/long.h"

#include <stdlib.h>
#include <string.h>

#include "base/bug.h"
#include "base/own.h"

enum {
    PIECE = 8 << 10,       /* bytes that are escaped at a time, to six times as many */
    SHORT_ONE = 128 << 10, /* bytes; an answer that cannot be longer goes as a whole */
};

struct cf_long *cf_long_new(void) {
    return calloc(1, sizeof(struct cf_long));
}

void cf_long_free(struct cf_long *l) {
    for (size_t i = 0; l && i < l->n; i++) {
        free(l->parts[i].text);
        cf_output_free(&l->parts[i].output);
    }
    free(l);
}

bool cf_long_text(struct cf_long *l, const char *text) {
    char *copy = BUG_ON(l->n == CF_LONG_PARTS) ? NULL : strdup(text);
    if (!copy)
        return false;
    l->parts[l->n].output = CF_OUTPUT_EMPTY;
    l->parts[l->n++].text = copy;
    return true;
}

void cf_long_output(struct cf_long *l, struct cf_output *o) {
    if (BUG_ON(l->n == CF_LONG_PARTS))
        return;
    l->parts[l->n++].output = *o;
    *o = CF_OUTPUT_EMPTY;
}

/* --- piece by piece --------------------------------------------------------------------------- */

static void next_part(struct cf_long *l) {
    l->part++;
    l->at = 0;
}

/* What cannot be read any more is missing: then the answer must not look whole. */
static bool put_output(struct cf_long *l, const struct cf_output *o, struct text *t) {
    char raw[PIECE];
    size_t n = cf_output_read(o, l->at, raw, sizeof raw);
    bool last = l->at + n >= o->size;
    if (n == 0 && !last)
        return false;
    size_t whole = last ? n : utf8_whole(raw, n);
    text_add(t, "%s", l->at == 0 ? "\"" : "");
    text_json_part(t, raw, whole);
    text_add(t, "%s", last ? "\"" : "");
    l->at += whole;
    if (last)
        next_part(l);
    return true;
}

static void put_text(struct cf_long *l, const char *from, struct text *t) {
    size_t left = strlen(from + l->at), n = left < PIECE ? left : PIECE;
    text_put(t, from + l->at, n);
    l->at += n;
    if (n == left)
        next_part(l);
}

/* The next piece, at most 6 * PIECE + 2 bytes. */
static bool put_piece(struct cf_long *l, struct text *t) {
    const char *text = l->parts[l->part].text;
    if (!text)
        return put_output(l, &l->parts[l->part].output, t);
    put_text(l, text, t);
    return true;
}

static void pump(struct http_exchange *x) {
    struct cf_long *l = x->ctx;
    char buf[6 * PIECE + 3];
    while (l->part < l->n && http_room(x) >= sizeof buf) {
        struct text t = TEXT(buf);
        if (!put_piece(l, &t)) {
            http_cut(x);
            return;
        }
        http_send(x, t.buf, t.len);
    }
    if (l->part == l->n)
        http_end(x);
}

static void over(struct http_exchange *x, bool cut) {
    (void)cut;
    cf_long_free(x->ctx);
}

static const struct http_handler long_handler = { .room = pump, .over = over };

static size_t size_at_most(const struct cf_long *l) {
    size_t n = 1;
    for (size_t i = 0; i < l->n && n <= SHORT_ONE; i++)
        n += l->parts[i].text
                 ? strlen(l->parts[i].text)
                 : 2 + 6 * (size_t)(l->parts[i].output.size < SHORT_ONE ? l->parts[i].output.size
                                                                        : SHORT_ONE);
    return n;
}

static bool answer_whole(struct http_exchange *x, struct cf_long *l) {
    char buf[SHORT_ONE];
    struct text t = TEXT(buf);
    while (l->part < l->n)
        if (!put_piece(l, &t))
            return false;
    cf_document(x, &t);
    return true;
}

void cf_long_answer(struct http_exchange *x, struct cf_long *l) {
    if (size_at_most(l) <= SHORT_ONE) {
        if (!answer_whole(x, l))
            http_cut(x);
        cf_long_free(l);
        return;
    }
    l->x = x;
    x->ctx = l;
    x->handler = &long_handler;
    http_add_field(x, "Cache-Control", "no-store");
    http_begin(x, 200, "application/json", -1);
    pump(x);
}
