/* Any bytes as a message, head and body; the first byte says of which kind, the next four in what
 * pieces it comes. Promises: the pieces change nothing, all offsets are within, what is taken
 * keeps to RFC 9112's strict form, and of the body not a byte is lost or used twice. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "http/head.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool ok) {
    if (!ok)
        abort();
}

struct input {
    bool answer, to_head;
    const char *bytes;
    size_t n;
    uint8_t pieces[4]; /* their sizes, over and over */
};

struct outcome {
    int scanned, parsed;
    char *bytes; /* the head's, in a block of its own */
    struct http_head head;
    struct http_body body;
    int64_t last;
    size_t used, n;
    char *data; /* the body's, n bytes */
};

static char *copy(const char *bytes, size_t n) {
    char *block = malloc(n + !n);
    must(block != NULL);
    memcpy(block, bytes, n);
    return block;
}

/* How many bytes come next, of those that are left. */
static size_t piece(const struct input *in, bool whole, size_t turn, size_t left) {
    size_t n = whole ? left : (size_t)in->pieces[turn % 4] + 1;
    return n < left ? n : left;
}

static void run_head(const struct input *in, bool whole, struct outcome *out) {
    struct http_scan scan = { 0 };
    for (size_t have = 0, turn = 0; have < in->n && out->scanned == 0; turn++) {
        have += piece(in, whole, turn, in->n - have);
        char *block = copy(in->bytes, have);
        out->scanned = http_scan(&scan, block, have);
        must(out->scanned <= (int)have);
        free(block);
    }
    if (out->scanned <= 0)
        return;
    size_t len = (size_t)out->scanned;
    out->bytes = copy(in->bytes, len);
    out->parsed = in->answer ? http_parse_answer(&out->head, out->bytes, len, in->to_head)
                             : http_parse_request(&out->head, out->bytes, len);
}

static void run_body(const struct input *in, bool whole, struct outcome *out) {
    const char *bytes = in->bytes + out->scanned;
    size_t n = in->n - (size_t)out->scanned;
    out->data = malloc(n + !n);
    must(out->data != NULL);
    http_body_begin(&out->body, &out->head);
    for (size_t turn = 0; out->used < n && !out->body.done && out->last >= 0; turn++) {
        size_t most = piece(in, whole, turn, n - out->used);
        char *block = copy(bytes + out->used, most);
        struct slice data;
        out->last = http_body_next(&out->body, block, most, &data);
        must(out->last == -400 || (out->last > 0 && (size_t)out->last <= most));
        if (out->last > 0) {
            must(data.s >= block && data.n <= (size_t)(block + out->last - data.s));
            memcpy(out->data + out->n, data.s, data.n);
            out->n += data.n;
            out->used += (size_t)out->last;
        }
        free(block);
    }
}

static struct outcome run(const struct input *in, bool whole) {
    struct outcome out = { 0 };
    run_head(in, whole, &out);
    if (out.scanned > 0 && out.parsed == 0)
        run_body(in, whole, &out);
    return out;
}

/* --- what it must be ------------------------------------------------------------------------ */

static void same(const struct outcome *a, const struct outcome *b) {
    const struct http_head *x = &a->head, *y = &b->head;
    must(a->scanned == b->scanned && a->parsed == b->parsed);
    if (a->scanned <= 0 || a->parsed < 0)
        return;
    must(x->nfields == y->nfields && x->status == y->status && x->minor == y->minor);
    must(memcmp(x->fields, y->fields, x->nfields * sizeof x->fields[0]) == 0);
    must(x->path.n == y->path.n && x->query.n == y->query.n && x->target.n == y->target.n);
    must(x->framing == y->framing && x->length == y->length && x->keep_alive == y->keep_alive);
    must(a->body.done == b->body.done && (a->last < 0) == (b->last < 0));
    must(a->n == b->n && memcmp(a->data, b->data, a->n) == 0);
    must(a->last < 0 || a->used == b->used);
}

static void within(const struct http_head *h, struct slice s) {
    must(s.s >= h->bytes && s.n <= h->len && s.s + s.n <= h->bytes + h->len);
}

static void check_bytes(const struct http_head *h) {
    size_t lines = 0;
    for (size_t i = 0; i < h->len; i++) {
        unsigned char c = (unsigned char)h->bytes[i];
        must(c >= ' ' || c == '\t' || c == '\r' || c == '\n');
        must(c != 0x7f && (c != '\n' || (i > 0 && h->bytes[i - 1] == '\r')));
        must(c != '\r' || h->bytes[i + 1] == '\n'); /* the last byte is a LF */
        bool begins = i > 0 && h->bytes[i - 1] == '\n';
        must(!begins || (c != ' ' && c != '\t' && c != ':'));
        lines += c == '\n';
    }
    must(lines == h->nfields + 2 && h->nfields <= MAX_HTTP_FIELDS && h->len <= MAX_HTTP_HEAD);
    must(memcmp(h->bytes + h->len - 4, "\r\n\r\n", 4) == 0);
}

static void check_fields(const struct http_head *h) {
    unsigned hosts = 0, lengths = 0, codings = 0;
    for (size_t i = 0; i < h->nfields; i++) {
        const struct http_field *f = &h->fields[i];
        struct slice name = { h->bytes + f->name, f->name_len };
        struct slice value = { h->bytes + f->value, f->value_len };
        within(h, name);
        within(h, value);
        must(name.n > 0 && name.s[name.n] == ':' && name.s[-1] == '\n');
        must(value.s > name.s + name.n && !memchr(value.s, '\n', value.n));
        must(value.n == 0 || !strchr(" \t", value.s[0]));
        must(value.n == 0 || !strchr(" \t", value.s[value.n - 1]));
        hosts += http_is_nocase(name, "host");
        lengths += http_is_nocase(name, "content-length");
        codings += http_is_nocase(name, "transfer-encoding");
        char *text = copy(name.s, name.n + 1);
        text[name.n] = '\0';
        must(http_field(h, text).s != NULL);
        (void)http_lists(h, text, "close");
        free(text);
    }
    must(lengths + codings <= 1 && (codings == 0 || h->minor == 1));
    must(h->framing != HTTP_LENGTH || lengths == 1);
    must(h->framing != HTTP_CHUNKED || codings == 1);
    must(h->status != 0 || (hosts <= 1 && (hosts == 1 || h->minor == 0)));
    must(h->framing != HTTP_UNTIL_CLOSE || (h->status != 0 && !h->keep_alive));
}

static void check_target(const struct http_head *h) {
    within(h, h->method);
    within(h, h->target);
    within(h, h->query);
    must(h->path.n > 0 && (h->path.s[0] == '/' || http_is(h->path, "*")));
    if (!http_is(h->path, "/"))
        within(h, h->path);
    must(!memchr(h->path.s, '?', h->path.n) && h->method.n <= MAX_HTTP_METHOD);
    char *out = malloc(h->path.n + 1);
    must(out != NULL);
    int n = http_decode(h->path, out, h->path.n + 1);
    must(n < 0 || (strlen(out) == (size_t)n && (size_t)n <= h->path.n));
    must(n < 0 || http_decode(h->path, out, (size_t)n) == -1);
    free(out);
    struct slice rest = h->query, key, value;
    while (http_next_param(&rest, &key, &value)) {
        within(h, key);
        within(h, value);
        must(!memchr(key.s, '=', key.n) && !memchr(value.s, '&', value.n));
    }
}

static void check_body(const struct outcome *out) {
    const struct http_head *h = &out->head;
    must(h->framing != HTTP_NO_BODY || (out->used == 0 && out->body.done));
    must(h->framing != HTTP_LENGTH || (out->n == out->used && out->n <= h->length));
    must(h->framing != HTTP_LENGTH || out->body.done == (out->n == h->length));
    must(h->framing != HTTP_UNTIL_CLOSE || (out->n == out->used && !out->body.done));
    must(h->framing == HTTP_CHUNKED || out->last >= 0);
}

/* A second, slower opinion on where a chunked body ends that was taken. */
static void check_chunks(const char *in, size_t used, const char *data, size_t n) {
    const char *end = in + used;
    for (;;) {
        char digits[MAX_HTTP_CHUNK + 1] = "";
        must(end - in >= 5);
        memcpy(digits, in, end - in < MAX_HTTP_CHUNK ? (size_t)(end - in) : MAX_HTTP_CHUNK);
        unsigned long long size = strtoull(digits, NULL, 16);
        in = memmem(in, (size_t)(end - in), "\r\n", 2);
        must(in != NULL);
        in += 2;
        if (size == 0)
            break;
        must(size <= n && size + 2 <= (size_t)(end - in) && memcmp(in, data, size) == 0);
        must(memcmp(in + size, "\r\n", 2) == 0);
        in += size + 2;
        data += size;
        n -= size;
    }
    const char *last = memmem(in - 2, (size_t)(end - in) + 2, "\r\n\r\n", 4);
    must(n == 0 && last == end - 4);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < 5)
        return 0;
    struct input in = { .answer = data[0] & 1, .to_head = data[0] & 2, .n = size - 5 };
    memcpy(in.pieces, data + 1, 4);
    char *bytes = copy((const char *)data + 5, in.n);
    in.bytes = bytes;
    struct outcome whole = run(&in, true), split = run(&in, false);
    same(&whole, &split);
    must(whole.scanned >= 0 || (whole.scanned > -600 && whole.scanned <= -400));
    if (whole.scanned > 0 && whole.parsed == 0) {
        check_bytes(&whole.head);
        check_fields(&whole.head);
        if (!in.answer)
            check_target(&whole.head);
        check_body(&whole);
        if (whole.head.framing == HTTP_CHUNKED && whole.body.done)
            check_chunks(bytes + whole.scanned, whole.used, whole.data, whole.n);
    }
    free(whole.bytes);
    free(whole.data);
    free(split.bytes);
    free(split.data);
    free(bytes);
    return 0;
}
