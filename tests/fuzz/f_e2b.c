/* Messages of the E2B dialect: envelopes in splits that the input asks for are the same as in one
 * piece; and whatever JSON they hold, reading any member in any way stays inside of it. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "channel/e2b/envelope.h"
#include "channel/e2b/proto.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MAX_PAYLOAD = 4096 };

static uint64_t sum; /* so that nothing is left out */

static void mix(const void *bytes, size_t n) {
    for (size_t i = 0; i < n; i++)
        sum = (sum ^ ((const unsigned char *)bytes)[i]) * 0x100000001b3;
}

static void read_members(yyjson_val *m) {
    static const char *const names[] = { "a", "pid", "tag", "includeEntry", "stdin" };
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        struct proto p = { 0 };
        int64_t number = 0;
        size_t n = 0;
        (void)proto_int(&p, m, names[i], -5, 1 << 20, &number);
        if (number < -5 || number > 1 << 20)
            abort();
        const char *text = proto_text(&p, m, names[i]);
        int64_t s;
        int32_t ns;
        if (text && rfc3339_parse(text, &s, &ns) && (ns < 0 || ns > 999999999))
            abort();
        (void)proto_bool(&p, m, names[i]);
        (void)proto_list(&p, m, names[i]);
        yyjson_val *inner = proto_message(&p, m, names[i]);
        if (inner)
            (void)proto_text(&p, inner, "tag");
        const char *bytes = proto_bytes(&p, m, names[i], &n); /* last: it decodes in place */
        if (bytes)
            mix(bytes, n);
    }
}

static void read_message(const struct envelope *e, bool parse) {
    mix(&e->flags, sizeof e->flags);
    mix(e->payload, e->len);
    yyjson_doc *doc =
        parse ? yyjson_read_opts(e->payload, e->len, YYJSON_READ_INSITU, NULL, NULL) : NULL;
    if (doc)
        read_members(yyjson_doc_get_root(doc));
    yyjson_doc_free(doc);
}

static int64_t read_all(const char *in, size_t n, size_t step, bool parse) {
    struct envelope e = { 0 };
    int64_t end = 0;
    sum = 1;
    for (size_t at = 0; at < n && end >= 0;) {
        size_t k = n - at < step ? n - at : step;
        int64_t used = envelope_take(&e, in + at, k, MAX_PAYLOAD);
        if (used == 0 || used > (int64_t)k)
            abort();
        at += used < 0 ? 0 : (size_t)used;
        end = used < 0 ? used : (int64_t)at;
        if (!e.whole)
            continue;
        read_message(&e, parse);
        envelope_next(&e);
    }
    envelope_next(&e);
    return end;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < 1)
        return 0;
    const char *in = (const char *)data + 1;
    int64_t whole = read_all(in, size - 1, size, false);
    uint64_t seen = sum;
    if (read_all(in, size - 1, 1U + data[0] % 17U, false) != whole || sum != seen)
        abort();
    (void)read_all(in, size - 1, size, true);
    return 0;
}
