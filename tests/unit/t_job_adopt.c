#include "tests/unit/t_job.h"

#include <sys/wait.h>

#include "sys/title.h"

/* The first channel is a fork; this process is PID 1, and then the second channel as well. */

/* --- PID 1's part ----------------------------------------------------------------------------- */

static struct held *held_by_pid(pid_t pid) {
    for (int i = 0; i < HELD; i++)
        if (held[i].m.head.kind && held[i].m.pid == pid)
            return &held[i];
    return NULL;
}

static struct held *held_by_slot(uint32_t slot) {
    for (int i = 0; i < HELD; i++)
        if (held[i].m.head.kind && held[i].m.slot == slot)
            return &held[i];
    return NULL;
}

static struct wire_job ended_message(const struct held *h, uint16_t kind) {
    struct wire_job m = h->m;
    m.head.kind = kind;
    m.ended = h->ended;
    m.signaled = h->end.signaled;
    m.core = h->end.core;
    m.code = h->end.code;
    return m;
}

static bool serving; /* there is a second channel to tell */

static void orphan(struct children *cs, struct exit_info how) {
    (void)cs;
    struct held *h = held_by_pid(how.pid);
    if (!h || h->ended)
        return;
    h->ended = true;
    h->end = (struct wire_job){ .signaled = how.signaled, .core = how.core, .code = how.code };
    int none[JOB_NFDS] = { -1, -1, -1, -1 };
    struct wire_job m = ended_message(h, WIRE_JOB_ENDED);
    if (serving)
        OK(jobs_take(&js, &m, none), "an end is told");
}

static bool hand_over(const struct held *h) {
    struct wire_job m = ended_message(h, WIRE_JOB);
    int fds[JOB_NFDS];
    m.fds = 0;
    for (int i = 0; i < JOB_NFDS; i++) {
        fds[i] = h->fds[i] < 0 ? -1 : fcntl(h->fds[i], F_DUPFD_CLOEXEC, 3);
        m.fds |= fds[i] >= 0 ? 1U << i : 0;
    }
    return jobs_take(&js, &m, fds);
}

/* --- the first channel ------------------------------------------------------------------------ */

enum { TALKS, ENDED, LIMITED, TERMINAL, QUICK, SPOILED, SHUT, DAEMON, LATE, NJOBS };

static struct client first[NJOBS];

/* The second channel knows them by their slots: they are taken in this order. */
static _Noreturn void first_channel(int ready) {
    struct job *j[NJOBS];
    struct job_spec s = spec(SH("echo before; read x; echo \"after $x\"; exit 7"));
    loop_open();
    jobs_open();
    s.stdin_pipe = true;
    s.tag = "tag";
    s.key = "key";
    s.key_hash = 77;
    j[TALKS] = start(s);
    j[ENDED] = start(spec(SH("echo out; exit 3")));
    s = spec(ARGV("sleep", "60"));
    s.timeout = span_ms(1500);
    s.kill_after = span_ms(100);
    j[LIMITED] = start(s);
    s = spec(SH("echo hi; read x; stty size; exit 4"));
    s.pty = true;
    j[TERMINAL] = start(s);
    j[QUICK] = start(spec(SH("echo one; sleep 0.5; echo two; kill -9 $$")));
    j[SPOILED] = start(spec(SH("echo x; sleep 60")));
    s = spec(SH("cat; echo eof; sleep 60"));
    s.stdin_pipe = true;
    j[SHUT] = start(s);
    j[DAEMON] = start(spec(SH("setsid sleep 60 & echo x; wait")));
    s = spec(SH("echo up; cat; echo eof; exit 5"));
    s.stdin_pipe = true;
    j[LATE] = start(s);
    for (int i = 0; i < NJOBS; i++)
        attach(&first[i], j[i], 0, false);
    (void)job_close_stdin(j[SHUT]);
    UNTIL(first[TALKS].nout && first[ENDED].ended && first[TERMINAL].nout && first[QUICK].nout &&
          first[SPOILED].nout && first[SHUT].nout && first[DAEMON].nout && first[LATE].nout);
    turn_for(50);
    (void)job_close_stdin(j[LATE]); /* of which PID 1 will not hear */
    for (uint32_t i = 0; i < NJOBS; i++)
        if (j[i]->slot != i)
            _exit(1);
    (void)!write(ready, "x", 1);
    for (;;)
        (void)pause();
}

/* It dies with jobs in all states. What PID 1 has heard of it by then, it has heard. */
static void first_dies(void) {
    int p[2];
    char c;
    (void)!pipe2(p, O_CLOEXEC | O_NONBLOCK);
    pid_t pid = fork();
    if (pid == 0)
        first_channel(p[1]);
    fd_close(&p[1]);
    ssize_t n = -1;
    UNTIL((n = read(p[0], &c, 1)) >= 0);
    fd_close(&p[0]);
    OK(n == 1, "the first channel has its jobs");
    turn_for(50);
    OK(wire_jobs == NJOBS && wire_ended == 1, "PID 1 knows of %d, one has ended", wire_jobs);
    (void)kill(pid, SIGKILL);
    (void)waitpid(pid, NULL, 0);
    turn_for(1000); /* nobody serves */
}

/* --- the second ------------------------------------------------------------------------------- */

static struct job *adopted[NJOBS];
static struct client c[NJOBS];

static void second_adopts(void) {
    struct record_head { /* of a record, as far as this test knows it */
        uint32_t magic;
    } *spoiled = (struct record_head *)((char *)table + (size_t)SPOILED * JOB_RECORD_BYTES);
    memset(spoiled, 0xff, JOB_RECORD_BYTES);
    jobs_open();
    serving = true;
    bool good = true;
    for (uint32_t i = NJOBS; i-- > 0;) /* in any order */
        good &= hand_over(held_by_slot(i));
    OK(good && js.n == NJOBS, "all are taken");
    struct job *before = NULL;
    for (struct link *l = js.all.next; l != &js.all; l = l->next) {
        struct job *j = CONTAINER_OF(l, struct job, link);
        good &= !before || !instant_before(j->started, before->started);
        before = j;
        adopted[j->slot] = j;
        attach(&c[j->slot], j, 0, false);
        good &= j->adopted && (j->slot == SPOILED || j->started_unix_ms > INT64_C(1700000000000));
    }
    OK(good, "the oldest first");
    OK(!hand_over(held_by_slot(0)), "twice makes no sense");
}

static void goes_on(void) {
    struct job *j = adopted[TALKS];
    OK(j->state == JOB_RUNNING && strcmp(j->tag, "tag") == 0 && job_by_key(&js, "key") == j &&
           j->key_hash == 77 && strstr(j->command, "\"sh\",\"-c\"") && j->stdin_pipe &&
           j->stdin_open,
       "it is the same: %s", j->command);
    client_read(&c[TALKS]);
    OK(c[TALKS].missed == 7 && c[TALKS].r.at == 7,
       "what was read before is missing, and said to be");
    OK(job_write(j, "you\n", 4) == 4, "its stdin is open");
    UNTIL(c[TALKS].ended);
    OK(strcmp(c[TALKS].out, "after you\n") == 0 && j->end.known && j->end.how.code == 7 &&
           !j->end.how.has_usage,
       "it goes on, to an end that PID 1 tells: %s", c[TALKS].out);
}

static void lists_what_has_ended(void) {
    struct job *j = adopted[ENDED];
    client_read(&c[ENDED]);
    OK(j->state == JOB_ENDED && j->end.known && j->end.how.code == 3 && j->end.how.has_usage &&
           c[ENDED].ended && c[ENDED].missed == 4,
       "one that had ended");
    j = adopted[QUICK];
    UNTIL(c[QUICK].ended);
    OK(j->end.known && j->end.how.signaled && j->end.how.code == SIGKILL && !j->end.killed,
       "one that ended while nobody served");
    OK(c[QUICK].missed == 4 && strcmp(c[QUICK].out, "two\n") == 0, "with what it still said: %s",
       c[QUICK].out);
}

static void keeps_what_was_asked(void) {
    struct job *j = adopted[LIMITED];
    UNTIL(c[LIMITED].ended);
    OK(j->end.timed_out && j->end.how.code == SIGTERM, "its time is over");
    j = adopted[TERMINAL];
    OK(j->pty && job_resize(j, 11, 22) == 0 && job_write(j, "\n", 1) == 1, "a terminal");
    UNTIL(c[TERMINAL].ended);
    OK(strstr(c[TERMINAL].out, "11 22") && j->end.how.code == 4, "of that size: %s",
       c[TERMINAL].out);
    j = adopted[SHUT];
    OK(j->stdin_pipe && !j->stdin_open && job_write(j, "x", 1) == -EPIPE, "a closed stdin");
    OK(job_signal(j, SIGTERM, JOB_LEADER) == 0, "the leader is signalled");
    UNTIL(c[SHUT].ended);
    OK(j->end.killed && j->end.how.code == SIGTERM, "and ends");
    UNTIL(c[LATE].ended);
    OK(c[LATE].ended && strcmp(c[LATE].out, "eof\n") == 0 && adopted[LATE]->end.how.code == 5,
       "stdin that was closed last of all is an end of file");
    j = adopted[SPOILED];
    OK(j->state == JOB_RUNNING && strcmp(j->command, "[]") == 0 && !j->tag[0] && !j->end.killed,
       "without its record it still is a job");
    OK(job_signal(j, SIGTERM, JOB_GROUP) == 0, "its group is signalled");
    UNTIL(c[SPOILED].ended);
    OK(j->end.how.code == SIGTERM, "and ends");
    j = adopted[DAEMON];
    OK(job_signal(j, SIGKILL, JOB_TREE) == 0, "its tree is killed");
    UNTIL(c[DAEMON].ended);
    OK(j->end.how.code == SIGKILL && j->end.killed && !j->end.oom, "and gone");
}

/* --- strange news ----------------------------------------------------------------------------- */

static struct wire_job news(uint32_t slot, pid_t pid) {
    return (struct wire_job){ .head = WIRE_HEAD(WIRE_JOB, struct wire_job),
                              .id = UINT64_C(0x123456000) + slot,
                              .slot = slot,
                              .pid = pid };
}

static void loses_one(void) {
    int none[JOB_NFDS] = { -1, -1, -1, -1 };
    pid_t pid = fork();
    if (pid == 0)
        _exit(0);
    (void)waitpid(pid, NULL, 0); /* as the first channel would, and then die */
    struct wire_job m = news(100, pid);
    OK(jobs_take(&js, &m, none), "nobody has seen this one end");
    struct client lost;
    attach(&lost, job_by_pid(&js, pid), 0, false);
    UNTIL(lost.ended);
    OK(lost.r.job->state == JOB_ENDED && !lost.r.job->end.known, "lost, after a second");
    forget(&lost);
    m = news(103, pid);
    m.ended = true;
    m.code = -1;
    (void)jobs_take(&js, &m, none);
    attach(&lost, job_by_pid(&js, pid), 0, false);
    UNTIL(lost.ended);
    OK(lost.r.job->state == JOB_ENDED && !lost.r.job->end.known, "PID 1 has not seen it, either");
    forget(&lost);
    m = news(101, pid);
    (void)jobs_take(&js, &m, none);
    struct job *j = job_by_pid(&js, pid);
    m.head.kind = WIRE_JOB_ENDED;
    m.ended = true;
    m.code = 9;
    OK(jobs_take(&js, &m, none), "of this one PID 1 tells in time");
    UNTIL(j->state == JOB_ENDED);
    OK(j->end.known && j->end.how.code == 9 && !j->end.how.signaled, "known");
    m.code = 8;
    OK(jobs_take(&js, &m, none) && j->end.how.code == 9, "told twice");
    (void)job_forget(j);
}

/* The channel before had reaped it, and did not come to say so: but it has written it down. */
static void reads_an_end(void) {
    int none[JOB_NFDS] = { -1, -1, -1, -1 };
    struct client seen;
    struct wire_job m = news(104, getpid());
    char *record = (char *)table + 104 * JOB_RECORD_BYTES;
    struct job *j = start(spec(SH("kill -QUIT $$")));
    attach(&seen, j, 0, false);
    UNTIL(seen.ended);
    memcpy(record, (char *)table + j->slot * JOB_RECORD_BYTES, JOB_RECORD_BYTES);
    char *id = memmem(record, JOB_RECORD_BYTES, &j->id, sizeof j->id);
    OK(id, "a record says whose it is");
    memcpy(id, &m.id, sizeof m.id);
    forget(&seen);
    m.ended = true;
    m.code = -1;
    (void)jobs_take(&js, &m, none);
    attach(&seen, job_by_pid(&js, getpid()), 0, false);
    UNTIL(seen.ended);
    const struct job_end *end = &seen.r.job->end;
    OK(end->known && end->how.signaled && end->how.code == SIGQUIT && end->how.has_usage,
       "an end that only the channel before has seen");
    forget(&seen);
}

static void hears_of_a_failure(void) {
    int p[2], fds[JOB_NFDS] = { -1, -1, -1, -1 };
    (void)!pipe2(p, O_CLOEXEC | O_NONBLOCK);
    fds[JOB_EXEC] = p[0];
    struct wire_job m = news(102, getpid());
    uint64_t failures = js.failed_total;
    OK(jobs_take(&js, &m, fds) && fds[JOB_EXEC] == -1, "one that has not executed");
    struct job *j = job_by_pid(&js, getpid());
    OK(j && j->state == JOB_STARTING, "starting");
    struct client told;
    attach(&told, j, 0, false);
    struct exec_failure f = { .step = STEP_EXEC, .code = ENOENT };
    (void)!write(p[1], &f, sizeof f);
    fd_close(&p[1]);
    UNTIL(told.ended);
    OK(js.failed_total == failures + 1 && j->reason == JOB_NOT_FOUND &&
           strcmp(j->why, "cannot execute: No such file or directory") == 0,
       "it fails: %s", j->why);
    job_detach(&told.r);
    turn_for(20);
    OK(!job_by_pid(&js, getpid()), "and is forgotten");
}

static void refuses_nonsense(void) {
    const struct {
        uint64_t id;
        uint32_t slot;
        pid_t pid;
        uint16_t kind;
    } rows[] = { { 0, 200, 2, WIRE_JOB },         { 5, MAX_JOBS, 2, WIRE_JOB },
                 { 5, UINT32_MAX, 2, WIRE_JOB },  { 4296, 200, 1, WIRE_JOB },
                 { 4296, 200, -7, WIRE_JOB },     { (UINT64_C(1) << 48) + 200, 200, 2, WIRE_JOB },
                 { 4296, 200, 2, WIRE_JOB_SHUT }, { 4296, 200, 2, WIRE_JOB_DONE },
                 { 4297, 200, 2, WIRE_JOB } };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        int fds[JOB_NFDS] = { -1, -1, -1, dup(0) };
        struct wire_job m = news(rows[i].slot, rows[i].pid);
        m.id = rows[i].id;
        m.head.kind = rows[i].kind;
        OK(!jobs_take(&js, &m, fds) && fds[JOB_EXEC] == -1, "nonsense %zu, and its fds are closed",
           i);
    }
    struct wire_job m = news(300, 2);
    int none[JOB_NFDS] = { -1, -1, -1, -1 };
    m.head.kind = WIRE_JOB_ENDED;
    OK(jobs_take(&js, &m, none), "the end of an unknown one is no news");
}

/* Bytes of a record at random: whatever comes of it, it is shown without harm. Some of it comes to
 * a walk, for a KILL that was due. */
static void survives_any_record(void) {
    bool good = true;
    srandom(1);
    for (int round = 0; round < 300; round++) {
        int none[JOB_NFDS] = { -1, -1, -1, -1 };
        struct wire_job m = news(110, getpid());
        unsigned char *r = (unsigned char *)table + 110 * JOB_RECORD_BYTES;
        m.ended = true;
        if (jobs_take(&js, &m, none)) { /* a good one, then a damaged one */
            unsigned char copy[JOB_RECORD_BYTES];
            memcpy(copy, r, sizeof copy);
            (void)job_forget(job_by_pid(&js, getpid()));
            UNTIL(list_empty(&js.gone));
            memcpy(r, copy, sizeof copy);
            for (int i = 0; i < 1 + round % 100; i++)
                r[4 + random() % (JOB_RECORD_BYTES - 4)] = (unsigned char)random();
            for (size_t k = 8; round == 7 && k < 200; k += sizeof(int64_t))
                memcpy(r + k, &(int64_t){ INT64_MIN }, sizeof(int64_t));
            memcpy(r + 8, &m.id, sizeof m.id);
        }
        good &= jobs_take(&js, &m, none);
        struct job *j = job_by_pid(&js, getpid());
        good &= j && j->command && j->command[0] == '[' && strlen(j->tag) < JOB_TEXT &&
                strlen(j->key) < JOB_TEXT && !instant_before(loop.now, j->started) &&
                !instant_before(loop.now, j->ended) && j->output.max <= MAX_JOB_OUTPUT;
        if (!good)
            break;
        (void)job_forget(j);
        UNTIL(list_empty(&js.gone));
    }
    OK(good, "any record");
}

int main(int argc, char **argv) {
    title_init(argc, argv);
    channel_open();
    children.orphan = orphan;
    jobs_fini(&js);
    first_dies();
    second_adopts();
    goes_on();
    lists_what_has_ended();
    keeps_what_was_asked();
    for (int i = 0; i < NJOBS; i++)
        forget(&c[i]);
    loses_one();
    reads_an_end();
    hears_of_a_failure();
    refuses_nonsense();
    survives_any_record();
    UNTIL(list_empty(&js.gone));
    OK(js.n == 0 && js.kept == 0, "nothing is left");
    channel_close();
    return tap_end();
}
