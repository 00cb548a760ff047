/* PURE: no I/O. */
#include "engine/json_record.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static const char lead[] = "# pinnace wrote ";
static const char over[] = " over this daemon.json:\n";
static const char none[] = " where no daemon.json was\n";

uint64_t record_hash(struct json_text text) {
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    for (size_t i = 0; i < text.len; i++)
        hash = (hash ^ (unsigned char)text.at[i]) * UINT64_C(0x100000001b3);
    return hash;
}

size_t record_head(char buf[RECORD_HEAD], const struct json_record *r) {
    int n = snprintf(buf, RECORD_HEAD, "%s%016" PRIx64 " %016" PRIx64 "%s", lead, r->wrote[0],
                     r->wrote[1], r->existed ? over : none);
    return (size_t)n;
}

/* Each takes what it expects from the front of `t`. */

static bool take(struct json_text *t, const char *word, size_t len) {
    if (t->len < len || memcmp(t->at, word, len) != 0)
        return false;
    t->at += len;
    t->len -= len;
    return true;
}

static bool take_hash(struct json_text *t, uint64_t *out) {
    static const char digits[] = "0123456789abcdef";
    *out = 0;
    if (t->len < 16)
        return false;
    for (size_t i = 0; i < 16; i++) {
        const char *digit = memchr(digits, t->at[i], 16);
        if (!digit)
            return false;
        *out = *out << 4 | (uint64_t)(digit - digits);
    }
    t->at += 16;
    t->len -= 16;
    return true;
}

bool record_parse(struct json_text text, struct json_record *out) {
    struct json_record r = { 0 };
    memset(out, 0, sizeof *out);
    if (!take(&text, lead, sizeof lead - 1) || !take_hash(&text, &r.wrote[0]) ||
        !take(&text, " ", 1) || !take_hash(&text, &r.wrote[1]))
        return false;
    r.existed = take(&text, over, sizeof over - 1);
    if (!r.existed && (!take(&text, none, sizeof none - 1) || text.len > 0))
        return false;
    r.original = text;
    *out = r;
    return true;
}

bool record_is_ours(const struct json_record *r, struct json_text text) {
    uint64_t hash = record_hash(text);
    return hash == r->wrote[0] || hash == r->wrote[1];
}
