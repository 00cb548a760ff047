#include "channel/mirror.h"

#include <stdlib.h>
#include <string.h>
#include <yyjson.h>

#include "svc/fsm.h"
#include "tests/unit/tap.h"

static struct mirror m;
static char buf[1 << 20];
static yyjson_doc *doc;

static struct wire_unit unit(int i, const char *name, enum svc_state state, const char *reason) {
    struct wire_unit u = { .head = WIRE_HEAD(WIRE_UNIT, struct wire_unit),
                           .index = i,
                           .state = (int)state,
                           .pid = 40 + i,
                           .since = { 5000000 } };
    (void)snprintf(u.name, sizeof u.name, "%s", name);
    (void)snprintf(u.reason, sizeof u.reason, "%s", reason);
    return u;
}

static bool take(const void *msg, size_t n) {
    union wire_any any;
    memcpy(&any, msg, n);
    return mirror_take(&m, &any);
}
#define TAKE(x) take(&(x), sizeof(x))

static struct wire_box box(void) {
    return (struct wire_box){ .head = WIRE_HEAD(WIRE_BOX, struct wire_box),
                              .seq = 7,
                              .phase = PHASE_SERVE,
                              .pid = 1,
                              .started = { 1000000 },
                              .ready_at = INSTANT_NEVER };
}

static yyjson_val *parsed(void (*print)(const struct mirror *, struct text *)) {
    struct text t = TEXT(buf);
    yyjson_doc_free(doc);
    if (print)
        print(&m, &t);
    else
        mirror_status(&m, (instant){ 9999999 }, &t);
    doc = t.cut || buf[t.len - 1] != '\n' ? NULL : yyjson_read(buf, t.len, 0);
    return yyjson_doc_get_root(doc);
}

static const char *ready(void) {
    struct text t = TEXT(buf);
    mirror_ready(&m, &t);
    return buf;
}

static int64_t num(yyjson_val *v, const char *key) {
    return yyjson_get_sint(yyjson_obj_get(v, key));
}
static bool str(yyjson_val *v, const char *key, const char *want) {
    return yyjson_equals_str(yyjson_obj_get(v, key), want);
}

static void shows_an_empty_box(void) {
    m = (struct mirror){ 0 };
    yyjson_val *v = parsed(NULL);
    OK(v && yyjson_arr_size(yyjson_obj_get(v, "units")) == 0, "status before anything came");
    OK(parsed(mirror_timeline) != NULL, "timeline before anything came");
    OK(strcmp(ready(), "starting\n") == 0, "not ready: %s", buf);
}

static void shows_a_box(void) {
    struct wire_box b = box();
    struct wire_unit u = unit(0, "db", SVC_STARTING, "tcp: refused"),
                     w = unit(1, "w", SVC_READY, "");
    u.starts = 3, u.failures = 2, u.kind = 1;
    w.ended = true, w.exit_status = 137, w.kind = 2;
    OK(TAKE(b) && TAKE(u) && TAKE(w) && m.known && m.nunits == 2, "taken");
    yyjson_val *v = parsed(NULL), *units = yyjson_obj_get(v, "units"),
               *one = yyjson_arr_get(units, 0), *two = yyjson_arr_get(units, 1);
    OK(str(v, "phase", "serve") && num(v, "seq") == 7 && num(v, "up_ms") == 8 && num(v, "pid") == 1,
       "the box: %s", buf);
    OK(yyjson_is_null(yyjson_obj_get(v, "ready_after_ms")) &&
           yyjson_is_false(yyjson_obj_get(v, "ready")),
       "not ready yet");
    OK(str(one, "name", "db") && str(one, "state", "starting") && str(one, "kind", "engine") &&
           num(one, "since_ms") == 4 && num(one, "starts") == 3 && num(one, "failures") == 2 &&
           num(one, "pid") == 40 && yyjson_is_null(yyjson_obj_get(one, "exit_status")) &&
           str(one, "reason", "tcp: refused"),
       "a unit");
    OK(num(two, "exit_status") == 137 && str(two, "kind", "main"), "one that ended");
    OK(strcmp(ready(), "db: starting: tcp: refused\n") == 0, "why it is not ready: %s", buf);
    b.ready = true, b.ready_at = (instant){ 4000000 };
    OK(TAKE(b) && strcmp(ready(), "ready\n") == 0, "ready");
    v = parsed(NULL);
    OK(num(v, "ready_after_ms") == 3 && yyjson_is_true(yyjson_obj_get(v, "ready")), "after 3 ms");
    b.ready = false;
    (void)snprintf(b.reason, sizeof b.reason, "shutdown");
    u.state = SVC_DONE;
    OK(TAKE(b) && TAKE(u) && strcmp(ready(), "shutdown\n") == 0, "its own reason: %s", buf);
    static const char *const phases[] = { "prepare", "boot", "serve", "drain", "end", "unknown" };
    for (int p = 0; p <= PHASE_END + 1; p++) {
        b.phase = p;
        OK(TAKE(b) && str(parsed(NULL), "phase", phases[p]), "phase %s", phases[p]);
    }
}

static void stays_json_whatever_the_text(void) {
    static const char *const hostile[] = { "\"",       "\\",        "\n\r\t", "\x01\x1f\x7f",
                                           "\xff\xfe", "</script>", "\xc3",   "a\xed\xa0\x80z",
                                           "%s%n",     "{}[]," };
    for (size_t i = 0; i < sizeof hostile / sizeof hostile[0]; i++) {
        struct wire_box b = box();
        struct wire_unit u = unit(0, hostile[i], (enum svc_state)(int)(99 * i), hostile[i]);
        struct wire_mark k = { .head = WIRE_HEAD(WIRE_MARK, struct wire_mark), .at = { 2000000 } };
        (void)snprintf(b.reason, sizeof b.reason, "%s", hostile[i]);
        u.kind = (int)i - 1;
        m = (struct mirror){ 0 };
        bool taken = TAKE(b) && TAKE(u) && TAKE(k);
        OK(taken && parsed(NULL) && parsed(mirror_timeline), "hostile text %zu: %s", i, buf);
    }
}

static struct wire_mark mark(int64_t ns, int u, int kind) {
    return (struct wire_mark){
        .head = WIRE_HEAD(WIRE_MARK, struct wire_mark), .at = { ns }, .unit = u, .kind = kind
    };
}

static void shows_the_timeline(void) {
    m = (struct mirror){ 0 };
    struct wire_box b = box();
    struct wire_unit u = unit(0, "db", SVC_READY, "");
    struct wire_mark k = mark(1000000, -1, MARK_START);
    b.marks_lost = 4;
    OK(TAKE(b) && TAKE(u) && TAKE(k), "taken");
    k = mark(13005000, 0, MARK_READY);
    OK(TAKE(k), "taken");
    k = mark(500000, 1, 999); /* before the start; a unit and a kind that are none */
    OK(TAKE(k), "taken");
    yyjson_val *v = parsed(mirror_timeline), *marks = yyjson_obj_get(v, "marks");
    OK(v && num(v, "marks_lost") == 4 && yyjson_arr_size(marks) == 3, "timeline: %s", buf);
    OK(strstr(buf, "{\"at_ms\":0.000,\"unit\":null,\"event\":\"pinnace started\"}") &&
           strstr(buf, "{\"at_ms\":12.005,\"unit\":\"db\",\"event\":\"ready\"}"),
       "marks: %s", buf);
    OK(yyjson_is_null(yyjson_obj_get(yyjson_arr_get(marks, 2), "unit")) &&
           str(yyjson_arr_get(marks, 2), "event", "unknown"),
       "a strange one");
    for (int i = 3; i < MAX_MARKS; i++)
        (void)TAKE(k);
    OK(m.nmarks == MAX_MARKS && !TAKE(k) && m.nmarks == MAX_MARKS, "mark %d is refused",
       MAX_MARKS + 1);
    OK(parsed(mirror_timeline) != NULL, "a full timeline");
}

static void bounds_units(void) {
    m = (struct mirror){ 0 };
    struct wire_unit u = unit(MAX_UNITS - 1, "last", SVC_DOWN, "");
    OK(TAKE(u) && m.nunits == MAX_UNITS && parsed(NULL), "the last unit alone");
    u.index = MAX_UNITS;
    OK(!TAKE(u), "one past it");
    u.index = -1;
    OK(!TAKE(u) && m.nunits == MAX_UNITS, "one before the first");
    for (u.index = 0; u.index < MAX_UNITS; u.index++) {
        memset(u.name, '\x01', MAX_NAME - 1);
        memset(u.reason, '\x01', MAX_PROBE_REASON - 1);
        (void)TAKE(u);
    }
    OK(parsed(NULL) && strlen(buf) < MAX_JSON_REPLY, "the longest status has %zu bytes",
       strlen(buf));
    struct wire_word w = { .head = WIRE_HEAD(WIRE_QUIT, struct wire_word) };
    OK(!TAKE(w), "what is not for a mirror");
}

int main(void) {
    shows_an_empty_box();
    shows_a_box();
    stays_json_whatever_the_text();
    shows_the_timeline();
    bounds_units();
    yyjson_doc_free(doc);
    return tap_end();
}
