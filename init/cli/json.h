/* json.h — reading what pinnace itself wrote, with harmless answers for what is missing. Functions,
 * since yyjson's own are inline, and large. */
#ifndef CLI_JSON_H
#define CLI_JSON_H

#include <yyjson.h>

/* A member of an object; NULL, which all of these take. */
yyjson_val *json_get(yyjson_val *o, const char *key);
const char *json_str(yyjson_val *o, const char *key); /* "" */
int64_t json_int(yyjson_val *o, const char *key);     /* 0 */
bool json_bool(yyjson_val *o, const char *key);
/* Is there a number? Then it is in *out. */
bool json_has_int(yyjson_val *o, const char *key, int *out);
bool json_is(yyjson_val *o, const char *key, const char *text);

/* The next element of an array: *at moves on from 0 to each. NULL at its end. */
yyjson_val *json_next(yyjson_val *array, yyjson_val **at);
/* A document that is an array itself, or has one as a member of this name. */
yyjson_val *json_list(yyjson_doc *doc, const char *key);

#endif
