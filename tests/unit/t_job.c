#include "tests/unit/t_job.h"

#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <yyjson.h>

#include "sys/title.h"

/* --- a life --------------------------------------------------------------------------------- */

static void lives_and_ends(void) {
    struct client c;
    changes = 0;
    struct job *j = start(spec(SH("echo out; echo err >&2; exit 3")));
    OK(j && j->state == JOB_STARTING && j->pid > 0 && j->leader == j->pid, "starting");
    pid_t pid = j->pid;
    attach(&c, j, 0, false);
    UNTIL(j->state == JOB_RUNNING);
    OK(j->state == JOB_RUNNING && js.nrunning == 1, "running, once it has executed");
    UNTIL(c.ended);
    OK(j->state == JOB_ENDED && js.nended == 1 && js.nrunning == 0 && j->pid == 0 &&
           j->leader == pid,
       "ended");
    OK(strcmp(c.out, "out\n") == 0 && strcmp(c.err, "err\n") == 0 && c.missed == 0,
       "stdout and stderr: %s%s", c.out, c.err);
    OK(j->end.known && !j->end.how.signaled && j->end.how.code == 3 && !j->end.killed &&
           !j->end.oom && !j->end.timed_out,
       "exit status %d", j->end.how.code);
    OK(j->end.how.has_usage && j->end.how.user.ns >= 0 &&
           j->end.how.user.ns + j->end.how.system.ns > 0,
       "what it used");
    OK(changes == 2, "two changes were told: %d", changes);
    turn_for(20);
    struct held *h = held_by_id(j->id);
    OK(h && h->m.pid == pid && h->m.slot == j->slot && h->m.fds == 0xe,
       "PID 1 was told, by itself");
    OK(h && h->ended && h->end.code == 3 && !h->end.signaled && pid1_fds(j) == 0,
       "and that it has ended; its pipes are closed there, too");
    OK(job_forget(j) == -EBUSY, "not forgotten while somebody reads");
    job_detach(&c.r);
    job_detach(&c.r);
    OK(job_forget(j) == 0 && js.n == 0 && list_empty(&js.all), "forgotten");
    turn_for(20);
    OK(wire_done == 1 && wire_strange == 0 && list_empty(&js.gone), "PID 1 knows");
}

static void tells_signals(void) {
    struct client c;
    struct job *j = run(&c, spec(SH("kill -SEGV $$")));
    OK(j->end.how.signaled && j->end.how.code == SIGSEGV && !j->end.killed, "a signal of its own");
    forget(&c);
    j = start(spec(ARGV("sleep", "100")));
    attach(&c, j, 0, false);
    OK(job_signal(j, SIGTERM, JOB_LEADER) == 0, "while it is starting");
    UNTIL(c.ended);
    OK(j->end.how.signaled && j->end.how.code == SIGTERM && j->end.killed, "killed by a request");
    OK(job_signal(j, SIGTERM, JOB_LEADER) == -ESRCH && job_signal(j, SIGHUP, JOB_TREE) == -ESRCH,
       "it has ended");
    OK(job_signal(j, 0, JOB_TREE) == -EINVAL && job_signal(j, 65, JOB_TREE) == -EINVAL,
       "no such signal");
    forget(&c);
    j = start(spec(SH("trap 'echo got; exit' USR1; echo up; " WAIT)));
    attach(&c, j, 0, false);
    UNTIL(c.nout > 0);
    OK(job_signal(j, SIGUSR1, JOB_GROUP) == 0, "to the group");
    UNTIL(c.ended);
    OK(strcmp(c.out, "up\ngot\n") == 0 && !j->end.killed, "a signal that does not kill");
    forget(&c);
}

/* --- what does not start -------------------------------------------------------------------- */

static void put(const char *path, const char *text, mode_t mode) {
    AUTO_FD int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (write(fd, text, strlen(text)) < 0 || fchmod(fd, mode) < 0)
        OK(false, "write %s", path);
}

static char dir[] = "/tmp/t_job.XXXXXX";

/* Before it has executed, by the quick way or by the second one, of a text that names no shell. */
static void is_signalled_at_once(void) {
    static const int sigs[] = { SIGKILL, SIGTERM, SIGQUIT, SIGABRT, 64 };
    char text[64];
    (void)snprintf(text, sizeof text, "%s/early", dir);
    put(text, "sleep 60\n", 0755);
    for (int scope = JOB_TREE; scope <= JOB_LEADER; scope++)
        for (size_t i = 0; i < 2 * sizeof sigs / sizeof sigs[0]; i++) {
            struct client c;
            int sig = sigs[i / 2];
            struct job *j = start(spec(i % 2 ? ARGV(text) : ARGV("sleep", "60")));
            attach(&c, j, 0, false);
            OK(job_signal(j, sig, (enum job_scope)scope) == 0, "sent before it executes");
            UNTIL(c.ended);
            OK(j->state == JOB_ENDED && j->end.how.signaled && j->end.how.code == sig,
               "scope %d, way %zu: it ends by %d: %d", scope, i % 2, sig, j->end.how.code);
            forget(&c);
        }
}

static void says_why_not(void) {
    char script[64], text[64], broken[64];
    (void)snprintf(script, sizeof script, "%s/script", dir);
    (void)snprintf(broken, sizeof broken, "%s/broken", dir);
    (void)snprintf(text, sizeof text, "%s/text", dir);
    put(script, "#!/bin/sh\n", 0644);
    put(broken, "#!/none/such\n", 0755);
    AUTO_FD int fd = open(text, O_WRONLY | O_CREAT | O_CLOEXEC, 0755);
    (void)!write(fd, "\x7f\0\0\0", 4);
    fd_close(&fd);
    const struct {
        const char *argv0, *cwd, *user;
        enum job_reason reason;
        const char *words;
    } rows[] = {
        { "none-such", NULL, NULL, JOB_NOT_FOUND, "cannot execute 'none-such': No such file" },
        { "/none/such", NULL, NULL, JOB_NOT_FOUND, "cannot execute '/none/such': No such file" },
        { "/etc/passwd/x", NULL, NULL, JOB_NOT_FOUND, "'/etc/passwd/x': Not a directory" },
        { "", NULL, NULL, JOB_NOT_FOUND, "cannot execute '': No such file" },
        { broken, NULL, NULL, JOB_NOT_FOUND, "interpreter" },
        { script, NULL, NULL, JOB_PERMISSION, "/script': Permission denied" },
        { "/tmp", NULL, NULL, JOB_PERMISSION, "cannot execute '/tmp': Permission" },
        { text, NULL, NULL, JOB_BAD_FORMAT, "/text': Exec format error" },
        { "true", "/none", NULL, JOB_BAD_CWD,
          "cannot enter its working directory '/none': No such" },
        { "true", "/etc/passwd", NULL, JOB_BAD_CWD, "'/etc/passwd': Not a dir" },
        { "true", NULL, "nobody-of-that-name", JOB_UNKNOWN_USER,
          "cannot find its user 'nobody-of-that-name': no such user or group" },
        { "true", NULL, "0:no-such-group", JOB_UNKNOWN_USER, "'0:no-such-group'" },
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct client c;
        struct job_spec s = spec(ARGV(rows[i].argv0));
        s.cwd = rows[i].cwd;
        s.user = rows[i].user;
        struct job *j = run(&c, s);
        OK(j->state == JOB_FAILED && j->reason == rows[i].reason && strstr(j->why, rows[i].words),
           "%s: %s", job_reason_text(j->reason), j->why);
        OK(c.ended && c.nout + c.nerr == 0 && js.nrunning == 0, "no output, and it does not run");
        OK(job_signal(j, SIGKILL, JOB_TREE) == -ESRCH && !job_by_pid(&js, j->leader), "no target");
        job_detach(&c.r);
        UNTIL(js.n == 0 && list_empty(&js.gone));
        OK(js.n == 0 && js.nfailed == 0, "forgotten by itself");
    }
    OK(strcmp(job_reason_text(JOB_LIMIT), "limit") == 0, "reasons have names");
    UNTIL(list_empty(&children.live) && children.none);
    OK(js.failed_total == 12 && children.none, "counted, and reaped");
}

static void says_what_is_too_long(void) {
    struct client c;
    size_t n = 3 << 20;
    AUTO_FREE char *big = malloc(n);
    memset(big, 'x', n - 1);
    big[n - 1] = '\0';
    struct job *j = run(&c, spec(ARGV("echo", big)));
    OK(j->state == JOB_FAILED && j->reason == JOB_TOO_LONG &&
           strstr(j->why, "'echo': words and variables are too long"),
       "%s: %s", job_reason_text(j->reason), j->why);
    forget(&c);
}

/* --- where and as whom ---------------------------------------------------------------------- */

static void has_an_environment(void) {
    struct client c;
    struct job_spec s = spec(ARGV("env"));
    s.env = ARGV("NEW=2", "BASE", "X=a=b", "HOME=/mine");
    struct job *j = run(&c, s);
    char id[JOB_ID_TEXT], want[64];
    (void)snprintf(want, sizeof want, "PINNACE_JOB=%s\n", job_id_text(j, id));
    OK(strstr(c.out, want) && strlen(id) == 12, "%s", want);
    OK(strstr(c.out, "NEW=2\n") && strstr(c.out, "X=a=b\n") && strstr(c.out, "HOME=/mine\n") &&
           !strstr(c.out, "BASE") && strstr(c.out, "PATH=/usr/local/bin:"),
       "the box's, and its own over it: %s", c.out);
    forget(&c);
    s = spec(ARGV("sh", "-c", "id -u; id -g; pwd; echo $HOME $USER $SHELL $LOGNAME; umask"));
    s.user = "4242:4343";
    s.env = ARGV("USER=me", "SHELL=sh");
    (void)run(&c, s);
    OK(strncmp(c.out, "4242\n4343\n/\n/ me sh\n", 20) == 0, "a user, whose home is /: %s", c.out);
    forget(&c);
    s = spec(ARGV("pwd"));
    s.cwd = "/usr/bin";
    (void)run(&c, s);
    OK(strcmp(c.out, "/usr/bin\n") == 0, "a directory: %s", c.out);
    forget(&c);
    s = spec(ARGV("found"));
    char path[64];
    (void)snprintf(path, sizeof path, "PATH=%s:/bin", dir);
    char file[64];
    (void)snprintf(file, sizeof file, "%s/found", dir);
    put(file, "#!/bin/sh\necho here\n", 0755);
    s.env = ARGV(path);
    (void)run(&c, s);
    OK(strcmp(c.out, "here\n") == 0, "found on the PATH of its own: %s", c.out);
    forget(&c);
}

static void is_clean(void) {
    struct client c;
    AUTO_FD int leak = open("/dev/null", O_RDONLY);
    js.a.sigmask = SIGNAL_BIT(SIGUSR1);
    js.a.sigchld_ignored = true;
    (void)run(&c, spec(ARGV("grep", "-E", "Sig(Blk|Ign)", "/proc/self/status")));
    OK(strcmp(c.out, "SigBlk:\t0000000000000200\nSigIgn:\t0000000000010000\n") == 0, "signals: %s",
       c.out);
    js.a.sigmask = 0;
    js.a.sigchld_ignored = false;
    forget(&c);
    (void)run(&c, spec(SH("ls /proc/self/fd | wc -l; ulimit -n; cut -d' ' -f1,5,6,7 /proc/$$/stat;"
                          "readlink /proc/$$/fd/0")));
    pid_t pid = c.r.job->leader;
    char want[256];
    (void)snprintf(want, sizeof want, "4\n1024\n%d %d %d 0\n/dev/null\n", pid, pid, pid);
    OK(leak >= 0 && strcmp(c.out, want) == 0,
       "descriptors, limits, session and group, no terminal, stdin: %s", c.out);
    forget(&c);
}

/* --- stdin ---------------------------------------------------------------------------------- */

static struct job *writing;
static size_t written, to_write;
static int rooms;
static bool hung_up; /* job_write() has said so */

static void write_more(struct job_input *in) {
    static const char zeros[65536];
    rooms++;
    while (written < to_write) {
        size_t n = to_write - written < sizeof zeros ? to_write - written : sizeof zeros;
        ssize_t took = job_write(writing, zeros, n);
        if (took < 0) {
            hung_up = took == -EPIPE;
            return;
        }
        written += (size_t)took;
        if (took == 0) {
            job_await_room(writing, in);
            return;
        }
    }
    (void)job_close_stdin(writing);
}

static void reads_stdin(void) {
    struct client c;
    struct job_spec s = spec(ARGV("cat"));
    struct job *j = start(s);
    OK(job_write(j, "x", 1) == -EBADF && job_close_stdin(j) == -EBADF &&
           job_resize(j, 1, 1) == -ENOTTY,
       "without a pipe there is nothing to write to");
    attach(&c, j, 0, false);
    UNTIL(c.ended);
    forget(&c);
    s.stdin_pipe = true;
    j = start(s);
    attach(&c, j, 0, false);
    OK(j->stdin_open && job_write(j, "hello\n", 6) == 6, "a pipe, even before it executes");
    UNTIL(c.nout == 6);
    OK(strcmp(c.out, "hello\n") == 0, "comes back: %s", c.out);
    OK(job_close_stdin(j) == 0 && job_close_stdin(j) == 0 && !j->stdin_open, "closed, twice");
    OK(job_write(j, "x", 1) == -EPIPE, "closed");
    UNTIL(c.ended);
    OK(j->end.how.code == 0 && c.nout == 6, "end of file, though PID 1 had a copy");
    forget(&c);
    j = start(s);
    attach(&c, j, 0, false);
    (void)job_close_stdin(j); /* before PID 1 can know of it */
    UNTIL(c.ended);
    OK(c.ended && j->end.how.code == 0, "closed before it has executed");
    forget(&c);
}

static void waits_for_room(void) {
    struct client c;
    struct job_spec s = spec(SH("sleep 0.1; wc -c"));
    s.stdin_pipe = true;
    struct job_input in = { .room = write_more };
    struct job *j = writing = start(s);
    attach(&c, j, 0, false);
    to_write = 3 << 20;
    write_more(&in);
    OK(written > 0 && written < to_write && in.link.next, "full after %zu", written);
    UNTIL(c.ended);
    OK(strstr(c.out, "3145728") && rooms > 2, "all arrived, in %d rounds: %s", rooms, c.out);
    forget(&c);
    s.argv = SH("exec <&-; sleep 0.05");
    j = writing = start(s);
    attach(&c, j, 0, false);
    written = 0;
    hung_up = false;
    write_more(&in);
    UNTIL(hung_up);
    OK(hung_up && !j->stdin_open && job_write(j, "x", 1) == -EPIPE, "told when nobody reads");
    UNTIL(c.ended);
    forget(&c);
    s.argv = ARGV("sleep", "0.05");
    j = writing = start(s);
    attach(&c, j, 0, false);
    written = 0;
    hung_up = false;
    write_more(&in);
    UNTIL(c.ended && hung_up);
    OK(hung_up && c.ended, "told when it ends");
    job_await_room(j, &in);
    OK(in.link.next && job_forget(j) == -EBUSY, "who waits keeps it");
    job_forgo_room(&in);
    job_forgo_room(&in);
    forget(&c);
}

/* --- terminals ------------------------------------------------------------------------------ */

static void has_a_terminal(void) {
    struct client c;
    struct job_spec s = spec(SH("tty; stty size; stat -c %u $(tty); echo err >&2; cat; exit 4"));
    s.pty = true;
    s.rows = 33;
    s.cols = 77;
    s.user = "4242";
    struct job *j = start(s);
    attach(&c, j, 0, false);
    UNTIL(strstr(c.out, "err"));
    OK(strstr(c.out, "/dev/pts/") && strstr(c.out, "33 77\r\n4242\r\nerr\r\n") && c.nerr == 0,
       "a terminal of the user's, of that size: %s", c.out);
    turn_for(10);
    OK(pid1_fds(j) == (1 << JOB_STDOUT | 1 << JOB_EXEC), "PID 1 has its master");
    OK(job_close_stdin(j) == -ENOTTY && j->stdin_open, "its input is not closed");
    OK(job_write(j, "line\n", 5) == 5, "typed");
    UNTIL(strstr(c.out, "line\r\nline\r\n"));
    OK(strstr(c.out, "line\r\nline\r\n"), "echoed, and read");
    OK(job_write(j, "\4", 1) == 1, "^D");
    UNTIL(c.ended);
    OK(c.ended && j->end.known && j->end.how.code == 4 && j->fds[JOB_STDOUT] < 0, "ended");
    OK(job_write(j, "x", 1) == -EPIPE && job_resize(j, 1, 1) == -ENOTTY, "and gone");
    forget(&c);
    s.argv = SH("trap 'stty size' WINCH; echo up; " WAIT);
    s.user = NULL;
    j = start(s);
    attach(&c, j, 0, false);
    UNTIL(strstr(c.out, "up"));
    OK(job_resize(j, 44, 88) == 0, "resized");
    UNTIL(strstr(c.out, "44 88"));
    OK(strstr(c.out, "44 88"), "it is told: %s", c.out);
    OK(job_write(j, "\3", 1) == 1, "^C");
    UNTIL(c.ended);
    OK(j->end.how.signaled && j->end.how.code == SIGINT, "reaches it: its terminal controls it");
    forget(&c);
}

/* --- time ----------------------------------------------------------------------------------- */

static void ends_in_time(void) {
    struct client c;
    struct job_spec s = spec(ARGV("sleep", "100"));
    s.timeout = span_ms(50);
    uint64_t before = js.timed_out_total;
    struct job *j = run(&c, s);
    OK(j->end.how.signaled && j->end.how.code == SIGTERM && j->end.timed_out && !j->end.killed,
       "TERM when its time is over");
    OK(js.timed_out_total == before + 1, "counted");
    forget(&c);
    UNTIL(list_empty(&js.gone));
    s.argv = SH("trap '' TERM; sleep 100; sleep 100");
    s.timeout = span_ms(500); /* to come as far as trap */
    s.kill_after = span_ms(100);
    int64_t t = now_ms();
    j = run(&c, s);
    OK(j->end.how.signaled && j->end.how.code == SIGKILL && j->end.timed_out && !j->end.oom &&
           now_ms() - t < 5000,
       "KILL when that does not help: %d, %d ms", j->end.how.code, (int)(now_ms() - t));
    forget(&c);
    s.timeout = span_s(100);
    s.argv = ARGV("true");
    j = run(&c, s);
    OK(!j->end.timed_out && !timer_armed(&j->timeout), "in time");
    forget(&c);
}

static void is_abandoned(void) {
    struct client c;
    struct job *j = start(spec(ARGV("sleep", "100")));
    attach(&c, j, 0, false);
    job_abandon(j);
    UNTIL(c.ended);
    OK(j->end.how.signaled && j->end.how.code == SIGHUP && !j->end.killed, "HUP");
    job_abandon(j); /* nothing */
    forget(&c);
    j = start(spec(SH("trap '' HUP; echo up; " WAIT)));
    attach(&c, j, 0, false);
    UNTIL(c.nout);
    int64_t t = now_ms();
    job_abandon(j);
    UNTIL(c.ended);
    OK(j->end.how.code == SIGKILL && now_ms() - t >= 1900, "KILL after 2 s: %d ms",
       (int)(now_ms() - t));
    forget(&c);
}

static void tells_oom(void) {
    struct client c;
    char name[64];
    (void)snprintf(name, sizeof name, "%s/events", dir);
    put(name, "low 0\noom 0\noom_kill 7\noom_group_kill 0\n", 0644);
    fd_close(&js.oom);
    js.oom = open(name, O_RDONLY | O_CLOEXEC);
    struct job *j = run(&c, spec(SH("kill -9 $$")));
    OK(!j->end.oom && j->end.how.code == SIGKILL, "a KILL of its own");
    forget(&c);
    static const char *const scripts[] = { "sleep 0.05; kill -9 $$", "sleep 0.05; kill -15 $$",
                                           "sleep 0.05; exit 9" };
    for (int i = 0; i < 3; i++) {
        put(name, "low 0\noom 0\noom_kill 7\n", 0644);
        j = start(spec(SH(scripts[i])));
        attach(&c, j, 0, false);
        put(name, "low 0\noom 0\noom_kill 8\n", 0644);
        UNTIL(c.ended);
        OK(j->end.oom == (i == 0), "%s: %s", scripts[i], j->end.oom ? "for memory" : "not so");
        forget(&c);
    }
    put(name, "oom_kill 7\n", 0644);
    j = start(spec(ARGV("sleep", "100")));
    attach(&c, j, 0, false);
    put(name, "oom_kill 8\n", 0644);
    (void)job_signal(j, SIGKILL, JOB_TREE);
    UNTIL(c.ended);
    OK(!j->end.oom && j->end.killed, "a KILL of ours is none");
    forget(&c);
}

/* --- keeping -------------------------------------------------------------------------------- */

static void is_found(void) {
    struct client c;
    struct job_spec s = spec(ARGV("true"));
    char id[JOB_ID_TEXT];
    s.tag = "t";
    s.key = "k";
    s.key_hash = 99;
    struct job *a = run(&c, s);
    job_detach(&c.r);
    s.argv = ARGV("sleep", "100");
    struct job *b = start(s);
    s.argv = ARGV("true");
    s.tag = s.key = "";
    struct job *d = run(&c, s);
    OK(job_by_tag(&js, "t") == b && job_by_tag(&js, "") == d && !job_by_tag(&js, "u"), "by tag");
    OK(job_by_key(&js, "k") == b && b->key_hash == 99 && !job_by_key(&js, ""), "by key");
    OK(job_by_pid(&js, b->pid) == b && job_by_pid(&js, a->leader) == a, "by pid");
    OK(job_by_id(&js, job_id_text(a, id)) == a && !job_by_id(&js, "") && !job_by_id(&js, "0") &&
           !job_by_id(&js, "000000000000"),
       "by id");
    id[11]++;
    OK(!job_by_id(&js, id), "by no other");
    OK(job_forget(b) == -EBUSY, "a running one is not forgotten");
    (void)job_signal(b, SIGKILL, JOB_TREE);
    UNTIL(b->state == JOB_ENDED);
    (void)job_forget(a);
    OK(job_by_tag(&js, "t") == b, "the ended one, when there is no other");
    (void)job_forget(b);
    forget(&c);
}

static int count(void) {
    int n = 0;
    for (struct link *l = js.all.next; l != &js.all; l = l->next)
        n++;
    return n;
}

/* All slots but those that are used, and one. */
static void take_slots(uint64_t taken[MAX_JOBS / 64]) {
    uint32_t one = 0;
    while (js.slots[one / 64] >> one % 64 & 1)
        one++;
    for (uint32_t i = 0; i < MAX_JOBS / 64; i++) {
        uint64_t left = i == one / 64 ? UINT64_C(1) << one % 64 : 0;
        taken[i] = ~js.slots[i] & ~left;
        js.slots[i] |= taken[i];
    }
}

static void keeps_the_last(void) {
    struct client c, watched;
    js.max_ended = 3;
    struct job *first = run(&watched, spec(ARGV("true")));
    struct job *j[5];
    for (int i = 0; i < 5; i++) {
        j[i] = run(&c, spec(ARGV("true")));
        job_detach(&c.r);
    }
    turn_for(20);
    OK(js.nended == 3 && count() == 3 && first->link.next == &j[3]->link, "the last three, %zu",
       js.nended);
    job_detach(&watched.r);
    js.max_jobs = 4;
    uint64_t taken[MAX_JOBS / 64];
    take_slots(taken);
    struct job *a = start(spec(ARGV("sleep", "100"))), *b = start(spec(ARGV("sleep", "100")));
    OK(a && b && js.n == 4 && js.nended == 2, "ended ones make room: %zu", js.n);
    attach(&watched, j[4], 0, false);
    OK(start(spec(ARGV("sleep", "100"))) && js.n == 4, "for three");
    OK(!start(spec(ARGV("true"))) && refused == JOB_LIMIT && strstr(refusal.text, "4 jobs"),
       "one that is read does not: %s", refusal.text);
    job_detach(&watched.r);
    OK(start(spec(ARGV("sleep", "100"))) && js.nrunning == 4, "four");
    OK(!start(spec(ARGV("true"))) && refused == JOB_LIMIT, "running ones never do");
    js.max_jobs = MAX_JOBS;
    for (size_t i = 0; i < MAX_JOBS / 64; i++)
        js.slots[i] &= ~taken[i];
    for (struct link *l = js.all.next; l != &js.all; l = l->next)
        (void)job_signal(CONTAINER_OF(l, struct job, link), SIGKILL, JOB_TREE);
    UNTIL(js.nrunning == 0);
    js.max_ended = 0;
    (void)run(&c, spec(ARGV("true")));
    job_detach(&c.r);
    UNTIL(js.n == 0);
    OK(js.n == 0 && js.kept == 0, "none");
    js.max_ended = MAX_JOBS_ENDED;
}

static void keeps_some_output(void) {
    struct client c[4];
    struct job *j[4];
    js.max_kept = 250000;
    for (int i = 0; i < 3; i++) {
        j[i] = run(&c[i], spec(SH("head -c 100000 /dev/zero")));
        job_detach(&c[i].r);
    }
    turn_for(20);
    OK(js.kept == 200000 && ring_len(&j[0]->output) == 0 && ring_len(&j[1]->output) == 100000,
       "the oldest has lost its output: %zu", js.kept);
    attach(&c[0], j[0], 0, false);
    client_read(&c[0]);
    OK(c[0].ended && c[0].missed == 100000 && c[0].nout == 0, "and says so");
    attach(&c[1], j[1], 0, true);
    c[1].lazy = true;
    j[3] = run(&c[3], spec(SH("head -c 100000 /dev/zero")));
    turn_for(20);
    OK(ring_len(&j[1]->output) == 100000 && ring_len(&j[2]->output) == 0,
       "what a lossless reader has not read stays");
    client_read(&c[1]);
    OK(c[1].ended && c[1].nout == 100000, "to its end");
    for (int i = 0; i < 4; i++) {
        job_detach(&c[i].r);
        (void)job_forget(j[i]);
    }
    OK(js.kept == 0, "nothing kept");
    js.max_kept = MAX_OUTPUT_KEPT;
}

static void shortens_commands(void) {
    struct client c;
    char big[3000], *many[400];
    memset(big, 'x', sizeof big - 1);
    big[sizeof big - 1] = '\0';
    for (int i = 0; i < 399; i++)
        many[i] = (char *)(i ? "word" : "true");
    many[399] = NULL;
    static const char utf8[] = "true\0\xc3\xa4\xc3\xa4";
    char umlauts[2001] = "";
    for (int i = 0; i < 1000; i++)
        memcpy(umlauts + 2 * i, utf8 + 5, 2);
    const struct {
        const char *const *argv;
        const char *start, *end;
    } rows[] = { { ARGV("true"), "[\"true\"]", "[\"true\"]" },
                 { ARGV("true", "", "a\"b\\\n\xff"),
                   "[\"true\",\"\",\"a\\\"b\\\\\\n\xef\xbf\xbd\"]", "]" },
                 { ARGV("true", big, "y"), "[\"true\",\"xxx", "xxx...\"]" },
                 { ARGV("true", umlauts), "[\"true\",\"\xc3\xa4", "\xc3\xa4...\"]" },
                 { (const char *const *)many, "[\"true\",\"word\",", "\"word\",\"word...\"]" } };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct job *j = run(&c, spec(rows[i].argv));
        size_t n = strlen(j->command), e = strlen(rows[i].end);
        yyjson_doc *doc = yyjson_read(j->command, n, 0);
        OK(doc && strncmp(j->command, rows[i].start, strlen(rows[i].start)) == 0 &&
               strcmp(j->command + n - e, rows[i].end) == 0 && n < JOB_RECORD_BYTES &&
               (i < 2 || n > 700),
           "%zu bytes: %.40s ... %s", n, j->command, j->command + (n > 20 ? n - 20 : 0));
        yyjson_doc_free(doc);
        forget(&c);
    }
}

/* --- PID 1 is slow -------------------------------------------------------------------------- */

static void waits_for_pid1(void) {
    struct wire_job filler = { .head = WIRE_HEAD(WIRE_JOB_SHUT, struct wire_job), .id = 1 };
    struct client c;
    int n = 0;
    loop_unwatch(&pid1);
    while (wire_send(sock, &filler.head) == 0)
        n++;
    struct job *j = start(spec(ARGV("echo", "hi")));
    attach(&c, j, 0, false);
    turn_for(100);
    OK(j->state == JOB_STARTING, "it does not execute before PID 1 knows (%d messages)", n);
    (void)loop_watch(&loop, &pid1);
    UNTIL(c.ended);
    OK(c.ended && c.nout == 3, "then it does");
    loop_unwatch(&pid1);
    while (wire_send(sock, &filler.head) == 0)
        n++;
    forget(&c);
    turn_for(50);
    OK(!list_empty(&js.gone) && js.n == 0, "PID 1 is still to be told of its end");
    int done = wire_done;
    (void)loop_watch(&loop, &pid1);
    UNTIL(list_empty(&js.gone));
    turn_for(10);
    OK(list_empty(&js.gone) && wire_done == done + 1, "told");
}

/* --- many ----------------------------------------------------------------------------------- */

#ifdef __SANITIZE_ADDRESS__
enum { MANY = 50 }; /* a fork takes twenty times as long */
#else
enum { MANY = 400 };
#endif

static size_t heap_kb(void) {
    char text[4096];
    AUTO_FD int fd = open("/proc/self/status", O_RDONLY | O_CLOEXEC);
    ssize_t n = read(fd, text, sizeof text - 1);
    text[n > 0 ? n : 0] = '\0';
    const char *at = strstr(text, "RssAnon:");
    return at ? strtoul(at + 8, NULL, 10) : 0;
}

static void runs_many(void) {
    bool good = true;
    struct rlimit files = { 16384, 16384 };
    OK(setrlimit(RLIMIT_NOFILE, &files) == 0, "descriptors for %d jobs, and for PID 1's copies",
       MANY);
    size_t before = heap_kb();
    int64_t t = now_ms();
    for (int i = 0; i < MANY; i++) {
        if (!OK(start(spec(ARGV("sleep", "100"))), "start"))
            break;
        (void)loop_turn(&loop);
    }
    OK(good, "%d are started", MANY);
    int running = 0;
    for (int64_t until = now_ms() + 20000; now_ms() < until && running < MANY;) {
        turn_for(10);
        running = 0;
        for (struct link *l = js.all.next; l != &js.all; l = l->next)
            running += CONTAINER_OF(l, struct job, link)->state == JOB_RUNNING;
    }
    OK(running == MANY, "and run: %d", running);
    printf("# %d started in %d ms; %zu bytes each\n", MANY, (int)(now_ms() - t),
           (heap_kb() - before) * 1024 / MANY);
    t = now_ms();
    for (struct link *l = js.all.next; l != &js.all; l = l->next)
        (void)job_signal(CONTAINER_OF(l, struct job, link), SIGTERM, JOB_TREE);
    UNTIL(js.nrunning == 0);
    OK(js.nrunning == 0 && js.nended == MANY, "all were killed: %zu", js.nended);
    printf("# ended in %d ms\n", (int)(now_ms() - t));
    js.max_ended = 0;
    struct client c;
    (void)run(&c, spec(ARGV("true")));
    job_detach(&c.r);
    UNTIL(js.n == 0 && list_empty(&js.gone));
    OK(js.n == 0 && list_empty(&js.gone), "and forgotten");
    js.max_ended = MAX_JOBS_ENDED;
}

int main(int argc, char **argv) {
    title_init(argc, argv);
    if (geteuid() != 0 || !mkdtemp(dir)) {
        printf("1..0 # SKIP it starts jobs of other users, so it needs root\n");
        return 0;
    }
    channel_open();
    lives_and_ends();
    tells_signals();
    says_why_not();
    is_signalled_at_once();
    says_what_is_too_long();
    has_an_environment();
    is_clean();
    reads_stdin();
    waits_for_room();
    has_a_terminal();
    ends_in_time();
    is_abandoned();
    tells_oom();
    is_found();
    keeps_the_last();
    keeps_some_output();
    shortens_commands();
    waits_for_pid1();
    runs_many();
    OK(js.n == 0 && js.nrunning == 0 && js.nended == 0 && js.nfailed == 0 && js.kept == 0,
       "nothing is left");
    OK(wire_strange == 0, "PID 1 has understood everything");
    channel_close();
    char rm[64];
    (void)snprintf(rm, sizeof rm, "rm -r %s", dir);
    (void)!system(rm);
    return tap_end();
}
