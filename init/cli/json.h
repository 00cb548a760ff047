/* json.h — reading what pinnace itself wrote, with harmless answers for what is missing. */
#ifndef CLI_JSON_H
#define CLI_JSON_H

#include <yyjson.h>

static inline const char *json_str(yyjson_val *o, const char *key) {
    const char *s = yyjson_get_str(yyjson_obj_get(o, key));
    return s ? s : "";
}

static inline int64_t json_int(yyjson_val *o, const char *key) {
    return yyjson_get_sint(yyjson_obj_get(o, key));
}

#endif
