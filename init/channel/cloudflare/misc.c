/* misc.c — is there somebody, and which version. */
#include <stdlib.h>
#include <string.h>

#include "channel/cloudflare/hold.h"

static void say_hello(struct http_exchange *x, char *kept) {
    (void)kept;
    static const char hello[] = "Hello from pinnace\n";
    http_answer(x, 200, "text/plain", hello, sizeof hello - 1);
}

/* Any answer tells the platform that the container has started. */
void cf_root(struct http_exchange *x, yyjson_val *body) {
    (void)body;
    cf_hold(x, HOLD_ALL, say_hello, NULL);
}

void cf_ping(struct http_exchange *x, yyjson_val *body) {
    (void)body;
    char buf[64];
    struct text t = TEXT(buf);
    cf_put(&t, "status", "healthy");
    cf_ok(x, &t);
}

/* The SDK writes to its log that it is another one than its own, no more. */
void cf_version(struct http_exchange *x, yyjson_val *body) {
    (void)body;
    char buf[4096];
    struct text t = TEXT(buf);
    const char *version = cf_env_value(channel_of(x), "SANDBOX_VERSION");
    cf_put(&t, "version", version && *version ? version : "unknown");
    cf_ok(x, &t);
}

/* It is in the SDK's tables, and no version of the server has answered it. */
void cf_commands(struct http_exchange *x, yyjson_val *body) {
    (void)body;
    cf_fail(x, CF_UNKNOWN_ERROR, NULL, "Invalid endpoint");
}
