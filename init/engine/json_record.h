/* json_record.h — PURE: what daemon.json was before we wrote it.
 *
 * Our settings must not be taken for the user's at the next start: the network around the box
 * may be another one by then. So beside the file lies a record: one line, then the user's text
 * byte for byte.
 *
 *     # pinnace wrote 85944171f73967e8 85944171f73967e8 over this daemon.json:
 *     # pinnace wrote 85944171f73967e8 af63bd4c8601b7df where no daemon.json was
 *
 * The numbers are hashes of the texts that are ours: the one before and the one after the
 * latest write. The record is written first, so wherever a crash comes between the two files,
 * the text that is there is either one of the two or the user's own.
 */
#ifndef ENGINE_JSON_RECORD_H
#define ENGINE_JSON_RECORD_H

#include <stdbool.h>
#include <stdint.h>

#include "engine/daemon_json.h"

enum { RECORD_HEAD = 96 }; /* bytes of the line, at most; NUL included */

struct json_record {
    uint64_t wrote[2];
    bool existed;              /* there was a file */
    struct json_text original; /* borrowed from the record's text; "" if there was none */
};

/* False, and *out zero, for anything that record_head did not begin. */
bool record_parse(struct json_text text, struct json_record *out);

/* The line, newline included, without what comes behind it. Returns its length. */
size_t record_head(char buf[RECORD_HEAD], const struct json_record *r);

/* Is this text one that the record says is ours? */
bool record_is_ours(const struct json_record *r, struct json_text text);

uint64_t record_hash(struct json_text text); /* FNV-1a, 64 bits */

#endif
