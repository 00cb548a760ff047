/* Any bytes as header fields of a request for a file. Promises: nothing is read beyond the head;
 * what is taken of metadata is printable, as long as it may be, and each key is there once; a
 * disposition is printable. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "channel/e2b/fields.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool ok) {
    if (!ok)
        abort();
}

static void printable(const char *s) {
    for (; *s; s++)
        must(*s >= ' ' && *s <= '~');
}

static void check_metadata(const struct http_head *h) {
    static struct metadata m;
    struct err e = { 0 };
    size_t sum = 0;
    if (metadata_take(&m, h, &e) < 0) {
        must(e.code != 0 && *e.text);
        return;
    }
    for (const char **p = m.entries; *p; p++) {
        size_t key = strcspn(*p, "=");
        printable(*p);
        must((*p)[key] == '=' && key > 0 && key <= MAX_METADATA_KEY);
        sum += METADATA_PREFIX + strlen(*p) - 1;
        for (const char **other = m.entries; other < p; other++)
            must(strncmp(*other, *p, key + 1) != 0);
    }
    must(sum <= MAX_METADATA);
}

static void check_disposition(const char *name) {
    char buf[4096];
    struct text t = TEXT(buf);
    put_disposition(&t, name);
    printable(buf);
}

static void check_choice(const struct http_head *h) {
    struct codings c = codings_accepted(h);
    struct sending s = { .type = "text/plain", .size = h->len, .particular = h->nfields & 1 };
    enum sent_as as = coding_choose(c, &s);
    must(as != SENT_GZIP || c.gzip);
    must(as != SENT_PLAIN || c.identity);
    must(!c.wanted || c.gzip);
    (void)body_coding(h);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const char line[] = "GET / HTTP/1.1\r\nHost: x\r\n", end[] = "\r\n\r\n";
    size_t n = sizeof line - 1 + size + sizeof end - 1;
    char *head = malloc(n + 1);
    struct http_head h;
    must(head != NULL);
    memcpy(head, line, sizeof line - 1);
    memcpy(head + sizeof line - 1, data, size);
    memcpy(head + sizeof line - 1 + size, end, sizeof end);
    if (http_parse_request(&h, head, n) == 0) {
        char versions[256];
        struct text t = TEXT(versions);
        check_metadata(&h);
        check_choice(&h);
        (void)put_versions(&t, http_field(&h, "If-Match"));
    }
    check_disposition(head);
    free(head);
    return 0;
}
