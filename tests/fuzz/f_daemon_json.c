/* Any bytes as daemon.json: no crash, and what a merge promises holds.
 *
 * The first byte chooses which keys are wanted. Promises: a refusal leaves nothing; the
 * result is well-formed, has every wanted key, keeps every byte of the input in order,
 * and a second merge changes nothing.
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/daemon_json.h"

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
    daemon_json_free(&before);
    daemon_json_free(&after);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const struct json_want all[] = { { "storage-driver", "\"vfs\"" },
                                            { "a", "[\"169.254.53.53\"]" },
                                            { "iptables", "false" },
                                            { NULL, NULL } };
    if (size == 0)
        return 0;
    const struct json_want *wants = all + data[0] % 4;
    struct json_text in = { (const char *)data + 1, size - 1 };
    struct json_merged m;
    struct err e;
    int rc = daemon_json_merge(&m, "in", in, wants, &e);
    must((rc == 1) == (m.text != NULL), "a text exactly when something changed");
    must(rc >= 0 || e.code == -rc, "the error says its code");
    if (rc == 1)
        check_result(in, &m, wants);
    free(m.text);
    return 0;
}
