/* A JSON object in splits that the input asks for: what yyjson takes, with the same texts for the
 * same members, and nothing else; in any splits the same. Three differences are meant: a half of a
 * surrogate pair is U+FFFD, and not refused; nesting has a bound; and a number may have any size.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <yyjson.h>

#include "http/json_scan.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define must(ok) ((ok) ? (void)0 : abort())

enum { MEMBERS = 64 };

struct seen {
    bool good;
    size_t n;
    struct {
        char name[JSON_SCAN_NAME];
        bool text;
        size_t len;
        uint64_t hash;
    } members[MEMBERS];
};

static uint64_t mix(uint64_t hash, const char *bytes, size_t n) {
    for (size_t i = 0; i < n; i++)
        hash = (hash ^ (unsigned char)bytes[i]) * 0x100000001b3;
    return hash;
}

static void add(struct seen *s, const struct json_scan *scan, bool text) {
    if (s->n < MEMBERS) {
        memcpy(s->members[s->n].name, scan->name, JSON_SCAN_NAME);
        s->members[s->n].text = text;
        s->members[s->n].hash = 1;
        s->members[s->n].len = 0;
    }
    s->n++;
}

static void scan_all(struct seen *s, const char *in, size_t n, size_t step) {
    struct json_scan scan = { 0 };
    bool within = false;
    int idle = 0;
    memset(s, 0, sizeof *s);
    for (size_t at = 0; at < n;) {
        struct slice piece;
        size_t used, k = n - at < step ? n - at : step;
        enum json_scan_event e = json_scan_next(&scan, in + at, k, &used, &piece);
        must(used <= k && (used > 0 || e != JSON_SCAN_NONE));
        idle = used ? 0 : idle + 1;
        must(idle < 4);
        at += used;
        if (e == JSON_SCAN_BAD)
            return;
        if ((e == JSON_SCAN_TEXT || e == JSON_SCAN_END) && !within)
            add(s, &scan, true);
        if (e == JSON_SCAN_OTHER)
            add(s, &scan, false);
        within = e == JSON_SCAN_TEXT || (within && e != JSON_SCAN_END);
        must(e == JSON_SCAN_NONE || json_scan_in_text(&scan) == within);
        must(e != JSON_SCAN_END || in[at - 1] == '"');
        if (e == JSON_SCAN_TEXT && s->n <= MEMBERS) {
            s->members[s->n - 1].hash = mix(s->members[s->n - 1].hash, piece.s, piece.n);
            s->members[s->n - 1].len += piece.n;
        }
    }
    s->good = scan.done;
}

/* Does it have what the two differ in? */
static bool may_differ(const char *in, size_t n) {
    unsigned depth = 0, most = 0;
    for (size_t i = 0; i < n; i++) {
        depth += in[i] == '{' || in[i] == '[';
        most = depth > most ? depth : most;
    }
    return most >= JSON_SCAN_DEPTH - 1 || memmem(in, n, "\\ud", 3) || memmem(in, n, "\\uD", 3);
}

static bool same_name(const char *name, yyjson_val *key) {
    size_t n = yyjson_get_len(key);
    if (n >= JSON_SCAN_NAME || memchr(yyjson_get_str(key), '\0', n))
        return *name == '\0';
    return strlen(name) == n && memcmp(name, yyjson_get_str(key), n) == 0;
}

static void compare(const struct seen *s, const char *in, size_t n) {
    yyjson_doc *doc = yyjson_read(in, n, YYJSON_READ_BIGNUM_AS_RAW);
    yyjson_val *root = yyjson_doc_get_root(doc), *key, *value;
    size_t i, max;
    must(s->good == yyjson_is_obj(root) || may_differ(in, n));
    if (s->good && yyjson_is_obj(root)) {
        must(s->n == yyjson_obj_size(root));
        yyjson_obj_foreach(root, i, max, key, value) {
            if (i >= MEMBERS)
                break;
            must(same_name(s->members[i].name, key));
            must(s->members[i].text == yyjson_is_str(value));
            must(!yyjson_is_str(value) ||
                 (s->members[i].len == yyjson_get_len(value) &&
                  s->members[i].hash == mix(1, yyjson_get_str(value), yyjson_get_len(value))));
        }
    }
    yyjson_doc_free(doc);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static struct seen whole, split;
    if (size < 2)
        return 0;
    const char *in = (const char *)data + 1;
    scan_all(&whole, in, size - 1, size);
    scan_all(&split, in, size - 1, 1U + data[0] % 19U);
    must(whole.good == split.good);
    if (whole.good)
        must(whole.n == split.n && memcmp(&whole, &split, sizeof whole) == 0);
    compare(&whole, in, size - 1);
    return 0;
}
