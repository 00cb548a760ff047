#include "cli/json.h"

yyjson_val *json_get(yyjson_val *o, const char *key) { return yyjson_obj_get(o, key); }

const char *json_str(yyjson_val *o, const char *key) {
    const char *s = yyjson_get_str(json_get(o, key));
    return s ? s : "";
}

int64_t json_int(yyjson_val *o, const char *key) { return yyjson_get_sint(json_get(o, key)); }

bool json_bool(yyjson_val *o, const char *key) { return yyjson_get_bool(json_get(o, key)); }

bool json_has_int(yyjson_val *o, const char *key, int *out) {
    yyjson_val *v = json_get(o, key);
    if (!yyjson_is_int(v))
        return false;
    *out = yyjson_get_int(v);
    return true;
}

bool json_is(yyjson_val *o, const char *key, const char *text) {
    return yyjson_equals_str(json_get(o, key), text);
}

yyjson_val *json_next(yyjson_val *array, yyjson_val **at) {
    yyjson_val *first = yyjson_arr_get_first(array);
    yyjson_val *next = *at ? unsafe_yyjson_get_next(*at) : first;
    /* The one behind the last is the one that follows the array. */
    *at = first && next != unsafe_yyjson_get_next(array) ? next : NULL;
    return *at;
}

yyjson_val *json_list(yyjson_doc *doc, const char *key) {
    yyjson_val *root = yyjson_doc_get_root(doc);
    return yyjson_is_arr(root) ? root : json_get(root, key);
}
