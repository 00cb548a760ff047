/* Any JSON as a request over /ws: refused, or one HTTP message that says just what was asked for,
 * with no field of the connection's but our own, and nothing behind it. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "channel/cloudflare/multiplex.h"
#include "channel/gate.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define must(ok) ((ok) ? (void)0 : abort())

/* The path without what had to be encoded, as the head has it. */
static void check_path(const struct http_head *h, const char *path) {
    char decoded[MAX_HTTP_LINE];
    struct slice rest = h->target;
    bool encoded = strchr(path, '%') != NULL; /* then what the client has encoded is, too */
    must(rest.n > 0 && rest.s[0] == '/');
    if (!encoded && http_decode(rest, decoded, sizeof decoded) >= 0)
        must(strcmp(decoded, path) == 0);
}

static void check(const char *request, size_t n, yyjson_val *ask, bool token) {
    static struct http_head h;
    struct http_scan scan = { 0 };
    int len = http_scan(&scan, request, n < MAX_HTTP_HEAD ? n : MAX_HTTP_HEAD);
    must(len != 0);
    if (len < 0) /* too many fields: it will be refused */
        return;
    int rc = http_parse_request(&h, request, (size_t)len);
    if (rc < 0)
        return;
    must(http_is(h.method, cf_text(ask, "method")));
    check_path(&h, cf_text(ask, "path"));
    must(http_is(http_field(&h, "Host"), "pinnace") && http_count(&h, "Host") == 1);
    must(!h.keep_alive && !h.upgrade && !h.expects && !http_field(&h, "Transfer-Encoding").s);
    must(http_count(&h, "Content-Length") <= 1);
    must((size_t)len + (h.framing == HTTP_LENGTH ? h.length : 0) == n);
    if (token)
        must(http_count(&h, "Authorization") == 1 &&
             http_is(http_field(&h, "Authorization"), "Bearer t0ken"));
    yyjson_val *body = yyjson_obj_get(ask, "body");
    must((h.framing == HTTP_LENGTH) == (body && !yyjson_is_null(body)));
    if (h.framing != HTTP_LENGTH)
        return;
    yyjson_doc *again = yyjson_read(request + len, n - (size_t)len, YYJSON_READ_NOFLAG);
    must(yyjson_equals(yyjson_doc_get_root(again), body) || !yyjson_is_ctn(body));
    must(again);
    yyjson_doc_free(again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct gate gate = { 0 };
    struct http_exchange x = { .site = &gate.site };
    char *request = NULL;
    size_t n = 0;
    if (size < 2)
        return 0;
    gate.token = data[0] & 1 ? (char *)(uintptr_t) "t0ken" : NULL;
    yyjson_doc *doc = yyjson_read((const char *)data + 1, size - 1, YYJSON_READ_NOFLAG);
    const char *fault = doc ? mux_request(&x, yyjson_doc_get_root(doc), &request, &n) : "no JSON";
    must(!fault == (request != NULL));
    if (request)
        check(request, n, yyjson_doc_get_root(doc), gate.token != NULL);
    free(request);
    yyjson_doc_free(doc);
    return 0;
}
