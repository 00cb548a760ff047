/* json_file.h — daemon.json on disk, with the record of what it was before us beside it.
 *
 *     struct json_file f;
 *     json_file_read(&f, path);
 *     ...merge into json_file_base(&f)...
 *     json_file_write(&f, text, &e);     // or json_file_restore(&f, &e)
 *     json_file_free(&f);
 *
 * The record is PATH.before-pinnace, readable by its owner only: daemon.json may hold the
 * password of a proxy. json_record.h says what is in it, and why a crash does no harm.
 */
#ifndef ENGINE_JSON_FILE_H
#define ENGINE_JSON_FILE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "base/limits.h"
#include "engine/daemon_json.h"
#include "engine/json_record.h"

struct json_file {
    char path[MAX_ENGINE_PATH];
    char *text, *record_text; /* as they were read, or NULL; ours to free */
    size_t len;
    int error;   /* errno of reading the file; 0 also when it is missing */
    bool ours;   /* the file is as an earlier prepare wrote it; `record` says over what */
    bool edited; /* one wrote it, and then somebody else did */
    struct json_record record;
};

void json_file_read(struct json_file *f, const char *path);
void json_file_free(struct json_file *f);

struct json_text json_file_text(const struct json_file *f); /* what is there; "" if nothing */
struct json_text json_file_base(const struct json_file *f); /* what of it is the user's */

/* From now on all that is there counts as the user's. */
void json_file_disown(struct json_file *f);

/* Make `text`, which holds settings of ours, the file. Writes nothing if it is so already.
 * 1, or 0 if nothing was to be done; a negative errno leaves the file as it was. */
int json_file_write(struct json_file *f, struct json_text text, struct err *e);

/* Only when it is ours: put back what was there before us, or remove it if nothing was. Ends
 * the record, too. */
int json_file_restore(struct json_file *f, struct err *e);

#endif
