/* box.c — the box and its units over HTTP. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/own.h"
#include "channel/box_waits.h"
#include "channel/metrics.h"
#include "channel/native/native.h"
#include "channel/outflow.h"
#include "channel/top.h"
#include "channel/unit_log.h"

enum { LONG_POLL_S = 300 }; /* an unchanged ?after= is answered all the same */

static bool no_params(struct http_exchange *x) {
    return native_params(x, (const char *const[]){ NULL });
}

/* --- documents -------------------------------------------------------------------------------- */

static void answer_text(struct http_exchange *x, int status, const char *type,
                        const struct text *t) {
    http_add_field(x, "Cache-Control", "no-store");
    http_answer(x, status, type, t->buf, t->len);
}

/* `add` writes it; at most MAX_JSON_REPLY bytes. */
static void answer_document(struct http_exchange *x, const char *type,
                            void (*add)(const struct channel *ch, struct text *t)) {
    AUTO_FREE char *buf = malloc(MAX_JSON_REPLY);
    struct text t = { .buf = buf, .cap = MAX_JSON_REPLY };
    if (!buf) {
        native_fail(x, 500, "internal", "out of memory");
        return;
    }
    add(channel_of(x), &t);
    if (t.cut)
        native_fail(x, 500, "internal", "the document is larger than %d bytes", MAX_JSON_REPLY);
    else
        answer_text(x, 200, type, &t);
}

void native_livez(struct http_exchange *x, yyjson_val *body) {
    (void)body;
    http_answer(x, 200, "text/plain", "alive\n", 6);
}

void native_readyz(struct http_exchange *x, yyjson_val *body) {
    (void)body;
    char buf[16384];
    struct text t = TEXT(buf);
    const struct mirror *m = &channel_of(x)->mirror;
    mirror_ready(m, &t);
    answer_text(x, m->box.ready ? 200 : 503, "text/plain", &t);
}

void native_metrics(struct http_exchange *x, yyjson_val *body) {
    (void)body;
    if (no_params(x))
        answer_document(x, METRICS_TYPE, metrics_text);
}

static void add_timeline(const struct channel *ch, struct text *t) {
    mirror_timeline(&ch->mirror, t);
}

void native_timeline(struct http_exchange *x, yyjson_val *body) {
    (void)body;
    if (no_params(x))
        answer_document(x, "application/json", add_timeline);
}

void native_top(struct http_exchange *x, yyjson_val *body) {
    (void)body;
    if (no_params(x) && !top_begin(x))
        native_fail(x, 500, "internal", "cannot fork to read /proc");
}

/* --- status ----------------------------------------------------------------------------------- */

static void add_status(const struct channel *ch, struct text *t) {
    mirror_status(&ch->mirror, ch->loop.now, t);
}

static void answer_status(struct http_exchange *x) {
    answer_document(x, "application/json", add_status);
}

void native_status(struct http_exchange *x, yyjson_val *body) {
    (void)body;
    int64_t after = 0;
    if (!native_params(x, (const char *const[]){ "after", NULL }) ||
        !native_number(x, "after", 0, INT64_MAX, &after))
        return;
    if (after == 0 || (uint64_t)after < channel_of(x)->mirror.box.seq)
        answer_status(x);
    else if (!box_wait_change(x, (uint64_t)after, span_s(LONG_POLL_S), answer_status))
        native_fail(x, 500, "internal", "out of memory");
}

/* --- units ------------------------------------------------------------------------------------ */

static int find_unit(struct http_exchange *x) {
    char name[MAX_NAME];
    const struct mirror *m = &channel_of(x)->mirror;
    int n = http_decode(x->params[0], name, sizeof name);
    for (size_t i = 0; n > 0 && i < m->nunits; i++)
        if (strcmp(m->units[i].name, name) == 0)
            return (int)i;
    native_fail(x, 404, "not_found", "there is no unit '%s'; GET /v1/status lists them",
                n > 0 ? name : "");
    return -1;
}

static void answer_done(struct http_exchange *x, const struct wire_unit_do *did) {
    char buf[48];
    struct text t = TEXT(buf);
    text_add(&t, "{\"seq\":%llu}\n", (unsigned long long)channel_of(x)->mirror.box.seq);
    if (did->code == 0)
        http_answer(x, 202, "application/json", t.buf, t.len);
    else if (did->code == EPERM)
        native_fail(x, 403, "permission", "%.*s", MAX_PROBE_REASON - 1, did->reason);
    else
        native_fail(x, 409, "state", "%.*s", MAX_PROBE_REASON - 1, did->reason);
}

static void act(struct http_exchange *x, enum unit_act act) {
    int unit = no_params(x) ? find_unit(x) : -1;
    int rc = unit >= 0 ? box_act(x, unit, act, answer_done) : 0;
    if (rc == -EAGAIN)
        native_fail(x, 429, "limit", "PID 1 has %d requests for units to answer first", MAX_ASKED);
    else if (rc < 0)
        native_fail(x, 500, "internal", "PID 1 cannot be told: %s", strerror(-rc));
}

void native_unit_start(struct http_exchange *x, yyjson_val *body) {
    (void)body;
    act(x, UNIT_START);
}

void native_unit_stop(struct http_exchange *x, yyjson_val *body) {
    (void)body;
    act(x, UNIT_STOP);
}

void native_unit_restart(struct http_exchange *x, yyjson_val *body) {
    (void)body;
    act(x, UNIT_RESTART);
}

void native_unit_log(struct http_exchange *x, yyjson_val *body) {
    (void)body;
    const struct channel *ch = channel_of(x);
    struct unit_log l = { .dir = ch->role->log_dir, .tail = -1 };
    if (!native_params(x, (const char *const[]){ "follow", "tail", "since_ms", NULL }) ||
        !native_flag(x, "follow", &l.follow) || !native_number(x, "tail", 0, INT32_MAX, &l.tail) ||
        !native_number(x, "since_ms", 0, INT64_C(253402300799999), &l.since_unix_ms))
        return;
    int unit = find_unit(x);
    if (unit < 0)
        return;
    memcpy(l.name, ch->mirror.units[unit].name, sizeof l.name);
    if (strcmp(l.name, "main") == 0)
        native_fail(x, 409, "state", "CMD writes to the box's own output, which is not kept here");
    else if (!l.dir)
        native_fail(x, 409, "state", "there are no log files: [pinnace] log-dir says none");
    else if (!outflow_begin(x, "text/plain; charset=utf-8", unit_log_write, &l))
        native_fail(x, 500, "internal", "cannot fork to read the log");
}
