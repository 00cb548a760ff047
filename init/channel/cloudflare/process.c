/* process.c — processes: listed, shown, and what they have printed. */
#include "channel/cloudflare/process.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/own.h"
#include "channel/cloudflare/long.h"

enum {
    SHOWN = 64 << 10,                 /* bytes of a command that is shown */
    PROCESS_BYTES = 6 * SHOWN + 1024, /* of one as JSON */
};

/* --- which one -------------------------------------------------------------------------------- */

/* A session's id may be longer than a key. FNV-1a, 64 bits. */
static uint64_t hash(const char *s) {
    uint64_t h = UINT64_C(0xcbf29ce484222325);
    for (; *s; s++)
        h = (h ^ (unsigned char)*s) * UINT64_C(0x100000001b3);
    return h;
}

void cf_process_key(const char *session, char out[JOB_TEXT]) {
    enum { ROOM = JOB_TEXT - sizeof CF_PROCESS_KEY };
    if (strlen(session) <= ROOM)
        (void)strcpy(stpcpy(out, CF_PROCESS_KEY), session);
    else
        (void)snprintf(out, JOB_TEXT, CF_PROCESS_KEY "%.*s~%016" PRIx64, ROOM - 17, session,
                       hash(session));
}

bool cf_is_process(const struct job *j) {
    return strncmp(j->key, CF_PROCESS_KEY, sizeof CF_PROCESS_KEY - 1) == 0 &&
           j->state != JOB_FAILED;
}

struct job *cf_process_find(struct channel *ch, const char *id) {
    for (struct link *l = ch->jobs.all.prev; l != &ch->jobs.all; l = l->prev) {
        struct job *j = CONTAINER_OF(l, struct job, link);
        if (cf_is_process(j) && strcmp(j->tag, id) == 0)
            return j;
    }
    return NULL;
}

/* Clients put it into the path as it is, but others may have encoded it. */
struct job *cf_process_of(struct http_exchange *x) {
    char id[JOB_TEXT], raw[JOB_TEXT] = "", buf[6 * JOB_TEXT + 32];
    struct text t = TEXT(buf);
    struct slice part = x->params[0];
    struct job *j = NULL;
    if (part.n < sizeof raw)
        memcpy(raw, part.s, part.n);
    if (*raw)
        j = cf_process_find(channel_of(x), raw);
    if (!j && http_decode(part, id, sizeof id) >= 0)
        j = cf_process_find(channel_of(x), id);
    if (j)
        return j;
    cf_put(&t, "processId", raw);
    cf_fail(x, CF_PROCESS_NOT_FOUND, &t, "Process not found: %s", raw);
    return NULL;
}

/* --- how it is -------------------------------------------------------------------------------- */

int cf_exit_status(const struct job *j) {
    if (!j->end.known)
        return -1;
    return j->end.how.signaled ? 128 + j->end.how.code : j->end.how.code;
}

const char *cf_process_status(const struct job *j) {
    int status = cf_exit_status(j);
    if (j->state == JOB_STARTING)
        return "starting";
    if (j->state == JOB_RUNNING)
        return "running";
    return !j->end.known                    ? "error"
           : status == 0                    ? "completed"
           : status == 137 || status == 143 ? "killed"
                                            : "failed";
}

/* The third word of the array is what the shell was given: without the line that pinnace has put
 * before the command. */
static char *from_record(const struct job *j) {
    yyjson_doc *doc = yyjson_read(j->command, strlen(j->command), 0);
    const char *words = yyjson_get_str(yyjson_arr_get(yyjson_doc_get_root(doc), 2));
    const char *line = words ? strchr(words, '\n') : NULL;
    bool ours =
        words && (has_prefix(words, "\\command ") || has_prefix(words, "CDPATH= \\command"));
    char *command = strdup(!words ? "" : ours && line ? line + 1 : words);
    yyjson_doc_free(doc);
    return command;
}

char *cf_process_command(const struct job *j) { return j->note ? strdup(j->note) : from_record(j); }

static int64_t ended_ms(const struct job *j) {
    return j->started_unix_ms + span_to_ms(instant_since(j->ended, j->started));
}

static void put_process(struct text *t, const struct job *j, bool with_end) {
    AUTO_FREE char *command = cf_process_command(j);
    text_add(t, "{");
    cf_put(t, "id", j->tag);
    cf_put_number(t, "pid", j->leader);
    cf_put_bytes(t, "command", command ? command : "", command ? strnlen(command, SHOWN) : 0);
    cf_put(t, "status", cf_process_status(j));
    cf_put_time(t, "startTime", j->started_unix_ms);
    if (j->state == JOB_ENDED && with_end)
        cf_put_time(t, "endTime", ended_ms(j));
    if (j->state == JOB_ENDED)
        cf_put_number(t, "exitCode", cf_exit_status(j));
    text_add(t, "}");
}

void cf_process_get(struct http_exchange *x, yyjson_val *body) {
    (void)body;
    struct job *j = cf_process_of(x);
    AUTO_FREE char *buf = j ? malloc(PROCESS_BYTES) : NULL;
    struct text t = { .buf = buf, .cap = PROCESS_BYTES };
    if (!j)
        return;
    if (!buf) {
        cf_no_memory(x, "a process");
        return;
    }
    text_add(&t, "\"process\":");
    put_process(&t, j, true);
    cf_ok(x, &t);
}

/* --- the list --------------------------------------------------------------------------------- */

/* An older one of the same id has been replaced. */
static bool is_listed(struct channel *ch, const struct job *j, const char *status) {
    return cf_is_process(j) && cf_process_find(ch, j->tag) == j &&
           (!*status || strcmp(cf_process_status(j), status) == 0);
}

static size_t list_size(const struct jobs *js) {
    size_t n = 64;
    for (struct link *l = js->all.next; l != &js->all; l = l->next) {
        const struct job *j = CONTAINER_OF(l, struct job, link);
        n += 1024 + 6 * (JOB_RECORD_BYTES + (j->note ? strnlen(j->note, SHOWN) : 0));
    }
    return n;
}

void cf_process_list(struct http_exchange *x, yyjson_val *body) {
    (void)body;
    struct channel *ch = channel_of(x);
    char status[16] = "";
    size_t cap = list_size(&ch->jobs);
    AUTO_FREE char *buf = malloc(cap);
    struct text t = { .buf = buf, .cap = cap };
    (void)http_param(x, "status", status, sizeof status);
    if (!buf) {
        cf_no_memory(x, "a list of processes");
        return;
    }
    text_add(&t, "\"processes\":[");
    for (int ended = 0; ended < 2; ended++)
        for (struct link *l = ch->jobs.all.next; l != &ch->jobs.all; l = l->next) {
            const struct job *j = CONTAINER_OF(l, struct job, link);
            if ((j->state == JOB_ENDED) != ended || !is_listed(ch, j, status))
                continue;
            cf_comma(&t);
            put_process(&t, j, false);
        }
    text_add(&t, "]");
    cf_ok(x, &t);
}

/* --- what they have printed ------------------------------------------------------------------- */

static void no_news(struct job_reader *r) { (void)r; }

static void collect(struct job *j, struct cf_output *out, struct cf_output *err) {
    struct job_reader r = { .ready = no_news };
    struct job_chunk c;
    enum job_read got;
    job_attach(j, &r, 0, false);
    while ((got = job_read(&r, &c)) == JOB_READ_DATA || got == JOB_READ_MISSED) {
        if (got == JOB_READ_DATA)
            cf_output_put(c.stream == RING_STDERR ? err : out, c.bytes, c.n);
        job_took(&r, c.n);
    }
    job_detach(&r);
}

void cf_process_logs(struct http_exchange *x, yyjson_val *body) {
    (void)body;
    struct job *j = cf_process_of(x);
    struct cf_long *l = j ? cf_long_new() : NULL;
    struct cf_output out = CF_OUTPUT_EMPTY, err = CF_OUTPUT_EMPTY;
    char head[6 * JOB_TEXT + 64], tail[128];
    struct text h = TEXT(head), e = TEXT(tail);
    if (!j)
        return;
    text_add(&h, "{\"success\":true");
    cf_put(&h, "processId", j->tag);
    text_add(&h, ",\"stdout\":");
    text_add(&e, ",");
    cf_put_now(&e);
    text_add(&e, "}");
    if (l)
        collect(j, &out, &err);
    bool whole = l && cf_long_text(l, head);
    if (whole)
        cf_long_output(l, &out);
    whole = whole && cf_long_text(l, ",\"stderr\":");
    if (whole)
        cf_long_output(l, &err);
    if (!whole || !cf_long_text(l, tail)) {
        cf_long_free(l);
        cf_output_free(&out);
        cf_output_free(&err);
        cf_no_memory(x, "what a process has printed");
        return;
    }
    cf_long_answer(x, l);
}

/* --- the end of a session --------------------------------------------------------------------- */

void cf_processes_end(struct channel *ch, const char *session) {
    char key[JOB_TEXT];
    cf_process_key(session, key);
    for (struct link *l = ch->jobs.all.next; l != &ch->jobs.all; l = l->next) {
        struct job *j = CONTAINER_OF(l, struct job, link);
        if (strcmp(j->key, key) == 0)
            job_abandon(j);
    }
}
