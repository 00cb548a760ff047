/* files.h — files of the Cloudflare dialect: what its routes have in common.
 */
#ifndef CHANNEL_CLOUDFLARE_FILES_H
#define CHANNEL_CLOUDFLARE_FILES_H

#include <limits.h>

#include "channel/cloudflare/cloudflare.h"

enum { CF_MAX_PATH = 4096 }; /* bytes of a path as it is asked for; 400 */

/* Why `path` can be none, in words; NULL: it may be one. */
const char *cf_path_fault(struct slice path);
/* 400, as the package's server says it. */
void cf_refuse_member(struct http_exchange *x, const char *member, const char *code,
                      const char *message);
/* The member of the body, as it came. NULL, and it has been answered. */
const char *cf_path_member(struct http_exchange *x, yyjson_val *body, const char *member);
/* It made absolute, as commands of the request's session would find it. The same. */
bool cf_resolve(struct http_exchange *x, yyjson_val *body, const char *path, char out[PATH_MAX]);

/* What an operation has failed with, as it is told for `path`. Another fault than those that the
 * dialect has codes for is FILESYSTEM_ERROR. */
struct cf_failure {
    const char *operation; /* such as file.read */
    const char *path;      /* as it was asked for */
    const struct file_task *task;
    bool plain;          /* system errors have no codes of their own: all is FILESYSTEM_ERROR */
    const char *subject; /* what was not found, with a capital: File, Directory; NULL: File */
};
void cf_file_fail(struct http_exchange *x, const struct cf_failure *f);

/* The media type of a name by its ending, as the package's server knows them; NULL. */
const char *cf_media_type(const char *name);
bool cf_media_is_text(const char *type);

/* files.c */
void cf_mkdir(struct http_exchange *x, yyjson_val *body);
void cf_rename(struct http_exchange *x, yyjson_val *body);
void cf_move(struct http_exchange *x, yyjson_val *body);
void cf_delete(struct http_exchange *x, yyjson_val *body);
void cf_exists(struct http_exchange *x, yyjson_val *body);
void cf_list_files(struct http_exchange *x, yyjson_val *body);

/* read.c */
void cf_read(struct http_exchange *x, yyjson_val *body);
void cf_read_stream(struct http_exchange *x, yyjson_val *body);

/* write.c */
void cf_write(struct http_exchange *x, yyjson_val *body);

#endif
