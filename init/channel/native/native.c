#include "channel/native/native.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"

/* clang-format off */
const struct http_route native_routes[] = {
    { "GET",    "/livez",                    HTTP_BODY_NONE,   native_livez },
    { "GET",    "/readyz",                   HTTP_BODY_NONE,   native_readyz },
    { "GET",    "/metrics",                  HTTP_BODY_NONE,   native_metrics },
    { "GET",    "/v1/status",                HTTP_BODY_NONE,   native_status },
    { "GET",    "/v1/timeline",              HTTP_BODY_NONE,   native_timeline },
    { "GET",    "/v1/top",                   HTTP_BODY_NONE,   native_top },
    { "POST",   "/v1/units/{name}/start",    HTTP_BODY_NONE,   native_unit_start },
    { "POST",   "/v1/units/{name}/stop",     HTTP_BODY_NONE,   native_unit_stop },
    { "POST",   "/v1/units/{name}/restart",  HTTP_BODY_NONE,   native_unit_restart },
    { "GET",    "/v1/units/{name}/log",      HTTP_BODY_NONE,   native_unit_log },
    { "POST",   "/v1/exec",                  HTTP_BODY_JSON,   native_exec },
    { "POST",   "/v1/jobs",                  HTTP_BODY_JSON,   native_jobs_start },
    { "GET",    "/v1/jobs",                  HTTP_BODY_NONE,   native_jobs_list },
    { "GET",    "/v1/jobs/{id}",             HTTP_BODY_NONE,   native_job_show },
    { "DELETE", "/v1/jobs/{id}",             HTTP_BODY_NONE,   native_job_forget },
    { "GET",    "/v1/jobs/{id}/output",      HTTP_BODY_NONE,   native_job_output },
    { "GET",    "/v1/jobs/{id}/attach",      HTTP_BODY_NONE,   native_job_attach },
    { "POST",   "/v1/jobs/{id}/stdin",       HTTP_BODY_STREAM, native_job_stdin },
    { "POST",   "/v1/jobs/{id}/signal",      HTTP_BODY_JSON,   native_job_signal },
    { "POST",   "/v1/jobs/{id}/resize",      HTTP_BODY_JSON,   native_job_resize },
    { "GET",    "/v1/files",                 HTTP_BODY_NONE,   native_file_get },
    { "PUT",    "/v1/files",                 HTTP_BODY_STREAM, native_file_put },
    { "DELETE", "/v1/files",                 HTTP_BODY_NONE,   native_file_delete },
    { "GET",    "/v1/stat",                  HTTP_BODY_NONE,   native_stat },
    { "GET",    "/v1/list",                  HTTP_BODY_NONE,   native_list },
    { "POST",   "/v1/mkdir",                 HTTP_BODY_JSON,   native_mkdir },
    { "POST",   "/v1/move",                  HTTP_BODY_JSON,   native_move },
    { "POST",   "/v1/copy",                  HTTP_BODY_JSON,   native_copy },
    { "POST",   "/v1/chmod",                 HTTP_BODY_JSON,   native_chmod },
    { "GET",    "/v1/tar",                   HTTP_BODY_NONE,   native_tar_get },
    { "PUT",    "/v1/tar",                   HTTP_BODY_STREAM, native_tar_put },
    { "GET",    "/v1/watch",                 HTTP_BODY_NONE,   native_watch },
};
/* clang-format on */
const size_t native_nroutes = sizeof native_routes / sizeof native_routes[0];

/* --- errors ----------------------------------------------------------------------------------- */

void native_fail(struct http_exchange *x, int status, const char *code, const char *fmt, ...) {
    char words[400], buf[1200];
    struct text t = TEXT(buf);
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(words, sizeof words, fmt, ap);
    va_end(ap);
    text_add(&t, "{\"error\":{\"code\":\"%s\",\"message\":", code);
    text_json(&t, words, strlen(words));
    text_add(&t, "}}\n");
    http_answer(x, status, "application/json", t.buf, t.len);
}

void native_refuse(struct http_exchange *x, int status, const char *message) {
    static const struct {
        int status;
        const char *code;
    } codes[] = { { 401, "unauthorized" }, { 403, "permission" }, { 404, "not_found" },
                  { 405, "method" },       { 413, "too_large" },  { 429, "limit" },
                  { 503, "limit" },        { 500, "internal" } };
    const char *code = "invalid";
    for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++)
        if (codes[i].status == status)
            code = codes[i].code;
    native_fail(x, status, code, "%s", message);
}

/* --- parameters ------------------------------------------------------------------------------- */

bool native_params(struct http_exchange *x, const char *const *known) {
    char name[64];
    if (!http_unknown_param(x, known, name, sizeof name))
        return true;
    native_fail(x, 400, "invalid", "'%s' is not a parameter here%s%s", name,
                known[0] ? "; there is " : "", known[0] ? known[0] : "");
    return false;
}

bool native_flag(struct http_exchange *x, const char *key, bool *out) {
    char text[4] = "";
    int rc = http_param(x, key, text, sizeof text);
    if (rc == 0)
        return true;
    *out = text[0] == '1';
    if (rc > 0 && (text[0] == '0' || text[0] == '1') && text[1] == '\0')
        return true;
    native_fail(x, 400, "invalid", "%s: 1 or 0 is needed", key);
    return false;
}

bool native_number(struct http_exchange *x, const char *key, int64_t min, int64_t max,
                   int64_t *out) {
    char text[24] = "", *end = text;
    int rc = http_param(x, key, text, sizeof text);
    if (rc == 0)
        return true;
    errno = 0;
    long long n = strtoll(text, &end, 10);
    bool plain = (text[0] >= '0' && text[0] <= '9') || (text[0] == '-' && text[1] >= '0');
    if (rc > 0 && plain && *end == '\0' && errno == 0 && n >= min && n <= max) {
        *out = n;
        return true;
    }
    native_fail(x, 400, "invalid", "%s: an integer from %lld to %lld is needed", key,
                (long long)min, (long long)max);
    return false;
}
