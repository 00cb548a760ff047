#include "channel/e2b/e2b.h"

void e2b_files_get(struct http_exchange *x, yyjson_val *body) {
    (void)body;
    e2b_http_fail(x, 501, "not yet");
}
void e2b_files_post(struct http_exchange *x, yyjson_val *body) {
    (void)body;
    e2b_http_fail(x, 501, "not yet");
}
void e2b_files_compose(struct http_exchange *x, yyjson_val *body) {
    (void)body;
    e2b_http_fail(x, 501, "not yet");
}
