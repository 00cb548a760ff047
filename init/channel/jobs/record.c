#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>
#include <yyjson.h>

#include "base/bug.h"
#include "base/limits.h"
#include "base/own.h"
#include "base/str.h"
#include "channel/jobs/private.h"

/* What the next channel should know of a job, in memory that all channels share. It may have been
 * left half written: every field is judged when it is read. */
struct record {
    uint32_t magic; /* RECORD_MAGIC, once all that never changes is there; else there is none */
    uint32_t keep;
    uint64_t id, key_hash, ooms;
    uint64_t to; /* of its output so much has been read */
    int64_t started_unix_ms;
    instant started, ended, term_at, kill_at;
    span kill_after;
    uint8_t stdin_pipe, stdin_open, timed_out, killed, kill_sent; /* 0 or 1 */
    uint8_t reaped, signaled, core, has_usage; /* reaped: the others say how it ended */
    int32_t code;
    span user, system;
    int64_t max_rss;
    char tag[JOB_TEXT], key[JOB_TEXT];
    char command[JOB_RECORD_BYTES - 256];
};
_Static_assert(sizeof(struct record) == JOB_RECORD_BYTES, "a slot of the table");

enum { RECORD_MAGIC = 0x70a10002 }; /* another one for another shape */

static struct record *record_of(const struct jobs *js, uint32_t slot) {
    return (struct record *)js->a.table + slot;
}

/* --- the command, as JSON ------------------------------------------------------------------- */

/* ,"word" or, of a word that is cut, ,"wo..." False: it does not fit, and is not there. */
static bool put_word(struct text *t, const char *word, size_t n, bool cut) {
    char part[JOB_RECORD_BYTES + 4];
    size_t mark = t->len;
    if (n >= JOB_RECORD_BYTES)
        return false;
    memcpy(part, word, n);
    memcpy(part + n, "...", 3);
    text_put(t, ",", mark > 1);
    text_json(t, part, cut ? n + 3 : n);
    if (!t->cut)
        return true;
    t->cut = false;
    t->len = mark;
    t->buf[mark] = '\0';
    return false;
}

/* As much of it as fits, by halving; never a part of a character of UTF-8. */
static void put_cut(struct text *t, const char *word) {
    size_t low = 0, high = strnlen(word, JOB_RECORD_BYTES) + 1, mark = t->len;
    while (high - low > 1) {
        size_t middle = low + (high - low) / 2;
        if (put_word(t, word, middle, true))
            low = middle;
        else
            high = middle;
        t->buf[t->len = mark] = '\0';
    }
    while (low > 0 && ((unsigned char)word[low] & 0xc0) == 0x80)
        low--;
    (void)put_word(t, word, low, true);
}

char *record_command(const char *const *argv) {
    enum { ROOM = sizeof(((struct record *)0)->command), MORE = sizeof ",\"...\"" - 1 };
    char buf[ROOM];
    /* Short by the last bracket, and by MORE while there are more words. */
    struct text t = { .buf = buf, .cap = sizeof buf - 1 - MORE };
    text_put(&t, "[", 1);
    for (size_t i = 0; argv[i]; i++) {
        if (!argv[i + 1])
            t.cap = sizeof buf - 1;
        if (put_word(&t, argv[i], strnlen(argv[i], JOB_RECORD_BYTES), false))
            continue;
        t.cap = sizeof buf - 1;
        put_cut(&t, argv[i]);
        break;
    }
    t.cap = sizeof buf;
    text_put(&t, "]", 1);
    return strdup(buf);
}

/* --- writing -------------------------------------------------------------------------------- */

/* Before PID 1 may hear of the job. From then on there always is a record: a channel may die while
 * it brings it up to date. */
void record_create(const struct job *j) {
    struct record *r = record_of(j->jobs, j->slot);
    record_clear(j->jobs, j->slot);
    r->keep = (uint32_t)j->output.max;
    r->id = j->id;
    r->key_hash = j->key_hash;
    r->ooms = j->ooms;
    r->started_unix_ms = j->started_unix_ms;
    r->started = j->started;
    r->kill_after = j->kill_after;
    r->stdin_pipe = j->stdin_pipe;
    memcpy(r->tag, j->tag, sizeof r->tag);
    memcpy(r->key, j->key, sizeof r->key);
    (void)strncpy(r->command, j->command ? j->command : "[]", sizeof r->command);
    record_write(j);
    __atomic_store_n(&r->magic, RECORD_MAGIC, __ATOMIC_RELEASE);
}

void record_write(const struct job *j) {
    struct record *r = record_of(j->jobs, j->slot);
    r->to = j->output.to;
    r->ended = j->ended;
    r->term_at = j->term_at;
    r->kill_at = j->kill_at;
    r->stdin_open = j->stdin_open;
    r->timed_out = j->end.timed_out;
    r->killed = j->end.killed;
    r->kill_sent = j->kill_sent;
    r->signaled = j->end.how.signaled;
    r->core = j->end.how.core;
    r->code = j->end.how.code;
    r->has_usage = j->end.how.has_usage;
    r->user = j->end.how.user;
    r->system = j->end.how.system;
    r->max_rss = j->end.how.max_rss;
    /* After what it vouches for: we may be killed in between. */
    __atomic_store_n(&r->reaped, (uint8_t)j->end.known, __ATOMIC_RELEASE);
}

void record_output(const struct job *j) { record_of(j->jobs, j->slot)->to = j->output.to; }

void record_clear(struct jobs *js, uint32_t slot) {
    __atomic_store_n(&record_of(js, slot)->magic, 0, __ATOMIC_SEQ_CST);
}

/* --- reading -------------------------------------------------------------------------------- */

static void take_text(char *out, size_t cap, const char *from) {
    memcpy(out, from, cap);
    out[cap - 1] = '\0';
}

/* It is shown as it is, so it has to be an array of strings. */
static char *take_command(const struct record *r) {
    char text[sizeof r->command];
    take_text(text, sizeof text, r->command);
    yyjson_doc *doc = yyjson_read(text, strlen(text), 0);
    yyjson_val *root = yyjson_doc_get_root(doc), *word;
    bool good = yyjson_is_arr(root);
    yyjson_arr_iter words = yyjson_arr_iter_with(root);
    while ((word = yyjson_arr_iter_next(&words)))
        good &= yyjson_is_str(word);
    yyjson_doc_free(doc);
    return strdup(good ? text : "[]");
}

static instant past(instant t, instant now) { return t.ns < 0 || instant_before(now, t) ? now : t; }

static instant any(instant t) { return t.ns < 0 ? (instant){ 0 } : t; }

static bool is_master(int fd) {
    char name[64];
    return fd >= 0 && ptsname_r(fd, name, sizeof name) == 0;
}

/* Without a record it is still a job: all but what it is called and what was asked for it. */
static bool take_record(struct job *j, const struct wire_job *m) {
    instant now = j->jobs->a.loop->now;
    struct record r = *record_of(j->jobs, j->slot);
    bool good = r.magic == RECORD_MAGIC && r.id == m->id;
    if (!good)
        r = (struct record){ .command = "[]",
                             .keep = JOB_OUTPUT,
                             .started = now,
                             .ended = INSTANT_NEVER,
                             .term_at = INSTANT_NEVER,
                             .kill_at = INSTANT_NEVER };
    take_text(j->tag, sizeof j->tag, r.tag);
    take_text(j->key, sizeof j->key, r.key);
    j->key_hash = r.key_hash;
    j->command = take_command(&r);
    j->started_unix_ms = r.started_unix_ms;
    j->started = past(r.started, now);
    j->ended = m->ended ? past(r.ended, now) : INSTANT_NEVER;
    j->term_at = any(r.term_at);
    j->kill_at = any(r.kill_at);
    j->kill_after.ns = r.kill_after.ns < 0 ? 0 : r.kill_after.ns;
    j->ooms = r.ooms;
    j->kill_sent = r.kill_sent != 0;
    j->stdin_pipe = r.stdin_pipe != 0;
    j->stdin_open = !j->stdin_pipe || r.stdin_open != 0;
    j->end.timed_out = r.timed_out != 0;
    j->end.killed = r.killed != 0;
    j->end.known = r.reaped != 0;
    j->end.how = (struct exit_info){ .signaled = r.signaled != 0,
                                     .core = r.core != 0,
                                     .code = r.code & 0xff,
                                     .has_usage = r.has_usage != 0,
                                     .user.ns = r.user.ns < 0 ? 0 : r.user.ns,
                                     .system.ns = r.system.ns < 0 ? 0 : r.system.ns,
                                     .max_rss = r.max_rss < 0 ? 0 : r.max_rss };
    ring_init(&j->output, r.keep <= MAX_JOB_OUTPUT ? r.keep : JOB_OUTPUT,
              r.to < UINT64_MAX / 4 ? r.to : 0);
    return good;
}

/* --- what PID 1 says ------------------------------------------------------------------------ */

/* A status of -1: PID 1 has not seen it; the channel before may have, and written it down. */
static void take_end(struct job *j, const struct wire_job *m) {
    struct exit_info how = j->end.how;
    bool told = m->signaled || m->code >= 0;
    if (told) {
        how.signaled = m->signaled;
        how.core = m->core;
        how.code = m->code;
    }
    job_reaped(j, told || j->end.known ? &how : NULL);
}

/* PID 1 has not reaped it, and yet it may be gone: the channel before had reaped it and did not
 * come to say so. Then nothing more will be heard of it. */
static void resume(struct job *j, const struct wire_job *m, bool recorded) {
    j->pty = is_master(j->fds[JOB_STDOUT]);
    if (!j->stdin_open && j->fds[JOB_STDIN] >= 0) { /* the channel before did not come to tell it */
        job_close_fd(j, JOB_STDIN);
        job_owe(j, WIRE_JOB_SHUT);
    }
    j->stdin_pipe |= j->fds[JOB_STDIN] >= 0;
    j->stdin_open = j->fds[JOB_STDIN] >= 0 || j->pty;
    if (recorded)
        record_write(j);
    else
        record_create(j);
    job_exec_settle(j);
    job_watch(j);
    job_arm(j);
    if (m->ended)
        take_end(j, m);
    else if (getsid(j->pid) < 0)
        timer_arm(j->jobs->a.loop, &j->linger, span_ms(JOB_LOST_MS));
}

/* In `all` the oldest come first, whatever the order in which PID 1 lists them. */
static void sort_in(struct job *j) {
    struct link *head = &j->jobs->all, *before = head;
    list_remove(&j->link);
    while (before->prev != head &&
           instant_before(j->started, CONTAINER_OF(before->prev, struct job, link)->started))
        before = before->prev;
    list_insert_before(before, &j->link);
}

static bool adopt(struct jobs *js, const struct wire_job *m, int fds[JOB_NFDS]) {
    if (m->slot >= MAX_JOBS || m->id == 0 || m->id >> 48 || m->id % MAX_JOBS != m->slot ||
        m->pid <= 1 || (js->slots[m->slot / 64] >> m->slot % 64 & 1))
        return false;
    struct job *j = job_new(js, m->id, m->slot);
    if (!j)
        return true; /* PID 1 keeps it for a channel that has memory */
    bool recorded = take_record(j, m);
    for (int i = 0; i < JOB_NFDS; i++)
        j->fds[i] = fd_take(&fds[i]);
    j->adopted = true;
    j->pid = j->leader = m->pid;
    sort_in(j);
    resume(j, m, recorded);
    return true;
}

bool jobs_take(struct jobs *js, const struct wire_job *m, int fds[JOB_NFDS]) {
    bool good = true;
    if (m->head.kind == WIRE_JOB) {
        good = adopt(js, m, fds);
    } else if (m->head.kind == WIRE_JOB_ENDED) {
        struct job *j = job_by_number(js, m->id);
        if (j && !j->reaped)
            take_end(j, m);
    } else {
        good = false;
    }
    for (int i = 0; i < JOB_NFDS; i++)
        fd_close(&fds[i]);
    return good;
}

/* --- what PID 1 is told --------------------------------------------------------------------- */

void job_owe(struct job *j, enum wire_kind kind) {
    j->owed |= 1U << kind;
    if (!j->owing.next)
        list_insert_before(&j->jobs->owing, &j->owing);
    jobs_turn_soon(j->jobs);
}

void job_tell(struct job *j, enum wire_kind kind) {
    job_owe(j, kind);
    (void)job_pay(j);
}

/* False: it is to be said again. Without PID 1 there is nobody to tell, and soon no channel. */
static bool say(const struct job *j, enum wire_kind kind) {
    struct wire_job m = {
        .head = { .version = WIRE_VERSION, .kind = (uint16_t)kind, .size = sizeof m },
        .id = j->id,
        .slot = j->slot,
        .pid = j->leader
    };
    if (kind == WIRE_JOB_SHUT || kind == WIRE_JOB_ENDED)
        m.fds = j->shut;
    if (kind == WIRE_JOB_ENDED) {
        m.ended = true;
        m.signaled = j->end.how.signaled;
        m.core = j->end.how.core;
        m.code = j->end.how.code;
    }
    return wire_send(j->jobs->a.pid1, &m.head) != -EAGAIN;
}

/* Closed pipes are told of when it has ended, all at once; a closed stdin matters before, but not
 * before PID 1 can know the job. */
bool job_pay(struct job *j) {
    if (j->owed & 1U << WIRE_JOB_DONE) {
        if (!say(j, WIRE_JOB_DONE))
            return false;
        j->owed = j->shut = 0;
        return true;
    }
    bool ended = j->owed & 1U << WIRE_JOB_ENDED;
    bool due = j->reaped || (j->state != JOB_STARTING && (j->shut & 1U << JOB_STDIN));
    if (ended || (j->shut && due)) {
        if (!say(j, ended ? WIRE_JOB_ENDED : WIRE_JOB_SHUT))
            return false;
        j->shut = 0;
    }
    j->owed = 0;
    return true;
}
