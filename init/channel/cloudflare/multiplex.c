#include "channel/cloudflare/multiplex.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/own.h"

enum { STEPS = 32 }; /* of one answer, before others have their turn */

_Static_assert(WEBSOCKET_PADDING >= YYJSON_PADDING_SIZE, "messages are parsed in place");

/* --- messages --------------------------------------------------------------------------------- */

static void flush(struct mux *m, bool last) {
    websocket_send_piece(&m->ws, WS_TEXT, m->stage.buf, m->stage.len, last);
    m->stage.len = 0;
}

void mux_say(struct mux_call *c, const char *bytes, size_t n) {
    struct mux *m = c->mux;
    m->speaker = c;
    if (m->stage.cap - m->stage.len <= n)
        flush(m, false);
    text_put(&m->stage, bytes, n);
}

void mux_say_head(struct mux_call *c, const char *type) {
    char buf[MUX_FRAME];
    struct text t = TEXT(buf);
    text_add(&t, "{");
    cf_put(&t, "type", type);
    cf_put(&t, "id", c->id);
    mux_say(c, t.buf, t.len);
}

/* Only between two messages, and not more than one: whoever makes mistakes faster than they are
 * told has to wait. */
static void say_error_now(struct mux *m) {
    if (!m->error.len || m->speaker || websocket_room(&m->ws) < m->error.len)
        return;
    websocket_send(&m->ws, WS_TEXT, m->error.buf, m->error.len);
    m->error.len = 0;
    websocket_resume(&m->ws);
}

/* `id` may be NULL. */
static void say_error(struct mux *m, const char *id, const char *code, int status,
                      const char *message) {
    struct text *t = &m->error;
    text_add(t, "{\"type\":\"error\"");
    if (id)
        cf_put(t, "id", id);
    cf_put(t, "code", code);
    cf_put(t, "message", message);
    cf_put_number(t, "status", status);
    text_add(t, "}");
    websocket_pause(&m->ws);
    say_error_now(m);
}

void mux_say_end(struct mux_call *c) {
    struct mux *m = c->mux;
    flush(m, true);
    m->speaker = NULL;
    if (m->waiting || m->error.len)
        timer_arm(m->x->server->loop, &m->soon, (span){ 0 });
    m->waiting = false;
}

static void say(struct mux_call *c, const char *text) { mux_say(c, text, strlen(text)); }

/* --- calls ------------------------------------------------------------------------------------ */

static void call_free(struct mux_call *c) {
    http_inner_stop(&c->inner);
    list_remove(&c->link);
    c->mux->ncalls--;
    free(c);
}

static void say_response_head(struct mux_call *c, int status) {
    char buf[32];
    struct text t = TEXT(buf);
    mux_say_head(c, "response");
    text_add(&t, ",\"status\":%d", status);
    mux_say(c, t.buf, t.len);
}

/* Of a stream: that it had a beginning is a success. */
static void end_stream(struct mux_call *c) {
    say_response_head(c, 200);
    say(c, ",\"done\":true}");
    mux_say_end(c);
    call_free(c);
}

static void end_plain(struct mux_call *c) {
    if (!c->begun)
        say_response_head(c, c->status);
    say(c, ",\"done\":true}");
    mux_say_end(c);
    call_free(c);
}

static void end_cut(struct mux_call *c) {
    struct mux *m = c->mux;
    char id[sizeof c->id];
    bool stream = c->kind == MUX_STREAM;
    (void)snprintf(id, sizeof id, "%s", c->id);
    if (c->begun && stream) {
        say(c, "\"}");
        mux_say_end(c);
    } else if (c->begun) {
        websocket_close(&m->ws, WS_FAILURE, "an answer was cut off within");
    }
    call_free(c);
    say_error(m, id, stream ? "STREAM_ERROR" : "INTERNAL_ERROR", 500,
              "the answer was cut off on the way; see pinnace's log");
}

static void take_head(struct mux_call *c) {
    struct slice type = http_field(&c->inner.head, "Content-Type");
    c->status = c->inner.head.status;
    c->kind = http_is(type, "text/event-stream")  ? MUX_STREAM
              : http_is(type, "application/json") ? MUX_JSON
                                                  : MUX_OTHER;
}

static void take_data(struct mux_call *c, struct slice data) {
    if (c->kind == MUX_STREAM)
        c->rest = data;
    if (c->kind != MUX_JSON)
        return;
    if (!c->begun) {
        say_response_head(c, c->status);
        say(c, ",\"body\":");
    }
    c->begun = true;
    mux_say(c, data.s, data.n);
}

/* May it say something now? */
static bool may_speak(struct mux_call *c) {
    struct mux *m = c->mux;
    bool first = m->error.len && !m->speaker; /* an error goes before the next message */
    bool others = m->speaker && m->speaker != c;
    m->waiting |= others;
    if (!first && !others && websocket_room(&m->ws) >= MUX_STAGE)
        return true;
    http_inner_rest(&c->inner);
    return false;
}

/* One step. False: there is nothing more to be done now, or it is over. */
static bool step(struct mux_call *c) {
    struct slice data;
    if (!may_speak(c))
        return false;
    if (c->cancelled && c->kind == MUX_STREAM && c->mux->speaker != c) {
        end_stream(c);
        return false;
    }
    if (c->rest.n > 0) {
        size_t used = mux_events(c, c->rest.s, c->rest.n);
        c->rest = (struct slice){ c->rest.s + used, c->rest.n - used };
        return true;
    }
    switch (http_inner_next(&c->inner, MUX_STEP, &data)) {
    case HTTP_INNER_HEAD:
        take_head(c);
        return true;
    case HTTP_INNER_DATA:
        take_data(c, data);
        return true;
    case HTTP_INNER_END:
        if (c->kind == MUX_STREAM)
            end_stream(c);
        else
            end_plain(c);
        return false;
    case HTTP_INNER_CUT:
        end_cut(c);
        return false;
    default:
        return false;
    }
}

/* Until there is nothing to do, or others wait who have not had their turn. */
static void pump(struct mux_call *c) {
    struct mux *m = c->mux;
    bool turn_over = false;
    for (int i = 0; i < STEPS && !turn_over; i++) {
        if (!step(c))
            return;
        turn_over = !m->speaker && timer_armed(&m->soon);
    }
    http_inner_rest(&c->inner);
    list_remove(&c->link);
    list_insert_before(&m->calls, &c->link);
    timer_arm(m->x->server->loop, &m->soon, (span){ 0 });
}

/* One that takes more than its turn goes to the end of the list: all are looked at, once. */
static void pump_all(struct mux *m) {
    say_error_now(m);
    for (unsigned n = m->ncalls; n > 0 && !list_empty(&m->calls); n--) {
        struct mux_call *c = CONTAINER_OF(m->calls.next, struct mux_call, link);
        list_remove(&c->link);
        list_insert_before(&m->calls, &c->link);
        pump(c);
    }
}

static void call_ready(struct http_inner *i) { pump(CONTAINER_OF(i, struct mux_call, inner)); }
static void soon_over(struct timer *t) { pump_all(CONTAINER_OF(t, struct mux, soon)); }

/* --- what the client says --------------------------------------------------------------------- */

static struct mux_call *find(struct mux *m, const char *id) {
    for (struct link *l = m->calls.next; l != &m->calls; l = l->next) {
        struct mux_call *c = CONTAINER_OF(l, struct mux_call, link);
        if (strcmp(c->id, id) == 0)
            return c;
    }
    return NULL;
}

static void begin_call(struct mux *m, const char *id, char *request, size_t n) {
    struct mux_call *c = calloc(1, sizeof *c);
    if (!c) {
        free(request);
        say_error(m, id, "INTERNAL_ERROR", 500, "out of memory for a request");
        return;
    }
    c->mux = m;
    c->inner.ready = call_ready;
    (void)snprintf(c->id, sizeof c->id, "%s", id);
    int rc = http_inner_begin(&c->inner, m->x->server, m->x->site, request, n);
    if (rc < 0) {
        free(c);
        say_error(m, id, "INTERNAL_ERROR", rc == -EAGAIN ? 429 : 500,
                  "the request cannot be passed on: too many connections, or out of memory");
        return;
    }
    list_insert_before(&m->calls, &c->link);
    m->ncalls++;
}

static void take_request(struct mux *m, const char *id, yyjson_val *ask) {
    const char *fault = NULL;
    size_t n = 0;
    if (find(m, id)) {
        say_error(m, id, "INVALID_REQUEST", 400, "a request of this id is not answered yet");
        return;
    }
    if (m->ncalls >= MAX_MULTIPLEXED) {
        say_error(m, id, "INTERNAL_ERROR", 429,
                  "too many requests at once over this WebSocket: wait for some to be answered");
        return;
    }
    char *request = NULL;
    fault = mux_request(m->x, ask, &request, &n);
    if (!fault)
        begin_call(m, id, request, n);
    else
        say_error(m, id, "INVALID_REQUEST", 400, fault);
}

/* Plain requests go on: only a stream has an end that can be brought about. */
static void take_cancel(struct mux *m, const char *id) {
    struct mux_call *c = find(m, id);
    if (!c)
        return;
    c->cancelled = true;
    pump(c);
}

static void take_ask(struct mux *m, yyjson_val *ask) {
    const char *id = cf_text(ask, "id"), *type = cf_text(ask, "type");
    bool named = id && strlen(id) == cf_bytes(ask, "id").n && strlen(id) <= MAX_MULTIPLEXED_ID;
    if (named && type && strcmp(type, "request") == 0)
        take_request(m, id, ask);
    else if (named && type && strcmp(type, "cancel") == 0)
        take_cancel(m, id);
    else
        say_error(m, named ? id : NULL, "INVALID_REQUEST", 400,
                  "type: request or cancel is needed, and an id of at most 256 bytes");
}

static void message(struct websocket *ws, enum websocket_opcode type, char *bytes, size_t n) {
    (void)type;
    struct mux *m = CONTAINER_OF(ws, struct mux, ws);
    yyjson_read_err e;
    yyjson_doc *doc = http_read_json(bytes, n, &e);
    if (doc)
        take_ask(m, yyjson_doc_get_root(doc));
    else
        say_error(m, NULL, "PARSE_ERROR", 400, "the message is not JSON, or too large a document");
    yyjson_doc_free(doc);
}

/* --- the WebSocket ---------------------------------------------------------------------------- */

static void room(struct websocket *ws) { pump_all(CONTAINER_OF(ws, struct mux, ws)); }

static void over(struct websocket *ws) {
    struct mux *m = CONTAINER_OF(ws, struct mux, ws);
    for (struct link *l = m->calls.next, *next; l != &m->calls; l = next) {
        next = l->next;
        call_free(CONTAINER_OF(l, struct mux_call, link));
    }
    timer_stop(&m->soon);
    free(m);
}

void cf_multiplex(struct http_exchange *x, yyjson_val *body) {
    (void)body;
    struct mux *m = calloc(1, sizeof *m);
    if (!m) {
        cf_no_memory(x, "a WebSocket");
        return;
    }
    m->x = x;
    m->ws = (struct websocket){
        .max_message = MAX_MULTIPLEXED_ASK, .message = message, .room = room, .over = over
    };
    m->soon.fire = soon_over;
    m->stage = TEXT(m->bytes);
    m->error = TEXT(m->error_bytes);
    list_init(&m->calls);
    if (!websocket_accept(&m->ws, x))
        free(m);
}
