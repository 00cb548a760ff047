/* daemon_json.h — PURE: read dockerd's daemon.json, and add keys to it.
 *
 *     struct daemon_json j;
 *     if (daemon_json_parse(&j, path, text, &e) < 0) ...
 *     if (!daemon_json_has(&j, "storage-driver")) ...
 *     daemon_json_free(&j);
 *
 * The file belongs to the user. A key that is there wins over any wish of ours, and
 * adding one inserts text: every byte that was there before, order, spacing, numbers
 * and unknown keys, is there afterwards. So a second merge changes nothing.
 */
#ifndef ENGINE_DAEMON_JSON_H
#define ENGINE_DAEMON_JSON_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

enum { MAX_JSON_DIFF = 1024 }; /* bytes of the line that tells what changed; cut, ends in "..." */

/* The bytes of a file; need no NUL. */
struct json_text {
    const char *at;
    size_t len;
};

struct daemon_json {
    void *pool; /* all memory of the document: one block, sized before parsing */
    void *doc;  /* yyjson_doc in it; NULL for a file with nothing in it */
};

/* Accepts what dockerd accepts: one JSON object, or nothing but space; a UTF-8 byte
 * order mark in front. -EINVAL with "NAME:LINE:COLUMN: why" for anything else (columns
 * count bytes), -EILSEQ for text that is UTF-16 or not UTF-8 (dockerd may still take
 * it), -EFBIG above MAX_DAEMON_JSON, -ENOMEM. On failure `j` is empty and safe to use. */
int daemon_json_parse(struct daemon_json *j, const char *name, struct json_text text,
                      struct err *e);
void daemon_json_free(struct daemon_json *j);

bool daemon_json_has(const struct daemon_json *j, const char *key);

/* The value as text, owned by `j`; NULL when missing or not a string. Of duplicates the
 * last counts, as for Go's encoding/json. */
const char *daemon_json_string(const struct daemon_json *j, const char *key);

/* The nth text of a list; NULL past its end, or when it is no list of texts. */
const char *daemon_json_item(const struct daemon_json *j, const char *key, size_t nth);

/* How many items a list has; 0 when it is none. */
size_t daemon_json_count(const struct daemon_json *j, const char *key);

/* A text in the nth item of a list of objects; NULL when it is no such thing. Names of fields
 * match in any case, as for Go. */
const char *daemon_json_field(const struct daemon_json *j, const char *key, size_t nth,
                              const char *field);

/* 1 or 0; -1 when missing or not a boolean. */
int daemon_json_bool(const struct daemon_json *j, const char *key);

/* One key to add; `value` is JSON text. Both borrowed. */
struct json_want {
    const char *key, *value;
};

struct json_merged {
    char *text; /* malloc'd, NUL-terminated; NULL when nothing is to be written */
    size_t len; /* without the NUL */
    char diff[MAX_JSON_DIFF];
};

/* Add the keys of `wants` (ends with a NULL key) that the text has not. Returns 1 and
 * m->text, 0 when nothing is missing (leave the file alone), or the errors of
 * daemon_json_parse. m->diff is one line, "+ iptables: false, + storage-driver: \"vfs\"";
 * "" when nothing changed. */
int daemon_json_merge(struct json_merged *m, const char *name, struct json_text text,
                      const struct json_want *wants, struct err *e);

/* The same line for a text `is` that came from a merge into `base`: what becomes of our keys in
 * it when `wants` are merged into `base` now. "- bip: \"10.0.0.1/24\", + bip: ..." */
void daemon_json_changes(char diff[MAX_JSON_DIFF], struct json_text base, struct json_text is,
                         const struct json_want *wants);

#endif
