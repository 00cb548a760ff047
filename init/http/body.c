/* PURE: bodies of HTTP/1.1 messages (RFC 9112 6 and 7). */
#include "http/head.h"
#include "http/private.h"

/* What the next byte of a chunked body is. */
enum {
    SIZE = 0, /* SIZE + n: n digits of the chunk's size have been seen */
    EXTENSION = SIZE + MAX_HTTP_CHUNK + 1,
    SIZE_LF,
    DATA,
    DATA_CR,
    DATA_LF,
    LINE, /* the first of a trailer line, or of the empty one */
    NAME,
    VALUE,
    VALUE_LF,
    END_LF,
    DONE,
    BROKEN,
};

/* Blanks after the size are refused: RFC 9112 7.1.1 knows them before a ';', but readers differ. */
static int step_size(struct http_body *b, char c) {
    int digits = b->state - SIZE, digit = http_hex(c);
    if (digits > 0 && c == '\r')
        return SIZE_LF;
    if (digits > 0 && c == ';')
        return EXTENSION;
    if (digit < 0 || digits == MAX_HTTP_CHUNK || b->left > (INT64_MAX >> 4))
        return BROKEN;
    b->left = b->left << 4 | (uint64_t)digit;
    return b->state + 1;
}

/* The state that one byte leads to; never called in DATA. */
static int step(struct http_body *b, char c) {
    switch (b->state) {
    case EXTENSION:
        return c == '\r' ? SIZE_LF : c != '\t' && http_is_text(c) ? EXTENSION : BROKEN;
    case SIZE_LF:
        return c != '\n' ? BROKEN : b->left > 0 ? DATA : LINE;
    case DATA_CR:
        return c == '\r' ? DATA_LF : BROKEN;
    case DATA_LF:
        return c == '\n' ? SIZE : BROKEN;
    case LINE:
        return c == '\r' ? END_LF : http_is_tchar(c) ? NAME : BROKEN;
    case NAME:
        return c == ':' ? VALUE : http_is_tchar(c) ? NAME : BROKEN;
    case VALUE:
        return c == '\r' ? VALUE_LF : http_is_text(c) ? VALUE : BROKEN;
    case VALUE_LF:
        return c == '\n' ? LINE : BROKEN;
    case END_LF:
        return c == '\n' ? DONE : BROKEN;
    case DONE:
    case BROKEN:
        return BROKEN;
    default:
        return step_size(b, c);
    }
}

/* Is this byte of an extension or a trailer line? */
static bool is_extra(int state, int next) {
    return next == EXTENSION || (state >= LINE && state <= VALUE_LF && next != END_LF);
}

/* Everything but data. Returns how many bytes were used, or -400. */
static int64_t take_control(struct http_body *b, const char *in, size_t n) {
    size_t used = 0;
    while (used < n && b->state != DATA && !b->done) {
        int next = step(b, in[used++]);
        if (is_extra(b->state, next) && ++b->extra > MAX_HTTP_EXTRA)
            next = BROKEN;
        b->state = (uint8_t)next;
        b->done = next == DONE;
        if (next == BROKEN)
            return -400;
    }
    return (int64_t)used;
}

void http_body_begin(struct http_body *b, const struct http_head *h) {
    *b = (struct http_body){ .framing = h->framing, .state = SIZE };
    if (h->framing == HTTP_LENGTH)
        b->left = h->length;
    b->done = h->framing == HTTP_NO_BODY || (h->framing == HTTP_LENGTH && h->length == 0);
}

int64_t http_body_next(struct http_body *b, const char *in, size_t n, struct slice *data) {
    bool chunked = b->framing == HTTP_CHUNKED;
    *data = (struct slice){ in, 0 };
    int64_t used = chunked ? take_control(b, in, n) : 0;
    if (used < 0 || b->done || (size_t)used == n)
        return used;
    *data = (struct slice){ in + used, n - (size_t)used };
    if (b->framing == HTTP_UNTIL_CLOSE)
        return (int64_t)n;
    if (data->n > b->left)
        data->n = (size_t)b->left;
    b->left -= data->n;
    if (b->left == 0 && chunked)
        b->state = DATA_CR;
    b->done = b->left == 0 && !chunked;
    return used + (int64_t)data->n;
}
