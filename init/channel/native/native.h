/* native.h — the dialect that pinnace's own client speaks: docs/CHANNEL.md, docs/openapi.yaml. It
 * only translates between HTTP and the channel's objects.
 */
#ifndef CHANNEL_NATIVE_NATIVE_H
#define CHANNEL_NATIVE_NATIVE_H

#include "channel/channel.h"
#include "http/server.h"

extern const struct http_route native_routes[]; /* all of them */
extern const size_t native_nroutes;

/* What the site of a native listener answers for errors that the server finds. */
void native_refuse(struct http_exchange *x, int status, const char *message);

/* {"error":{"code":...,"message":...}}; 405 etc. carry their fields before. */
__attribute__((format(printf, 4, 5))) void native_fail(struct http_exchange *x, int status,
                                                       const char *code, const char *fmt, ...);

/* False, and it has been answered: a parameter that is none of these (NULL-terminated) is there. */
bool native_params(struct http_exchange *x, const char *const *known);
/* A parameter that is 1 or 0. False, and it has been answered: it is neither. */
bool native_flag(struct http_exchange *x, const char *key, bool *out);
/* One that is an integer between min and max; *out stays when it is not there. */
bool native_number(struct http_exchange *x, const char *key, int64_t min, int64_t max,
                   int64_t *out);

/* --- among the files of native/ --------------------------------------------------------------- */

/* jobs.c: POST /v1/jobs and all below it but streams */
void native_jobs_start(struct http_exchange *x, yyjson_val *body);
void native_jobs_list(struct http_exchange *x, yyjson_val *body);
void native_job_show(struct http_exchange *x, yyjson_val *body);
void native_job_forget(struct http_exchange *x, yyjson_val *body);
void native_job_signal(struct http_exchange *x, yyjson_val *body);
void native_job_resize(struct http_exchange *x, yyjson_val *body);
void native_job_stdin(struct http_exchange *x, yyjson_val *body);
struct job_ask;
/* Start it, or find the one with its key (then *known). NULL, and it has been answered. */
struct job *native_start(struct http_exchange *x, struct job_ask *a, bool *known);
void native_fail_start(struct http_exchange *x, enum job_reason why, const char *words);
struct job *
native_job(struct http_exchange *x); /* that {id} names; NULL, and it has been answered */

/* stream.c: exec, attach, output */
void native_exec(struct http_exchange *x, yyjson_val *body);
void native_job_attach(struct http_exchange *x, yyjson_val *body);
void native_job_output(struct http_exchange *x, yyjson_val *body);

/* files.c */
void native_file_get(struct http_exchange *x, yyjson_val *body);
void native_file_put(struct http_exchange *x, yyjson_val *body);
void native_file_delete(struct http_exchange *x, yyjson_val *body);
void native_stat(struct http_exchange *x, yyjson_val *body);
void native_list(struct http_exchange *x, yyjson_val *body);
void native_mkdir(struct http_exchange *x, yyjson_val *body);
void native_move(struct http_exchange *x, yyjson_val *body);
void native_copy(struct http_exchange *x, yyjson_val *body);
void native_chmod(struct http_exchange *x, yyjson_val *body);
void native_tar_get(struct http_exchange *x, yyjson_val *body);
void native_tar_put(struct http_exchange *x, yyjson_val *body);
void native_watch(struct http_exchange *x, yyjson_val *body);

/* box.c: the box and its units */
void native_livez(struct http_exchange *x, yyjson_val *body);
void native_readyz(struct http_exchange *x, yyjson_val *body);
void native_metrics(struct http_exchange *x, yyjson_val *body);
void native_status(struct http_exchange *x, yyjson_val *body);
void native_timeline(struct http_exchange *x, yyjson_val *body);
void native_unit_start(struct http_exchange *x, yyjson_val *body);
void native_unit_stop(struct http_exchange *x, yyjson_val *body);
void native_unit_restart(struct http_exchange *x, yyjson_val *body);
void native_unit_log(struct http_exchange *x, yyjson_val *body);
void native_top(struct http_exchange *x, yyjson_val *body);

#endif
