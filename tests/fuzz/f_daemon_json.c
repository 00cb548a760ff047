/* Any bytes as daemon.json, or as the record beside it: no crash, and what is promised holds.
 *
 * The first byte chooses which keys are wanted, and whether the rest is a record. Promises of a
 * merge: a refusal leaves nothing; the result is well-formed, has every wanted key, keeps every
 * byte of the input in order, a second merge changes nothing, and the changes from it to itself
 * are none. Of the readers: what is found has a valid prefix, and fits. Of a record: what is
 * understood is written again as the same bytes.
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/daemon_json.h"
#include "engine/json_record.h"
#include "engine/subnets.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool ok, const char *what) {
    if (ok)
        return;
    (void)fprintf(stderr, "broken promise: %s\n", what);
    abort();
}

/* Is `in` what is left of `out` when something is cut from its middle? */
static bool is_insertion(struct json_text in, const struct json_merged *m) {
    size_t head = 0, tail = 0;
    while (head < in.len && head < m->len && in.at[head] == m->text[head])
        head++;
    while (tail < in.len - head && tail < m->len - head &&
           in.at[in.len - 1 - tail] == m->text[m->len - 1 - tail])
        tail++;
    return head + tail == in.len;
}

static void check_changes(struct json_text in, struct json_text out, const struct json_want *wants,
                          const char *merged) {
    char diff[MAX_JSON_DIFF];
    daemon_json_changes(diff, in, out, wants);
    must(diff[0] == '\0', "no change from a text to itself");
    daemon_json_changes(diff, in, in, wants);
    must(strcmp(diff, merged) == 0, "what a merge adds is what changes");
}

static void check_result(struct json_text in, const struct json_merged *m,
                         const struct json_want *wants) {
    struct daemon_json before, after;
    struct json_merged again;
    struct json_text out = { m->text, m->len };
    must(strlen(m->text) == m->len || memchr(in.at, 0, in.len), "length");
    must(daemon_json_parse(&before, "in", in, NULL) == 0, "the input was understood");
    must(!before.doc || is_insertion(in, m), "the user's bytes stay");
    must(daemon_json_parse(&after, "out", out, NULL) == 0, "the result is well-formed");
    for (size_t i = 0; wants[i].key; i++)
        must(daemon_json_has(&after, wants[i].key), "wanted keys are there");
    must(daemon_json_merge(&again, "out", out, wants, NULL) == 0 && !again.text, "idempotent");
    check_changes(in, out, wants, m->diff);
    daemon_json_free(&before);
    daemon_json_free(&after);
}

static void check_subnets(struct json_text in) {
    struct flag_list given = { 0 };
    struct daemon_json j;
    struct engine_subnets s;
    char flag[256];
    /* The same bytes as a flag's value, too. */
    const char *line[] = { "--default-address-pool", flag };
    (void)snprintf(flag, sizeof flag, "%.*s", (int)(in.len < 255 ? in.len : 255), in.at);
    flags_parse(&given, line, 2);
    (void)daemon_json_parse(&j, "in", in, NULL);
    subnets_find(&given, &j, &s);
    must(s.n <= MAX_SUBNETS, "no more subnets than fit");
    for (size_t i = 0; i < s.n; i++) {
        must(s.v[i].p.len <= ip_bits(&s.v[i].p.ip) && s.v[i].p.ip.family, "each is a prefix");
        must(s.v[i].key[0], "and has its key");
    }
    daemon_json_free(&j);
}

static void check_record(struct json_text in) {
    struct json_record r;
    char head[RECORD_HEAD];
    if (!record_parse(in, &r)) {
        must(!r.original.at && !r.existed, "a refusal leaves nothing");
        return;
    }
    size_t n = record_head(head, &r);
    must(n < RECORD_HEAD && n + r.original.len == in.len, "head and original are the whole");
    must(memcmp(head, in.at, n) == 0, "the same head again");
    must(r.existed || r.original.len == 0, "no text of a file that was not");
    (void)record_is_ours(&r, in);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const struct json_want all[] = { { "storage-driver", "\"vfs\"" },
                                            { "default-address-pools",
                                              "[{\"base\":\"172.20.0.0/16\",\"size\":24}]" },
                                            { "dns", "[\"169.254.53.53\"]" },
                                            { "a", "{\"bridge\":{\"x\":\"1400\"}}" },
                                            { "iptables", "false" },
                                            { NULL, NULL } };
    if (size == 0)
        return 0;
    const struct json_want *wants = all + data[0] % 6;
    struct json_text in = { (const char *)data + 1, size - 1 };
    struct json_merged m;
    struct err e;
    check_record(in);
    check_subnets(in);
    int rc = daemon_json_merge(&m, "in", in, wants, &e);
    must((rc == 1) == (m.text != NULL), "a text exactly when something changed");
    must(rc >= 0 || e.code == -rc, "the error says its code");
    if (rc == 1)
        check_result(in, &m, wants);
    free(m.text);
    return 0;
}
