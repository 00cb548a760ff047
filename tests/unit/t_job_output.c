#include "tests/unit/t_job.h"

#include "sys/title.h"

/* --- readers ---------------------------------------------------------------------------------- */

static void reads_from_anywhere(void) {
    struct client c, d;
    struct job *j =
        run(&c, spec(SH("printf abc; sleep 0.05; printf de >&2; sleep 0.05; printf fgh")));
    OK(strcmp(c.out, "abcfgh") == 0 && strcmp(c.err, "de") == 0 && ring_len(&j->output) == 8,
       "all of it: %s %s", c.out, c.err);
    OK(c.ready >= 4, "told as it came: %d", c.ready);
    attach(&d, j, 4, false);
    client_read(&d);
    OK(d.ended && strcmp(d.out, "fgh") == 0 && strcmp(d.err, "e") == 0, "from the middle");
    job_detach(&d.r);
    attach(&d, j, -1, false);
    client_read(&d);
    OK(d.ended && d.nout + d.nerr == 0 && d.r.at == 8, "from the end");
    job_detach(&d.r);
    attach(&d, j, 1000, false);
    client_read(&d);
    OK(d.ended && d.nout + d.nerr == 0, "from behind the end, which is never reached");
    job_detach(&d.r);
    attach(&d, j, 0, false);
    d.most = 1;
    client_read(&d);
    OK(d.ended && strcmp(d.out, "abcfgh") == 0 && strcmp(d.err, "de") == 0, "byte by byte");
    job_attach(j, &d.r, 0, false);
    OK(j->refs == 2, "attached anew: %u", j->refs);
    job_detach(&d.r);
    forget(&c);
    j = start(spec(SH("printf abc; sleep 0.1; printf def")));
    attach(&c, j, 0, false);
    UNTIL(c.nout == 3);
    attach(&d, j, 5, false);
    struct client e;
    attach(&e, j, -1, false);
    struct job_chunk k;
    OK(job_read(&d.r, &k) == JOB_READ_WAIT && job_read(&e.r, &k) == JOB_READ_WAIT, "nothing yet");
    UNTIL(c.ended && d.ended && e.ended);
    OK(strcmp(d.out, "f") == 0 && strcmp(e.out, "def") == 0, "what came later: %s %s", d.out,
       e.out);
    job_detach(&d.r);
    job_detach(&e.r);
    forget(&c);
}

/* Bytes of `yes` from offset `at` on: "y\n" for ever, so whatever is missing shows. */
static bool is_yes(const struct job_chunk *k, uint64_t at) {
    bool good = true;
    for (size_t i = 0; i < k->n; i++)
        good &= k->bytes[i] == ((at + i) % 2 ? '\n' : 'y');
    return good;
}

static void tells_what_was_missed(void) {
    struct client slow, quick;
    struct job_spec s = spec(SH("yes | head -c 1000000"));
    s.keep = 65536;
    struct job *j = start(s);
    attach(&slow, j, 0, false);
    slow.lazy = true;
    attach(&quick, j, 0, false);
    UNTIL(quick.ended);
    OK(quick.ended && quick.nout + quick.missed == 1000000, "it has not waited: %zu and %zu missed",
       quick.nout, (size_t)quick.missed);
    OK(ring_len(&j->output) == 65536 && j->output.to == 1000000, "the last 64 KiB are kept");
    struct job_chunk k;
    bool missed = job_read(&slow.r, &k) == JOB_READ_MISSED;
    OK(missed && k.missed == 1000000 - 65536, "missed: %zu", (size_t)k.missed);
    OK(job_read(&slow.r, &k) == JOB_READ_DATA, "said once, then the rest");
    OK(is_yes(&k, slow.r.at), "in order");
    client_read(&slow);
    OK(slow.ended && slow.nout == 65536 && slow.nmissed == 0, "to its end");
    job_detach(&slow.r);
    forget(&quick);
}

/* It takes some of it whenever the timer fires. */
struct dripper {
    struct client c;
    struct timer t;
    size_t step;
    bool good;
};

static void drip(struct timer *t) {
    struct dripper *d = CONTAINER_OF(t, struct dripper, t);
    struct job_chunk k;
    size_t left = d->step;
    while (left > 0) {
        enum job_read got = job_read(&d->c.r, &k);
        if (got == JOB_READ_END)
            d->c.ended = true;
        d->good &= got != JOB_READ_MISSED;
        if (got != JOB_READ_DATA)
            break;
        if (k.n > left)
            k.n = left;
        d->good &= is_yes(&k, d->c.r.at);
        job_took(&d->c.r, k.n);
        d->c.nout += k.n;
        left -= k.n;
    }
    if (!d->c.ended)
        timer_arm(&loop, t, span_ms(1));
}

static void waits_for_lossless(void) {
    enum { ALL = 3000000 };
    struct job_spec s = spec(SH("yes | head -c 3000000; exit 5"));
    s.keep = 65536;
    struct dripper d = { .t.fire = drip, .step = 40000, .good = true };
    struct job *j = start(s);
    attach(&d.c, j, 0, true);
    d.c.lazy = true;
    UNTIL(j->stalled);
    OK(j->stalled && ring_len(&j->output) == 65536 && j->output.from == 0 &&
           j->state == JOB_RUNNING,
       "it waits with a full ring");
    turn_for(150);
    OK(j->state == JOB_RUNNING && j->output.to == 65536, "and waits");
    drip(&d.t);
    UNTIL(d.c.ended);
    OK(d.good && d.c.nout == ALL && j->end.how.code == 5, "nothing is missing, to the end: %zu",
       d.c.nout);
    forget(&d.c);
    j = start(s);
    attach(&d.c, j, 0, true);
    d.c.lazy = true;
    UNTIL(j->stalled);
    struct client other;
    attach(&other, j, 0, false);
    job_detach(&d.c.r);
    UNTIL(other.ended);
    OK(other.ended && other.nout + other.missed == ALL, "it goes on when that reader leaves");
    forget(&other);
}

/* The pipe still holds output when the leader is reaped, and the ring is full. */
static void ends_after_its_output(void) {
    struct job_spec s = spec(SH("yes | head -c 60000"));
    s.keep = 4096;
    struct dripper d = { .t.fire = drip, .step = 500, .good = true };
    struct job *j = start(s);
    attach(&d.c, j, 0, true);
    d.c.lazy = true;
    UNTIL(j->reaped);
    turn_for(250);
    OK(j->reaped && j->state == JOB_RUNNING && j->pid == 0,
       "reaped, but not ended: 100 ms are over");
    OK(job_signal(j, SIGHUP, JOB_GROUP) == -ESRCH, "with nobody there");
    drip(&d.t);
    UNTIL(d.c.ended);
    OK(d.good && d.c.nout == 60000, "all of it first: %zu", d.c.nout);
    forget(&d.c);
}

static void alternates(void) {
    struct client c;
    struct job_spec s = spec(SH("i=0; while [ $i -lt 3000 ]; do echo -n a; echo -n b >&2; "
                                "i=$((i+1)); done"));
    struct job *j = start(s);
    attach(&c, j, 0, true);
    UNTIL(c.ended);
    OK(c.nout == 3000 && c.nerr == 3000 && c.missed == 0, "two streams: %zu %zu", c.nout, c.nerr);
    OK(j->output.nruns <= MAX_RING_RUNS, "%zu runs", j->output.nruns);
    forget(&c);
}

static void shares_the_loop(void) {
    struct client loud, quiet;
    struct job_spec s = spec(ARGV("yes"));
    struct job *a = start(s);
    attach(&loud, a, 0, false);
    UNTIL(loud.nout > 1 << 20);
    int64_t t = now_ms();
    struct job *b = run(&quiet, spec(ARGV("echo", "hi")));
    OK(b && quiet.nout == 3 && now_ms() - t < 3000, "a loud job leaves others their turn: %d ms",
       (int)(now_ms() - t));
    forget(&quiet);
    (void)job_signal(a, SIGKILL, JOB_TREE);
    UNTIL(loud.ended);
    forget(&loud);
}

/* --- what stays behind ------------------------------------------------------------------------ */

static void ends_without_its_daemon(void) {
    struct client c, d;
    int64_t t = now_ms();
    struct job *j =
        run(&c, spec(SH("echo up; (sleep 0.6; echo late; sleep 0.4; echo later >&2) & exit 2")));
    int64_t took = now_ms() - t;
    OK(c.ended && j->state == JOB_ENDED && j->end.how.code == 2 && strcmp(c.out, "up\n") == 0,
       "ended while its output is held: %s", c.out);
    OK(took >= 100 && took < 550, "after 100 ms: %d", (int)took);
    turn_for(10);
    OK(pid1_fds(j) == (1 << JOB_STDOUT | 1 << JOB_STDERR), "PID 1 keeps what is open");
    job_detach(&c.r);
    attach(&d, j, -1, false);
    client_read(&d);
    OK(d.ended, "no reader waits for a daemon");
    job_detach(&d.r);
    UNTIL(j->fds[JOB_STDERR] < 0);
    attach(&d, j, 0, false);
    client_read(&d);
    OK(d.ended && strcmp(d.out, "up\nlate\n") == 0 && strcmp(d.err, "later\n") == 0,
       "what it says later is kept: %s%s", d.out, d.err);
    OK(js.kept == 14, "and counted: %zu", js.kept);
    turn_for(10);
    OK(pid1_fds(j) == 0, "PID 1 has closed it");
    forget(&d);
}

static void spares_daemons(void) {
    struct client c;
    struct job *daemon = run(&c, spec(SH("sleep 2 & exit 0"))), *plain;
    job_detach(&c.r);
    js.max_ended = 1;
    plain = run(&c, spec(ARGV("true")));
    job_detach(&c.r);
    turn_for(10);
    char id[JOB_ID_TEXT];
    OK(js.nended == 1 && job_by_id(&js, job_id_text(daemon, id)) == daemon && plain,
       "whose output is still open is forgotten last");
    js.max_ended = MAX_JOBS_ENDED;
    (void)job_forget(daemon);
}

/* --- callbacks -------------------------------------------------------------------------------- */

static struct client first, second;
static int calls;

static void detach_both(struct job_reader *r) {
    struct job *j = r->job;
    if (j->state != JOB_ENDED)
        return;
    calls++;
    job_detach(&first.r);
    job_detach(&second.r);
    OK(job_forget(j) == 0, "forgotten from within a callback");
}

static void changed_forgets(struct jobs *all, struct job *j) {
    (void)all;
    if (j->state == JOB_ENDED)
        calls += job_forget(j) == 0;
}

static void may_do_anything_when_told(void) {
    struct job *j = start(spec(ARGV("true")));
    attach(&first, j, 0, false);
    attach(&second, j, 0, false);
    first.r.ready = second.r.ready = detach_both;
    calls = 0;
    UNTIL(calls > 0);
    OK(calls == 1 && !first.r.job && !second.r.job, "a reader may remove all: %d", calls);
    OK(js.n == 0, "the job went, too");
    js.changed = changed_forgets;
    j = start(spec(ARGV("echo", "x")));
    calls = 0;
    UNTIL(calls > 0);
    OK(calls == 1 && js.n == 0, "forgotten when it is told to have ended");
    js.changed = changed;
    OK(start(spec(ARGV("none-such"))), "nobody waits for this one");
    UNTIL(js.n == 0);
    OK(js.n == 0, "a failure that nobody hears of is forgotten");
}

int main(int argc, char **argv) {
    title_init(argc, argv);
    channel_open();
    reads_from_anywhere();
    tells_what_was_missed();
    waits_for_lossless();
    ends_after_its_output();
    alternates();
    shares_the_loop();
    ends_without_its_daemon();
    spares_daemons();
    may_do_anything_when_told();
    UNTIL(list_empty(&js.gone));
    OK(js.n == 0 && js.kept == 0 && wire_strange == 0, "nothing is left");
    channel_close();
    return tap_end();
}
