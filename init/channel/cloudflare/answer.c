/* answer.c — JSON answers and errors. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/own.h"
#include "channel/cloudflare/cloudflare.h"

enum { WORDS = 8192 }; /* bytes of an error's message; cut */

#define CF_CODE_ROW(id, text, status) [id] = { text, status },
static const struct {
    const char *text;
    int status;
} codes[CF_NCODES] = { CF_CODES(CF_CODE_ROW) };
#undef CF_CODE_ROW

const char *cf_code_text(enum cf_code code) { return codes[code].text; }
int cf_code_status(enum cf_code code) { return codes[code].status; }

/* --- members ---------------------------------------------------------------------------------- */

void cf_comma(struct text *t) {
    static const char needless[] = "{[,:";
    if (t->len && !strchr(needless, t->buf[t->len - 1]))
        text_put(t, ",", 1);
}

static void put_name(struct text *t, const char *name) {
    cf_comma(t);
    text_add(t, "\"%s\":", name);
}

void cf_put(struct text *t, const char *name, const char *value) {
    put_name(t, name);
    if (value)
        text_json(t, value, strlen(value));
    else
        text_add(t, "null");
}

void cf_put_bytes(struct text *t, const char *name, const char *bytes, size_t n) {
    put_name(t, name);
    text_json(t, bytes, n);
}

void cf_put_number(struct text *t, const char *name, int64_t value) {
    put_name(t, name);
    text_add(t, "%lld", (long long)value);
}

void cf_put_flag(struct text *t, const char *name, bool value) {
    put_name(t, name);
    text_add(t, "%s", value ? "true" : "false");
}

void cf_put_time(struct text *t, const char *name, int64_t unix_ms) {
    char buf[UTC_TEXT];
    put_name(t, name);
    text_add(t, "\"%s\"", format_utc(buf, unix_ms));
}

int64_t cf_unix_ms(void) {
    struct timespec now;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

void cf_put_now(struct text *t) { cf_put_time(t, "timestamp", cf_unix_ms()); }

/* --- answers ---------------------------------------------------------------------------------- */

/* Nothing of a box is worth keeping for later. */
static void answer(struct http_exchange *x, int status, const struct text *t) {
    http_add_field(x, "Cache-Control", "no-store");
    http_answer(x, status, "application/json", t->buf, t->len);
}

void cf_document(struct http_exchange *x, const struct text *document) {
    if (document->cut)
        cf_fail(x, CF_INTERNAL_ERROR, NULL, "the answer is larger than %zu bytes", document->cap);
    else
        answer(x, 200, document);
}

void cf_ok(struct http_exchange *x, const struct text *members) {
    size_t cap = (members ? members->len : 0) + 128;
    AUTO_FREE char *buf = malloc(cap);
    struct text t = { .buf = buf, .cap = cap };
    if (!buf) {
        cf_no_memory(x, "an answer");
        return;
    }
    text_add(&t, "{\"success\":true");
    if (members && members->len) {
        cf_comma(&t);
        text_put(&t, members->buf, members->len);
    }
    cf_put_now(&t);
    text_add(&t, "}");
    t.cut |= members && members->cut;
    cf_document(x, &t);
}

/* --- errors ----------------------------------------------------------------------------------- */

__attribute__((format(printf, 3, 0))) static void
fail(struct http_exchange *x, const struct cf_error *e, const char *fmt, va_list ap) {
    int status = e->status ? e->status : cf_code_status(e->code);
    size_t cap = (size_t)6 * WORDS + (e->context ? strlen(e->context) : 0) + 512;
    char words[WORDS];
    AUTO_FREE char *buf = malloc(cap);
    struct text t = { .buf = buf, .cap = cap };
    (void)vsnprintf(words, sizeof words, fmt, ap);
    if (!buf) {
        http_answer(x, 500, NULL, NULL, 0);
        return;
    }
    text_add(&t, "{");
    cf_put(&t, "code", cf_code_text(e->code));
    cf_put(&t, "message", words);
    text_add(&t, ",\"context\":{");
    text_put(&t, e->context, e->context ? strlen(e->context) : 0);
    text_add(&t, "}");
    if (e->operation)
        cf_put(&t, "operation", e->operation);
    cf_put_number(&t, "httpStatus", status);
    cf_put_now(&t);
    text_add(&t, "}");
    answer(x, status, &t);
}

void cf_error(struct http_exchange *x, const struct cf_error *e, const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    fail(x, e, fmt, ap);
    va_end(ap);
}

void cf_fail(struct http_exchange *x, enum cf_code code, const struct text *context,
             const char *fmt, ...) {
    struct cf_error e = { .code = code, .context = context && !context->cut ? context->buf : NULL };
    va_list ap;
    va_start(ap, fmt);
    fail(x, &e, fmt, ap);
    va_end(ap);
}

void cf_no_memory(struct http_exchange *x, const char *what) {
    cf_fail(x, CF_INTERNAL_ERROR, NULL, "out of memory for %s", what);
}
