/* proto.h — messages in the JSON mapping of Protocol Buffers (protobuf.dev, "ProtoJSON Format").
 * PURE but for malloc.
 *
 * Members are named in lowerCamelCase; snake_case is understood too, null means absent, and members
 * that are not known are passed over.
 */
#ifndef CHANNEL_E2B_PROTO_H
#define CHANNEL_E2B_PROTO_H

#include <stdbool.h>
#include <stdint.h>
#include <yyjson.h>

#include "base/err.h"
#include "base/str.h"

/* Reads members one after the other; the first that is of a wrong kind is kept in `err`. */
struct proto {
    struct err err; /* err.code != 0: something was wrong */
};

/* A member by its lowerCamelCase name, or NULL. */
yyjson_val *proto_get(yyjson_val *message, const char *name);
/* The same, which must be an object. */
yyjson_val *proto_message(struct proto *p, yyjson_val *message, const char *name);
/* The same, an array. */
yyjson_val *proto_list(struct proto *p, yyjson_val *message, const char *name);
/* A text without NUL; NULL when absent. Borrowed from the document. */
const char *proto_text(struct proto *p, yyjson_val *message, const char *name);
bool proto_bool(struct proto *p, yyjson_val *message, const char *name);
/* An integer between min and max, written as a number or as its digits in a text. False: absent. */
bool proto_int(struct proto *p, yyjson_val *message, const char *name, int64_t min, int64_t max,
               int64_t *out);
/* Bytes, decoded in place, in the document: good as long as that is. NULL when absent. */
const char *proto_bytes(struct proto *p, yyjson_val *message, const char *name, size_t *n);

/* --- the other way ---------------------------------------------------------------------------- */

/* ,"NAME":"TEXT", without the comma after a brace or bracket; nothing when it is empty. */
void proto_put_text(struct text *t, const char *name, const char *value);
/* A google.protobuf.Timestamp, RFC 3339 in UTC, with 0, 3, 6 or 9 digits below the second. */
void proto_put_time(struct text *t, const char *name, int64_t s, int32_t ns);
/* A comma, unless a brace or bracket was opened just before. */
void proto_comma(struct text *t);

/* RFC 3339, any offset and any number of digits below the second. False: it is not. */
bool rfc3339_parse(const char *text, int64_t *s, int32_t *ns);

/* Mode as Go's FileMode prints it: "-rw-r--r--", "Lrwxrwxrwx", "dtrwxrwxrwx". */
void go_mode(unsigned mode, char out[16]);

#endif
