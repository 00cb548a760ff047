#include "http/websocket.h"

#include <sha1.h>
#include <stdlib.h>
#include <string.h>

#include "base/base64.h"
#include "base/bug.h"
#include "base/grow.h"
#include "base/own.h"

enum {
    KEY_BYTES = 16,
    KEY_TEXT = 24,    /* of them in base 64 */
    PIECE = 16 << 10, /* bytes unmasked at a time */
    KEPT = 64 << 10,  /* of a buffer for messages that is kept from one to the next */
    REASON_MAX = WS_MAX_CONTROL - 2,
};

static struct websocket *of(struct timer *t) { return CONTAINER_OF(t, struct websocket, timer); }

/* --- the handshake ---------------------------------------------------------------------------- */

static bool is_key(struct slice key) {
    unsigned char bytes[KEY_TEXT / 4 * 3 + 3];
    return key.n == KEY_TEXT && base64_decode(key.s, key.n, bytes) == KEY_BYTES;
}

/* RFC 6455 section 1.3. */
static void accept_key(struct slice key, char out[KEY_TEXT + 8]) {
    static const unsigned char magic[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
    unsigned char sum[SHA1_DIGEST_LENGTH];
    SHA1_CTX c;
    SHA1Init(&c);
    SHA1Update(&c, (const unsigned char *)key.s, key.n);
    SHA1Update(&c, magic, sizeof magic - 1);
    SHA1Final(sum, &c);
    base64_encode(sum, sizeof sum, out);
    out[base64_len(sizeof sum)] = '\0';
}

/* NULL: it is one; else what it lacks. */
static const char *fault(struct http_exchange *x, int *status) {
    const struct http_head *h = &x->head;
    *status = 426; /* RFC 9110 section 15.5.22 */
    if (!h->upgrade || !http_lists(h, "Upgrade", "websocket"))
        return "this route is a WebSocket: Connection: Upgrade and Upgrade: websocket are needed";
    if (!http_is(http_field(h, "Sec-WebSocket-Version"), "13") ||
        http_count(h, "Sec-WebSocket-Version") != 1) {
        http_add_field(x, "Sec-WebSocket-Version", "13");
        return "only version 13 of the WebSocket protocol is spoken here";
    }
    *status = 400;
    if (!http_is(h->method, "GET"))
        return "a WebSocket is opened with GET";
    if (!is_key(http_field(h, "Sec-WebSocket-Key")) || http_count(h, "Sec-WebSocket-Key") != 1)
        return "Sec-WebSocket-Key: one of 16 bytes in base 64 is needed";
    return NULL;
}

/* --- out -------------------------------------------------------------------------------------- */

static void put_frame(struct websocket *ws, enum websocket_opcode type, bool fin, const void *bytes,
                      size_t n) {
    unsigned char head[WS_MAX_HEAD];
    http_send2(ws->x, head, websocket_head(head, type, fin, n), bytes, n);
}

/* Room for a head, and for control frames, that come when they come. */
enum { SPARE = 4 * (WS_MAX_HEAD + WS_MAX_CONTROL) };

size_t websocket_room(struct websocket *ws) {
    size_t room = ws->state == WEBSOCKET_OPEN ? http_room(ws->x) : 0;
    return room > SPARE ? room - SPARE : 0;
}

void websocket_send_piece(struct websocket *ws, enum websocket_opcode type, const void *bytes,
                          size_t n, bool last) {
    if (ws->state != WEBSOCKET_OPEN)
        return;
    put_frame(ws, ws->in_message ? WS_CONTINUATION : type, last, bytes, n);
    ws->in_message = !last;
}

void websocket_send(struct websocket *ws, enum websocket_opcode type, const void *bytes, size_t n) {
    if (ws->state != WEBSOCKET_OPEN || BUG_ON(ws->in_message))
        return;
    put_frame(ws, type, true, bytes, n);
}

static void end(struct websocket *ws) {
    ws->state = WEBSOCKET_ENDED;
    timer_stop(&ws->timer);
    http_end(ws->x);
}

static void put_close(struct websocket *ws, enum websocket_code code, const char *reason) {
    char payload[WS_MAX_CONTROL];
    size_t n = strnlen(reason, REASON_MAX);
    payload[0] = (char)(code >> 8);
    payload[1] = (char)code;
    memcpy(payload + 2, reason, n);
    put_frame(ws, WS_CLOSE, true, payload, code == WS_NO_CODE ? 0 : n + 2);
}

void websocket_close(struct websocket *ws, enum websocket_code code, const char *reason) {
    if (ws->state != WEBSOCKET_OPEN)
        return;
    put_close(ws, code, reason);
    ws->state = WEBSOCKET_CLOSING;
    timer_arm(ws->x->server->loop, &ws->timer, span_s(WEBSOCKET_CLOSE_S));
    websocket_resume(ws); /* what comes is read away, up to their Close frame */
}

/* RFC 6455 section 7.1.7: nothing that follows is looked at. */
static void fail(struct websocket *ws, enum websocket_code code) {
    static const struct {
        enum websocket_code code;
        const char *reason;
    } reasons[] = {
        { WS_PROTOCOL_ERROR, "not a frame that RFC 6455 allows a client" },
        { WS_BAD_DATA, "text that is no UTF-8" },
        { WS_TOO_BIG, "the message is too large" },
        { WS_FAILURE, "out of memory" },
    };
    for (size_t i = 0; i < sizeof reasons / sizeof reasons[0]; i++)
        if (reasons[i].code == code && ws->state == WEBSOCKET_OPEN)
            put_close(ws, code, reasons[i].reason);
    end(ws);
}

/* --- control frames --------------------------------------------------------------------------- */

/* Only the last of several Pings needs an answer (RFC 6455 section 5.5.3): so a client that does
 * not read costs nothing. */
static void pay_pong(struct websocket *ws) {
    if (!ws->owes_pong || ws->state != WEBSOCKET_OPEN ||
        http_room(ws->x) < WS_MAX_HEAD + WS_MAX_CONTROL)
        return;
    ws->owes_pong = false;
    put_frame(ws, WS_PONG, true, ws->pong, ws->npong);
}

static void take_ping(struct websocket *ws, const struct websocket_piece *p) {
    memcpy(ws->pong, p->bytes, p->n);
    ws->npong = (uint8_t)p->n;
    ws->owes_pong = true;
    pay_pong(ws);
}

static void take_close(struct websocket *ws, const struct websocket_piece *p) {
    if (ws->state == WEBSOCKET_OPEN)
        put_close(ws, p->code, "");
    end(ws);
}

/* --- data ------------------------------------------------------------------------------------- */

static void collect(struct websocket *ws, const struct websocket_piece *p) {
    if (p->first)
        ws->n = 0;
    if (!mem_grow(&ws->collected, &ws->cap, ws->n + p->n + WEBSOCKET_PADDING, 1)) {
        fail(ws, WS_FAILURE);
        return;
    }
    memcpy(ws->collected + ws->n, p->bytes, p->n);
    ws->n += p->n;
    if (!p->last)
        return;
    memset(ws->collected + ws->n, 0, WEBSOCKET_PADDING);
    ws->message(ws, p->type, ws->collected, ws->n);
    ws->n = 0;
    if (ws->cap <= KEPT)
        return;
    mem_release(&ws->collected);
    ws->cap = 0;
}

/* How many bytes of the piece are left. */
static size_t take_piece(struct websocket *ws, const struct websocket_piece *p) {
    if (p->type == WS_CLOSE)
        take_close(ws, p);
    else if (ws->state != WEBSOCKET_OPEN || p->type == WS_PONG)
        return 0;
    else if (p->type == WS_PING)
        take_ping(ws, p);
    else if (p->type == WS_TEXT || !ws->binary)
        collect(ws, p);
    else if (p->n > 0)
        return p->n - ws->binary(ws, p->bytes, p->n);
    return 0;
}

/* A piece, and whether all of it was taken. */
static bool take(struct websocket *ws, const char *in, size_t n, size_t *used) {
    struct websocket_piece p;
    char out[PIECE];
    int64_t k = websocket_next(&ws->reader, in, n, out, sizeof out, &p);
    if (k < 0) {
        fail(ws, (enum websocket_code) - k);
        return false;
    }
    ws->paused = true; /* before, so that a websocket_resume() from within is not lost */
    size_t left = p.there ? take_piece(ws, &p) : 0;
    if (left == 0)
        ws->paused = false;
    websocket_untake(&ws->reader, left);
    *used += (size_t)k - left;
    return left == 0 && !ws->held;
}

static size_t body(struct http_exchange *x, const char *bytes, size_t n) {
    struct websocket *ws = x->ctx;
    size_t used = 0;
    ws->heard = x->server->loop->now;
    if (ws->held)
        return 0;
    while (used < n && ws->state != WEBSOCKET_ENDED && take(ws, bytes + used, n - used, &used))
        ;
    return ws->state == WEBSOCKET_ENDED ? n : used;
}

/* Ended without a Close frame: nobody is there to read one. */
static void body_end(struct http_exchange *x) {
    struct websocket *ws = x->ctx;
    if (ws->state != WEBSOCKET_ENDED)
        end(ws);
}

void websocket_pause(struct websocket *ws) { ws->held = true; }

void websocket_resume(struct websocket *ws) {
    ws->paused = ws->held = false;
    http_resume(ws->x);
}

/* --- the connection --------------------------------------------------------------------------- */

static void room(struct http_exchange *x) {
    struct websocket *ws = x->ctx;
    pay_pong(ws);
    if (ws->state == WEBSOCKET_OPEN && ws->room)
        ws->room(ws);
}

static void over(struct http_exchange *x, bool cut) {
    (void)cut;
    struct websocket *ws = x->ctx;
    timer_stop(&ws->timer);
    mem_release(&ws->collected);
    ws->state = WEBSOCKET_ENDED;
    ws->over(ws);
}

static const struct http_handler handler = {
    .body = body, .body_end = body_end, .room = room, .over = over
};

/* Whom we keep from speaking is not silent. */
static void ping(struct websocket *ws) {
    instant now = ws->x->server->loop->now;
    if (ws->paused || ws->held)
        ws->heard = now;
    bool silent = !instant_before(now, instant_add(ws->heard, span_s(WEBSOCKET_SILENT_S)));
    bool quiet = !instant_before(now, instant_add(ws->heard, span_s(WEBSOCKET_PING_S)));
    if (silent) {
        http_cut(ws->x);
        return;
    }
    if (quiet && http_room(ws->x) >= WS_MAX_HEAD + WS_MAX_CONTROL)
        put_frame(ws, WS_PING, true, "", 0);
    timer_arm(ws->x->server->loop, &ws->timer, span_s(WEBSOCKET_PING_S));
}

static void fire(struct timer *t) {
    struct websocket *ws = of(t);
    if (ws->state == WEBSOCKET_OPEN)
        ping(ws);
    else
        end(ws); /* no Close frame has come */
}

bool websocket_accept(struct websocket *ws, struct http_exchange *x) {
    char key[KEY_TEXT + 8];
    int status;
    const char *why = fault(x, &status);
    if (why) {
        if (status == 426)
            http_add_field(x, "Upgrade", "websocket");
        x->site->refuse(x, status, why);
        return false;
    }
    ws->x = x;
    ws->state = WEBSOCKET_OPEN;
    ws->reader =
        (struct websocket_reader){ .max_text = ws->max_message,
                                   .max_binary = ws->binary ? INT64_MAX : ws->max_message };
    ws->heard = x->server->loop->now;
    ws->timer.fire = fire;
    x->ctx = ws;
    x->handler = &handler;
    accept_key(http_field(&x->head, "Sec-WebSocket-Key"), key);
    http_add_field(x, "Sec-WebSocket-Accept", "%s", key);
    http_upgrade(x, "websocket");
    timer_arm(x->server->loop, &ws->timer, span_s(WEBSOCKET_PING_S));
    return true;
}
