#include "channel/native/native.h"
void native_file_get(struct http_exchange *x, yyjson_val *body) { (void)body; native_fail(x, 501, "no", "no"); }
void native_file_put(struct http_exchange *x, yyjson_val *body) { (void)body; native_fail(x, 501, "no", "no"); }
void native_file_delete(struct http_exchange *x, yyjson_val *body) { (void)body; native_fail(x, 501, "no", "no"); }
void native_stat(struct http_exchange *x, yyjson_val *body) { (void)body; native_fail(x, 501, "no", "no"); }
void native_list(struct http_exchange *x, yyjson_val *body) { (void)body; native_fail(x, 501, "no", "no"); }
void native_mkdir(struct http_exchange *x, yyjson_val *body) { (void)body; native_fail(x, 501, "no", "no"); }
void native_move(struct http_exchange *x, yyjson_val *body) { (void)body; native_fail(x, 501, "no", "no"); }
void native_copy(struct http_exchange *x, yyjson_val *body) { (void)body; native_fail(x, 501, "no", "no"); }
void native_chmod(struct http_exchange *x, yyjson_val *body) { (void)body; native_fail(x, 501, "no", "no"); }
void native_tar_get(struct http_exchange *x, yyjson_val *body) { (void)body; native_fail(x, 501, "no", "no"); }
void native_tar_put(struct http_exchange *x, yyjson_val *body) { (void)body; native_fail(x, 501, "no", "no"); }
void native_watch(struct http_exchange *x, yyjson_val *body) { (void)body; native_fail(x, 501, "no", "no"); }
