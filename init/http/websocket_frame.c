#include "http/websocket_frame.h"

#include <string.h>

enum { FIN = 0x80, RESERVED = 0x70, OPCODE = 0x0f, MASKED = 0x80, LENGTH = 0x7f, MASK = 4 };
enum { LENGTH_16 = 126, LENGTH_64 = 127 };

static bool is_control(unsigned opcode) { return opcode >= WS_CLOSE; }

/* --- the head --------------------------------------------------------------------------------- */

/* Of the length's field, after its first two bytes. */
static size_t length_bytes(const struct websocket_reader *r) {
    unsigned n = r->head[1] & LENGTH;
    return n == LENGTH_64 ? 8 : n == LENGTH_16 ? 2 : 0;
}

/* How long the head is, as far as can be told from what there is of it. */
static size_t head_length(const struct websocket_reader *r) {
    return r->have < 2 ? 2 : 2 + length_bytes(r) + MASK;
}

/* Its first two bytes are there. 0 or minus the code. */
static int check_start(const struct websocket_reader *r) {
    unsigned first = r->head[0], opcode = first & OPCODE, n = r->head[1] & LENGTH;
    bool known = opcode <= WS_BINARY || (opcode >= WS_CLOSE && opcode <= WS_PONG);
    if ((first & RESERVED) || !known || !(r->head[1] & MASKED))
        return -WS_PROTOCOL_ERROR;
    if (is_control(opcode))
        return (first & FIN) && n <= WS_MAX_CONTROL ? 0 : -WS_PROTOCOL_ERROR;
    return (opcode == WS_CONTINUATION) == r->in_message ? 0 : -WS_PROTOCOL_ERROR;
}

static uint64_t read_length(const struct websocket_reader *r) {
    size_t n = length_bytes(r);
    uint64_t length = n ? 0 : r->head[1] & LENGTH;
    for (size_t i = 0; i < n; i++)
        length = length << 8 | r->head[2 + i];
    return length;
}

static bool is_shortest(const struct websocket_reader *r) {
    size_t n = length_bytes(r);
    return n == 0 || (n == 2 && r->length >= LENGTH_16) ||
           (n == 8 && r->length > UINT16_MAX && r->length <= INT64_MAX);
}

/* It is whole. 0 or minus the code. */
static int begin_payload(struct websocket_reader *r) {
    unsigned opcode = r->head[0] & OPCODE;
    r->length = read_length(r);
    r->at = 0;
    if (!is_shortest(r))
        return -WS_PROTOCOL_ERROR;
    r->in_payload = true;
    r->ncontrol = 0;
    if (is_control(opcode))
        return 0;
    if (opcode != WS_CONTINUATION) {
        r->message = (uint8_t)opcode;
        r->in_message = true;
        r->total = 0;
        r->utf8 = (struct utf8){ 0 };
    }
    uint64_t max = r->message == WS_TEXT ? r->max_text : r->max_binary;
    return r->length > max || r->total > max - r->length ? -WS_TOO_BIG : 0;
}

/* How many bytes of in[n] belong to it, or minus the code. */
static int64_t take_head(struct websocket_reader *r, const char *in, size_t n) {
    size_t used = 0;
    while (used < n && r->have < head_length(r)) {
        r->head[r->have++] = (unsigned char)in[used++];
        int rc = r->have == 2 ? check_start(r) : 0;
        if (rc < 0)
            return rc;
    }
    int rc = r->have == head_length(r) ? begin_payload(r) : 0;
    return rc < 0 ? rc : (int64_t)used;
}

/* --- the payload ------------------------------------------------------------------------------ */

static void unmask(const struct websocket_reader *r, const char *in, size_t n, char *out) {
    const unsigned char *mask = r->head + r->have - MASK;
    unsigned char turned[8];
    uint64_t eight, key;
    size_t i = 0;
    for (size_t k = 0; k < sizeof turned; k++)
        turned[k] = mask[(r->at + k) % MASK];
    memcpy(&key, turned, sizeof key);
    for (; n - i >= sizeof eight; i += sizeof eight) {
        memcpy(&eight, in + i, sizeof eight);
        eight ^= key;
        memcpy(out + i, &eight, sizeof eight);
    }
    for (; i < n; i++)
        out[i] = (char)((unsigned char)in[i] ^ turned[i % sizeof turned]);
}

bool websocket_code_is_valid(unsigned code) {
    bool named = code >= 1000 && code <= 1014 && code != 1004 && code != 1005 && code != 1006;
    return named || (code >= 3000 && code <= 4999);
}

/* 0 or minus the code to answer with. */
static int read_close(struct websocket_piece *p) {
    struct utf8 utf8 = { 0 };
    p->code = WS_NO_CODE;
    if (p->n == 0)
        return 0;
    if (p->n == 1)
        return -WS_PROTOCOL_ERROR;
    unsigned code = (unsigned)((unsigned char)p->bytes[0] << 8 | (unsigned char)p->bytes[1]);
    if (!websocket_code_is_valid(code))
        return -WS_PROTOCOL_ERROR;
    p->code = (enum websocket_code)code;
    p->bytes += 2;
    p->n -= 2;
    return utf8_take(&utf8, p->bytes, p->n) && utf8_is_whole(&utf8) ? 0 : -WS_BAD_DATA;
}

static void end_frame(struct websocket_reader *r) {
    r->have = 0;
    r->in_payload = false;
}

static int64_t take_control(struct websocket_reader *r, const char *in, size_t n,
                            struct websocket_piece *p) {
    uint64_t left = r->length - r->at;
    n = n < left ? n : (size_t)left;
    unmask(r, in, n, r->control + r->ncontrol);
    r->ncontrol = (uint8_t)(r->ncontrol + n);
    r->at += n;
    if (r->at < r->length)
        return (int64_t)n;
    *p = (struct websocket_piece){ .type = (enum websocket_opcode)(r->head[0] & OPCODE),
                                   .there = true,
                                   .first = true,
                                   .last = true,
                                   .bytes = r->control,
                                   .n = r->ncontrol };
    end_frame(r);
    int rc = p->type == WS_CLOSE ? read_close(p) : 0;
    return rc < 0 ? rc : (int64_t)n;
}

static int64_t take_data(struct websocket_reader *r, const char *in, size_t n, char *out,
                         struct websocket_piece *p) {
    unmask(r, in, n, out);
    *p = (struct websocket_piece){ .type = (enum websocket_opcode)r->message,
                                   .there = true,
                                   .first = r->total == 0 && r->at == 0 &&
                                            (r->head[0] & OPCODE) != WS_CONTINUATION,
                                   .bytes = out,
                                   .n = n };
    r->at += n;
    bool whole = r->at == r->length;
    p->last = whole && (r->head[0] & FIN);
    if (r->message == WS_TEXT &&
        (!utf8_take(&r->utf8, out, n) || (p->last && !utf8_is_whole(&r->utf8))))
        return -WS_BAD_DATA;
    if (whole) {
        r->total += r->length;
        r->in_message = !p->last;
        end_frame(r);
    }
    return (int64_t)n;
}

int64_t websocket_next(struct websocket_reader *r, const char *in, size_t n, char *out, size_t cap,
                       struct websocket_piece *p) {
    *p = (struct websocket_piece){ 0 };
    int64_t used = r->in_payload ? 0 : take_head(r, in, n);
    if (used < 0 || !r->in_payload)
        return used;
    in += used;
    n -= (size_t)used;
    uint64_t left = r->length - r->at;
    if (n == 0 && left > 0)
        return used;
    if (!is_control(r->head[0] & OPCODE)) {
        n = n < left ? n : (size_t)left;
        n = n < cap ? n : cap;
    }
    int64_t rc =
        is_control(r->head[0] & OPCODE) ? take_control(r, in, n, p) : take_data(r, in, n, out, p);
    return rc < 0 ? rc : used + rc;
}

void websocket_untake(struct websocket_reader *r, size_t n) {
    if (n == 0)
        return;
    if (r->have == 0) { /* the frame had ended: its head is still there */
        r->have = (uint8_t)(2 + length_bytes(r) + MASK);
        r->in_payload = true;
        r->total -= r->length;
        r->in_message = true;
    }
    r->at -= n;
}

size_t websocket_head(unsigned char out[WS_MAX_HEAD], enum websocket_opcode type, bool fin,
                      uint64_t n) {
    size_t bytes = n < LENGTH_16 ? 0 : n <= UINT16_MAX ? 2 : 8;
    out[0] = (unsigned char)((fin ? FIN : 0) | (unsigned)type);
    out[1] = (unsigned char)(bytes == 0 ? n : bytes == 2 ? LENGTH_16 : LENGTH_64);
    for (size_t i = 0; i < bytes; i++)
        out[2 + i] = (unsigned char)(n >> 8 * (bytes - 1 - i));
    return 2 + bytes;
}
