/* stream.c — what a process prints, as a stream of events: of one that is started for that, or of
 * any. Partial lines go at once; the last event always tells how it ended.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/own.h"
#include "channel/cloudflare/command.h"
#include "channel/cloudflare/launch.h"
#include "channel/cloudflare/process.h"
#include "channel/cloudflare/sse.h"
#include "channel/patience.h"

enum {
    SHOWN = 8 << 10,               /* bytes of a command that an event has room for in any case */
    END_BYTES = 6 * JOB_TEXT + 96, /* bytes of the end of an event */
    PARTIAL = 4,                   /* bytes of a character of UTF-8 */
};

struct stream {
    struct cf_sse sse; /* once it has begun */
    struct http_exchange *x;
    struct cf_launch launch;  /* execStream's */
    struct cf_output command; /* the same */
    struct job_reader reader;
    struct patience patience;
    bool begun;
    bool of_process; /* the log of a process: other events around the same data */
    struct {
        char bytes[PARTIAL];
        size_t n;
    } partial[2]; /* a character that is not whole yet, of each stream */
};

/* --- events ----------------------------------------------------------------------------------- */

static void begin_event(struct text *t, const char *type) {
    text_add(t, "{");
    cf_put(t, "type", type);
}

static void end_event(struct stream *s, struct text *t) {
    if (s->of_process)
        cf_put(t, "processId", s->reader.job->tag);
    cf_put_now(t);
    text_add(t, "}");
    cf_sse_send(&s->sse, t);
}

static void put_begin(const struct stream *s, struct text *t, const char *command, size_t n) {
    const struct job *j = s->reader.job;
    begin_event(t, s->of_process ? "process_info" : "start");
    cf_put_bytes(t, "command", command, utf8_whole(command, n));
    if (s->of_process) {
        cf_put(t, "status", cf_process_status(j));
    } else {
        if (*s->launch.session_id)
            cf_put(t, "sessionId", s->launch.session_id);
        cf_put_number(t, "pid", j->leader);
        cf_put(t, "processId", j->tag);
    }
}

/* With all of the command, as far as it is kept and there is room for it. */
static void send_begin(struct stream *s) {
    char less[CF_SSE_EVENT];
    struct text t = TEXT(less);
    AUTO_FREE char *command = cf_process_command(s->reader.job);
    const char *shown = command ? command : "";
    size_t n = strlen(shown), room = cf_sse_room(&s->sse);
    AUTO_FREE char *more = n > SHOWN && room > sizeof less ? malloc(room) : NULL;
    if (more) {
        t = (struct text){ .buf = more, .cap = room };
        put_begin(s, &t, shown, n);
        t.cut |= t.cap - t.len < END_BYTES;
    }
    if (!more || t.cut) {
        t = TEXT(less);
        put_begin(s, &t, shown, n < SHOWN ? n : SHOWN);
    }
    end_event(s, &t);
}

static size_t without_nul(const char *bytes, size_t n, char *out) {
    size_t k = 0;
    for (size_t i = 0; i < n; i++)
        if (bytes[i])
            out[k++] = bytes[i];
    return k;
}

/* A character that is not whole waits for its rest, unless this is the end. */
static void send_data(struct stream *s, enum ring_stream which, const char *bytes, size_t n,
                      bool last) {
    char raw[PARTIAL + CF_SSE_CHUNK], buf[CF_SSE_EVENT];
    struct text t = TEXT(buf);
    size_t have = s->partial[which].n;
    memcpy(raw, s->partial[which].bytes, have);
    have += without_nul(bytes, n, raw + have);
    size_t whole = last ? have : utf8_whole(raw, have);
    s->partial[which].n = have - whole;
    memcpy(s->partial[which].bytes, raw + whole, have - whole);
    if (whole == 0)
        return;
    begin_event(&t, which == RING_STDERR ? "stderr" : "stdout");
    cf_put_bytes(&t, "data", raw, whole);
    end_event(s, &t);
}

static void send_missed(struct stream *s, uint64_t missed) {
    char words[160];
    struct text t = TEXT(words);
    text_add(&t,
             "\npinnace: %" PRIu64 " bytes of output are missing here: they were not read in "
             "time\n",
             missed);
    send_data(s, RING_STDERR, t.buf, t.len, true);
    s->reader.lossless = true;
}

static void send_end(struct stream *s) {
    char buf[1024];
    struct text t = TEXT(buf);
    const struct job *j = s->reader.job;
    int status = cf_exit_status(j);
    for (int i = 0; i < 2; i++)
        send_data(s, i ? RING_STDERR : RING_STDOUT, NULL, 0, true);
    begin_event(&t, s->of_process ? "exit" : "complete");
    cf_put_number(&t, "exitCode", status);
    if (s->of_process) {
        char words[96];
        struct text w = TEXT(words);
        text_add(&w, "Process %s with exit code %d", cf_process_status(j), status);
        cf_put(&t, "data", words);
    }
    end_event(s, &t);
    cf_sse_end(&s->sse);
}

/* --- from the job ----------------------------------------------------------------------------- */

static bool step(struct stream *s) {
    struct job_chunk c;
    switch (job_read(&s->reader, &c)) {
    case JOB_READ_DATA:
        c.n = c.n < CF_SSE_CHUNK ? c.n : CF_SSE_CHUNK;
        send_data(s, c.stream, c.bytes, c.n, false);
        job_took(&s->reader, c.n);
        return true;
    case JOB_READ_MISSED:
        send_missed(s, c.missed);
        return true;
    case JOB_READ_END:
        send_end(s);
        return false;
    default:
        return false;
    }
}

/* Room for an event, and for what may be left of two characters, and for the end. */
static bool has_room(struct stream *s) {
    return !s->sse.ended && cf_sse_room(&s->sse) >= CF_SSE_EVENT + 4096;
}

static void pump(struct stream *s) {
    bool moved = false;
    while (has_room(s) && step(s))
        moved = true;
    patience_watch(&s->patience, moved, !s->sse.ended && !has_room(s));
}

static void room(struct cf_sse *sse) { pump(CONTAINER_OF(sse, struct stream, sse)); }

static void stream_free(struct stream *s) {
    patience_stop(&s->patience);
    job_detach(&s->reader);
    cf_launch_release(&s->launch);
    cf_output_free(&s->command);
    free(s);
}

/* A client that goes ends nothing. */
static void over(struct cf_sse *sse, bool cut) {
    (void)cut;
    stream_free(CONTAINER_OF(sse, struct stream, sse));
}

static void begin(struct stream *s) {
    s->begun = true;
    s->sse.room = room;
    s->sse.over = over;
    cf_sse_begin(s->x, &s->sse);
    send_begin(s);
}

static void over_before(struct http_exchange *x, bool cut) {
    (void)cut;
    stream_free(x->ctx);
}

static const struct http_handler waiting = { .over = over_before };

/* It never executed. */
static void fail(struct stream *s, const char *why) {
    cf_fail(s->x, s->launch.deleted ? CF_SESSION_DESTROYED : CF_STREAM_START_ERROR, NULL,
            "Failed to start the command: %s", why);
}

static void news(struct job_reader *r) {
    struct stream *s = CONTAINER_OF(r, struct stream, reader);
    const struct job *j = r->job;
    if (s->sse.ended || j->state == JOB_STARTING)
        return;
    if (j->state == JOB_FAILED) {
        fail(s, j->why);
        return;
    }
    if (!s->begun)
        begin(s);
    pump(s);
}

static struct stream *stream_new(struct http_exchange *x) {
    struct stream *s = calloc(1, sizeof *s);
    if (!s) {
        cf_no_memory(x, "a stream");
        return NULL;
    }
    s->x = x;
    s->command = CF_OUTPUT_EMPTY;
    s->reader.ready = news;
    patience_init(&s->patience, &s->reader);
    x->ctx = s;
    x->handler = &waiting;
    return s;
}

/* --- routes ----------------------------------------------------------------------------------- */

static void started(struct cf_launch *l, struct job *j, const char *why) {
    struct stream *s = CONTAINER_OF(l, struct stream, launch);
    if (j)
        job_attach(j, &s->reader, 0, true);
    else
        fail(s, why);
}

static void begin_launch(struct http_exchange *x, yyjson_val *body, struct cf_output *command) {
    struct cf_session *session = NULL;
    if (!cf_has_command(x, command) || !cf_session_for(x, body, &session))
        return;
    struct stream *s = stream_new(x);
    if (!s)
        return;
    s->command = *command;
    *command = CF_OUTPUT_EMPTY;
    s->launch.command = &s->command;
    s->launch.started = started;
    if (cf_launch_take(&s->launch, x, body))
        cf_launch(&s->launch, session);
}

void cf_execute_stream(struct http_exchange *x, yyjson_val *nothing) {
    (void)nothing;
    cf_read_command(x, begin_launch);
}

void cf_process_stream(struct http_exchange *x, yyjson_val *body) {
    (void)body;
    struct job *j = cf_process_of(x);
    struct stream *s = j ? stream_new(x) : NULL;
    if (!s)
        return;
    s->of_process = true;
    job_attach(j, &s->reader, 0, true);
    if (j->state == JOB_STARTING)
        return;
    begin(s);
    pump(s);
}
