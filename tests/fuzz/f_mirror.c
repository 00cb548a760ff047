/* Any messages in a mirror: its documents stay well-formed JSON. The bytes are what struct
 * fields hold, kept to what PID 1 can write: strings end, a bool is 0 or 1. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <yyjson.h>

#include "channel/mirror.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A year of monotonic time, either way. */
static instant some_time(instant t) { return (instant){ t.ns % (INT64_C(365) * 86400000000000) }; }

static void set_bool(bool *b) {
    unsigned char c;
    memcpy(&c, b, 1);
    *b = (c & 1) != 0;
}

static void sane(union wire_any *m) {
    switch (m->head.kind) {
    case WIRE_BOX:
        set_bool(&m->box.ready);
        m->box.started = some_time(m->box.started);
        m->box.ready_at = m->box.ready_at.ns & 1 ? some_time(m->box.ready_at) : INSTANT_NEVER;
        m->box.reason[sizeof m->box.reason - 1] = '\0';
        break;
    case WIRE_UNIT:
        set_bool(&m->unit.ended);
        m->unit.since = some_time(m->unit.since);
        m->unit.name[sizeof m->unit.name - 1] = '\0';
        m->unit.reason[sizeof m->unit.reason - 1] = '\0';
        break;
    default:
        m->mark.at = some_time(m->mark.at);
    }
}

static void must_be_json(const struct text *t) {
    yyjson_doc *doc = t->cut ? NULL : yyjson_read(t->buf, t->len, 0);
    if (!doc)
        abort();
    yyjson_doc_free(doc);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static struct mirror m;
    static char buf[MAX_JSON_REPLY];
    m = (struct mirror){ 0 };
    while (size > 0) {
        union wire_any msg = { 0 };
        static const uint16_t kinds[] = { WIRE_BOX, WIRE_UNIT, WIRE_MARK, WIRE_QUIT };
        size_t most = sizeof msg - sizeof msg.head, n = size - 1 < most ? size - 1 : most;
        memcpy((char *)&msg + sizeof msg.head, data + 1, n);
        msg.head.kind = kinds[data[0] % 4];
        sane(&msg);
        (void)mirror_take(&m, &msg);
        data += n + 1;
        size -= n + 1;
    }
    struct text t = TEXT(buf);
    mirror_status(&m, (instant){ 1000000000 }, &t);
    must_be_json(&t);
    t = TEXT(buf);
    mirror_timeline(&m, &t);
    must_be_json(&t);
    t = TEXT(buf);
    mirror_ready(&m, &t);
    if (t.len == 0)
        abort();
    return 0;
}
